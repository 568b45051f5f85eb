"""A language-image model becomes a video model; every ablation is a switch; image encoders can be exchanged."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import ViTConfig, ViTForImageClassification, ViTModel

import crossframe
from crossframe.model.config import ConfigError, new_parts
from crossframe.model.preprocess import IMAGENET_MEAN, Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.text.tokenizer import Tokenizer
from crossframe.weights import WeightsError, replace_vision
from crossframe.weights.convert import to_theirs
from crossframe.weights.tables import TIMM_VIT
from tests.weights.small import CLIP_CONFIG, XCLIP_CONFIG, make, same_weights, tokens_for, video_for

SWITCHES: dict[str, dict[str, Any]] = {
    "the paper's model": {},
    "no cross-frame attention": {"mixing": "none"},
    "no multi-frame transformer": {"mit_layers": 0},
    "no prompts": {"prompt_layers": 0},
    "mean of frames": {"mixing": "none", "mit_layers": 0, "prompt_layers": 0},
    "joint space-time attention": {"mixing": "joint", "mit_layers": 0},
    "messages with a position in time": {"message_time": True},
    "one frame": {"num_frames": 1},
    "four layers of MIT": {"mit_layers": 4},
    "learned vectors": {"learned_vectors": 4, "prompt_layers": 0},
    "linear head": {"num_classes": 7},
}


@pytest.fixture
def clip() -> XCLIP:
    return make(CLIP_CONFIG)


@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
def test_every_ablation_builds_runs_saves_and_loads(clip: XCLIP, switches: dict[str, Any], tmp_path: Path) -> None:
    model = crossframe.expand(clip, **{"num_frames": 4, **switches})
    kept = {name: tensor for name, tensor in clip.state_dict().items() if not name.startswith("text.") or model.text}
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in kept.items())
    video = video_for(model.config)
    tokens = None if model.text is None else tokens_for(model.config)[:, : model.text.max_tokens]
    with torch.no_grad():
        logits = model(video, tokens)
    assert logits.shape == (2, 3 if model.text else 7)
    assert logits.isfinite().all()
    crossframe.save(model, tmp_path)
    again = crossframe.load(tmp_path)
    assert again.config == model.config
    assert same_weights(again, model)
    with torch.no_grad():
        torch.testing.assert_close(again(video, tokens), logits)


def test_new_parts_are_those_of_the_paper_and_said_to_be_untrained(
    clip: XCLIP, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        model = crossframe.expand(clip, num_frames=8)
    assert "untrained, to be learned from videos: cross-frame messages, multi-frame transformer" in caplog.text
    assert (model.config.mit, model.config.prompts) == new_parts(128)
    assert model.config.num_frames == 8
    assert model.preprocess == Preprocess.xclip(32)
    assert not model.training
    assert model.prompts.alpha.unique().tolist() == pytest.approx([0.1])
    assert not any(parameter.is_meta for parameter in model.parameters())


def test_the_same_seed_gives_the_same_new_values(clip: XCLIP) -> None:
    torch.manual_seed(3)
    first = crossframe.expand(clip)
    torch.manual_seed(3)
    assert same_weights(crossframe.expand(clip), first)
    assert not same_weights(crossframe.expand(clip), first)


def test_the_original_is_left_alone(clip: XCLIP) -> None:
    before = clip.vision.projection.clone()
    model = crossframe.expand(clip)
    with torch.no_grad():
        model.vision.projection.zero_()
    assert torch.equal(clip.vision.projection, before)
    assert clip.mit is None


@pytest.mark.parametrize("frames", [4, 8])
def test_all_switches_off_leaves_the_weights_of_a_clip_and_gives_it_the_pictures_of_the_rest(
    clip: XCLIP, frames: int
) -> None:
    mean = crossframe.expand(clip, frames, mixing="none", mit_layers=0, prompt_layers=0)
    assert same_weights(mean, clip)
    assert clip.preprocess == Preprocess.clip(32)
    assert mean.preprocess == crossframe.expand(clip, frames).preprocess == Preprocess.xclip(32)


@pytest.mark.parametrize("sizes", [(32, 32), ({"shortest_edge": 32}, {"height": 32, "width": 32})], ids=["old", "new"])
def test_clips_pictures_are_known_by_what_the_hub_says_of_them(clip: XCLIP, tmp_path: Path, sizes: Any) -> None:
    """The entries of OpenAI's own preprocessor_config.json, in its older and its newer form."""
    crossframe.save(clip, tmp_path, "transformers")
    colors = {
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    asked = {"do_center_crop": True, "do_normalize": True, "do_resize": True, "resample": 3, **colors}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": sizes[0], "crop_size": sizes[1], **asked}))
    assert crossframe.expand(crossframe.load(tmp_path)).preprocess == Preprocess.xclip(32)


def test_pictures_of_other_models_stay(clip: XCLIP) -> None:
    clip.preprocess = Preprocess(32, 32, (0.5,) * 3, (0.5,) * 3)
    assert crossframe.expand(clip).preprocess == clip.preprocess


def test_an_expanded_model_keeps_its_parts_and_interpolates_time(caplog: pytest.LogCaptureFixture) -> None:
    xclip = make()
    with caplog.at_level(logging.WARNING):
        longer = crossframe.expand(xclip, num_frames=8)
    assert "time positions are interpolated from 4 frames to 8" in caplog.text
    assert "untrained" not in caplog.text
    state = longer.state_dict()
    assert all(torch.equal(state[n], t) for n, t in xclip.state_dict().items() if n != "mit.position")


def test_positions_of_messages_leave_published_weights_as_they_are_and_keep_their_number() -> None:
    xclip = make()
    timed = crossframe.expand(xclip, 4, message_time=True)
    video, tokens = video_for(xclip.config), tokens_for(xclip.config)
    with torch.no_grad():
        assert torch.equal(timed(video, tokens), xclip(video, tokens))
        timed.vision.blocks[0].message.position.fill_(0.3)
    longer = crossframe.expand(timed, 8, message_time=True)
    assert torch.equal(longer.vision.blocks[0].message.position, timed.vision.blocks[0].message.position)
    with torch.no_grad():
        assert longer(video_for(longer.config), tokens).shape == (2, 3)
    with pytest.raises(WeightsError, match="transformers cannot hold vision"):
        crossframe.save(timed, "unused", "transformers")
    assert same_weights(crossframe.expand(timed, 4), xclip)


def test_parts_can_be_taken_away_again(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        model = crossframe.expand(make(), 4, mixing="none", prompt_layers=0)
    assert "left out: cross-frame messages, video-specific prompts" in caplog.text
    assert model.mit is not None


def test_a_head_for_other_classes_starts_anew(clip: XCLIP, caplog: pytest.LogCaptureFixture) -> None:
    first = crossframe.expand(clip, num_classes=7)
    same, other = crossframe.expand(first), crossframe.expand(first, num_classes=5)
    assert torch.equal(same.head.weight, first.head.weight)
    assert other.head.weight.shape == (5, 128)
    assert "linear head" in caplog.records[-1].getMessage()
    assert torch.equal(other.mit.position, first.mit.position)


def test_precision_is_that_of_the_model() -> None:
    model = crossframe.expand(make(CLIP_CONFIG, torch.float64))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}


def test_a_label_that_learned_vectors_leave_no_room_for_is_shown(clip: XCLIP) -> None:
    config = replace(CLIP_CONFIG, text=replace(CLIP_CONFIG.text, vocab_size=49408))
    clip = make(config)
    clip.tokenizer = Tokenizer.clip(config.text.context_length)
    model = crossframe.expand(clip, learned_vectors=4, prompt_layers=0)
    labels = ["running", "one two three four five six seven eight nine ten eleven", "swimming"]
    assert clip.tokenize(labels).shape == (3, 16)
    with pytest.raises(ValueError, match=r"the label 'one two .* eleven' has 13 tokens.* at most 12: shorten it"):
        model.tokenize(labels)


def test_parts_that_do_not_go_together(clip: XCLIP) -> None:
    with pytest.raises(ConfigError, match="20 learned vectors leave no room in 16 tokens"):
        crossframe.expand(clip, learned_vectors=20)
    with pytest.raises(ConfigError, match="num_frames is 0"):
        crossframe.expand(clip, num_frames=0)


class TestImageEncodersWithoutWords:
    VIT = ViTConfig(
        hidden_size=96,
        intermediate_size=160,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=48,
        patch_size=8,
    )

    @pytest.fixture
    def vit(self) -> ViTModel:
        vit = ViTModel(self.VIT).eval()
        with torch.no_grad():
            for parameter in vit.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        return vit

    def hidden(self, vit: ViTModel, video: Tensor) -> Tensor:
        """(B, T, L, D) after the last norm, by transformers."""
        with torch.no_grad():
            return vit(video.flatten(0, 1)).last_hidden_state.unflatten(0, video.shape[:2])

    def check(self, model: XCLIP, vit: ViTModel, tolerance: float = 1e-9) -> None:
        model, vit = model.double(), vit.double()
        video = video_for(model.config, torch.float64)
        expected = self.hidden(vit, video)
        with torch.no_grad():
            frames, patches = model.vision(video)
            torch.testing.assert_close(frames, expected[:, :, 0] @ model.vision.projection, rtol=0.0, atol=tolerance)
            torch.testing.assert_close(model.vision.post_norm(patches), expected[:, :, 1:], rtol=0.0, atol=tolerance)

    @pytest.mark.parametrize("head", [False, True])
    def test_hugging_faces_folder(self, clip: XCLIP, vit: ViTModel, tmp_path: Path, head: bool) -> None:
        if head:
            classifier = ViTForImageClassification(self.VIT)
            classifier.vit.load_state_dict(vit.state_dict(), strict=False)
            classifier.save_pretrained(tmp_path)
        else:
            vit.save_pretrained(tmp_path)
        model = replace_vision(clip, tmp_path)
        assert model.config.vision.heads == 4
        assert model.config.vision.norm_eps == 1e-12
        self.check(model, vit)

    def test_the_names_of_older_files(self, clip: XCLIP, vit: ViTModel, tmp_path: Path) -> None:
        vit.save_pretrained(tmp_path)
        names = crossframe.weights.archive.read_tensors(tmp_path / "model.safetensors")
        assert any("attention.attention.query" in name or "q_proj" in name for name in names)
        state = to_theirs_of(replace_vision(clip, tmp_path))
        (tmp_path / "model.safetensors").unlink()
        torch.save({f"vit.{name}": tensor for name, tensor in state.items()}, tmp_path / "pytorch_model.bin")
        self.check(replace_vision(clip, tmp_path), vit)

    def test_timms_file(self, clip: XCLIP, tmp_path: Path) -> None:
        # timm's ViT is transformers' with one fused product, heads of 64 and an epsilon of 1e-6
        config = ViTConfig(**{**self.VIT.to_dict(), "hidden_size": 128, "num_attention_heads": 2})
        config.layer_norm_eps = 1e-6
        vit = ViTModel(config).eval()
        state = timm_state(vit)
        torch.save(state | {"head.weight": torch.zeros(5, 128), "head.bias": torch.zeros(5)}, tmp_path / "vit.pth")
        model = replace_vision(clip, tmp_path / "vit.pth")
        assert (model.config.vision.heads, model.config.vision.norm_eps) == (2, 1e-6)
        assert model.config.vision.activation == "gelu"
        self.check(model, vit)

    def test_words_stay_and_the_projection_is_new(
        self, clip: XCLIP, vit: ViTModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        vit.save_pretrained(tmp_path)
        with caplog.at_level(logging.WARNING):
            model = replace_vision(clip, tmp_path)
        assert "untrained, to be learned from videos: projection of the image encoder" in caplog.text
        tokens = tokens_for(CLIP_CONFIG)
        with torch.no_grad():
            assert torch.equal(model.encode_text(tokens), clip.encode_text(tokens))
        assert model.preprocess == Preprocess.xclip(48)
        expanded = crossframe.expand(model, num_frames=4)
        with torch.no_grad():
            assert expanded(video_for(expanded.config), tokens).isfinite().all()
        crossframe.save(expanded, tmp_path / "expanded")
        assert same_weights(crossframe.load(tmp_path / "expanded"), expanded)

    def test_colors_are_those_that_it_was_trained_on(self, clip: XCLIP, vit: ViTModel, tmp_path: Path) -> None:
        vit.save_pretrained(tmp_path)
        (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5]}')
        assert replace_vision(clip, tmp_path).preprocess == replace(Preprocess.xclip(48), mean=(0.5,) * 3)
        assert Preprocess.xclip(48).mean == IMAGENET_MEAN

    def test_what_is_no_such_encoder(self, clip: XCLIP, vit: ViTModel, tmp_path: Path) -> None:
        vit.save_pretrained(tmp_path)
        with pytest.raises(WeightsError, match=r"exchange it before crossframe\.expand"):
            replace_vision(make(XCLIP_CONFIG), tmp_path)
        with pytest.raises(WeightsError, match=r"image encoder without words: see crossframe\.weights\.replace_vision"):
            crossframe.load(tmp_path)
        save_file({"blocks.0.attn.qkv.weight": torch.zeros(3, 1)}, tmp_path / "odd.safetensors")
        with pytest.raises(WeightsError, match="no ViT in timm's or Hugging Face's layout"):
            replace_vision(clip, tmp_path / "odd.safetensors")
        torch.save(timm_state(vit) | {"reg_token": torch.zeros(1)}, tmp_path / "registers.pth")
        with pytest.raises(WeightsError, match="left over in the layout of timm ViT: reg_token"):
            replace_vision(clip, tmp_path / "registers.pth")
        state = timm_state(vit)
        torch.save({name: tensor for name, tensor in state.items() if name != "norm.bias"}, tmp_path / "part.pth")
        with pytest.raises(WeightsError, match=r"missing norm\.bias"):
            replace_vision(clip, tmp_path / "part.pth")
        torch.save(timm_state(vit), tmp_path / "vit.pth")
        with pytest.raises(WeightsError, match="image encoder alone, without words"):
            crossframe.load(tmp_path / "vit.pth")


def timm_state(vit: ViTModel) -> dict[str, Tensor]:
    """The state dict of timm's ViT with these weights."""
    state = {name: tensor.detach() for name, tensor in vit.named_parameters() if not name.startswith("pooler")}
    result = {
        "cls_token": state["embeddings.cls_token"],
        "pos_embed": state["embeddings.position_embeddings"],
        "patch_embed.proj.weight": state["embeddings.patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": state["embeddings.patch_embeddings.projection.bias"],
        "norm.weight": state["layernorm.weight"],
        "norm.bias": state["layernorm.bias"],
    }
    for i in range(vit.config.num_hidden_layers):
        there, here = f"blocks.{i}", f"layers.{i}"
        for kind in ("weight", "bias"):
            qkv = [state[f"{here}.attention.{name}_proj.{kind}"] for name in "qkv"]
            result[f"{there}.attn.qkv.{kind}"] = torch.cat(qkv)
            result[f"{there}.attn.proj.{kind}"] = state[f"{here}.attention.o_proj.{kind}"]
            result[f"{there}.norm1.{kind}"] = state[f"{here}.layernorm_before.{kind}"]
            result[f"{there}.norm2.{kind}"] = state[f"{here}.layernorm_after.{kind}"]
            result[f"{there}.mlp.fc1.{kind}"] = state[f"{here}.mlp.fc1.{kind}"]
            result[f"{there}.mlp.fc2.{kind}"] = state[f"{here}.mlp.fc2.{kind}"]
    return {name: tensor.clone() for name, tensor in result.items()}


def to_theirs_of(model: XCLIP) -> dict[str, Tensor]:
    """The image encoder of a model under the other set of Hugging Face's names than transformers now uses."""
    from crossframe.weights.tables import HF_VIT

    state = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name.startswith("vision.") and name != "vision.projection"
    }
    assert to_theirs(state, TIMM_VIT).keys() != to_theirs(state, HF_VIT).keys()
    return to_theirs(state, HF_VIT)
