"""Every family expands to video by the same rules, and keeps what CLIP's expansion promises."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from pathlib import Path

import pytest
import torch

import crossframe
from crossframe.model.beyond import positions_for
from crossframe.model.config import ConfigError, ModelConfig, VisionConfig
from crossframe.model.xclip import XCLIP
from tests.model.tiny_families import FAMILIES, tokens_for, video_for

EXACT = {"rtol": 0.0, "atol": 1e-10}


@pytest.fixture(params=FAMILIES)
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return FAMILIES[request.param]


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    torch.manual_seed(5)
    with torch.no_grad():
        yield


def plain(config: ModelConfig) -> XCLIP:
    return XCLIP(config).double().eval()


def expanded(config: ModelConfig, **switches: int) -> XCLIP:
    model = crossframe.expand(plain(config), 4, **switches)
    for name, parameter in model.named_parameters():
        if ".message." in name or name == "mit.position":  # large enough that messages and order matter
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def test_without_the_multi_frame_transformer_the_order_of_frames_does_not_matter(config: ModelConfig) -> None:
    video, tokens = video_for(config), tokens_for(config, 2, 4)
    shuffled = video[:, [2, 0, 3, 1]]
    blind, seeing = expanded(config, mit_layers=0), expanded(config)
    torch.testing.assert_close(blind(shuffled, tokens), blind(video, tokens), **EXACT)
    assert (seeing(shuffled, tokens) - seeing(video, tokens)).abs().max() > 1e-4


@pytest.mark.parametrize("parts", [plain, expanded])
@pytest.mark.parametrize("times", [0.5, 1.25, 2.0])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-9), (torch.float32, 1e-6)])
def test_another_picture_size_is_what_loading_for_it_gives(
    parts: Callable[[ModelConfig], XCLIP],
    times: float,
    dtype: torch.dtype,
    atol: float,
    config: ModelConfig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = parts(config).to(dtype)
    crossframe.save(model, tmp_path)
    size, patch = int(config.vision.image_size * times), config.vision.patch_size
    loaded = crossframe.load(tmp_path, image_size=size, dtype=dtype)
    frames = torch.randint(0, 256, (2, 4, 3, 80, 96), dtype=torch.uint8)
    assert model.preprocess.at(size) == loaded.preprocess
    video = model.preprocess.at(size)(frames).to(dtype)
    assert video.shape == (2, 4, 3, size, size)
    tokens, grid = tokens_for(config, 2, 4), size // patch
    caplog.clear()
    for _ in range(2):
        found, expected = model.encode_video(video), loaded.encode_video(video)
        for one, other in zip(astuple(found), astuple(expected), strict=True):
            torch.testing.assert_close(one, other, atol=atol, rtol=atol)
        torch.testing.assert_close(model(video, tokens), loaded(video, tokens), atol=100 * atol, rtol=atol)
    told = f"grid positions are interpolated from {config.vision.grid**2} places to {grid} x {grid}"
    assert [record.message for record in caplog.records] == [told]  # once, by the one that interpolates


def test_the_models_own_picture_size_takes_its_own_positions(config: ModelConfig) -> None:
    model, video = expanded(config), video_for(config)
    first = model.encode_video(video)
    model.encode_video(torch.cat([video, video], dim=-1).repeat(1, 1, 1, 2, 1))
    assert torch.equal(model.encode_video(video).embedding, first.embedding)
    assert positions_for(config.vision.grid, model.vision.position, config.vision, set()) is model.vision.position


def test_messages_reach_every_frame(config: ModelConfig) -> None:
    model, video = expanded(config), video_for(config)
    other = video.clone()
    other[:, 3] += 1.0
    before, _ = model.vision(video)
    after, _ = model.vision(other)
    assert (before[:, 0] - after[:, 0]).abs().max() > 1e-6
    alone = expanded(config, mixing="none")
    torch.testing.assert_close(alone.vision(other)[0][:, :3], alone.vision(video)[0][:, :3], **EXACT)


def test_any_number_of_frames(config: ModelConfig) -> None:
    model, tokens = expanded(config), tokens_for(config, 2, 4)
    assert all(model(video_for(config, 1, frames), tokens).isfinite().all() for frames in (1, 3, 7))


def test_joint_attention_within_one_frame_is_that_of_the_image_model(config: ModelConfig) -> None:
    video = video_for(config, frames=1)
    model = plain(config)
    joint = crossframe.expand(model, 1, mixing="joint", mit_layers=0, prompt_layers=0)
    torch.testing.assert_close(joint.vision(video)[0], model.vision(video)[0], **EXACT)


def test_a_batch_is_its_rows(config: ModelConfig) -> None:
    model, video, tokens = expanded(config), video_for(config, 3), tokens_for(config, 1, 2, 6)
    together = model(video, tokens)
    apart = torch.cat([torch.cat([model(v[None], t[None]) for t in tokens], dim=1) for v in video])
    torch.testing.assert_close(together, apart, **EXACT)


def test_it_comes_back_as_it_was_saved_also_for_larger_images(config: ModelConfig, tmp_path: Path) -> None:
    model, video, tokens = expanded(config), video_for(config), tokens_for(config, 2, 4)
    crossframe.save(model, tmp_path)
    again = crossframe.load(tmp_path, "cpu", torch.float64)
    assert again.config == model.config
    assert torch.equal(again(video, tokens), model(video, tokens))
    size = config.vision.image_size * 3 // 2
    larger = crossframe.load(tmp_path, "cpu", torch.float64, image_size=size)
    assert larger.vision.position.shape[0] == model.vision.position.shape[0] + 6**2 - 4**2
    video = torch.randn(1, 4, 3, size, size, dtype=torch.float64)
    assert larger(video, tokens).isfinite().all()


def test_bfloat16_is_near(config: ModelConfig) -> None:
    model, video, tokens = expanded(config), video_for(config), tokens_for(config, 2, 4)
    exact = model(video, tokens)
    rough = model.to(torch.bfloat16)(video.bfloat16(), tokens).double()
    assert (rough - exact).norm() < 0.1 * exact.norm() + 0.5


def test_one_graph_of_the_whole_model(config: ModelConfig) -> None:
    towers = replace(config, vision=replace(config.vision, layers=1), text=replace(config.text, layers=1))
    model, tokens = expanded(towers, mit_layers=0, prompt_layers=0).float(), tokens_for(config, 2, 4)
    video = video_for(config, dtype=torch.float32)
    torch.compiler.reset()  # what it records of other families counts towards a limit
    graph = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(graph(video, tokens), model(video, tokens), rtol=1e-4, atol=1e-4)


def test_padding_counts_only_where_a_family_was_trained_so(config: ModelConfig) -> None:
    model, tokens = plain(config), tokens_for(config, 2, 4)
    assert config.text is not None
    if config.text.attends_padding:
        with pytest.raises(ValueError, match="tokens have length 9; this model reads 12"):
            model.encode_text(tokens[:, :9])
    else:
        torch.testing.assert_close(model.encode_text(tokens[:, :9]), model.encode_text(tokens), **EXACT)


def test_learned_vectors_stand_before_every_label(config: ModelConfig) -> None:
    assert config.text is not None
    model, tokens = expanded(config, learned_vectors=3), tokens_for(config, 2, 4)
    before = model.encode_text(tokens)
    assert model.text is not None
    assert model.text.learned is not None
    torch.nn.init.normal_(model.text.learned)
    assert ((model.encode_text(tokens) - before).abs().amax(dim=1) > 1e-6).all()
    with pytest.raises(ValueError, match="does not fit into 9"):
        model.encode_text(tokens_for(config, 10))


def test_prompts_and_messages_see_patches_alone() -> None:
    model, video = expanded(FAMILIES["TIPSv2"]), video_for(FAMILIES["TIPSv2"])
    _, patches = model.vision(video)
    assert patches.shape[2] == 4**2  # neither class token nor registers
    bare = expanded(FAMILIES["SigLIP"])
    block = bare.vision.blocks[0]
    x = torch.randn(1, 2, 16, 32, dtype=torch.float64)
    torch.testing.assert_close(block.frames(x), x.mean(dim=2), **EXACT)
    x = torch.randn(1, 2, 17, 32, dtype=torch.float64)
    torch.testing.assert_close(expanded(FAMILIES["PE-Core"]).vision.blocks[0].frames(x), x[:, :, 0], **EXACT)


def test_a_bias_of_the_logits_is_kept_and_changes_no_order() -> None:
    config = FAMILIES["SigLIP"]
    model, video, tokens = expanded(config), video_for(config), tokens_for(config, 2, 4)
    assert model.logit_bias is not None
    before = model(video, tokens)
    model.logit_bias -= 3.0
    torch.testing.assert_close(model(video, tokens), before - 3.0, **EXACT)


def test_expand_says_what_messages_are_made_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    expanded(FAMILIES["PE-Core G"])
    assert (
        "made of the mean of its patches; rotary positions turn patches and leave messages as they are" in caplog.text
    )
    caplog.clear()
    expanded(FAMILIES["CLIP"])
    assert "made of its class token" in caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"class_token": "none"}, "without a class token, give a pool"),
        ({"rotary": "pe", "heads": 384}, "rotary positions need heads of a multiple of 4"),
        ({"stem_widths": (3,)}, "a stem has two widths and patches of 16"),
    ],
)
def test_impossible_towers_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        VisionConfig(**settings)
