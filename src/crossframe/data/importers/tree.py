"""The content of a folder and those below it: videos by name, and the files that list them. The folder is read once."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from crossframe.text.reading import read_text
from crossframe.video.given import VIDEO_SUFFIXES, files_below

LIST_SUFFIXES = (".csv", ".json", ".tsv", ".txt", ".yaml", ".yml")


def folded(name: str) -> str:
    """The form in which names are compared: some systems change case or decompose accents, and people write
    underscores for spaces.

    >>> folded("Brush_Hair") == folded("brush hair")
    True
    """
    return unicodedata.normalize("NFC", name).casefold().replace("_", " ")


@dataclass(frozen=True, slots=True)
class Tree:
    """The videos and lists below `root`. Links to folders are followed."""

    root: Path
    videos: dict[str, list[Path]]  # by their folded names without the ending
    lists: list[Path]

    @classmethod
    def read(cls, root: Path) -> Tree:
        if not root.is_dir():
            raise ValueError(f"{root} is no folder; give the one that holds the videos")
        videos: defaultdict[str, list[Path]] = defaultdict(list)
        lists: list[Path] = []
        for file in files_below(root):
            suffix = file.suffix.lower()
            if suffix in VIDEO_SUFFIXES:
                videos[folded(file.stem)].append(file)
            elif suffix in LIST_SUFFIXES:
                lists.append(file)
        return cls(root, dict(videos), sorted(lists))

    def find(self, name: str, label: str, classes: Collection[str]) -> Path | None:
        """The video that a list calls `name`: there by that path, or else in the folder of its class or in one of no
        class; None if there is none.

        `classes` are the folded labels. The ending does not matter: clips are often converted. Raises ValueError
        where several files fit.
        """
        stem = unicodedata.normalize("NFC", _stem(name))
        found = self.videos.get(folded(stem), [])
        if self.root / name in found:
            return self.root / name
        exact = [path for path in found if unicodedata.normalize("NFC", path.stem) == stem]
        of_class = {path: folded(path.parent.name) for path in exact or found}
        own = [path for path, parent in of_class.items() if parent == folded(label)]
        fits = own or [path for path, parent in of_class.items() if parent not in classes]
        if len(fits) > 1:
            raise ValueError(f"{name}: lies in two places, {fits[0]} and {fits[1]}; remove one, or give a folder below")
        return fits[0] if fits else None

    def lists_named(self, pattern: str) -> dict[str, Path]:
        """The lists whose whole name matches a regular expression, by name.

        Raises ValueError where two have the same name.
        """
        found: dict[str, Path] = {}
        for path in self.lists:
            if re.fullmatch(pattern, path.name):
                if path.name in found:
                    raise ValueError(f"{found[path.name]} and {path} have one name; choose with --annotations FOLDER")
                found[path.name] = path
        return found

    def list_named(self, pattern: str, what: str) -> Path:
        """The one list whose name matches; ValueError where there is none, or more than one."""
        found = list(self.lists_named(pattern).values())
        if not found:
            raise ValueError(f"{self.root}: {what} is not below this folder; give its folder with --annotations")
        if len(found) > 1:
            raise ValueError(f"{found[0]} and {found[1]} could both be {what}; choose with --annotations FOLDER")
        return found[0]


def read_lists(root: Path, annotations: Path | None) -> tuple[Tree, Tree]:
    """The tree of the videos and the tree of the lists, which may be the same."""
    videos = Tree.read(root)
    if annotations is not None and annotations.is_file():
        return videos, Tree(annotations.parent, {}, [annotations])
    return videos, videos if annotations is None else Tree.read(annotations)


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not empty, and their numbers."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield number, line.strip()


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in VIDEO_SUFFIXES else path.name
