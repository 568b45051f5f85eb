"""UCF-101: `classInd.txt`, `trainlist01.txt` to `testlist03.txt`, and `Class/v_Class_g01_c01.avi`.

`classInd.txt` counts classes from 1. A line of a training list is a path and the class's number; a line of a test list
is the path alone. Clips of one class with the same group, `g01` to `g25`, were cut from one recording. The files of
class HandstandPushups are called v_HandStandPushups in the lists, and either way on disks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from crossframe.data.importers.imported import Imported, Listed, assemble, read_lines, read_lists

LINE = re.compile(r"(?P<video>.+?)(\s+(?P<index>\d+))?")


def import_ucf101(root: Path, annotations: Path | None = None, split_number: int = 1) -> Imported:
    """The training and test clips of one of the three official splits."""
    videos, lists = read_lists(root, annotations)
    classes = _read_classes(lists.list_named(r"classInd\.txt", "classInd.txt"))
    listed: list[Listed] = []
    for split in ("train", "test"):
        name = f"{split}list{split_number:02d}.txt"
        listed += _read_list(lists.list_named(re.escape(name), name), split, classes)
    return assemble(listed, classes.values(), videos)


def _read_classes(path: Path) -> dict[str, str]:
    """The classes by their numbers, as the file writes them."""
    classes: dict[str, str] = {}
    for number, line in read_lines(path):
        index, _, label = line.partition(" ")
        if index != str(len(classes) + 1) or not label.strip():
            raise ValueError(
                f"{path}, line {number}: {line!r} is not class {len(classes) + 1} and its name; get the file again"
            )
        classes[index] = label.strip()
    return classes


def _read_list(path: Path, split: str, classes: dict[str, str]) -> Iterator[Listed]:
    known = set(classes.values())
    for number, line in read_lines(path):
        found = LINE.fullmatch(line)
        video, index = (found["video"], found["index"]) if found else (line, None)
        label, _, name = video.replace("\\", "/").rpartition("/")
        if label not in known:
            raise ValueError(f"{path}, line {number}: {line!r} is of no class in classInd.txt; get both files again")
        if split == "train" and classes.get(index or "") != label:
            raise ValueError(
                f"{path}, line {number}: {line!r} does not end with the number of its class in classInd.txt, where "
                f"{index or 'an empty number'} is {classes.get(index or '', 'no class')}; get both files again"
            )
        group = re.match(r"(.+_g\d+)_c\d+", name)
        yield Listed(f"{label}/{name}", label, split, group[1] if group else None)
