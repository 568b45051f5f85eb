from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from crossframe.model.preprocess import CLIP_MEAN, CLIP_STD, Preprocess
from crossframe.video.sample import sparse

# The authors' constants, for colors in 0..255.
MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)

# Indices of the four clips that the authors' sampler drew for the reference.
DRAWN = [[1, 3, 4, 6], [1, 3, 4, 7], [0, 3, 5, 7], [0, 3, 4, 7]]


def clip(num_frames: int, height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (num_frames, 3, height, width), dtype=torch.uint8)


def assert_close_to(result: Tensor, levels: Tensor) -> None:
    """`levels` are gray levels 0..255: within 2 of them anywhere and half of one on average."""
    difference = (result * STD + MEAN - levels.float()).abs()
    assert difference.max() <= 2
    assert difference.mean() <= 0.5


@pytest.fixture
def reference(golden: Path) -> dict[str, Tensor]:
    return load_file(golden / "pipeline.safetensors")


@pytest.mark.parametrize("video", ["video0", "video1"])
def test_validation_pipeline_of_the_authors(reference: dict[str, Tensor], video: str) -> None:
    preprocess = Preprocess.xclip(size=32)
    frames = reference[f"in/{video}"].permute(0, 3, 1, 2)
    chosen = frames[sparse(len(frames), 4)]
    assert_close_to(preprocess(chosen)[0], reference[f"val_1x1/{video}"])
    left, middle, right = preprocess.three_crops(chosen)[0]  # the authors' order is left, right, middle
    assert_close_to(torch.cat([left, right, middle]), reference[f"val_1x3/{video}"])
    views = preprocess.three_crops([frames[indices] for indices in DRAWN])  # (4, 3, T, 3, S, S)
    crop_major = views[:, [0, 2, 1]].transpose(0, 1).flatten(0, 2)
    assert_close_to(crop_major, reference[f"val_4x3/{video}"])


def test_validation_pipeline_in_the_models_units(shared: Path) -> None:
    full = load_file(shared / "golden" / "pipeline.safetensors")
    frames = full["in/video0"].permute(0, 3, 1, 2)
    result = Preprocess.xclip(size=32)(frames[sparse(len(frames), 4)])[0]
    assert torch.allclose(result, full["val_1x1/video0"], atol=2 / 57)


def test_clips_own_pipeline_agrees_with_pillow() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    preprocess = Preprocess.clip(size=48)
    result = preprocess(torch.from_numpy(picture).permute(2, 0, 1)[None])[0, 0]
    resized = Image.fromarray(picture).resize((64, 48), Image.Resampling.BICUBIC).crop((8, 0, 56, 48))
    levels = torch.from_numpy(np.array(resized)).permute(2, 0, 1)
    ours = (result * torch.tensor(CLIP_STD).view(3, 1, 1) + torch.tensor(CLIP_MEAN).view(3, 1, 1)) * 255
    difference = (ours - levels).abs()  # Pillow rounds between its two passes
    assert difference.max() <= 3
    assert difference.mean() <= 0.5


def test_clips_of_different_sizes_come_back_in_order() -> None:
    preprocess = Preprocess.xclip(size=16)
    clips = [clip(4, 20, 30), clip(4, 40, 24), clip(4, 18, 18), clip(4, 20, 30)]
    together = preprocess(clips)
    assert together.shape == (4, 4, 3, 16, 16)
    assert together.dtype == torch.float32
    for one, result in zip(clips, together, strict=True):
        assert torch.allclose(preprocess(one)[0], result, atol=1e-5)
    crops = preprocess.three_crops(clips)
    assert crops.shape == (4, 3, 4, 3, 16, 16)
    assert torch.allclose(crops[1], preprocess.three_crops(clips[1])[0], atol=1e-5)


def test_a_batch_is_a_list_of_clips() -> None:
    preprocess = Preprocess.xclip(size=16)
    batch = torch.stack([clip(2, 20, 20), clip(2, 20, 20)])
    assert torch.equal(preprocess(batch), preprocess(list(batch)))


def test_frames_of_the_right_size_are_only_cut() -> None:
    frames = clip(1, 18, 30)
    result = Preprocess.xclip(size=16)(frames)[0]
    assert torch.allclose(result * STD + MEAN, frames[..., 1:17, 7:23].float(), atol=1e-3)


def test_edges_do_not_overshoot_what_a_picture_can_hold() -> None:
    frames = 255 * (torch.arange(30) // 10 % 2).to(torch.uint8).expand(1, 3, 30, 30)  # a white bar on black
    scaled = Preprocess.clip(size=16).resize(frames, 45, 45)
    assert (scaled.min(), scaled.max()) == (0.0, 255.0)


def test_no_short_side_squeezes_the_whole_frame() -> None:
    frames = torch.zeros(1, 3, 20, 40, dtype=torch.uint8)
    frames[..., 20:] = 255
    result = Preprocess(size=10, short_side=None, mean=(0, 0, 0), std=(1, 1, 1))(frames)[0, 0]
    assert torch.equal(result[..., :5], torch.zeros(3, 10, 5))
    assert torch.equal(result[..., 5:], torch.ones(3, 10, 5))


def test_small_frames_are_enlarged() -> None:
    assert Preprocess.xclip(size=32)(clip(2, 5, 7)).shape == (1, 2, 3, 32, 32)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (torch.zeros(2, 3, 8, 8), "give uint8"),
        (torch.zeros(2, 8, 8, 3, dtype=torch.uint8), "put the 3 colors second"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "are no clips"),
        ([], "at least one"),
        ([torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(3, 3, 8, 8, dtype=torch.uint8)], r"\[2, 3\] frames"),
    ],
)
def test_what_is_no_clip(frames: Tensor | list[Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocess.xclip(size=16)(frames)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "use 1 or more"),
        ({"size": 224, "short_side": 200}, "raise short_side"),
        ({"interpolation": "nearest"}, "use 'bilinear' or 'bicubic'"),
        ({"std": (1.0, 0.0, 1.0)}, "above 0"),
    ],
)
def test_impossible_settings(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocess(**options)  # pyright: ignore[reportArgumentType]


@pytest.mark.gpu
def test_the_gpu_agrees() -> None:
    preprocess, frames = Preprocess.clip(size=32), clip(4, 50, 70)
    on_gpu = preprocess(frames, device="cuda")
    assert on_gpu.device.type == "cuda"
    assert torch.allclose(on_gpu.cpu(), preprocess(frames), atol=1e-3)
