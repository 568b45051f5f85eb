"""The same weights here and in transformers' X-CLIP, drawn by a rule, and real or generated clips to look at.

Weights follow the rule of tests/model/by_rule.py, with matrices scaled by their width, so that scores differ from label
to label as those of a trained model do. Text features are cached on both sides, so the text encoders have one layer.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

import crossframe
from crossframe.engine import can_pack, pack, with_parts
from crossframe.model.config import ModelConfig, TextConfig, variant
from crossframe.model.preprocess import default_preprocess
from crossframe.model.xclip import XCLIP
from crossframe.text.tokenizer import Tokenizer
from tests.model.by_rule import weight
from tests.video.clips import moving, write_clip
from tests.weights.small import XCLIP_CONFIG

TINY = replace(XCLIP_CONFIG, text=replace(XCLIP_CONFIG.text, layers=1))
LABELS = Path(__file__).parents[1] / "tests" / "golden" / "tokens.json"


def precisions() -> dict[str, torch.dtype]:
    """Those in which oneDNN multiplies matrices on this processor."""
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    return known if torch.ops.mkldnn._is_mkldnn_bf16_supported() else {"float32": torch.float32}


def config_of(name: str, num_frames: int, tiny: bool) -> ModelConfig:
    """A variant of the paper with a text encoder of one layer."""
    if tiny:
        return replace(TINY, num_frames=num_frames)
    paper = variant(name, num_frames)
    return replace(paper, text=replace(paper.text, layers=1) if paper.text else None)


def by_rule(config: ModelConfig) -> XCLIP:
    """A model in eval mode whose every weight is drawn by its name, with CLIP's tokenizer if it has CLIP's words."""
    words = config.text.vocab_size if config.text else 0
    tokenizer = Tokenizer.clip() if words == TextConfig().vocab_size else Numbered(words)
    with torch.device("meta"):
        model = XCLIP(config, tokenizer=tokenizer, preprocess=default_preprocess(config))
        shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    state = {name: _scaled(weight(name, shape)).float() for name, shape in shapes.items()}
    state["logit_scale"] = torch.tensor(4.6)  # where CLIP's training ends
    model.load_state_dict(state, assign=True)
    return model.eval()


def _scaled(drawn: Tensor) -> Tensor:
    """The rule was written for 64 channels; a product over more of them should not grow louder."""
    return drawn * min(1.0, (64 / drawn[0].numel()) ** 0.5) if drawn.dim() > 1 else drawn


class Theirs:
    """transformers' X-CLIP with the weights of a model of ours. `text` in `logits` are cached text features (K, E)."""

    def __init__(self, model: XCLIP, dtype: torch.dtype = torch.float32) -> None:
        from transformers import XCLIPModel
        from transformers.utils import logging

        logging.disable_progress_bar()
        with TemporaryDirectory() as folder:
            crossframe.save(model, folder, "transformers")
            self.model: Any = XCLIPModel.from_pretrained(folder, dtype=dtype).eval()

    def encode_video(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, 3, S, S) -> (B, E), (B, N, E), in the steps of XCLIPModel.forward."""
        model = self.model
        clips, frames = video.shape[:2]
        seen = model.vision_model(pixel_values=video.flatten(0, 1).to(model.dtype))
        embedding = model.mit(model.visual_projection(seen[1]).view(clips, frames, -1))[1]
        patches = model.prompts_visual_layernorm(seen[0][:, 1:]) @ model.prompts_visual_projection
        return embedding, patches.unflatten(0, (clips, frames)).mean(dim=1)

    def score(self, video: tuple[Tensor, Tensor], text: Tensor) -> Tensor:
        """-> (B, K)"""
        embedding, patches = video
        text = text.to(patches.dtype).expand(patches.shape[0], -1, -1)
        text = text + self.model.prompts_generator(text, patches)
        embedding = embedding / embedding.norm(dim=-1, keepdim=True)
        text = text / text.norm(dim=-1, keepdim=True)
        return torch.einsum("bd,bkd->bk", embedding, self.model.logit_scale.exp() * text)

    def logits(self, video: Tensor, text: Tensor) -> Tensor:
        return self.score(self.encode_video(video), text)


class Numbered:
    """A tokenizer for the small vocabulary of tiny models: every new text is a number of two digits."""

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self._known: dict[str, int] = {}

    def __call__(self, texts: str | Sequence[str]) -> Tensor:
        start, end = self.vocab_size - 2, self.vocab_size - 1
        numbers = [
            self._known.setdefault(text, len(self._known)) for text in ([texts] if isinstance(texts, str) else texts)
        ]
        return torch.tensor([[start, 1 + number // (start - 1), 1 + number % (start - 1), end] for number in numbers])


def in_precision(model: XCLIP, precision: str) -> XCLIP:
    """The model as `Recognizer` computes with it: packed where the engine applies."""
    dtype = getattr(torch, precision)
    packed = can_pack(model, dtype)
    return pack(model, dtype) if packed else with_parts(model, vision=copy.deepcopy(model.vision).to(dtype))


def kinetics_labels() -> list[str]:
    """The 400 names of Kinetics-400."""
    names = json.loads(LABELS.read_text(encoding="utf-8"))["labels"]["kinetics_400_labels.csv"]["names"]
    return [str(name) for name in names]


def ten_second_clip(videos: Path, folder: Path, tiny: bool) -> Path:
    """A real clip of 300 frames at 340x256, or a generated one where there is none."""
    real = videos / "ten_seconds_h264.mp4"
    if real.is_file() and not tiny:
        return real
    return write_clip(folder / "clip.mp4", frames=moving(12 if tiny else 300, 340, 256), rate=30)


def relative_error(logits: Tensor, reference: Tensor) -> float:
    """The largest difference between two sets of logits (..., K), over the spread of the reference."""
    reference = reference.double()
    spread = reference.amax(-1, keepdim=True) - reference.amin(-1, keepdim=True)
    return float(((logits.double() - reference).abs() / spread).max())


def same_top(logits: Tensor, reference: Tensor, tolerance: float) -> bool:
    """Whether the best label agrees wherever the reference prefers it by more than `tolerance` of its spread."""
    best = reference.topk(2).values
    clear = (best[..., 0] - best[..., 1]) > tolerance * (reference.amax(-1) - reference.amin(-1))
    return bool(((logits.argmax(-1) == reference.argmax(-1)) | ~clear).all())
