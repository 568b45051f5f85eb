"""From clips and labels to scores: the one path that recognizing, evaluating and tests in training share.

A precision means the same everywhere. It is that of the image encoder alone, which takes most of the time: similarities
rounded to 8 bits would tie. In float32, scores are those of the model itself; on a CPU the fast engine of
`crossframe.engine` may give them, which differ from it by rounding.
"""

from __future__ import annotations

import copy
import logging
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import zip_longest
from threading import Lock
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossframe.engine import foreign_part, pack, supports, with_parts
from crossframe.model.xclip import XCLIP, VideoFeatures
from crossframe.text.labels import humanize

log = logging.getLogger(__name__)

Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]
Crops: TypeAlias = Literal[1, 3]
Wordings: TypeAlias = Sequence[str | Sequence[str]]  # of each label, one text or several

DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ROUNDED = {torch.bfloat16, torch.float16}  # to less than float32
# Of torch's two ways to say this, the one that works whichever a program has used before.
Flag: TypeAlias = tuple[Any, str, object]
CONVOLUTIONS: tuple[Flag, ...] = (
    (torch.backends.cudnn.conv, "fp32_precision", "ieee"),  # pyright: ignore[reportAttributeAccessIssue]
    (torch.backends.cudnn, "benchmark", False),
    (torch.backends.cudnn, "deterministic", True),
)
PRODUCTS: tuple[Flag, ...] = (
    (torch.backends.cuda.matmul, "fp32_precision", "ieee"),
    (torch.backends.mkldnn.matmul, "fp32_precision", "ieee"),  # pyright: ignore[reportAttributeAccessIssue]
)

TEXTS_AT_ONCE = 256  # bounds memory for thousands of labels; fixed, so that features are reproducible
KEPT_LISTS = 16  # of labels, whose features are cached


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(dim=1)


class Inference:
    """A model that computes in one precision, with the features of recent lists of labels; for any number of threads.

    With `fast`, the engine for CPUs is used where it applies; without, it is used for bfloat16 alone, so that float32
    is the model's own arithmetic to the last bit. The encoder is a copy of the model's in either case but the last:
    changes of its weights have no effect.
    """

    def __init__(self, model: XCLIP, precision: Precision = "float32", *, fast: bool = True) -> None:
        check_precision(model, precision)
        self.model = model
        self.precision: Precision = precision
        self.texts = TextFeatures(model)
        self._fast = fast
        self._encoder = self._in_precision()

    def _in_precision(self) -> XCLIP:
        """The model that encodes videos and scores labels."""
        dtype = DTYPES[self.precision]
        if (self._fast or dtype == torch.bfloat16) and supports(self.model, dtype):
            part = foreign_part(self.model)
            if part is None:
                return pack(self.model, dtype)
            log.warning("the fast engine is off, for it does not know %s; results are the same, but take longer", part)
        if dtype != torch.float32:
            return with_parts(self.model, vision=copy.deepcopy(self.model.vision).to(dtype))
        return self.model

    @property
    def packed(self) -> bool:
        """True if the fast engine computes."""
        return self._encoder is not self.model and self._encoder.vision.blocks is not self.model.vision.blocks

    def __getstate__(self) -> dict[str, Any]:
        # Packed weights and locks do not travel; the model does, and makes them again.
        return {"model": self.model, "precision": self.precision, "fast": self._fast}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["model"], state["precision"], fast=state["fast"])

    @torch.inference_mode()
    def encode(self, clips: Sequence[Tensor]) -> VideoFeatures:
        """uint8 (T, 3, H, W) for each of B clips, of any sizes -> features of the clips."""
        with exact_convolutions():
            return self._encoder.encode_video(self.model.prepare(clips))

    @torch.inference_mode()
    def score(self, features: VideoFeatures, text: Tensor | None) -> Tensor:
        """Features of B clips, (K, E) of labels -> logits, float32 (B, K) on the CPU."""
        with exact_convolutions():
            return self._encoder.score(features, text).float().cpu()

    @torch.inference_mode()
    def probabilities(
        self,
        videos: Sequence[Tensor] | Tensor,
        text: Tensor | None,
        *,
        views: int = 1,
        crops: Crops = 1,
        scoring: Callable[[Tensor], Tensor] = _softmax,
    ) -> Tensor:
        """uint8 (views * T, 3, H, W) for each of B clips, of any sizes -> float64 (B, K) on the CPU.

        The scores that `scoring` makes of the logits of each view, by default their softmax, are averaged, as in the
        paper; they are computed in float64, which still orders labels of tiny probability. Views are encoded one after
        the other, so that memory does not grow with their number.
        """
        odd = [len(video) for video in videos if views < 1 or len(video) % views]
        if odd:
            raise ValueError(f"{odd[0]} frames are not {views} views of equal length; give the views that were sampled")
        total: Tensor | float = 0.0
        clips = [video.chunk(views) for video in videos]
        for view in range(views):
            for batch in _crops(self.model, [clip[view] for clip in clips], crops):
                logits = self.score(self._encoder.encode_video(batch), text)
                total = scoring(logits.double()) + total
        return cast("Tensor", total) / (views * crops)


