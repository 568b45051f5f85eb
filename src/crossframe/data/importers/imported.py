"""Official lists matched with the files on disk, as a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crossframe.data.clip import Clip, check_apart
from crossframe.data.importers.tree import Tree, folded
from crossframe.data.manifest import Manifest
from crossframe.text.labels import some


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
