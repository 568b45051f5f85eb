"""Which clips a data set has and what they show, checked before anything is decoded."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from crossframe.data.clip import SEVERAL, Clip
from crossframe.data.layouts import read_clips, split_named
from crossframe.data.parquet import pyarrow, write_rows
from crossframe.files import path_from, replacing_list
from crossframe.text.label_files import read_labels
from crossframe.text.labels import humanize, some
from crossframe.video.given import file_of

COLUMNS = tuple(field.name for field in fields(Clip))  # of the lists that are written here


@dataclass(frozen=True, slots=True)
class Manifest:
    """Clips and the labels they may have; a label's place in `labels` is its class index.

    Clips keep their order, which is the index that batches and results refer to. Labels without a clip are allowed, as
    further candidates. Clips may also have labels `outside` of these, unknown to
    whoever chooses among the labels.

    Raises ValueError where a clip's label is not among `labels`, a label has two spellings, or a clip has two labels.
    """

    clips: tuple[Clip, ...]
    labels: tuple[str, ...]
    root: Path
    outside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_spelling(self.labels, (label for clip in self.clips for label in clip.labels))
        known = {*self.labels, *self.outside}
        unknown: dict[str, Clip] = {}
        for clip in self.clips:
            for label in clip.labels:
                if label not in known:
                    unknown.setdefault(label, clip)
        if unknown:
            first = next(iter(unknown.values()))
            raise ValueError(
                f"{len(unknown)} labels are unknown: {some(unknown)}, the first at {first.name}; "
                f"the labels given are {len(self.labels)}: {some(self.labels)}"
            )
        _check_unique(self.clips)

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def names(self) -> list[str]:
        """The clips by name, in order."""
        return [clip.name for clip in self.clips]

    @property
    def recordings(self) -> list[str] | None:
        """The recording that each clip was cut from, in order; None where no two clips share a recording."""
        found = [clip.recording for clip in self.clips]
        return found if len(set(found)) < len(found) else None

    @property
    def several(self) -> bool:
        """True if a clip has several labels at once."""
        return any(len(clip.labels) > 1 for clip in self.clips)

    def targets(self) -> list[int]:
        """The class index of every clip, -1 for one outside; of a clip with several labels that of the first."""
        return [found[0] for found in self.all_targets()]

    def all_targets(self) -> list[tuple[int, ...]]:
        """The class indices of every clip, in the order of its labels."""
        index = {label: place for place, label in enumerate(self.labels)}
        return [tuple(index.get(label, -1) for label in clip.labels) for clip in self.clips]

    def counts(self) -> dict[str, int]:
        """Clips of every label, in class order, zeros included."""
        found = Counter(label for clip in self.clips for label in clip.labels)
        return {label: found[label] for label in self.labels}

    def locate(self, clip: Clip) -> Path:
        """Where the clip's file is."""
        return self.root / clip.path

    def keep(self, clips: Iterable[Clip]) -> Manifest:
        """The same labels with other clips."""
        return replace(self, clips=tuple(clips))

    def of_split(self, split: str, labels: Sequence[str] | None = None) -> Manifest:
        """The clips of a split, among these labels or else their own, sorted. Raises ValueError for unknown labels."""
        clips = [clip for clip in self.clips if clip.split == split_named(split)]
        own = sorted({label for clip in clips for label in clip.labels})
        return replace(self, clips=tuple(clips), labels=tuple(own if labels is None else labels))

    def among(self, labels: Iterable[str]) -> Manifest:
        """The same clips with further candidate labels; those that read like an existing one are left out."""
        known = {_reading(label): label for label in self.labels}
        for label in labels:
            known.setdefault(_reading(label), label)
        return replace(self, labels=tuple(known.values()))

    def only(self, labels: Iterable[str]) -> Manifest:
        """The same clips with these labels as the only candidates, spelled as the manifest does; others are outside.

        Raises ValueError where clips have several labels, or not one clip has a label among them.
        """
        own = {_reading(label): label for label in self.labels}
        kept = tuple(dict.fromkeys(own.get(_reading(label), label) for label in labels))
        if self.several:
            raise ValueError("clips have several labels, and whether one is unknown is asked of one; leave these out")
        if not set(kept) & {clip.label for clip in self.clips}:
            raise ValueError(f"not one clip has a label among the candidates: {some(kept)}; give others")
        return replace(self, labels=kept, outside=tuple(label for label in self.labels if label not in kept))

    def digest(self) -> str:
        """SHA-256 over the clips and the labels in class order, as 64 hexadecimal digits.

        It depends neither on the order of the clips nor on where the folder is.
        """
        rows = sorted(json.dumps([clip.path, clip.start, clip.end, clip.label]) for clip in self.clips)
        return hashlib.sha256("\n".join([json.dumps(self.labels), *rows]).encode()).hexdigest()


