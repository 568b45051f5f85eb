"""Paths and class numbers with a file of labels: what users of X-CLIP, ViFi-CLIP, TC-CLIP, SlowFast and MMAction2 have.

`train.txt` and `val.txt` (or `.csv`) have a path and a number on each line, `labels.csv` the names of the classes; the
videos are below a folder, at any depth, or in one .tar. Which file is which shows in what they hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from crossframe.data.archives import Archive
from crossframe.data.importers.imported import Imported, Tree, collect, folded
from crossframe.data.lists import is_list, read_table
from crossframe.text.label_files import read_labels
from crossframe.text.labels import some
from crossframe.video.given import check_unpacked, is_archive


def import_txt(root: Path, annotations: Sequence[Path] = ()) -> Imported:
    """The clips of all lists among `annotations`, files or folders, or of those at `root`; the labels are there too."""
    check_unpacked(root)
    archive = Archive.read(root) if is_archive(root) else None
    if root.is_file() and archive is None:
        raise ValueError(f"{root} is no folder and no .tar; give the videos, and the lists with --annotations")
    videos = archive or Tree.read(root)
    given = [*annotations] or ([archive.folder] if archive else [])
    files = [path for one in given for path in (Tree.read(one).lists if one.is_dir() else [one])]
    files = files if given or isinstance(videos, Archive) else videos.lists
    lists = [path for path in files if is_list(path)]
    if not lists:
        raise ValueError(f"{some(map(str, given or [root]))}: no list of paths and class numbers; give --annotations")
    label_file, labels = _labels([path for path in files if path not in lists], named=bool(annotations))
    clips = {path: read_table(path, labels) for path in lists}
    by_split: dict[str, Path] = {}
    for path, found in clips.items():
        for split in {clip.split for clip in found}:
            if split in by_split:
                raise ValueError(
                    f"{by_split[split]} and {path} are both of split {split!r}; choose with --annotations LIST, "
                    f"once for each file, that of the labels included"
                )
            by_split[split] = path
    find = _finder(videos, labels)
    placed = [(clip, find(clip.path, clip.label)) for found in clips.values() for clip in found]
    notes = [] if label_file in annotations else [f"the classes are those of {label_file}"]
    return collect(placed, labels, archive.folder if archive else root, notes=notes)


def _finder(videos: Archive | Tree, labels: Sequence[str]) -> Callable[[str, str], str | None]:
    """Where a video is, by its name in a list and its label: below a folder, or in an archive."""
    if isinstance(videos, Archive):
        return lambda name, _label: videos.find(name)
    tree = videos
    classes = {folded(label) for label in labels}

    def find(name: str, label: str) -> str | None:
        path = tree.find(name, label, classes)
        return None if path is None else path.relative_to(tree.root).as_posix()

    return find


def _labels(files: Sequence[Path], *, named: bool) -> tuple[Path, list[str]]:
    """The one file of labels, and what is in it. Raises ValueError where none is, or several could be."""
    readable: dict[Path, list[str]] = {}
    problems: list[str] = []
    for path in files:
        try:
            readable[path] = read_labels(path)
        except ValueError as error:
            problems.append(str(error))
    called = {path: found for path, found in readable.items() if re.search("label|class", path.stem.lower())}
    fits = called if len(readable) > 1 else readable
    if len(fits) == 1:
        return next(iter(fits.items()))
    if named and len(problems) == 1 and not readable:
        raise ValueError(problems[0])
    if readable:
        raise ValueError(f"{some(map(str, readable))} could all be the labels; choose with --annotations FILE")
    raise ValueError("class numbers need a file of the classes' names (id,name); give it with --annotations FILE too")
