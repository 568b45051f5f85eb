"""Official lists matched with the files on disk, as a manifest. A folder, and those below it, are read once."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from crossframe.data.clip import Clip, check_apart
from crossframe.data.manifest import Manifest
from crossframe.text.labels import some
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


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of an official list."""

    name: str
    label: str
    split: str
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """The clips found, the names of those `missing`, and `notes` on anything else a user should know."""

    manifest: Manifest
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def assemble(
    listed: Sequence[Listed],
    labels: Iterable[str],
    videos: Tree,
    *,
    replacements: dict[str, Path] | None = None,
    notes: Sequence[str] = (),
) -> Imported:
    """Find every listed clip below a folder. `replacements`, by clip name, take precedence.

    Raises OverlapError where splits share a clip, and ValueError where a label has two spellings, a clip two labels
    or two files, or where no clip at all is there.
    """
    labels = tuple(labels)
    classes = {folded(label) for label in labels}
    placed: list[tuple[Clip, str | None]] = []
    for clip in listed:
        path = (replacements or {}).get(clip.name) or videos.find(clip.name, clip.label, classes)
        named = Clip(clip.name, clip.label, clip.split, group=clip.group)
        placed.append((named, None if path is None else path.relative_to(videos.root).as_posix()))
    return collect(placed, labels, videos.root, notes=notes)


def collect(
    placed: Sequence[tuple[Clip, str | None]], labels: Iterable[str], root: Path, *, notes: Sequence[str] = ()
) -> Imported:
    """The clips of official lists, each with the path of its file relative to `root`, or None where it is missing.

    Raises OverlapError where splits share a clip, and ValueError where no clip at all is there.
    """
    shared = check_apart(clip for clip, _ in placed)
    clips = [replace(clip, path=path) for clip, path in placed if path is not None]
    missing = [clip.path for clip, path in placed if path is None]
    if not clips:
        raise ValueError(
            f"{root} has none of the {len(placed)} videos listed: {some(missing)}; give the folder they are in"
        )
    notes = [*notes, shared] if shared else notes
    return Imported(Manifest(tuple(clips), tuple(labels), root), tuple(missing), tuple(notes))
