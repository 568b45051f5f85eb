"""Official lists matched with the files on disk, as a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
    shared = check_apart(Clip(clip.name, clip.label, clip.split, group=clip.group) for clip in listed)
    labels = tuple(labels)
    classes = {folded(label) for label in labels}
    clips: list[Clip] = []
    missing: list[str] = []
    for clip in listed:
        path = (replacements or {}).get(clip.name) or videos.find(clip.name, clip.label, classes)
        if path is None:
            missing.append(clip.name)
        else:
            name = path.relative_to(videos.root).as_posix()
            clips.append(Clip(name, clip.label, clip.split, group=clip.group))
    if not clips:
        raise ValueError(
            f"{videos.root} has none of the {len(listed)} videos listed: {some(missing)}; give the folder they are in"
        )
    notes = [*notes, shared] if shared else notes
    return Imported(Manifest(tuple(clips), labels, videos.root), tuple(missing), tuple(notes))
