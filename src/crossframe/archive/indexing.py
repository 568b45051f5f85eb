"""The rows of an index: of clips that a recognizer embeds, and of vectors that `embed` or `annotate` wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crossframe.archive.store import Key, Row, Store
from crossframe.data.parquet import each_row
from crossframe.records import read_records
from crossframe.video.given import Video, VideoError, address_of

if TYPE_CHECKING:
    from torch import Tensor

    from crossframe.model.xclip import XCLIP
    from crossframe.prediction import Embedding
    from crossframe.recognizer import Recognizer

SAME = ("weights", "precision", "num_frames")  # what rows of one index must share
VECTORS = (".parquet", ".npy", ".jsonl")
PARTS = "part-*.parquet"  # of an annotated archive


def source_of(video: Video) -> str:
    """Where a clip is read from, whatever folder is the current one: an absolute path, or an address.

    Raises ValueError where it has no such place.
    """
    given = video.source
    if isinstance(given, bytes) or not isinstance(given, str | os.PathLike):
        raise ValueError(f"{video.name}: has no path, by which it would be found again; save it as a file")
    return address_of(given) or os.path.abspath(given)


def key_of(video: Video) -> Key:
    """The key of a clip, by which an index tells it from others."""
    return source_of(video), video.start, video.end


def features_size(model: XCLIP) -> int:
    """How many numbers the whole model's score needs of a clip, (1 + N) * E: its embedding and patches."""
    side = model.preprocess.size // model.config.vision.patch_size
    return (1 + (side * side if model.prompts else 0)) * model.config.embed_dim


def row_of(video: Video, found: Embedding, features: Tensor) -> Row:
    """The row of a clip that was embedded, with its features (1 + N, E)."""
    return {
        "video": video.name,
        "source": source_of(video),
        "start": video.start,
        "end": video.end,
        "frames": found.frames.indices.tolist(),
        "vector": found.vector.numpy(),
        "features": features.numpy(),
    }


def rows_of(recognizer: Recognizer, videos: Sequence[Video]) -> Iterator[Row | VideoError]:
    """The rows of videos in their order, as they come; one that cannot be read gives its error instead."""
    from crossframe.answers import as_vector

    for video, item in zip(videos, recognizer.features_each(videos), strict=True):
        if isinstance(item, VideoError):
            yield item
            continue
        frames, features = item  # (1 + N, E)
        found = as_vector(frames, features[0])
        yield found if isinstance(found, VideoError) else row_of(video, found, features)


def is_vectors(path: Path) -> bool:
    """True for what `embed --out` or `annotate --out` wrote."""
    if path.is_dir():
        return any(path.glob(PARTS))
    return path.suffix.lower() in VECTORS and path.with_name(f"{path.name}.run.json").is_file()


def read_run(path: Path) -> dict[str, Any]:
    """The model and settings that made the vectors of a file, or of an annotated archive."""
    file = path / "run.json" if path.is_dir() else path.with_name(f"{path.name}.run.json")
    try:
        run: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read ({error}); it says what made the vectors beside it") from error
    if missing := [name for name in (*SAME, "width") if name not in run]:
        raise ValueError(f"{file} does not say {missing[0]}: it is of no file of vectors")
    return {"features": 0, **run}


def read_vectors(path: Path) -> Iterator[Row]:
    """The rows of a file that `embed` wrote, or of an annotated archive; texts are left out."""
    if path.is_dir():
        for part in sorted(path.glob(PARTS)):
            for record in each_row(part):
                if record.get("error") is None:
                    yield _placed(path, record)
        return
    matrix = np.load(path, mmap_mode="r") if path.suffix.lower() == ".npy" else None
    described = path.with_name(f"{path.name}.rows.jsonl") if matrix is not None else path
    for number, record in enumerate(read_records(described)):
        if record.get("video") is not None:
            vector = record["vector"] if matrix is None else matrix[number]
            yield _placed(path, {**record, "vector": vector})


def _placed(path: Path, record: Mapping[str, Any]) -> Row:
    """A record as a row: its file is looked for from here, and then from beside the vectors."""
    given = str(record.get("source") or record["video"])
    source = given
    if address_of(given) is None:
        beside = (path.parent / given).absolute()
        source = str(beside) if not os.path.exists(given) and beside.exists() else os.path.abspath(given)
    seen = record.get("frames")
    frames = seen["indices"] if isinstance(seen, Mapping) else seen
    best = next(iter(record.get("predictions") or ()), {})
    empty = {"start": None, "end": None, "label": best.get("label"), "score": best.get("score")}
    return {**empty, **record, "source": source, "frames": frames}


def check_same(store: Store, run: Mapping[str, Any]) -> None:
    """Raise ValueError where what is added was made otherwise than what is there."""
    for name in SAME:
        if store.run[name] != run[name]:
            raise ValueError(
                f"{store.folder} was made with {name} {_short(store.run[name])}, not {_short(run[name])}: vectors of "
                f"both cannot be compared; use what it was made with, or make another index"
            )
    if store.run["features"] and run["features"] != store.run["features"]:
        raise ValueError(f"{store.folder} keeps summaries, and these clips have none; add the videos with --summary")


def new_rows(rows: Iterable[Row], known: set[Key]) -> Iterator[Row]:
    """The rows that are not there yet, each once."""
    for row in rows:
        key = (row["source"], row["start"], row["end"])
        if key not in known:
            known.add(key)
            yield row


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 20 else text[:12]
