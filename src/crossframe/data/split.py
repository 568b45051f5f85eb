"""Parts of a data set, drawn with a seed.

Draws depend on the seed and on each clip's own name, not on other clips, their order, the machine or the Python
version: clips are ranked by a hash of both. So a clip that is added or lost changes no other clip's rank, and a draw
of 2 is contained in a draw of 4.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from crossframe.data.clip import Clip
from crossframe.data.manifest import Manifest
from crossframe.data.places import Places


def few_shot(manifest: Manifest, shots: int, seed: int) -> Manifest:
    """`shots` clips of every class, in the manifest's order.

    Raises ValueError that names the classes with fewer clips.
    """
    if shots < 1:
        raise ValueError(f"{shots} clips a class were asked for; use 1 or more")
    if manifest.several:
        raise ValueError("clips with several labels cannot be drawn by class; leave out data.shots")
    short = {label: count for label, count in manifest.counts().items() if count < shots}
    if short:
        label, count = next(iter(short.items()))
        raise ValueError(
            f"{len(short)} of {len(manifest.labels)} classes have fewer than {shots} clips, {label!r} has {count}; "
            f"ask for fewer or add clips"
        )
    drawn: set[Clip] = set()
    for clips in _by_label(manifest).values():
        drawn.update(sorted(clips, key=lambda clip: _rank(seed, clip.name))[:shots])
    return manifest.keep(clip for clip in manifest.clips if clip in drawn)


def few_classes(labels: Sequence[str], count: int, seed: int) -> list[str]:
    """`count` of the labels, in their order. Raises ValueError where there are fewer."""
    if not 1 <= count <= len(labels):
        raise ValueError(f"{count} of {len(labels)} new classes cannot be drawn; ask for 1 to {len(labels)}")
    drawn = set(sorted(labels, key=lambda label: _rank(seed, label))[:count])
    return [label for label in labels if label in drawn]


def hold_out(manifest: Manifest, fraction: float, seed: int) -> tuple[Manifest, Manifest]:
    """Divide into (training, validation), with all clips of a group on the same side.

    About `fraction` of every class, at least one clip, is for validation. A clip without a group is a group with the
    other stretches of its file. Raises ValueError that names the first class for which this cannot be done because its
    clips lie in too few groups.
    """
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"a fraction of {fraction} cannot be held out; use one between 0 and 1")
    groups = _recordings(manifest)
    left = Counter(label for clip in manifest.clips for label in clip.labels)  # for training
    wanted = {label: max(1, round(fraction * count)) for label, count in left.items()}
    held: set[str] = set()
    for group in sorted(groups, key=lambda name: _rank(seed, name)):
        inside = Counter(label for clip in groups[group] for label in clip.labels)
        if any(wanted[label] > 0 for label in inside) and all(left[label] > inside[label] for label in inside):
            held.add(group)
            left.subtract(inside)
            for label, count in inside.items():
                wanted[label] -= count
    # A class from which nothing was held out still wants what it wanted at first.
    for label, count in manifest.counts().items():
        if count and left[label] == count:
            few = "it has one clip alone" if count == 1 else f"its {count} clips lie in too few groups"
            raise ValueError(f"class {label!r} cannot be divided: {few}; add other recordings")
    validation = {clip for group in held for clip in groups[group]}
    return (
        manifest.keep(clip for clip in manifest.clips if clip not in validation),
        manifest.keep(clip for clip in manifest.clips if clip in validation),
    )


def _recordings(manifest: Manifest) -> dict[str, list[Clip]]:
    """Clips of one group, or of one file, under one name. A file that is spelled in several ways has the first of them,
    sorted: their order does not matter."""
    places = Places(manifest.root)
    spelled: dict[str, str] = {}
    for path in sorted({clip.path for clip in manifest.clips}):
        spelled.setdefault(places.of(path), path)
    groups: defaultdict[str, list[Clip]] = defaultdict(list)
    for clip in manifest.clips:
        groups[clip.group or spelled[places.of(clip.path)]].append(clip)
    return groups


def _by_label(manifest: Manifest) -> dict[str, list[Clip]]:
    clips: defaultdict[str, list[Clip]] = defaultdict(list)
    for clip in manifest.clips:
        clips[clip.label].append(clip)
    return clips


def _rank(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()
