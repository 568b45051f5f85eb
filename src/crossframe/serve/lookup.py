"""Search in an index, by words, by an example that was uploaded, or by both."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossframe import pages
from crossframe.archive.finding import Finder
from crossframe.archive.hits import Hit
from crossframe.serve.batches import Batches
from crossframe.serve.requests import SearchAsked
from crossframe.serve.settings import in_words
from crossframe.video.given import Video, VideoError


class Lookup:
    """An index, and the recognizer that made it."""

    def __init__(self, folder: Path, batches: Batches) -> None:
        self._finder = Finder(folder, batches.recognizer)
        self._batches = batches

    async def find(self, asked: SearchAsked, example: Video | None) -> dict[str, Any]:
        """The clips that fit, best first. Raises VideoError where the example cannot be read."""
        like = None if example is None else await self._batches.frames(example)
        with in_words():
            hits = await self._batches.ask(
                lambda: self._finder.find(asked.words, like=like, top=asked.top, rerank=None)
            )
        found = [hit.to_dict() for hit in hits]
        if asked.pictures:
            strips = await asyncio.gather(*(self._strip(hit) for hit in hits))
            found = [values | {"pictures": strip} for values, strip in zip(found, strips, strict=True)]
        return {"hits": found}

    async def _strip(self, hit: Hit) -> list[str]:
        """Pictures of the frames that the index has seen; none where the file has gone."""
        if not hit.frames:
            return []
        try:
            choice = {"indices": list(hit.frames), "short_side": pages.PICTURE_SIDE}
            frames = await self._batches.frames(replace(hit.to_video(), start=None, end=None), longest=None, **choice)
        except VideoError:
            return []
        return await asyncio.to_thread(pages.strip, frames.pixels)
