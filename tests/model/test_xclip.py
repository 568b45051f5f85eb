"""What the model promises beyond numbers: blindness to order, any T, every ablation, clear refusals."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from crossframe.model.config import ConfigError, ModelConfig, MultiFrameConfig, PromptConfig, TextConfig, VisionConfig
from crossframe.model.layers import DropPath
from crossframe.model.multi_frame import interpolate_time
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP, VideoFeatures


@pytest.fixture
def config() -> ModelConfig:
    return ModelConfig(
        vision=VisionConfig(image_size=16, patch_size=8, width=24, layers=2, heads=3, mlp_width=40),
        text=TextConfig(vocab_size=64, context_length=12, width=16, layers=2, heads=2, mlp_width=32),
        embed_dim=20,
        num_frames=4,
        mit=MultiFrameConfig(layers=1, heads=2, mlp_width=40),
        prompts=PromptConfig(layers=2, heads=4, mlp_width=40),
    )


def make(config: ModelConfig) -> XCLIP:
    """A model in float64 in which every parameter, biases and gains too, has a random value."""
    model = XCLIP(config).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.fixture
def video() -> Tensor:
    return torch.randn(2, 4, 3, 16, 16, dtype=torch.float64)


@pytest.fixture
def tokens() -> Tensor:
    return torch.tensor([[62, 5, 63] + [0] * 9, [62, 7, 8, 9, 63] + [0] * 7, [62, 11, 12, 63] + [0] * 8])


ORDERS = [order for order in itertools.permutations(range(4)) if order != (0, 1, 2, 3)]


def test_without_the_multi_frame_transformer_the_model_cannot_tell_the_order_of_frames(
    config: ModelConfig, video: Tensor, tokens: Tensor
) -> None:
    blind = make(replace(config, mit=None))
    with torch.no_grad():
        straight = blind(video, tokens)
        for order in ORDERS:
            torch.testing.assert_close(blind(video[:, order], tokens), straight, rtol=1e-12, atol=1e-12)


def test_with_it_every_order_counts(config: ModelConfig, video: Tensor, tokens: Tensor) -> None:
    model = make(config)
    with torch.no_grad():
        straight = model(video, tokens)
        changes = [(model(video[:, order], tokens) - straight).abs().max().item() for order in ORDERS]
    assert min(changes) > 1e-5


def test_joint_attention_is_as_blind(config: ModelConfig, video: Tensor, tokens: Tensor) -> None:
    blind = make(replace(config, mit=None, vision=replace(config.vision, mixing="joint")))
    with torch.no_grad():
        torch.testing.assert_close(blind(video.flip(1), tokens), blind(video, tokens), rtol=1e-12, atol=1e-12)


def test_positions_of_messages_start_without_effect_and_break_the_blindness_once_learned(
    config: ModelConfig, video: Tensor, tokens: Tensor
) -> None:
    blind = make(replace(config, mit=None))
    timed = XCLIP(replace(blind.config, vision=replace(config.vision, message_frames=4))).double().eval()
    positions = [block.message.position for block in timed.vision.blocks]
    assert all(position.shape == (4, 24) and not position.any() for position in positions)
    timed.load_state_dict(timed.state_dict() | blind.state_dict())
    with torch.no_grad():
        assert torch.equal(timed(video, tokens), blind(video, tokens))
        torch.testing.assert_close(timed(video.flip(1), tokens), timed(video, tokens), rtol=1e-12, atol=1e-12)
        for position in positions:
            torch.nn.init.normal_(position, std=0.2)
        straight = timed(video, tokens)
        changes = [(timed(video[:, order], tokens) - straight).abs().max().item() for order in ORDERS]
        assert min(changes) > 1e-5
        assert timed(video[:, [0, 1, 1, 2, 3, 3]], tokens).shape == (2, 3)
        for position in positions:  # interpolation between equal positions gives the same
            position.copy_(position[:1].expand(4, -1).clone())
        torch.testing.assert_close(timed(video.flip(1), tokens), timed(video, tokens), rtol=1e-12, atol=1e-12)


def test_frames_see_each_other_only_when_mixing(config: ModelConfig, video: Tensor) -> None:
    other = video.clone()
    other[:, 3] += 1.0
    for mixing, sees in (("none", False), ("cross_frame", True), ("joint", True)):
        model = make(replace(config, vision=replace(config.vision, mixing=mixing)))
        with torch.no_grad():
            change = (model.vision(other)[0][:, 0] - model.vision(video)[0][:, 0]).abs().max().item()
        assert (change > 1e-9) == sees


def test_one_frame_and_the_mean_of_equal_frames_agree_in_the_baseline(config: ModelConfig, video: Tensor) -> None:
    model = make(replace(config, mit=None, prompts=None, vision=replace(config.vision, mixing="none")))
    one = video[:, :1]
    with torch.no_grad():
        torch.testing.assert_close(
            model.encode_video(one.expand(-1, 7, -1, -1, -1)).embedding, model.encode_video(one).embedding
        )


def test_any_number_of_frames_with_one_warning(
    config: ModelConfig, tokens: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    model = make(config)
    with torch.no_grad(), caplog.at_level(logging.WARNING):
        for frames in (1, 4, 7, 7):
            assert model(torch.randn(1, frames, 3, 16, 16, dtype=torch.float64), tokens).shape == (1, 3)
    assert [record.getMessage() for record in caplog.records] == [
        "time positions of 4 frames are interpolated to 1",
        "time positions of 4 frames are interpolated to 7",
    ]


def test_time_positions_interpolate_between_the_middles_of_segments() -> None:
    line = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    assert interpolate_time(line, 2).flatten().tolist() == [0.5, 2.5]
    assert interpolate_time(line, 8).flatten().tolist() == [0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0]


def test_padding_after_the_end_changes_nothing(config: ModelConfig, tokens: Tensor) -> None:
    model = make(config)
    padded = torch.cat([tokens[:, :6], torch.randint(1, 60, (3, 6))], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(model.encode_text(padded), model.encode_text(tokens))


def test_labels_do_not_see_each_other(config: ModelConfig, video: Tensor, tokens: Tensor) -> None:
    model = make(config)
    with torch.no_grad():
        together = model(video, tokens)
        alone = torch.cat([model(video, tokens[i : i + 1]) for i in range(3)], dim=1)
    torch.testing.assert_close(alone, together)


def test_learned_vectors_take_places_between_start_and_label(config: ModelConfig, tokens: Tensor) -> None:
    plain = make(config)
    learned = XCLIP(replace(config, text=replace(config.text, learned_vectors=2))).double().eval()
    state = learned.state_dict() | plain.state_dict()
    state["text.learned"] = plain.text.token_embed.weight[[30, 31]].detach()
    learned.load_state_dict(state)
    written_out = torch.cat([tokens[:, :1], torch.tensor([[30, 31]] * 3), tokens[:, 1:10]], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(learned.encode_text(tokens[:, :10]), plain.encode_text(written_out))
    full = torch.tensor([[62, *range(1, 11), 63]])
    assert plain.encode_text(full).shape == (1, 20)
    with pytest.raises(ValueError, match="a label of 12 tokens does not fit into 10"):
        learned.encode_text(full)


def test_drop_path_drops_whole_clips_in_training_alone(config: ModelConfig) -> None:
    model = make(replace(config, vision=replace(config.vision, drop_path=0.5)))
    video = torch.randn(1, 4, 3, 16, 16, dtype=torch.float64).expand(64, -1, -1, -1, -1)
    with torch.no_grad():
        steady = model.encode_video(video).embedding
        model.train()
        dropped = model.encode_video(video).embedding
    assert (steady - steady[0]).abs().max() < 1e-12
    assert len(dropped.round(decimals=9).unique(dim=0)) > 2
    assert [block.drop_path.rate for block in model.vision.blocks] == [0.0, 0.5]


def test_drop_path_covers_what_messages_hear_of_each_other(config: ModelConfig) -> None:
    model = make(replace(config, vision=replace(config.vision, drop_path=0.5))).train()
    first, last = (block.message for block in model.vision.blocks)
    assert (first.drop_path.rate, last.drop_path.rate) == (0.0, 0.5)
    tokens = torch.randn(1, 4, 24, dtype=torch.float64).expand(32, -1, -1)
    with torch.no_grad():
        heard = last(tokens) - last.project(tokens)
        all_heard = last.attention(last.norm(last.project(tokens[:1])))
    kept = heard.flatten(1).abs().amax(dim=1) > 0
    assert 0 < kept.sum() < 32
    torch.testing.assert_close(heard[kept], (2 * all_heard).expand(int(kept.sum()), -1, -1))


def test_a_linear_head_needs_no_words(config: ModelConfig, video: Tensor, tokens: Tensor) -> None:
    model = make(replace(config, text=None, prompts=None, num_classes=7))
    assert model(video).shape == (2, 7)
    with pytest.raises(ValueError, match="linear head and no text encoder"):
        model(video, tokens)


def test_pictures_are_prepared_as_the_parts_of_the_model_were_trained(config: ModelConfig) -> None:
    plain = replace(config, vision=replace(config.vision, mixing="none"), mit=None, prompts=None)
    assert make(config).preprocess == Preprocess.xclip(16)
    assert make(plain).preprocess == Preprocess.clip(16)
    assert XCLIP(plain, preprocess=Preprocess.xclip(16)).preprocess == Preprocess.xclip(16)


def test_wrong_shapes_are_explained(config: ModelConfig, video: Tensor) -> None:
    model = make(config)
    takes = r"; this model takes \(B, T, 3, 16, 16\), or squares of another multiple of 8, normalized floats: use"
    for given in (video[..., :12], video[..., :12, :12], video[..., :8], video[..., :0, :0], video.double()[0]):
        with pytest.raises(ValueError, match=rf"^video has shape \({', '.join(map(str, given.shape))}\){takes}"):
            model.encode_video(given)
    with pytest.raises(ValueError, match=rf"^video has type torch\.uint8{takes}"):
        model.encode_video(video.byte())
    for wrong in (torch.tensor([62, 5, 63]), torch.tensor([[62.0, 5.0, 63.0]])):
        with pytest.raises(ValueError, match=r"this model takes int64 \(K, L\): use model\.tokenize"):
            model.encode_text(wrong)
    with pytest.raises(ValueError, match="no tokenizer"):
        model.tokenize("a label")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_frames": 0}, "at least one frame"),
        ({"text": None}, "exactly one"),
        ({"num_classes": 3}, "exactly one"),
        ({"text": None, "num_classes": 3}, "prompts need a text encoder"),
        ({"mit": MultiFrameConfig(heads=3)}, "mit: width 20 cannot be split over 3 heads"),
        ({"prompts": PromptConfig(heads=2, norm_eps=2.0)}, "prompts: norm_eps is 2.0"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(config: ModelConfig, change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(config, **change)


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        (TextConfig, {"context_length": 2}, "a context_length of 2 leaves no room for text between start and end"),
        (TextConfig, {"norm_eps": 0.0}, "text: norm_eps is 0.0"),
        (VisionConfig, {"norm_eps": -1e-5}, "vision: norm_eps is -1e-05; it must be between 0 and 1"),
        (VisionConfig, {"norm_eps": float("nan")}, "vision: norm_eps is nan"),
    ],
)
def test_towers_that_nobody_can_have_are_refused(part: Any, values: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        part(**values)


@pytest.mark.parametrize(("mixing", "frames"), [("none", 4), ("joint", 4), ("cross_frame", -1)])
def test_only_messages_have_positions(mixing: Any, frames: int) -> None:
    with pytest.raises(ConfigError, match="only messages of cross_frame have positions"):
        VisionConfig(mixing=mixing, message_frames=frames)


def test_pixels_are_not_taken_for_model_input(config: ModelConfig) -> None:
    with pytest.raises(ValueError, match=r"type torch\.uint8; .* use model\.prepare"):
        make(config)(torch.zeros(1, 4, 3, 16, 16, dtype=torch.uint8), torch.tensor([[62, 5, 63]]))


@pytest.mark.parametrize("prompts", [True, False])
def test_scores_are_not_rounded_where_products_are(prompts: bool, config: ModelConfig, tokens: Tensor) -> None:
    model = make(config).float()
    video = torch.randn(2, 4, 3, 16, 16)
    with torch.no_grad():
        text, features = model.encode_text(tokens), model.encode_video(video)
        features = features if prompts else VideoFeatures(features.embedding, None, features.frames)
        with torch.autocast("cpu", torch.bfloat16):
            scores = model.score(features, text)
            labels = model.prompts(text, features.patches) if prompts else text  # which may be rounded
        clips, said = (F.normalize(part.double(), dim=-1) for part in (features.embedding, labels))
        cosine = (clips[:, None] * said).sum(dim=-1)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores.double(), model.logit_scale.double().exp() * cosine, rtol=1e-5, atol=1e-5)


def test_drop_path_rises_from_the_first_block_to_the_last(config: ModelConfig) -> None:
    vision = replace(config.vision, layers=4, drop_path=0.3)
    rates = [
        {module.rate for module in block.modules() if isinstance(module, DropPath)}
        for block in XCLIP(replace(config, vision=vision)).vision.blocks
    ]
    assert [pytest.approx(0.1 * depth) for depth in range(4)] == [rate for (rate,) in rates]


def test_the_head_scores_the_embedding_and_a_label_may_fill_all_places_but_those_of_learned_vectors(
    config: ModelConfig, video: Tensor
) -> None:
    headed = make(replace(config, text=None, prompts=None, num_classes=3))
    with torch.no_grad():
        features = headed.encode_video(video)
        torch.testing.assert_close(headed.score(features), features.embedding @ headed.head.weight.T + headed.head.bias)
    learned = make(replace(config, text=replace(config.text, learned_vectors=4)))

    class Rows:
        vocab_size = 64

        def __call__(self, texts: Sequence[str]) -> Tensor:
            """As many tokens as each text has letters, start and end included."""
            rows = [[62, *[5] * (len(text) - 2), 63, *[0] * (12 - len(text))] for text in texts]
            return torch.tensor(rows)

    learned.tokenizer = Rows()
    assert learned.tokenize(["x" * 8]).shape == (1, 12)
    with pytest.raises(ValueError, match=r"has 9 tokens, .* reads at most 8"):
        learned.tokenize(["x" * 3, "x" * 9])
