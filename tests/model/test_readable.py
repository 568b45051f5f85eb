"""The code stays as short as a reader was promised."""

from __future__ import annotations

from pathlib import Path

MODEL = Path(__file__).parents[2] / "src" / "crossframe" / "model"
# What a video and its labels pass through, from pixels to logits.
PATH = ("xclip", "vision", "layers", "cross_frame", "multi_frame", "text", "video_prompt")
# What other families than CLIP add.
FAMILIES = ("beyond", "pooling")
# Sizes; what comes before that path, frames to pixels; values before training; names.
BESIDE = ("config", "preprocess", "initialize", "parts", "__init__")


def test_from_pixels_to_logits_is_an_afternoons_reading() -> None:
    assert {path.stem for path in MODEL.glob("*.py")} == {*PATH, *FAMILIES, *BESIDE}
    assert sum(len((MODEL / f"{name}.py").read_text().splitlines()) for name in PATH) < 700