def no_split(source: str | Path, split: str, known: Collection[str], remedy: str = "choose one of them") -> ValueError:
    """The error for a list whose clips are of other splits, or of none; `remedy` says how to choose one."""
    others = ", ".join(map(repr, sorted(set(known) - {""})))
    return ValueError(f"{source} has no split {split!r}; it has {f'{others}; {remedy}' if others else 'no splits'}")


def read_manifest(
    source: str | Path,
    split: str | None = None,
    labels: Sequence[str] | str | Path | None = None,
    root: str | Path | None = None,
    *,
    contained: bool = False,
    missing_ok: bool = False,
    events: bool = False,
) -> Manifest:
    """Read the clips of `split`, or all clips, of a data set in any of these forms:

    - a CSV, TSV, Parquet, JSON or JSON lines file with columns `path` (or `file_name`) and `label` (or `caption`),
      optionally `split`, `start`, `end`, `group`; a clip's several labels are `a|b`;
    - a folder for each class, or such folders in one for each split; or a folder that holds `manifest.csv` or
      `manifest.parquet`, or Hugging Face's `metadata.csv`, `.jsonl` or `.parquet`;
    - a path and a class index on each line, as X-CLIP, ViFi-CLIP, TC-CLIP, SlowFast and MMAction2 have it, with or
      without a header, a comma or spaces between, with their `id,name` file as `labels`; its split is what the name of
      the file says ("train" for train.txt);
    - JSON of ActivityNet or Kinetics, whose segments become `start` and `end`;
    - a .tar of webdataset, several by a pattern (`train-{000..009}.tar`), or a folder of them;
    - a Parquet or JSON file that Hugging Face's `datasets` wrote, with the names of its classes.

    `labels` fixes the class indices: a list, or a file of them. Without it, classes are the labels of the clips read,
    sorted; for a second split of the same data set, give it the first one's `labels`. Paths are relative to `root`, a
    folder, a .tar archive or a pattern of such, by default the folder of the manifest. With `contained`, no file
    outside that folder is taken, whatever the list says and links lead to; with `missing_ok`, files need not be there.
    With `events`, rows of one stretch with other labels are several things that happen then, where otherwise a clip has
    one row. Synonyms of train, val and test are understood, here and in the data set.

    Raises ValueError, in one line, where files are missing, labels do not fit, or there is no clip of that split.
    """
    source = Path(source)
    if isinstance(labels, str | Path):
        labels = read_labels(labels)
    clips, folder = read_clips(source, labels, None if root is None else Path(root))
    if split is not None:
        known = {clip.split for clip in clips}
        clips = [clip for clip in clips if clip.split == split_named(split)]
        if not clips:
            raise no_split(source, split, known)
    if events:
        clips = _together(clips)
    if labels is None:
        labels = sorted({label for clip in clips for label in clip.labels})
    manifest = Manifest(tuple(clips), tuple(labels), folder)
    manifest = _spelled_as_on_disk(manifest)
    if contained:
        check_contained(manifest)
    if not missing_ok:
        check_files(source, manifest)
    return manifest


def _together(clips: Iterable[Clip]) -> list[Clip]:
    """One clip for each stretch and split, with the labels of all its rows."""
    found: dict[tuple[str, str], Clip] = {}
    for clip in clips:
        before = found.setdefault((clip.name, clip.split), clip)
        if more := [label for label in clip.labels if label not in before.labels]:
            found[clip.name, clip.split] = replace(before, label=SEVERAL.join([*before.labels, *more]))
    return list(found.values())


def write_manifest(manifest: Manifest, path: str | Path) -> None:
    """Write the clips to a .csv or .parquet file, whole or not at all; see `files.replacing_list` for a list before it.

    Paths become relative to the file's folder where they lie in it, and absolute elsewhere.
    """
    path = Path(path)
    check_form(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(clip) | {"path": path_from(path.parent, manifest.locate(clip))} for clip in manifest.clips]
    with replacing_list(path) as target:
        if path.suffix.lower() == ".parquet":
            arrow = pyarrow()
            seconds = {"start": arrow.float64(), "end": arrow.float64()}
            write_rows(target, rows, {name: seconds.get(name, arrow.string()) for name in COLUMNS})
        else:
            with target.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)


