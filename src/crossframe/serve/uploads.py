"""The bodies of requests: a form with a video in it, JSON with a path, or the bytes of a video themselves.

A body is read no further than it may be long, and a video goes into a file of the server's own folder, which is there
for as long as its request. What a client calls it stands in answers; no file is named after it.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO, TypeVar

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from crossframe.data.manifest import lies_outside
from crossframe.pace import figure
from crossframe.serve.requests import Asked
from crossframe.serve.settings import FIELDS, RefusedError, Settings
from crossframe.video.given import Video, VideoError, address_of, file_of

A = TypeVar("A", bound=Asked)

NAME = 200  # characters of a client's name for a video
CHUNK = 1 << 20
RAW = re.compile(r"video/.+|application/octet-stream")
BROWSERS = {"%22": '"', "%0D": "\r", "%0A": "\n"}  # what their forms write in names, without a sign for the % itself
ENDING = re.compile(r"\.[A-Za-z0-9]{1,8}")
TYPES = "multipart/form-data with a field video, application/json with a path, or video/mp4 with the file itself"


class _Bounded(Request):
    """A request whose body ends with RefusedError where it becomes longer than `most` bytes."""

    most = FIELDS
    size = 0

    async def stream(self) -> AsyncGenerator[bytes]:
        async for chunk in super().stream():
            self.size += len(chunk)
            if self.size > self.most:
                raise _too_large(self.most)
            yield chunk


@asynccontextmanager
async def received(request: Request, kind: type[A], settings: Settings) -> AsyncGenerator[tuple[A, Video | None]]:
    """The question in a request, and its video for as long as the block lasts.

    Raises RefusedError for whatever it is that cannot be answered.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    bounded = _Bounded(request.scope, request.receive)
    bounded.most = FIELDS if media == "application/json" else settings.size + FIELDS
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > bounded.most:
        raise _too_large(bounded.most)
    asked = kind.read(_collected(request.query_params.multi_items(), kind))
    if asked.path is not None:
        raise RefusedError(422, "path in the query is not read; send it as JSON")
    with tempfile.NamedTemporaryFile(prefix="video-", dir=request.app.state.uploads) as file:
        try:
            async with asyncio.timeout(settings.seconds):
                name, body = await _read(bounded, media, kind, file)
        except TimeoutError:
            reason = f"the request took more than {figure(settings.seconds)} s to arrive; send a smaller video"
            raise RefusedError(408, reason, Connection="close") from None
        asked = asked.joined(body)
        video = None
        if name is not None:
            video = _video(Path(file.name), name, asked)
        elif asked.path is not None:
            video = _video(within(asked.path, settings.folders), asked.path, asked)
        yield asked, video


async def _read(request: _Bounded, media: str, kind: type[A], file: Any) -> tuple[str | None, A]:
    """Reads a body to its end: what the video in it is called, if there is one, and what else it says."""
    if media == "application/json":
        return None, kind.read(_object(await request.body()), strict=True)
    if RAW.fullmatch(media):
        async for chunk in request.stream():
            await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(file.flush)
        return "upload", kind()
    if media != "multipart/form-data":
        raise RefusedError(415, f"a body of type {media or 'nothing'} is not read; send {TYPES}")
    try:
        async with request.form(max_files=1, max_fields=2000, max_part_size=FIELDS) as form:
            return await _of_form(form, kind, file)
    except HTTPException as error:
        raise RefusedError(400, f"the form cannot be read ({error.detail}); send {TYPES}") from error


async def _of_form(form: FormData, kind: type[A], file: BinaryIO) -> tuple[str | None, A]:
    name = None
    fields: list[tuple[str, str]] = []
    for field, value in form.multi_items():
        if not isinstance(value, UploadFile):
            fields.append((field, value))
        elif field != "video":
            raise RefusedError(422, f"the file is in the field {field!r}; call it video")
        else:
            while chunk := await value.read(CHUNK):
                await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(file.flush)
            name = _plain(value.filename or "")
    if any(field == "video" for field, _ in fields):
        raise RefusedError(422, "video is a text, not a file; with curl that is -F video=@clip.mp4")
    return name, kind.read(_collected(fields, kind))


def within(path: str, folders: Iterable[Path]) -> Path:
    """The file that a path in one of the folders means. Raises RefusedError where it lies outside, or is not there.

    Of what lies outside, nothing is said, not even whether it is there.
    """
    inside: list[Path] = []
    if not address_of(path) and "\0" not in path:
        for folder in folders:
            try:
                inside += [] if lies_outside(folder / path, folder) else [folder / path]
            except (OSError, RuntimeError):  # a name that is too long, links in a circle
                continue
    if not inside:
        raise RefusedError(
            403, f"{path[:NAME]} lies in no folder of this server; upload the video, or ask for --folder"
        )
    for found in inside:
        try:
            if file_of(found).is_file():
                return found
        except OSError:
            continue
    raise RefusedError(404, f"{path[:NAME]} is not there; check the path")


def _video(source: Path, name: str, asked: Asked) -> Video:
    try:
        return Video(source, asked.start, asked.end, name)
    except VideoError as error:
        raise RefusedError(422, str(error)) from error


def _collected(items: Iterable[tuple[str, str]], kind: type[Asked]) -> dict[str, Any]:
    """Names with their values: a list where the name may be repeated, otherwise one value, or several to be refused."""
    found: dict[str, list[str]] = {}
    for name, value in items:
        found.setdefault(name, []).append(value)
    return {name: values if name in kind.lists or len(values) > 1 else values[0] for name, values in found.items()}


def _object(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"the body is no JSON ({error}); send an object with a path") from error
    if not isinstance(values, dict):
        raise RefusedError(422, "the body is JSON, but no object; send one with a path")
    return values


def _plain(name: str) -> str:
    """A client's name for a file, without folders, and not endless."""
    for code, letter in BROWSERS.items():
        name = name.replace(code, letter)
    last = PureWindowsPath(PurePosixPath(name).name).name
    return last[:NAME] or "upload"


def _too_large(most: int) -> RefusedError:
    # an end of the connection, or the rest of the body would still be taken in
    if most > FIELDS:
        reason = f"the video has more than {figure((most - FIELDS) / (1 << 20), 6)} MB; send a smaller one, or a path"
    else:
        reason = f"the JSON has more than {figure(most / (1 << 20), 6)} MB; send less, and a video as an upload"
    return RefusedError(413, reason, Connection="close")
