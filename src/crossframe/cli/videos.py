"""The videos that a command is given: files, folders, patterns, lists, archives, addresses and standard input."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import TypeAlias, TypeVar

import typer

from crossframe.data.archives import videos_within
from crossframe.data.clip import Clip
from crossframe.data.lists import JSON_LINES, named_lines, read_places
from crossframe.data.manifest import lies_outside
from crossframe.text.labels import escaped
from crossframe.text.reading import read_text
from crossframe.video.given import (
    VIDEO_SUFFIXES,
    Video,
    VideoError,
    address_of,
    at_hand,
    check_unpacked,
    file_of,
    files_below,
    is_archive,
    left_out_of,
    videos_in,
)

R = TypeVar("R")
Absent: TypeAlias = Mapping[Video, str]  # why a video cannot be read, in one line

LISTS = (".csv", ".tsv", ".txt", ".parquet", ".json", *JSON_LINES)


def given_videos(
    given: Sequence[str], start: float | None = None, end: float | None = None, *, contained: bool = False
) -> tuple[list[Video], dict[Video, str]]:
    """The videos that were named, and why some of them cannot be read, which is also said on standard error.

    A typing error need not wait for a model. Raises ValueError for a list that cannot be read.
    """
    videos: list[Video] = []
    absent: dict[Video, str] = {}
    for one in given:
        for video, reason in _found(one, contained=contained):
            videos.append(video)
            if reason:
                absent[video] = reason
    if (start, end) != (None, None):
        if len(videos) != 1 or not videos[0].whole:
            raise typer.BadParameter(
                f"is of one video, and these are {len(videos)}; give a list with columns path, start and end",
                param_hint="--start" if end is None else "--end",
            )
        (video,) = videos
        part = Video(video.source, start, end, video.name)
        videos, absent = [part], dict.fromkeys([part], absent[video]) if absent else {}
    for reason in absent.values():
        print(f"crossframe: {escaped(reason)}", file=sys.stderr)
    return videos, absent


def results_of(
    videos: Sequence[Video], absent: Absent, results: Iterator[R | VideoError]
) -> Iterator[tuple[Video, R | str]]:
    """Each of `videos` with its result, or with why it has none; `results` are those of the videos not absent.

    What cannot be read is said on standard error.
    """
    for video in videos:
        result = absent.get(video) or next(results)
        if isinstance(result, VideoError):
            print(f"crossframe: {escaped(str(result))}", file=sys.stderr)
            result = str(result)
        yield video, result


def _found(given: str, *, contained: bool) -> Iterator[tuple[Video, str]]:
    """The videos that one argument stands for, each with why it cannot be read, or ""."""
    if given == "-":
        yield _standard_input()
    elif given.startswith("@"):
        yield from (found for name in _names(given) for found in _named(name, contained=contained))
    else:
        yield from _named(given, contained=contained)


def _named(given: str, *, contained: bool) -> Iterator[tuple[Video, str]]:
    path = Path(given)
    if address_of(given):
        yield from _at_address(given)
    elif why := _packed(path):
        yield Video(given), why
    elif path.is_dir():
        yield from _in_folder(path, contained=contained)
    elif is_archive(path) and (path.is_file() or "{" in given):
        yield from _in_archive(path)
    elif path.suffix.lower() in LISTS and path.is_file():
        yield from _in_list(path, contained=contained)
    elif has_magic(given) and not _is_there(path):
        yield from _matching(given, contained=contained)
    else:
        yield Video(given), "" if _is_there(path) else f"{given}: does not exist; check the path"


def _at_address(given: str) -> Iterator[tuple[Video, str]]:
    """A video at an address; of a folder, which ends in a slash, of a pattern or a .tar archive all that are there."""
    packed = given.lower().endswith(".tar")
    several = given.endswith("/") or "*" in given
    if not several and not packed:
        yield Video(given), ""
        return
    from crossframe.video.remote import listed, listed_within  # few need it

    try:
        found = listed(given) if several else [given]
    except VideoError as error:
        yield Video(given), str(error)
        return
    if not found:
        yield Video(given), f"{given}: no video is there; check the address"
    if not packed:
        yield from ((Video(name), "") for name in found)
        return
    for archive, inside in zip(found, listed_within(found), strict=True):
        if isinstance(inside, VideoError):
            yield Video(archive), str(inside)
        elif not inside:
            yield Video(archive), f"{archive}: no video in this archive; give one with videos"
        else:
            yield from ((_in_tar(name), "") for name in inside)


def _in_tar(place: str | Path) -> Video:
    """A video of an archive, by the name that people give it."""
    return Video(place, name=re.sub(r"(\.tar/)\d+\+\d+/", r"\1", str(place), count=1))


def _packed(path: Path) -> str:
    try:
        check_unpacked(path)
    except ValueError as error:
        return str(error)
    return ""


def _is_there(path: Path) -> bool:
    return os.path.exists(file_of(path))


def _standard_input() -> tuple[Video, str]:
    if sys.stdin.isatty():
        raise typer.BadParameter("standard input is the keyboard; pipe a video into the command", param_hint="-")
    video = Video(sys.stdin.buffer, name="-")
    try:
        with at_hand(video) as read:
            return read, ""
    except VideoError as error:
        return video, str(error)


def _names(given: str) -> list[str]:
    """The names in the file after the @, as if they had been typed."""
    if given == "@-":
        text = sys.stdin.read()
    elif given == "@":
        raise typer.BadParameter("'@' stands before the name of a file with names in it", param_hint="@FILE")
    else:
        text = read_text(Path(given[1:]))
    found = [line for _, line in named_lines(text)]
    if not found:
        raise ValueError(f"{given[1:]}: has no names; write one on each line")
    return found


def _in_folder(folder: Path, *, contained: bool) -> Iterator[tuple[Video, str]]:
    found = videos_in(folder)
    if not found:
        looked = f"looked for names ending in .mp4, .mkv, .mov, .avi, .webm and {len(VIDEO_SUFFIXES) - 5} more"
        yield Video(folder), f"{folder}: no video in this folder; {looked}"
    _say_left_out(str(folder), files_below(folder) if found else ())
    for path in found:
        _check_contained(folder, path, contained=contained)
        yield Video(path), ""


def _in_archive(archive: Path) -> Iterator[tuple[Video, str]]:
    """The videos of an archive, or of those that a pattern in braces means, by the names that people give them."""
    try:
        found = videos_within(archive)
    except ValueError as error:
        yield Video(archive), str(error)
        return
    if not found:
        yield Video(archive), f"{archive}: no video in this archive; give one with videos"
    for path in found:
        yield _in_tar(path), ""


def _in_list(source: Path, *, contained: bool) -> Iterator[tuple[Video, str]]:
    """The clips of a list; paths are relative to its folder."""
    clips = read_places(source)
    found = [_of_clip(source.parent, clip, contained=contained) for clip in clips]
    if all(reason for _, reason in found):
        first = f"the first would be {found[0][0].name}"
        reason = (
            f"{source}: is not a video, and of the {len(found)} names that it lists none is a file, {first}; paths are "
            f"relative to the list's folder"
        )
        found = [(Video(source), reason)]
    yield from found


def _of_clip(folder: Path, clip: Clip, *, contained: bool) -> tuple[Video, str]:
    if address_of(clip.path):
        if contained:
            raise ValueError(f"{clip.name}: lies outside {folder}; leave it out, or read the list without --contained")
        return Video(clip.path, clip.start, clip.end), ""
    path = folder / clip.path
    _check_contained(folder, path, contained=contained)
    video = Video(path, clip.start, clip.end)
    return video, "" if _is_there(path) else f"{path}: does not exist; check the path"


def _check_contained(folder: Path, path: Path, *, contained: bool) -> None:
    if contained and lies_outside(path, folder):
        raise ValueError(f"{path}: lies outside {folder}; leave it out, or read without --contained")


def _matching(pattern: str, *, contained: bool) -> Iterator[tuple[Video, str]]:
    """The files that a pattern fits, `**` for folders at any depth. Where it leaves the ending open, videos alone."""
    found = sorted(path for path in glob(pattern, recursive=True) if not has_magic(path))
    if not found:
        yield Video(pattern), f"{pattern}: no file is called so; check the pattern"
    if has_magic(Path(pattern).suffix) or not Path(pattern).suffix:
        others = [path for path in found if Path(path).is_file() and Path(path).suffix.lower() not in VIDEO_SUFFIXES]
        _say_left_out(pattern, map(Path, others))
        found = [path for path in found if path not in set(others)]
    for path in found:
        yield from _named(path, contained=contained)


def _say_left_out(where: str, files: Iterable[Path]) -> None:
    if others := left_out_of(files):
        print(f"crossframe: {escaped(f'{where}: {others}')}", file=sys.stderr)
