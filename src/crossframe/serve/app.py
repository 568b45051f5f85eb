"""The API: `/v1/classify`, `/v1/embed`, health, metrics, and its own description as OpenAPI."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse

import crossframe
from crossframe import pages
from crossframe.files import plain_json
from crossframe.pace import figure
from crossframe.recognizer import Recognizer
from crossframe.serve.batches import Batches
from crossframe.serve.clips import draw_examples
from crossframe.serve.front import page
from crossframe.serve.gate import GONE, Gate, refusal
from crossframe.serve.schema import (
    REFUSALS,
    Asked,
    Classified,
    ClassifyAsked,
    EmbedAsked,
    Embedded,
    Problem,
    operation,
)
from crossframe.serve.settings import Places, RefusedError, Settings
from crossframe.serve.uploads import received
from crossframe.serve.watch import Watch
from crossframe.text.groups import LabelSet
from crossframe.video.given import Video
from crossframe.video.guard import VideoError

A = TypeVar("A", bound=Asked)
R = TypeVar("R")
Work: TypeAlias = Coroutine[Any, Any, dict[str, Any]]

DESCRIPTION = (
    "Names what happens in videos, in your own words. A video comes as a form, as the body itself, or as a path in one "
    "of the server's folders; times are `start` and `end`, in seconds. Errors are one line, `error`."
)


class Service:
    """The work that routes share."""

    def __init__(self, recognizer: Recognizer, settings: Settings) -> None:
        self.settings = settings
        self.places = Places(settings.queue)
        self.watch = Watch(self.places)
        self.batches = Batches(recognizer, settings, self.watch)

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
        return Response(plain_json(found | self.settings.made_by, ensure_ascii=False), media_type="application/json")

    async def classify(self, asked: ClassifyAsked, video: Video | None) -> dict[str, Any]:
        """The values of a prediction."""
        if video is None:
            raise RefusedError(422, "there is no video; send one in the field video, or a path")
        labels = asked.labels or self.settings.labels
        if labels is None:
            raise RefusedError(422, "there are no labels; send what the video may show")
        count = len(labels.labels if isinstance(labels, LabelSet) else labels) + len(asked.background)
        self._check_number(count, "labels")
        question = await self.batches.question(labels, background=asked.background, threshold=asked.threshold)
        prediction = await self.batches.classify(video, question, keep_pixels=asked.pictures)
        found = prediction.to_dict(asked.top)
        if prediction.pixels is not None:
            found["pictures"] = await asyncio.to_thread(pages.strip, prediction.pixels)
        return found

    async def embed(self, asked: EmbedAsked, video: Video | None) -> dict[str, Any]:
        """The values of an embedding, of texts, or of both."""
        if video is None and not asked.texts:
            raise RefusedError(422, "there is nothing to embed; send a video, a path or texts")
        self._check_number(len(asked.texts), "texts")
        found = (await self.batches.embed(video)).to_dict() if video else {}
        if asked.texts:
            rows = (await self.batches.vectors(asked.texts)).tolist()
            found["texts"] = [{"text": text, "vector": vector} for text, vector in zip(asked.texts, rows, strict=True)]
        return found

    def _check_number(self, count: int, what: str) -> None:
        if count > self.settings.most_labels:
            raise RefusedError(422, f"{count} {what} are more than {self.settings.most_labels}; send fewer")


def make_app(recognizer: Recognizer, settings: Settings) -> Gate:
    """The ASGI application of one recognizer."""
    service = Service(recognizer, settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        with tempfile.TemporaryDirectory(prefix="crossframe-serve-") as app.state.uploads:
            async with service.batches:
                examples = await asyncio.to_thread(draw_examples, Path(app.state.uploads))
                app.state.examples = {example.path.name: example.path for example in examples}
                app.state.page = page(settings, examples)
                await service.batches.warm(Video(examples[0].path))
                yield

    app = FastAPI(
        title="crossframe",
        version=crossframe.__version__,
        description=DESCRIPTION,
        docs_url=None,  # its page comes from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    _add_api(app, service)
    _add_page(app)
    _add_watch(app, service)
    _add_errors(app)
    return Gate(app, settings, service.watch)


def _add_api(app: FastAPI, service: Service) -> None:
    asked = {"path": "clip.mp4", "labels": ["a red circle is pulsing", "a blue square is moving left"], "start": 0.5}
    refusals = REFUSALS if service.settings.token else {s: said for s, said in REFUSALS.items() if s != 401}
    described: dict[str, Any] = {"responses": refusals, "response_model_exclude_none": True}

    @app.post("/v1/classify", response_model=Classified, openapi_extra=operation(ClassifyAsked, asked), **described)
    async def classify(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Name what happens in a video."""
        return await service.answer(request, ClassifyAsked, service.classify)

    texts = {"texts": ["a red circle is pulsing"]}

    @app.post("/v1/embed", response_model=Embedded, openapi_extra=operation(EmbedAsked, texts), **described)
    async def embed(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Turn a video, or texts, into vectors of unit length."""
        return await service.answer(request, EmbedAsked, service.embed)


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def front(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """The page."""
        html, policy = request.app.state.page
        return Response(html, media_type="text/html", headers={"content-security-policy": policy})

    @app.get("/examples/{name}", include_in_schema=False)
    async def example(request: Request, name: str) -> Response:  # pyright: ignore[reportUnusedFunction]
        """A clip to try."""
        found = request.app.state.examples.get(name)
        if found is None:
            raise RefusedError(404, f"there is no example {name[:100]}")
        return FileResponse(found, media_type="video/mp4")


def _add_watch(app: FastAPI, service: Service) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:  # pyright: ignore[reportUnusedFunction]
        """The process lives."""
        return {"alive": True}

    @app.get("/readyz", responses={503: {"model": Problem, "description": "Every place is taken."}})
    async def readyz() -> dict[str, bool]:  # pyright: ignore[reportUnusedFunction]
        """One more request would be taken."""
        if not service.places.free:
            raise RefusedError(503, f"{service.places.most} requests wait already", Retry_After="1")
        return {"ready": True}

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:  # pyright: ignore[reportUnusedFunction]
        """Counters, for Prometheus."""
        content, media = service.watch.page()
        return Response(content, headers={"content-type": media})


def _add_errors(app: FastAPI) -> None:
    """Every error is an object with one line."""

    async def refused(_: Request, error: Exception) -> Response:
        match error:
            case RefusedError():
                return refusal(error)
            case ClientDisconnect():
                return Response(status_code=GONE)
            case HTTPException():
                headers = dict(error.headers or {})
                return refusal(RefusedError(error.status_code, str(error.detail), **headers))
            case ValueError():  # of labels or of a file, which name the value and the remedy
                return refusal(RefusedError(422, " ".join(str(error).split())))
            case _:
                return refusal(RefusedError(500, "the server failed; its log says how"))

    for kind in (
        RefusedError,
        ClientDisconnect,
        HTTPException,
        VideoError,
        ValueError,
        RequestValidationError,
        Exception,
    ):
        app.add_exception_handler(kind, refused)


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
