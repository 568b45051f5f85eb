"""The work behind the routes of the API: from a request to the values of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from torch import Tensor

from crossframe import pages
from crossframe.answers import Question, with_background
from crossframe.explain.pictures import overlays
from crossframe.files import plain_json
from crossframe.pace import figure
from crossframe.recognizer import Recognizer
from crossframe.serve.batches import Batches
from crossframe.serve.lookup import Lookup
from crossframe.serve.metrics import Watch
from crossframe.serve.requests import (
    Asked,
    ClassifyAsked,
    EmbedAsked,
    ExplainAsked,
    LabelsAsked,
    SearchAsked,
    TimelineAsked,
)
from crossframe.serve.settings import Places, RefusedError, Settings, in_words
from crossframe.serve.timelines import timeline_of
from crossframe.serve.uploads import received
from crossframe.text.labels import LabelSet
from crossframe.video.given import Video

A = TypeVar("A", bound=Asked)
R = TypeVar("R")
Values: TypeAlias = dict[str, Any]
Work: TypeAlias = Coroutine[Any, Any, Values]


class Service:
    """One recognizer, as many requests as have a place, and what is counted."""

    def __init__(self, recognizer: Recognizer, settings: Settings) -> None:
        self.settings = settings
        self.places = Places(settings.queue)
        self.watch = Watch(self.places)
        self.batches = Batches(recognizer, settings, self.watch)
        self.lookup = None if settings.index is None else Lookup(settings.index, self.batches)

    async def answer(self, request: Request, kind: type[A], work: Callable[[A, Video | None], Work]) -> Response:
        """The result of the work that a request asks for, within limits of number and of time."""
        with self.places.one():
            async with received(request, kind, self.settings) as (asked, video):
                try:
                    async with asyncio.timeout(self.settings.seconds):
                        found = await _until_gone(request, work(asked, video))
                except TimeoutError:
                    reason = f"there was no answer within {figure(self.settings.seconds)} s; try again later"
                    raise RefusedError(504, reason) from None
        values = found | self.settings.made_by | found  # an explanation has a precision of its own
        return Response(plain_json(values, ensure_ascii=False), media_type="application/json")

    async def classify(self, asked: ClassifyAsked, video: Video | None) -> Values:
        """The values of a prediction."""
        question = await self._question(asked)
        prediction = await self.batches.classify(_there(video), question, keep_pixels=asked.pictures)
        return prediction.to_dict(asked.top) | await _pictures(prediction.pixels if asked.pictures else None)

    async def explain(self, asked: ExplainAsked, video: Video | None) -> Values:
        """A prediction and its reasons, both in float32 whatever the server's precision is."""
        question = await self._question(asked)
        with in_words():
            reasons = await self.batches.explain(_there(video), question, asked.label)
        found = reasons.to_dict(asked.top) | {"precision": "float32"}
        if asked.pictures:
            maps = await asyncio.to_thread(lambda: [pages.data_uri(each) for each in overlays(reasons)])
            found |= await _pictures(reasons.prediction.pixels) | {"maps": maps}
        return found

    async def embed(self, asked: EmbedAsked, video: Video | None) -> Values:
        """The values of an embedding, of texts, or of both."""
        if video is None and not asked.texts:
            raise RefusedError(422, "there is nothing to embed; send a video, a path or texts")
        self._check_number(len(asked.texts), "texts")
        found = (await self.batches.embed(video)).to_dict() if video else {}
        if asked.texts:
            with in_words():
                rows = (await self.batches.vectors(asked.texts)).tolist()
            found["texts"] = [{"text": text, "vector": vector} for text, vector in zip(asked.texts, rows, strict=True)]
        return found

    async def timeline(self, asked: TimelineAsked, video: Video | None) -> Values:
        """Segments, and the scores of windows."""
        question = await self._question(asked, or_none=True)
        return await timeline_of(self.batches, _there(video), question, asked, self.settings)

    async def search(self, asked: SearchAsked, video: Video | None) -> Values:
        """The clips of the index that fit."""
        if self.lookup is None:
            raise RefusedError(404, "this server has no index; start it with --index")
        if video is None and not asked.words:
            raise RefusedError(422, "there is no question; send words, or a video that clips should be like")
        return await self.lookup.find(asked, video)

    async def _question(self, asked: LabelsAsked, *, or_none: bool = False) -> Question:
        """The labels of a request, or else the server's own; with `or_none` beside words for everything else, if need
        be."""
        labels = asked.labels or self.settings.labels
        if labels is None:
            raise RefusedError(422, "there are no labels; send what the video may show")
        count = len(labels.labels if isinstance(labels, LabelSet) else labels) + len(asked.background)
        self._check_number(count, "labels")
        recognizer = self.batches.recognizer
        more: dict[str, Any] = {"background": asked.background, "threshold": asked.threshold}

        def make() -> Question:
            if not or_none or (isinstance(labels, LabelSet) and any(more.values())):
                return recognizer.question(labels, **more)
            chosen = labels if isinstance(labels, LabelSet) else LabelSet.of(labels, **more)
            return recognizer.question(with_background(chosen, recognizer.model))

        with in_words():
            return await self.batches.ask(make)

    def _check_number(self, count: int, what: str) -> None:
        if count > self.settings.most_labels:
            raise RefusedError(422, f"{count} {what} are more than {self.settings.most_labels}; send fewer")


async def _pictures(pixels: Tensor | None) -> Values:
    """`pictures`, a strip of the frames (T, 3, H, W), where there are any."""
    return {} if pixels is None else {"pictures": await asyncio.to_thread(pages.strip, pixels)}


def _there(video: Video | None) -> Video:
    if video is None:
        raise RefusedError(422, "there is no video; send one in the field video, or a path")
    return video


async def _until_gone(request: Request, work: Coroutine[Any, Any, R]) -> R:
    """The result of the work, which is given up where the client does not wait for it.

    Raises ClientDisconnect there.
    """
    working, leaving = asyncio.create_task(work), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
