"""Videos in tar archives, where they lie: by the names that a list gives them, and as samples of webdataset.

The paths lead into the archives (`crossframe.video.guard`): nothing is unpacked. Names in an archive that lead out of
it are refused, and so are archives that are compressed, in which nothing can be read where it lies.
"""

from __future__ import annotations

import json
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from crossframe.data.clip import Clip
from crossframe.data.lists import LABELS, class_named, split_of_file
from crossframe.text.labels import some
from crossframe.video.media import VIDEO_SUFFIXES

LONGEST = 1 << 20  # bytes of a sample's label


@dataclass(frozen=True, slots=True)
class Archive:
    """The files of a tar archive, by their names in it: where each begins and how long it is, in bytes."""

    path: Path
    files: dict[str, tuple[int, int]]

    @classmethod
    def read(cls, path: Path) -> Archive:
        """Raises ValueError where it is no archive, or names in it lead out of it."""
        files: dict[str, tuple[int, int]] = {}
        try:
            with tarfile.open(path, "r:") as tar:
                for entry in tar:
                    name = PurePosixPath(entry.name)
                    if name.is_absolute() or ".." in name.parts:
                        raise ValueError(f"{path}: {entry.name!r} leads out of the archive; pack it anew")
                    if entry.isreg() and not entry.issparse():
                        files[name.as_posix()] = (entry.offset_data, entry.size)
        except (tarfile.TarError, OSError) as error:
            raise ValueError(f"{path} cannot be read as an uncompressed .tar ({error}); pack it anew") from error
        return cls(path, files)

    def place(self, name: str) -> str:
        """The path of a file, relative to the archive's folder."""
        offset, size = self.files[name]
        return f"{self.path.name}/{offset}+{size}/{name}"

    def find(self, name: str) -> str | None:
        """The path of the file that a list calls `name`: the same, in a folder of the archive, or its last part alone.

        None where there is none. Raises ValueError where several fit.
        """
        wanted = PurePosixPath(name).as_posix()
        if wanted in self.files:
            return self.place(wanted)
        last = PurePosixPath(name).name
        alike = [one for one in self.files if PurePosixPath(one).name == last]
        fits = [one for one in alike if one.endswith(f"/{wanted}")] or alike
        if len(fits) > 1:
            raise ValueError(f"{self.path} has {len(fits)} files that could be {name!r}: {some(fits)}; name the folder")
        return self.place(fits[0]) if fits else None

    def text(self, name: str) -> str:
        """The content of a small text file."""
        offset, size = self.files[name]
        if size > LONGEST:
            raise ValueError(f"{self.path}: {name} has {size} bytes, which is no label")
        with self.path.open("rb") as file:
            file.seek(offset)
            try:
                return file.read(size).decode("utf-8").strip()
            except UnicodeDecodeError:
                raise ValueError(f"{self.path}: {name} is not UTF-8 text; save it as UTF-8") from None


def read_samples(path: Path, labels: Sequence[str] | None) -> Iterator[Clip]:
    """The clips of a webdataset archive: `key.mp4` beside `key.cls`, `key.txt` or `key.json`.

    A class number, `.cls`, needs `labels`; else `.txt` is the label, or a JSON table's `label` or `caption`.
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
            yield Clip(archive.place(samples[key][endings[0]]), label, split)


def _label(archive: Archive, key: str, parts: dict[str, str], labels: Sequence[str] | None) -> str:
    where = f"{archive.path}: sample {key}"
    said = {ending: archive.text(parts[ending]) for ending in ("cls", "txt", "json") if ending in parts}
    if "cls" in said and labels is not None:
        return class_named(where, said["cls"], labels)
    if said.get("txt"):
        return said["txt"]
    if "json" in said:
        try:
            table = json.loads(said["json"])
        except ValueError as error:
            raise ValueError(f"{where}: its .json is not JSON: {error}") from error
        found = next((table[name] for name in LABELS if name in table), None) if isinstance(table, dict) else table
        if isinstance(found, str | int) and str(found).strip():
            return class_named(where, str(found).strip(), labels)
    if "cls" in said:
        raise ValueError(f"{where} has a class number alone; give the file with the classes' names as labels")
    raise ValueError(f"{where} has no label beside its video; add one as .cls, .txt or .json, or give a list of clips")
