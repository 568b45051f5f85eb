"""HMDB-51: a file `CLASS_test_splitN.txt` for each class and split, and `CLASS/NAME.avi`.

Each line is a name and a mark: 1 for training, 2 for testing, 0 for neither. Names come from films and the web, with
spaces, brackets and letters of any alphabet. What stands in a name before the class says which film it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from crossframe.data.importers.imported import Imported, Listed, assemble, read_lines, read_lists

MARKS = {"0": None, "1": "train", "2": "test"}


def import_hmdb51(root: Path, annotations: Path | None = None, split_number: int = 1) -> Imported:
    """The training and test clips of one of the three official splits."""
    videos, lists = read_lists(root, annotations)
    ending = f"_test_split{split_number}.txt"
    files = lists.lists_named(rf".+_test_split{split_number}\.txt")
    if not files:
        raise ValueError(
            f"{lists.root} has no file CLASS{ending}; give the folder testTrainMulti_7030_splits with --annotations"
        )
    labels = {name.removesuffix(ending): path for name, path in files.items()}
    marked = [clip for label, path in labels.items() for clip in _read_marks(path, label)]
    listed = [clip for clip in marked if clip.split]
    unused = len(marked) - len(listed)
    notes = [f"{unused} clips are marked 0, for neither training nor testing, and left out"] if unused else []
    return assemble(listed, sorted(labels), videos, notes=notes)


def _read_marks(path: Path, label: str) -> Iterator[Listed]:
    """All clips of a class; those for neither training nor testing have no split."""
    for number, line in read_lines(path):
        name, *mark = line.rsplit(maxsplit=1)
        if len(mark) != 1 or mark[0] not in MARKS:
            raise ValueError(f"{path}, line {number}: {line!r} is not a name and a mark of 0, 1 or 2; get it again")
        film, found, _ = name.rpartition(f"_{label}_")
        yield Listed(f"{label}/{name}", label, MARKS[mark[0]] or "", film if found else None)
