"""From the published layout of a data set to a manifest: `import_dataset("ucf101", folder)`.

One file for each data set reads its official lists; `tree` finds the files on disk, and `assemble` matches the two and
reports what is missing or contradictory. Importers are imported on use: the command line asks for their names alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from crossframe.data.importers.imported import Imported

Layout = Literal[
    "kinetics400",
    "kinetics600",
    "kinetics700",
    "ucf101",
    "hmdb51",
    "ssv2",
    "activitynet",
    "txt",
    "folder",
    "csv",
    "label-studio",
]

CLASSES = {"kinetics400": 400, "kinetics600": 600, "kinetics700": 700, "ucf101": 101, "hmdb51": 51, "ssv2": 174}


def import_dataset(
    name: Layout, root: Path, annotations: Path | Sequence[Path] | None = None, *, split_number: int = 1
) -> Imported:
    """The clips of a data set as it is published, or of one's own (`folder`, `csv`, `txt`,
    `label-studio`), whose videos are at `root`.

    `annotations` is the folder of the official lists where it is another one; for `txt` it may be several files.
    `split_number` chooses among the official splits of UCF-101 and HMDB-51.

    Raises ValueError where the lists are missing or contradict each other, or where no listed video is there.
    """
    from dataclasses import replace

    if name not in get_args(Layout):
        raise ValueError(f"no data set is called {name!r}; choose one of {', '.join(get_args(Layout))}")
    given = [annotations] if isinstance(annotations, Path) else list(annotations or ())
    imported = _import(name, root, given, split_number)
    found, expected = len(imported.manifest.labels), CLASSES.get(name)
    if expected is None or found == expected:
        return imported
    return replace(imported, notes=(*imported.notes, f"the lists name {found} classes, and {name} has {expected}"))


def _import(name: Layout, root: Path, given: list[Path], split_number: int) -> Imported:
    from crossframe.data.importers.activitynet import import_activitynet
    from crossframe.data.importers.hmdb51 import import_hmdb51
    from crossframe.data.importers.kinetics import import_kinetics
    from crossframe.data.importers.label_studio import import_label_studio
    from crossframe.data.importers.plain import import_csv, import_folder
    from crossframe.data.importers.something import import_something
    from crossframe.data.importers.txt import import_txt
    from crossframe.data.importers.ucf101 import import_ucf101

    if name == "txt":
        return import_txt(root, given)
    if len(given) > 1:
        raise ValueError(f"{name} takes one --annotations, and {len(given)} were given; name the folder that holds all")
    annotations = given[0] if given else None
    match name:
        case "kinetics400" | "kinetics600" | "kinetics700":
            return import_kinetics(root, annotations)
        case "ucf101":
            return import_ucf101(root, annotations, split_number)
        case "hmdb51":
            return import_hmdb51(root, annotations, split_number)
        case "ssv2":
            return import_something(root, annotations)
        case "activitynet":
            return import_activitynet(root, annotations)
        case "folder":
            return import_folder(root)
        case "csv":
            return import_csv(root, annotations)
        case "label-studio":
            return import_label_studio(root, annotations)
