"""The demo: clips are written, named and shown on a page that stands alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from crossframe import pages, read_video
from crossframe.cli import main
from crossframe.demo import Shown, run_demo


def test_demo_writes_clips_that_play_and_a_page_without_links(tiny_folder: Path, tmp_path: Path) -> None:
    told: list[Shown] = []
    page = run_demo(tmp_path / "demo", source=str(tiny_folder), clips=3, told=told.append)
    text = page.read_text(encoding="utf-8")
    assert len(told) == 3
    assert all(read_video(clip.path).total >= 8 for clip in told)
    assert len({clip.truth for clip in told}) == 3
    assert all(clip.truth in text for clip in told)
    assert text.count("<img") == sum(len(clip.prediction.frames) for clip in told)
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)  # opens offline


def test_the_command_prints_a_line_for_each_clip(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--out", str(tmp_path / "demo"), "--clips", "2", "--model", str(tiny_folder)])
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert "clip-1.mp4" in out
    assert "of 2 named right" in out


def test_pictures_survive_png() -> None:
    pixels = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8)
    again = read_video(pages.png(pixels), num_frames=1)
    assert torch.equal(again.pixels[0], pixels)


def test_text_on_a_page_is_escaped() -> None:
    clip = {"name": "<b>", "truth": "", "right": False, "pictures": [], "top": [("<script>", 0.5)]}
    page = pages.render("clips", title="t", lead="l", foot="f", clips=[clip])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