def check_contained(manifest: Manifest) -> None:
    """Raise ValueError where a clip's file lies outside the manifest's folder, by its path or by a link."""
    for clip in manifest.clips:
        if lies_outside(manifest.locate(clip), manifest.root):
            raise ValueError(f"{clip.name}: lies outside {manifest.root}; leave it out, or read the list uncontained")


def lies_outside(path: Path, folder: Path) -> bool:
    """True where a file is not in a folder, by its path, by '..' in it, or by a link."""
    inside = path.parts[len(folder.parts) :] if path.is_relative_to(folder) else ("..",)
    return ".." in inside or not file_of(path).resolve().is_relative_to(folder.resolve())


def check_form(path: Path) -> None:
    """Raise ValueError where no manifest can be written to a file of this name."""
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise ValueError(f"{path}: a list of clips is written to a .csv or a .parquet file; change its ending")
    if path.suffix.lower() == ".parquet":
        pyarrow()


def check_ours(path: Path) -> None:
    """Raise ValueError where a file is there that `write_manifest` did not write, such as a list made by hand."""
    if path.suffix.lower() == ".csv" and path.is_file():
        with path.open("rb") as file:
            header = file.readline(1000).decode(errors="replace").strip()
        if header not in ("", ",".join(COLUMNS)):
            raise ValueError(f"{path} is there, and no list that crossframe wrote; give another name")


def _reading(label: str) -> str:
    """The same text for all spellings of a label."""
    return humanize(label.replace("-", " ")).casefold()


def _check_spelling(labels: Sequence[str], used: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for label in [*labels, *sorted(set(used) - set(labels))]:
        key = _reading(label)
        if not key:
            raise ValueError("a label is empty; every class needs a name")
        if key in seen:
            raise ValueError(f"one label in two spellings: {seen[key]!r} and {label!r}; choose one of them")
        seen[key] = label


def _check_unique(clips: Sequence[Clip]) -> None:
    """Each clip has one label everywhere, and is listed once in a split."""
    given: dict[str, str] = {}
    listed: set[tuple[str, str]] = set()
    for clip in clips:
        label = given.setdefault(clip.name, clip.label)
        if label != clip.label:
            raise ValueError(
                f"{clip.name} has two labels, {label!r} and {clip.label!r}; keep one of them, "
                f"or write {label + SEVERAL + clip.label!r} where both are true"
            )
        if (clip.name, clip.split) in listed:
            where = f" in split {clip.split!r}" if clip.split else ""
            raise ValueError(f"{clip.name} is listed twice{where}; keep one of the rows")
        listed.add((clip.name, clip.split))


def check_files(source: Path, manifest: Manifest) -> None:
    """Raise ValueError where files of the clips are missing."""
    files, missing = _missing(manifest)
    if missing:
        raise ValueError(
            f"{source}: {len(missing)} of {files} files are missing: {some(map(str, missing))}; check the folder or "
            f"drop them"
        )


def _missing(manifest: Manifest) -> tuple[int, list[Path]]:
    """How many files the clips have, and which of them are not there."""
    # One listing of each folder: asking for file after file takes minutes on a network drive.
    folders: defaultdict[Path, set[str]] = defaultdict(set)
    for clip in manifest.clips:
        file = file_of(manifest.locate(clip))
        folders[file.parent].add(file.name)
    missing: list[Path] = []
    for folder, wanted in folders.items():
        present = set(os.listdir(folder)) if folder.is_dir() else set[str]()
        missing += [folder / name for name in sorted(wanted - present)]
    return sum(map(len, folders.values())), missing


def _spelled_as_on_disk(manifest: Manifest) -> Manifest:
    """The same clips; a letter with an accent may be one character in the list and two on the disk, or otherwise."""
    foreign = [clip for clip in manifest.clips if not clip.path.isascii()]
    missing = set(_missing(manifest.keep(foreign))[1]) if foreign else set[Path]()
    found: dict[str, str] = {}
    for clip in foreign if missing else ():
        if file_of(manifest.locate(clip)) in missing:
            forms = (unicodedata.normalize(form, clip.path) for form in ("NFC", "NFD"))
            found[clip.path] = next((form for form in forms if file_of(manifest.root / form).is_file()), clip.path)
    return manifest.keep(replace(c, path=found.get(c.path, c.path)) for c in manifest.clips) if found else manifest