class TextFeatures:
    """The text features of a model, each computed once; for any number of threads."""

    def __init__(self, model: XCLIP) -> None:
        self._model = model
        self._lock = Lock()
        self._lists: OrderedDict[tuple[tuple[str, ...], ...], Tensor | None] = OrderedDict()
        self._texts: dict[str, Tensor] = {}

    @torch.inference_mode()
    def of_labels(self, said: Wordings) -> Tensor | None:
        """(K, E) of the wordings of K labels, see `label_features`; those of the last `KEPT_LISTS` lists are kept."""
        key = tuple((text,) if isinstance(text, str) else tuple(text) for text in said)
        with self._lock:  # also while they are computed, or as many threads would compute the same
            if key not in self._lists:
                self._lists[key] = label_features(self._model, key)
                if len(self._lists) > KEPT_LISTS:
                    self._lists.popitem(last=False)
            self._lists.move_to_end(key)
            return self._lists[key]

    @torch.inference_mode()
    def of_texts(self, texts: Sequence[str]) -> Tensor:
        """(K, E) of K texts, all of which are kept."""
        with self._lock:
            if new := sorted(set(texts) - self._texts.keys()):
                self._texts.update(zip(new, encode_texts(self._model, new), strict=True))
            return torch.stack([self._texts[text] for text in texts])


@torch.no_grad()
def label_features(model: XCLIP, texts: Wordings) -> Tensor | None:
    """Features of K labels, (K, E), not normalized; None for a linear head, which has its classes built in.

    A label is one text or several. Of several, the mean direction and the mean length are taken: prompts see the
    length.
    """
    if model.text is None:
        if len(texts) != model.config.num_classes:
            raise ValueError(
                f"{len(texts)} labels were given, and the model's linear head has {model.config.num_classes} classes; "
                "give the labels that it was trained with, in that order"
            )
        return None
    said = [[text] if isinstance(text, str) else list(text) for text in texts]
    features = encode_texts(model, [text for wordings in said for text in wordings])
    return torch.stack([_mean(part) for part in features.split([len(wordings) for wordings in said])])


def check_head(model: XCLIP, labels: Sequence[str]) -> None:
    """Raise ValueError where a linear head has its classes under other names, or in another order, than `labels`."""
    if model.head is None or not model.labels:
        return
    for place, (own, given) in enumerate(zip_longest(model.labels, labels), start=1):
        if own is None or given is None or humanize(own) != humanize(given):
            raise ValueError(
                f"label {place} is {given!r}, and class {place} of the model's linear head is {own!r}; leave labels "
                f"out, or give all {len(model.labels)} that it was trained with, in their order"
            )


def encode_texts(model: XCLIP, texts: Sequence[str]) -> Tensor:
    """(K, E) of K texts, not normalized, a bounded number at a time."""
    return torch.cat([model.encode_text(part) for part in model.tokenize(texts).split(TEXTS_AT_ONCE)])


def _mean(features: Tensor) -> Tensor:
    """(W, E) of W wordings -> (E,)"""
    if len(features) == 1:
        return features[0]
    return F.normalize(features, dim=-1).mean(dim=0) * features.norm(dim=-1).mean()


def _crops(model: XCLIP, clips: list[Tensor], crops: Crops) -> Sequence[Tensor]:
    """Model input float (B, T, 3, S, S) for each crop."""
    if crops == 1:
        return [model.prepare(clips)]
    return model.preprocess.three_crops(clips, model.device).unbind(dim=1)


def choose_precision(precision: Precision | Literal["auto"], device: torch.device) -> Precision:
    """`auto` is bfloat16 where the CPU or the GPU multiplies such matrices at full speed, float16 on GPUs without."""
    if precision not in ("auto", *DTYPES):
        raise ValueError(f"precision is '{precision}'; choose auto, {', '.join([*DTYPES][:-1])} or {[*DTYPES][-1]}")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    fast = False
    if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        known = torch.cpu.get_capabilities()
        fast = any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return "bfloat16" if fast else "float32"


def check_precision(model: XCLIP, precision: Precision) -> None:
    """Raise ValueError if the weights are of lower precision than the result would claim."""
    if precision not in DTYPES:
        raise ValueError(f"precision {precision!r} is unknown; use {', '.join(map(repr, DTYPES))}")
    rounded = {parameter.dtype for parameter in model.parameters()} & ROUNDED
    if precision == "float32" and rounded:
        raise ValueError(
            f"the weights are {rounded.pop()}; load the model with dtype=torch.float32, or ask for bfloat16"
        )


@contextmanager
def evaluating(model: nn.Module) -> Generator[None]:
    """The model in evaluation mode, matrix products and convolutions in full float32; all is restored on exit."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with _set(CONVOLUTIONS + PRODUCTS):
            yield
    finally:
        for module, training in modes:
            module.training = training


def exact_convolutions() -> AbstractContextManager[None]:
    """Inside, GPUs do not round the inputs of float32 convolutions to 10 bits (TF32), which they do of themselves."""
    return _set(CONVOLUTIONS)


_flags_lock = Lock()
_flags_held: dict[tuple[int, str], list[Any]] = {}  # how many threads are inside, and what torch had before


@contextmanager
def _set(flags: Sequence[Flag]) -> Generator[None]:
    """Inside, torch has these flags; the last thread that leaves restores what it had before the first came."""
    with _flags_lock:
        for place, name, value in flags:
            held = _flags_held.setdefault((id(place), name), [0, getattr(place, name)])
            held[0] += 1
            setattr(place, name, value)
    try:
        yield
    finally:
        with _flags_lock:
            for place, name, _ in flags:
                held = _flags_held[id(place), name]
                held[0] -= 1
                if not held[0]:
                    setattr(place, name, _flags_held.pop((id(place), name))[1])
