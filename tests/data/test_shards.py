"""Videos in tar archives: read like files, by the loader and by everything else."""

from __future__ import annotations

import re
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from crossframe.data.clip import Clip
from crossframe.data.loader import EvalLoader, TrainLoader
from crossframe.data.manifest import Manifest, read_manifest, write_manifest
from crossframe.data.reader import Sampling
from crossframe.data.shards import pack
from crossframe.data.verify import verify
from crossframe.video.decode import read_video
from crossframe.video.given import VideoError
from tests.data.dataset import FRAMES, numbers, write_dataset, write_numbered


def listed(root: Path, *names: str) -> Manifest:
    return Manifest(tuple(Clip(name, "x") for name in names), ("x",), root)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Three classes of three clips, one broken, one with a name of all kinds."""
    folder = write_dataset(tmp_path_factory.mktemp("data") / "set")
    (folder / "waving/2.mp4").rename(folder / "waving/Brücke [best, of]+ #2.mp4")
    return read_manifest(folder)


@pytest.fixture
def packed(files: Manifest, tmp_path: Path) -> Manifest:
    write_manifest(pack(files, tmp_path, shard_bytes=4000), tmp_path / "manifest.csv")
    return read_manifest(tmp_path)


def test_archives_are_ordinary_ones_and_the_list_leads_into_them(
    files: Manifest, packed: Manifest, tmp_path: Path
) -> None:
    archives = sorted((tmp_path / "shards").iterdir())
    assert len(archives) > 1
    names: list[str] = []
    for archive in archives:
        with tarfile.open(archive) as tar:
            names += tar.getnames()
    assert names == files.names
    for clip, old in zip(packed.clips, files.clips, strict=True):
        assert replace(clip, path=old.path) == old
        archive, place, name = re.fullmatch(r"(.+\.tar)/(\d+\+\d+)/(.+)", clip.path).groups()  # pyright: ignore
        offset, size = map(int, place.split("+"))
        content = (tmp_path / archive).read_bytes()[offset : offset + size]
        assert content == files.locate(old).read_bytes()
        assert name == old.path


def test_the_loader_reads_the_same_clips_in_the_same_order(files: Manifest, packed: Manifest) -> None:
    def batches(manifest: Manifest, workers: int) -> list[tuple[list[int], torch.Tensor, int]]:
        train = TrainLoader(manifest, Sampling(4), batch_size=2, seed=3, workers=workers)
        read = [*train.epoch(1, start=2), *EvalLoader(manifest, Sampling(4), workers=workers)]
        return [
            (batch.indices.tolist(), torch.cat([video.flatten() for video in batch.videos]), len(batch.failures))
            for batch in read
            if len(batch)
        ]

    expected = batches(files, 0)
    for workers in (0, 2):
        for (indices, pixels, failures), (their, theirs, missing) in zip(
            expected, batches(packed, workers), strict=True
        ):
            assert (indices, failures) == (their, missing)
            assert torch.equal(pixels, theirs)


def test_verify_reads_them_and_finds_the_broken_one(packed: Manifest, tmp_path: Path) -> None:
    outcomes = list(verify(packed, tmp_path / "record", workers=1))
    broken = [outcome.name.rpartition("/")[2] for outcome in outcomes if outcome.problem]
    assert broken == ["1.mp4"]
    assert {outcome.frames for outcome in outcomes if not outcome.problem} == {FRAMES}


def test_archives_that_are_there_stay_and_changed_files_are_packed_again(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        write_numbered(tmp_path / f"in/{name}.mp4")
    manifest = listed(tmp_path / "in", "a.mp4", "b.mp4", "gone.mp4")
    out = tmp_path / "out"

    def made() -> list[int]:
        new = pack(manifest, out, shard_bytes=1)
        assert [clip.path.rpartition("/")[2] for clip in new.clips] == ["a.mp4", "b.mp4", "gone.mp4"]
        assert new.clips[2].path == str(tmp_path / "in/gone.mp4")
        return [path.stat().st_ino for path in sorted((out / "shards").iterdir())]

    first = made()
    (out / "shards/.00001.tar.123.part").touch()  # of a process that was killed
    assert made() == first
    write_numbered(tmp_path / "in/b.mp4", width=64)
    (again, changed) = made()
    assert again == first[0]
    assert changed != first[1]
    clip = pack(manifest, out, shard_bytes=1, skip={"a.mp4"}).clips
    assert clip[0].path == str(tmp_path / "in/a.mp4")
    assert numbers(read_video(clip[1].path, 3).pixels) == [3, 10, 16]


def test_mistakes(packed: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none of the clips has a file to pack"):
        pack(listed(tmp_path, "gone.mp4"), tmp_path / "out")
    path = packed.locate(packed.clips[0])
    archive = tmp_path / "shards/00000.tar"
    archive.write_bytes(archive.read_bytes()[:700])
    with pytest.raises(VideoError, match="ends before this video does; pack it again"):
        read_video(path, 2)
    archive.unlink()
    with pytest.raises(VideoError, match="does not exist; check the path"):
        read_video(path, 2)
    with pytest.raises(ValueError, match=r"1 of \d files are missing: .*00000\.tar"):
        read_manifest(tmp_path)
