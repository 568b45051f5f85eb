"""Prepared files: small, with the same frames at the same times, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from crossframe.data.clip import Clip
from crossframe.data.manifest import Manifest, read_manifest, write_manifest
from crossframe.data.prepare import Encoding, prepare, prepared_manifest
from crossframe.data.resumable import Outcome
from crossframe.data.verify import verify
from crossframe.video.decode import read_video
from tests.data.dataset import FRAMES, STEP, numbers, write_numbered
from tests.video.clips import moving, write_clip


def manifest_of(root: Path, *names: str) -> Manifest:
    return Manifest(tuple(Clip(name, "x") for name in names), ("x",), root)


def run(manifest: Manifest, out: Path, encoding: Encoding | None = None) -> list[Outcome]:
    return list(prepare(manifest, out, encoding, workers=0))


def test_large_films_become_small_and_keep_their_frames(tmp_path: Path) -> None:
    levels = np.arange(FRAMES, dtype=np.uint8) * STEP
    large = np.broadcast_to(levels[:, None, None, None], (FRAMES, 300, 402, 3))
    times = [40 + t + t // 7 for t in range(FRAMES)]  # late, and not at a constant rate
    write_clip(tmp_path / "a b [c].mkv", frames=large, times=times)
    manifest = manifest_of(tmp_path, "a b [c].mkv")
    assert run(manifest, tmp_path / "out") == [Outcome("a b [c].mkv", FRAMES)]
    prepared = tmp_path / "out/videos/a b [c].mp4"
    before = read_video(tmp_path / "a b [c].mkv", FRAMES)
    after = read_video(prepared, FRAMES)
    assert tuple(after.pixels.shape) == (FRAMES, 3, 256, 342)  # 343 wide, but colors are at half the resolution
    assert numbers(after.pixels) == list(range(FRAMES))
    torch.testing.assert_close(after.times, before.times - before.times[0], atol=1e-3, rtol=0)
    new = prepared_manifest(manifest, tmp_path / "out", set())
    assert [outcome.problem for outcome in verify(new, tmp_path / "record", workers=0)] == [None]


def test_small_films_stay_small_and_turned_ones_become_upright(tmp_path: Path) -> None:
    write_clip(tmp_path / "turned.mp4", frames=moving(6, 64, 48), rotation=90)
    run(manifest_of(tmp_path, "turned.mp4"), tmp_path / "out", Encoding(quality=1))
    before = read_video(tmp_path / "turned.mp4", 3)
    after = read_video(tmp_path / "out/videos/turned.mp4", 3)
    assert tuple(after.pixels.shape) == (3, 3, 64, 48)
    assert (after.pixels.float() - before.pixels.float()).abs().mean() < 12  # noise, at half the resolution of colors


def test_the_new_list_loses_no_clip(tmp_path: Path) -> None:
    write_numbered(tmp_path / "a.mp4")
    write_clip(tmp_path / "a.avi", codec="mpeg4", frames=4)
    (tmp_path / "broken.mp4").write_text("no video")
    clips = (
        Clip("a.mp4", "run", "train", 0.5, 1.0),
        Clip("a.mp4", "walk", "train", 1.0, group="g"),
        Clip("a.avi", "run", "test"),
        Clip("broken.mp4", "run", "test"),
    )
    manifest = Manifest(clips, ("run", "walk"), tmp_path)
    out = tmp_path / "out"
    outcomes = run(manifest, out)
    assert [(outcome.name, outcome.frames) for outcome in outcomes] == [
        ("a.mp4", FRAMES),
        ("a.avi", 4),
        ("broken.mp4", 0),
    ]
    write_manifest(prepared_manifest(manifest, out, {"broken.mp4"}), out / "manifest.csv")
    again = read_manifest(out)
    assert [clip.path for clip in again.clips] == [
        *("videos/a.mp4.mp4", "videos/a.mp4.mp4", "videos/a.avi.mp4", str(tmp_path / "broken.mp4"))
    ]
    assert [(clip.label, clip.split, clip.start, clip.end, clip.group) for clip in again.clips] == [
        (clip.label, clip.split, clip.start, clip.end, clip.group) for clip in clips
    ]
    assert sorted(path.name for path in (out / "videos").iterdir()) == ["a.avi.mp4", "a.mp4.mp4"]


def test_what_is_there_stays_and_what_changed_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_numbered(tmp_path / "in/a.mp4")
    write_numbered(tmp_path / "in/b.mp4")
    manifest, out = manifest_of(tmp_path / "in", "a.mp4", "b.mp4"), tmp_path / "out"

    def made() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (out / "videos").iterdir()}

    run(manifest, out)
    first = made()
    (out / "videos/b.mp4").unlink()
    run(manifest, out)
    second = made()
    assert second["a.mp4"] == first["a.mp4"]
    assert second["b.mp4"] != first["b.mp4"]
    run(manifest, out, Encoding(short_side=16))
    assert read_video(out / "videos/a.mp4", 1).pixels.shape[2:] == (16, 16)


def test_the_same_film_gives_the_same_bytes_also_in_other_processes(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4")
    manifest = manifest_of(tmp_path, "a.mp4")
    run(manifest, tmp_path / "one")
    list(prepare(manifest, tmp_path / "two", workers=1))
    assert (tmp_path / "one/videos/a.mp4").read_bytes() == (tmp_path / "two/videos/a.mp4").read_bytes()


def test_mistakes(tmp_path: Path) -> None:
    write_numbered(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="a short side of 255 pixels cannot be encoded; use an even number"):
        Encoding(short_side=255)
    with pytest.raises(ValueError, match="a quality of 60 does not exist"):
        Encoding(quality=60)
    (tmp_path / "videos").mkdir()
    (tmp_path / "a.mp4").rename(tmp_path / "videos/a.mp4")
    with pytest.raises(ValueError, match="would be written over itself; choose another folder"):
        prepare(manifest_of(tmp_path, "videos/a.mp4"), tmp_path)


def test_nothing_is_written_outside_the_folder(tmp_path: Path) -> None:
    for name in ("set/a.mp4", "beside/a.mp4", "beside/deep/a.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_numbered(tmp_path / name)
    (tmp_path / "set/list.csv").write_text(
        "path,label\na.mp4,x\n../beside/a.mp4,x\n../beside/./deep/../deep/a.mp4,x\n../set/../beside/deep/a.mp4,x\n"
    )
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    out = tmp_path / "run/out"
    manifest = read_manifest(tmp_path / "set/list.csv")
    assert [outcome.problem for outcome in prepare(manifest, out, workers=0)] == [None] * 4
    prepared = prepared_manifest(manifest, out, ())
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert {path.relative_to(out).parts[0] for path in written} == {"videos", "prepared.jsonl"}
    assert len({prepared.locate(clip) for clip in prepared.clips} & written) == 4


@pytest.mark.parametrize("name", ["videos/a.mp4", "shards/00000.tar", "manifest.csv"])
def test_files_of_somebody_else_are_not_written_over(tmp_path: Path, name: str) -> None:
    write_numbered(tmp_path / "a.mp4")
    foreign = tmp_path / "out" / name
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    with pytest.raises(ValueError, match="is there, and not from data prepare; choose another folder"):
        prepare(manifest_of(tmp_path, "a.mp4"), tmp_path / "out", workers=0)
    assert foreign.read_text() == "mine"


@pytest.mark.parametrize("link", ["videos", "videos/run"])
def test_links_out_of_the_folder_are_not_followed(tmp_path: Path, link: str) -> None:
    (tmp_path / "in/run").mkdir(parents=True)
    (tmp_path / "in/walk").mkdir()
    for name in ("in/run/a.mp4", "in/walk/a.mp4"):
        write_numbered(tmp_path / name)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / link).parent.mkdir(parents=True)
    (tmp_path / "out" / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"leads out of .*out; remove the link"):
        list(prepare(manifest_of(tmp_path / "in", "run/a.mp4", "walk/a.mp4"), tmp_path / "out", workers=0))
    assert not list((tmp_path / "elsewhere").iterdir())


def test_what_killed_processes_left_half_written_is_removed(tmp_path: Path) -> None:
    for name in ("in/run/a.mp4", "in/walk/b.mp4"):
        (tmp_path / name).parent.mkdir(parents=True)
        write_numbered(tmp_path / name)
    left = [tmp_path / "out/videos" / name for name in ("run/.a.mp4.123.part", "walk/.b.mp4.124.part")]
    left[0].parent.mkdir(parents=True)
    left[0].touch()
    steps = prepare(manifest_of(tmp_path / "in", "run/a.mp4", "walk/b.mp4"), tmp_path / "out", workers=0)
    next(steps)
    assert not left[0].exists()
    left[1].parent.mkdir(parents=True)
    left[1].touch()
    steps.close()  # as Ctrl-C does
    assert sorted(path.name for path in (tmp_path / "out/videos").rglob("*.*")) == ["a.mp4"]


def test_a_folder_with_a_colon_in_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_numbered(tmp_path / "a.mp4")
    monkeypatch.chdir(tmp_path)
    assert [outcome.problem for outcome in run(manifest_of(tmp_path, "a.mp4"), Path("disk:1"))] == [None]
    assert read_video("disk:1/videos/a.mp4", 1).total == FRAMES
