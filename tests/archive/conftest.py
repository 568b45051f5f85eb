"""Drawn clips, and an index of them by the bundled model."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossframe.archive.indexing import features_size, rows_of
from crossframe.archive.store import Store
from crossframe.cli.shared import made_by
from crossframe.recognizer import Recognizer
from crossframe.shapes.splits import draw
from crossframe.shapes.write import write_clip
from crossframe.video.given import Video


@pytest.fixture(scope="session")
def shapes() -> Recognizer:
    return Recognizer.from_pretrained("shapes", precision="float32", workers=0)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("drawn")
    paths = [folder / f"{number}.mp4" for number in range(12)]
    for number, path in enumerate(paths):
        write_clip(draw("test", 3, number), path)
    return paths


def make_index(folder: Path, clips: list[Path], recognizer: Recognizer, *, summary: bool) -> Store:
    run = made_by("shapes", recognizer) | {
        "num_frames": recognizer.num_frames,
        "width": recognizer.model.config.embed_dim,
        "features": features_size(recognizer.model) if summary else 0,
    }
    store = Store.create(folder, run)
    videos = [Video(path) for path in clips]
    rows = [row for row in rows_of(recognizer, videos) if isinstance(row, dict)]
    assert store.add(rows) == len(clips)
    store.finish()
    return store


@pytest.fixture(scope="session")
def indexed(clips: list[Path], shapes: Recognizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With summaries."""
    folder = tmp_path_factory.mktemp("indexed") / "index"
    make_index(folder, clips, shapes, summary=True)
    return folder


@pytest.fixture(scope="session")
def plain(clips: list[Path], shapes: Recognizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without."""
    folder = tmp_path_factory.mktemp("plain") / "index"
    make_index(folder, clips, shapes, summary=False)
    return folder
