"""Videos in tar archives, where they lie: by the names that a list gives them, and as samples of webdataset.

The paths lead into the archives (`crossframe.video.given`), so nothing is unpacked. A pattern such as
`train-{000..009}.tar` means several, in order. Names in an archive that lead out of it are refused, and so are archives
that are compressed, in which nothing can be read where it lies.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from crossframe.data.clip import Clip
from crossframe.data.lists import LABELS, class_named, split_of_file
from crossframe.text.labels import some
from crossframe.video.given import VIDEO_SUFFIXES, member, places

LONGEST = 1 << 20  # bytes of a sample's label
MOST_SHARDS = 100_000
_BRACES = re.compile(r"\{(?:(?P<first>\d+)\.\.(?P<last>\d+)|(?P<some>[^{}]*,[^{}]*))\}")


def shards(path: Path) -> list[Path]:
    """The archives that a path means, in order: itself, or those of its pattern in braces.

    Raises ValueError where one is not there.
    """
    if path.is_file():
        return [path]
    found = [Path(name) for name in dict.fromkeys(islice(_expanded(str(path)), MOST_SHARDS + 1))]
    if len(found) > MOST_SHARDS:
        raise ValueError(f"{path} means more than {MOST_SHARDS:,} archives; correct the numbers in braces")
    if missing := [str(one) for one in found if not one.is_file()]:
        which = "" if len(found) == 1 else f", {len(missing)} of the {len(found)} archives of {path}"
        remedy = "check the path" if len(missing) == len(found) else "fetch the missing, or name those that are there"
        raise ValueError(f"{some(missing)} does not exist{which}; {remedy}")
    return found


def _expanded(pattern: str) -> Iterator[str]:
    braces = _BRACES.search(pattern)
    if braces is None:
        yield pattern
        return
    if braces["first"]:
        first, last = int(braces["first"]), int(braces["last"])
        padded = any(re.match(r"0\d", end) for end in (braces["first"], braces["last"]))
        width = max(len(braces["first"]), len(braces["last"])) if padded else 0
        numbers = range(first, last + 1) if first <= last else range(first, last - 1, -1)
        within = (f"{number:0{width}d}" for number in numbers)
    else:
        within = braces["some"].split(",")
    for one in within:
        yield from _expanded(pattern[: braces.start()] + one + pattern[braces.end() :])


@dataclass(frozen=True, slots=True)
class Archive:
    """The files of a tar archive, or of those of a pattern.

    `files`: by their names in it, the paths that lead to them, relative to `folder`; several where archives of a
    pattern share a name. `alike`: the names that end alike, by their last part.
    """

    path: Path
    folder: Path
    files: dict[str, list[str]]
    alike: dict[str, list[str]]

    @classmethod
    def read(cls, path: Path) -> Archive:
        """Raises ValueError where it is no archive, or names in it lead out of it."""
        paths = shards(path)
        folder = Path(os.path.commonpath([one.parent for one in paths])) if len(paths) > 1 else paths[0].parent
        files: defaultdict[str, list[str]] = defaultdict(list)
        for one in paths:
            for name, place in _files(one).items():
                files[name].append(f"{one.relative_to(folder).as_posix()}/{place}")
        alike: defaultdict[str, list[str]] = defaultdict(list)
        for name in files:
            alike[PurePosixPath(name).name].append(name)
        return cls(path, folder, dict(files), dict(alike))

    def find(self, name: str) -> str | None:
        """The path of the file that a list calls `name`: the same, in a folder of the archive, or its last part alone.

        None where there is none. Raises ValueError where several fit.
        """
        wanted = PurePosixPath(name).as_posix()
        alike = self.alike.get(PurePosixPath(name).name, [])
        fits = [wanted] if wanted in self.files else [one for one in alike if one.endswith(f"/{wanted}")] or alike
        places = [place for one in fits for place in self.files[one]]
        if len(places) > 1:
            which = some(fits if len(fits) > 1 else places)
            raise ValueError(f"{self.path} has {len(places)} files that could be {name!r}: {which}; name the folder")
        return places[0] if places else None

    def text(self, name: str) -> str:
        """The content of a small text file."""
        part = member(self.folder / self.files[name][0])
        if part is None or part.size > LONGEST:
            raise ValueError(f"{self.path}: {name} is too long to be a label")
        with part.archive.open("rb") as file:
            file.seek(part.offset)
            try:
                return file.read(part.size).decode("utf-8").strip()
            except UnicodeDecodeError:
                raise ValueError(f"{self.path}: {name} is not UTF-8 text; save it as UTF-8") from None


def _files(path: Path) -> dict[str, str]:
    """The files of one archive by their names: where each begins, how long it is, in bytes, and the name again."""
    return {name: f"{offset}+{size}/{name}" for name, (offset, size) in places(path).items()}


def videos_within(path: Path) -> list[Path]:
    """The videos of an archive, or of those of a pattern, in the order of their names."""
    archive = Archive.read(path)
    names = sorted(name for name in archive.files if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES)
    return [archive.folder / place for name in names for place in archive.files[name]]


def read_samples(path: Path, labels: Sequence[str] | None) -> Iterator[Clip]:
    """The clips of one webdataset archive: `key.mp4` beside `key.cls`, `key.txt` or `key.json`.

    A class number, `.cls`, needs `labels`; else `.txt` is the label, or a JSON table's `label` or `caption`. Paths are
    relative to the archive's folder.
    """
    archive = Archive.read(path)
    samples: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name in archive.files:
        folder, _, last = name.rpartition("/")
        stem, _, ending = last.partition(".")  # as webdataset divides names: at the first dot
        samples[f"{folder}/{stem}"][ending.lower()] = name
    videos = {key: [e for e in parts if f".{e.rpartition('.')[2]}" in VIDEO_SUFFIXES] for key, parts in samples.items()}
    if not any(videos.values()):
        raise ValueError(f"{path} holds no video; give an archive of videos")
    split = split_of_file(path)
    for key, endings in videos.items():
        if len(endings) > 1:
            raise ValueError(f"{path}: sample {key.strip('/')} has {len(endings)} videos, and one is needed")
        if endings:
            label = _label(archive, key.strip("/"), samples[key], labels)
            yield Clip(archive.files[samples[key][endings[0]]][0], label, split)


def _label(archive: Archive, key: str, parts: dict[str, str], labels: Sequence[str] | None) -> str:
    where = f"{archive.path}: sample {key}"
    said = {ending: archive.text(parts[ending]) for ending in ("cls", "txt", "json") if ending in parts}
    number = "cls" in said
    if number and labels is not None:
        return class_named(where, said["cls"], labels)
    if said.get("txt"):
        return said["txt"]
    if "json" in said:
        try:
            table = json.loads(said["json"])
        except ValueError as error:
            raise ValueError(f"{where}: its .json is not JSON: {error}") from error
        found = next((table[name] for name in LABELS if name in table), None) if isinstance(table, dict) else table
        number |= isinstance(found, int)
        if (isinstance(found, int) and labels is not None) or (isinstance(found, str) and found.strip()):
            return class_named(where, str(found).strip(), labels)
    if number:
        raise ValueError(f"{where} has a class number alone; give the file with the classes' names as labels")
    raise ValueError(f"{where} has no label beside its video; add one as .cls, .txt or .json, or give a list of clips")
