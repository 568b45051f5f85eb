"""Videos with sentences about them, for retrieval: a list with a caption on each row, and published annotations.

| data set | annotations | captions |
|---|---|---|
| MSR-VTT | `MSRVTT_data.json` or `*videodatainfo.json`; with `MSRVTT_JSFUSION_test.csv`, the 1k-A test | as they are |
| DiDeMo | `train_data.json`, `val_data.json`, `test_data.json` | all of a video, joined to one paragraph |
| Charades-STA | `charades_sta_train.txt`, `charades_sta_test.txt` | each with its `start` and `end` |
"""

from __future__ import annotations

import csv
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from crossframe.data.clip import Clip
from crossframe.data.importers.imported import Tree, read_lists
from crossframe.data.layouts import read_clips, split_named
from crossframe.data.manifest import Manifest, check_files
from crossframe.files import path_from, replacing_list
from crossframe.text.labels import some
from crossframe.text.reading import read_lines, read_text, read_values

log = logging.getLogger(__name__)

DataSet: TypeAlias = Literal["msrvtt", "didemo", "charades-sta"]


class Caption(NamedTuple):
    """A sentence about a video, or about a part of it, in seconds."""

    video: str
    split: str
    text: str
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Captioned:
    """Clips, and sentences about them: `texts` has each sentence once, `pairs` which clip is about which, (clip,
    sentence)."""

    clips: Manifest
    texts: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]


def read_captions(source: str | Path, split: str | None = None, root: str | Path | None = None) -> Captioned:
    """The clips and captions of a list with columns `path` and `caption` (or `label`); a clip may have several rows.

    Raises ValueError, in one line, where files are missing or there is no clip of that split.
    """
    source = Path(source)
    rows, folder = read_clips(source, None, None if root is None else Path(root))
    if split is not None:
        known = sorted({clip.split for clip in rows} - {""})
        rows = [clip for clip in rows if clip.split == split_named(split)]
        if not rows:
            raise ValueError(f"{source} has no split {split!r}; it has {', '.join(known) or 'no splits'}")
    texts = {text: place for place, text in enumerate(dict.fromkeys(clip.label for clip in rows))}
    clips: dict[str, Clip] = {}
    pairs: dict[tuple[int, int], None] = {}
    places: dict[str, int] = {}
    for row in rows:
        clips.setdefault(row.name, Clip(row.path, "clip", row.split, row.start, row.end, row.group))
        pairs[places.setdefault(row.name, len(places)), texts[row.label]] = None
    manifest = Manifest(tuple(clips.values()), ("clip",), folder)
    check_files(source, manifest)
    return Captioned(manifest, tuple(texts), tuple(pairs))


def import_captions(name: DataSet, root: Path, annotations: Path | None, out: Path) -> tuple[int, int, list[str]]:
    """Write the list of a published data set whose videos are below `root`; how many clips and captions it has, and
    the names of the videos that are not there.

    Raises ValueError where the annotations are missing or not one of their videos is there.
    """
    if name not in get_args(DataSet):
        raise ValueError(f"no data set of captions is called {name!r}; choose one of {', '.join(get_args(DataSet))}")
    videos, lists = read_lists(root, annotations)
    rows: list[tuple[str, Caption]] = []
    missing: dict[str, None] = {}
    for caption in READERS[name](lists):
        file = videos.find(caption.video, "", ())
        if file is None:
            missing[caption.video] = None
        else:
            rows.append((path_from(out.parent, file), caption))
    if not rows:
        raise ValueError(f"{root} has none of the {len(missing)} videos listed: {some(missing)}; give their folder")
    _write(out, rows)
    return len({path for path, _ in rows}), len(rows), list(missing)


def _write(out: Path, rows: Sequence[tuple[str, Caption]]) -> None:
    columns = ["path", "caption", "split"]
    if any(caption.end is not None for _, caption in rows):
        columns[1:1] = ["start", "end"]
    text = StringIO()
    table = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows({**caption._asdict(), "path": path, "caption": caption.text} for path, caption in rows)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing_list(out) as part:
        part.write_text(text.getvalue(), encoding="utf-8")


