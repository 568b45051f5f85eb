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
    page = run_demo(tmp_path / "demo", source=str(tiny_folder), clips=3, on_clip=told.append)
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


def test_files_of_somebody_else_stay(tmp_path: Path) -> None:
    for name in ("clip-1.mp4", "index.html"):
        file = tmp_path / name
        file.write_text("mine")
        with pytest.raises(ValueError, match=f"{name} is there, and no"):
            run_demo(tmp_path, on_clip=lambda _: None)
        assert file.read_text() == "mine"


def test_pictures_survive_jpeg() -> None:
    across, down = torch.meshgrid(torch.linspace(0, 255, 32), torch.linspace(0, 255, 24), indexing="xy")
    pixels = torch.stack([across, down, 255 - across]).to(torch.uint8)
    again = read_video(pages.jpeg(pixels), num_frames=1).pixels[0]
    assert again.shape == pixels.shape
    assert (again.int() - pixels.int()).abs().max() < 12


def test_a_strip_is_at_most_eight_pictures_from_first_to_last() -> None:
    frames = torch.arange(16, dtype=torch.uint8)[:, None, None, None].expand(16, 3, 20, 30) * 16
    pictures = pages.strip(frames)
    assert len(pictures) == 8
    assert pictures[0] == pages.strip(frames[:1])[0]
    assert pictures[-1] == pages.strip(frames[-1:])[0]
    assert len(pages.strip(frames[:3])) == 3


def test_text_on_a_page_is_escaped() -> None:
    clip = pages.Clip("<b>", [("<script>", 0.5)], problem="<i>")
    page = pages.render("clips", title="t", lead="l", foot="f", clips=[clip])
    assert not re.search("<(script|b|i)>", page)
    assert "&lt;script&gt;" in page
