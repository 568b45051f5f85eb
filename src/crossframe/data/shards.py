"""Packing a data set into a few large tar archives, which suit network drives better than many files.

The archives are ordinary ones. The new list says where in them each video lies (`crossframe.video.given`), so clips are
read in any order, and shuffling, resuming and verifying work as with files.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from crossframe.data.manifest import Manifest
from crossframe.files import remove_parts, replacing

SHARD_BYTES = 2**30  # an archive is closed when it has this many


@dataclass(frozen=True, slots=True)
class _File:
    """A file to pack: its path in the manifest, its name in the archive, and where it is."""

    path: str
    name: str
    source: Path
    size: int
    changed: int  # seconds since 1970


def pack(manifest: Manifest, out: Path, *, skip: Collection[str] = (), shard_bytes: int = SHARD_BYTES) -> Manifest:
    """Write the files of a data set to `out/shards/00000.tar` and so on, and return the list of what is in them.

    Clips keep their order; those whose files are missing, or whose paths are in `skip`, keep their files. An archive
    appears whole or not at all, and one that is there already, of the same files, stays.

    Raises ValueError where there is no file to pack.
    """
    remove_parts(out / "shards")
    sources = {clip.path: manifest.locate(clip).absolute() for clip in manifest.clips}
    places: dict[str, Path] = {}
    wanted = {path: source for path, source in sources.items() if path not in skip and source.is_file()}
    for number, files in enumerate(_shards(_files(wanted), shard_bytes)):
        archive = out / "shards" / f"{number:05d}.tar"
        if not _holds(archive, files):
            _write(archive, files)
        with tarfile.open(archive, "r:") as tar:
            for file, entry in zip(files, tar, strict=True):
                places[file.path] = archive.absolute() / f"{entry.offset_data}+{entry.size}" / file.name
    clips = (replace(clip, path=str(places.get(clip.path, sources[clip.path]))) for clip in manifest.clips)
    return Manifest(tuple(clips), manifest.labels, out)


def _files(sources: Mapping[str, Path]) -> list[_File]:
    """The records of the files, in the order of the clips."""
    if not sources:
        raise ValueError("none of the clips has a file to pack; check the list")
    base = os.path.commonpath([source.parent for source in sources.values()])
    found: list[_File] = []
    for path, source in sources.items():
        status = source.stat()
        found.append(_File(path, source.relative_to(base).as_posix(), source, status.st_size, int(status.st_mtime)))
    return found


def _shards(files: list[_File], shard_bytes: int) -> Iterator[list[_File]]:
    shard: list[_File] = []
    size = 0
    for file in files:
        shard.append(file)
        size += file.size
        if size >= shard_bytes:
            yield shard
            shard, size = [], 0
    if shard:
        yield shard


def _holds(archive: Path, files: list[_File]) -> bool:
    """True if an archive is there already, of just these files as they are now."""
    if not archive.is_file():
        return False
    try:
        with tarfile.open(archive, "r:") as tar:
            return [(entry.name, entry.size, entry.mtime) for entry in tar] == [
                (file.name, file.size, file.changed) for file in files
            ]
    except tarfile.TarError:
        return False


def _write(archive: Path, files: list[_File]) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with replacing(archive) as part, tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as tar:
        for file in files:
            entry = tarfile.TarInfo(file.name)
            entry.size, entry.mtime = file.size, file.changed
            with file.source.open("rb") as content:
                tar.addfile(entry, content)