def _msrvtt(lists: Tree) -> Iterator[Caption]:
    """All captions; with the list of the 1k-A test, its thousand videos have the one caption that it names."""
    chosen: dict[str, str] = {}
    for path in lists.lists_named(r"MSRVTT_JSFUSION_test\.csv").values():
        for row in csv.DictReader(StringIO(read_text(path))):
            if not row.get("video_id") or not row.get("sentence"):
                raise ValueError(f"{path} has no columns video_id and sentence; get the file again")
            chosen[row["video_id"]] = row["sentence"]
    files = lists.lists_named(r"MSRVTT_data\.json|.*videodatainfo.*\.json")
    if not files and not chosen:
        raise ValueError(f"{lists.root}: MSRVTT_data.json is not below this folder; give its folder with --annotations")
    for video, sentence in chosen.items():
        yield Caption(video, "test", sentence)
    for path in files.values():
        values = _values(path, dict)
        splits = {str(entry.get("video_id")): str(entry.get("split", "")) for entry in values.get("videos", ())}
        for entry in values.get("sentences", ()):
            video, caption = entry.get("video_id"), entry.get("caption")
            if not isinstance(video, str) or not isinstance(caption, str):
                raise ValueError(f"{path}: {str(entry)[:80]} has no video_id or no caption; get the file again")
            if video not in chosen:  # what is left of its test is trained on, beside the 1k-A test
                split = split_named(splits.get(video, ""))
                yield Caption(video, "train" if chosen else split, caption)


def _didemo(lists: Tree) -> Iterator[Caption]:
    """The descriptions of each video, in the order of the list, as one paragraph."""
    files = lists.lists_named(r"(train|val|test)_data\.json")
    if not files:
        raise ValueError(f"{lists.root}: test_data.json is not below this folder; give its folder with --annotations")
    for file, path in files.items():
        said: defaultdict[str, list[str]] = defaultdict(list)
        for entry in _values(path, list):
            video, description = entry.get("video"), entry.get("description")
            if not isinstance(video, str) or not isinstance(description, str):
                raise ValueError(f"{path}: {str(entry)[:80]} has no video or no description; get the file again")
            said[video].append(description.strip())
        for video, sentences in said.items():
            yield Caption(video, split_named(file.partition("_")[0]), " ".join(sentences))


def _charades_sta(lists: Tree) -> Iterator[Caption]:
    """Lines such as `AO8RW 0.0 6.9##a person is putting a book on a shelf.`"""
    files = lists.lists_named(r"charades_sta_(train|test)\.txt")
    if not files:
        raise ValueError(
            f"{lists.root}: charades_sta_test.txt is not below this folder; give its folder with --annotations"
        )
    for file, path in files.items():
        backward = 0
        for number, line in read_lines(path):
            place, mark, sentence = line.partition("##")
            words = place.split()
            try:
                video, (start, end) = words[0], map(float, words[1:])
            except (IndexError, ValueError):
                video, start, end = "", 0.0, 0.0
            if not (mark and sentence.strip() and video):
                raise ValueError(f"{path}, line {number}: {line[:80]!r} is not 'VIDEO START END##SENTENCE'")
            if not 0 <= start < end:
                backward += 1
            else:
                yield Caption(video, split_named(Path(file).stem.rpartition("_")[2]), sentence.strip(), start, end)
        if backward:
            log.warning("%s: %d lines end before they begin, and are left out", path, backward)


READERS: dict[str, Callable[[Tree], Iterator[Caption]]] = {
    "msrvtt": _msrvtt,
    "didemo": _didemo,
    "charades-sta": _charades_sta,
}


def _values(path: Path, kind: type[dict[str, Any]] | type[list[Any]]) -> Any:
    values = read_values(path)
    if not isinstance(values, kind):
        raise ValueError(f"{path} holds a {type(values).__name__}, not a {kind.__name__}; get the file again")
    inner: Sequence[Any] = values if isinstance(values, list) else values.get("sentences", [])
    if not all(isinstance(entry, dict) for entry in inner):
        raise ValueError(f"{path} holds entries that are no tables; get the file again")
    return values
