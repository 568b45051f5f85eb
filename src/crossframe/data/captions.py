"""Videos with sentences about them, for retrieval: a list with a caption on each row, and published annotations.

| data set | annotations | captions |
|---|---|---|
| MSR-VTT | `MSRVTT_data.json` or `*videodatainfo.json`; with `MSRVTT_JSFUSION_test.csv`, the 1k-A test | as they are |
| DiDeMo | `train_data.json`, `val_data.json`, `test_data.json` | all of a video, joined to one paragraph |
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from crossframe.data.clip import Clip
from crossframe.data.importers.tree import Tree, read_lists
from crossframe.data.layouts import read_clips, split_named
from crossframe.data.manifest import Manifest, check_files
from crossframe.files import write_text
from crossframe.text.labels import some
from crossframe.text.reading import read_text, read_values

DataSet: TypeAlias = Literal["msrvtt", "didemo"]
Caption: TypeAlias = tuple[str, str, str]  # the video's name, its split, a sentence about it


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
    rows: list[tuple[str, str, str]] = []
    missing: dict[str, None] = {}
    read: Callable[[Tree], Iterator[Caption]] = _msrvtt if name == "msrvtt" else _didemo
    for video, split, caption in read(lists):
        file = videos.find(video, "", ())
        if file is None:
            missing[video] = None
        else:
            rows.append((_path_from(out.parent, file), caption, split))
    if not rows:
        raise ValueError(f"{root} has none of the {len(missing)} videos listed: {some(missing)}; give their folder")
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows([("path", "caption", "split"), *rows])
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, text.getvalue())
    return len({path for path, _, _ in rows}), len(rows), list(missing)


def _path_from(folder: Path, file: Path) -> str:
    folder, file = folder.absolute(), file.absolute()
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)


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
        yield video, "test", sentence
    for path in files.values():
        values = _values(path, dict)
        splits = {str(entry.get("video_id")): str(entry.get("split", "")) for entry in values.get("videos", ())}
        for entry in values.get("sentences", ()):
            video, caption = entry.get("video_id"), entry.get("caption")
            if not isinstance(video, str) or not isinstance(caption, str):
                raise ValueError(f"{path}: {str(entry)[:80]} has no video_id or no caption; get the file again")
            if video not in chosen:  # what is left of its test is trained on, beside the 1k-A test
                split = split_named(splits.get(video, ""))
                yield video, "train" if chosen else split, caption


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
            yield video, split_named(file.partition("_")[0]), " ".join(sentences)


def _values(path: Path, kind: type[dict[str, Any]] | type[list[Any]]) -> Any:
    values = read_values(path)
    if not isinstance(values, kind):
        raise ValueError(f"{path} holds a {type(values).__name__}, not a {kind.__name__}; get the file again")
    inner: Sequence[Any] = values if isinstance(values, list) else values.get("sentences", [])
    if not all(isinstance(entry, dict) for entry in inner):
        raise ValueError(f"{path} holds entries that are no tables; get the file again")
    return values
