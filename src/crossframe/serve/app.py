"""The routes: the API under `/v1`, which describes itself as OpenAPI, the page, health and metrics."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse

import crossframe
from crossframe.recognizer import Recognizer
from crossframe.serve.clips import Shelf, examples
from crossframe.serve.front import page
from crossframe.serve.gate import GONE, Gate, refusal
from crossframe.serve.requests import (
    REFUSALS,
    Classified,
    ClassifyAsked,
    EmbedAsked,
    Embedded,
    ExplainAsked,
    Explained,
    Hits,
    Problem,
    SearchAsked,
    TimelineAsked,
    TimelineFound,
    operation,
)
from crossframe.serve.service import Service
from crossframe.serve.settings import RefusedError, Settings
from crossframe.video.given import Video, VideoError

DESCRIPTION = (
    "Names what happens in videos, in your own words. A video comes as a form, as the body itself, or as a path in one "
    "of the server's folders; times are `start` and `end`, in seconds. Errors are one line, `error`."
)


def make_app(recognizer: Recognizer, settings: Settings) -> Gate:
    """The ASGI application of one recognizer."""
    service = Service(recognizer, settings)
    known = examples()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        with tempfile.TemporaryDirectory(prefix="crossframe-serve-") as app.state.uploads:
            async with service.batches:
                app.state.page = page(settings, known)
                app.state.shelf = shelf = Shelf(known, Path(app.state.uploads))
                first = await asyncio.to_thread(shelf.path, next(iter(known)))
                await service.batches.warm(Video(cast("Path", first)))
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
    return Gate(app, settings, service.places, service.watch)


def _add_api(app: FastAPI, service: Service) -> None:
    asked = {"path": "clip.mp4", "labels": ["a red circle is pulsing", "a blue square is moving left"]}
    refusals = REFUSALS if service.settings.token else {s: said for s, said in REFUSALS.items() if s != 401}
    described: dict[str, Any] = {"responses": refusals, "response_model_exclude_none": True}

    @app.post("/v1/classify", response_model=Classified, openapi_extra=operation(ClassifyAsked, asked), **described)
    async def classify(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Name what happens in a video."""
        return await service.answer(request, ClassifyAsked, service.classify)

    @app.post("/v1/explain", response_model=Explained, openapi_extra=operation(ExplainAsked, asked), **described)
    async def explain(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Show which frames and places of a video speak for a label."""
        return await service.answer(request, ExplainAsked, service.explain)

    @app.post("/v1/timeline", response_model=TimelineFound, openapi_extra=operation(TimelineAsked, asked), **described)
    async def timeline(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Say when what happens in a long video."""
        return await service.answer(request, TimelineAsked, service.timeline)

    texts = {"texts": ["a red circle is pulsing"]}

    @app.post("/v1/embed", response_model=Embedded, openapi_extra=operation(EmbedAsked, texts), **described)
    async def embed(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Turn a video, or texts, into vectors of unit length."""
        return await service.answer(request, EmbedAsked, service.embed)

    if service.lookup is None:
        return

    @app.post(
        "/v1/search",
        response_model=Hits,
        openapi_extra=operation(SearchAsked, {"words": "a red circle is pulsing"}),
        **described,
    )
    async def search(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Find clips of the index by words, by a video that they are like, or by both."""
        return await service.answer(request, SearchAsked, service.search)


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def front(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """The page."""
        html, policy = request.app.state.page
        return Response(html, media_type="text/html", headers={"content-security-policy": policy})

    @app.get("/examples/{name}", include_in_schema=False)
    async def example(request: Request, name: str) -> Response:  # pyright: ignore[reportUnusedFunction]
        """A clip to try."""
        found = await asyncio.to_thread(request.app.state.shelf.path, name)
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

    async def refused(request: Request, error: Exception) -> Response:
        match error:
            case RefusedError():
                return refusal(error)
            case ClientDisconnect():
                return Response(status_code=GONE)
            case HTTPException():
                headers = dict(error.headers or {})
                return refusal(RefusedError(error.status_code, _in_words(request, error), **headers))
            case VideoError():
                return refusal(RefusedError(422, str(error)))
            case _:
                return refusal(RefusedError(500, "the server failed; its log says how"))

    for kind in (RefusedError, ClientDisconnect, HTTPException, VideoError, Exception):
        app.add_exception_handler(kind, refused)


def _in_words(request: Request, error: HTTPException) -> str:
    """The fault of a request that no route took, with the value and the remedy."""
    method, path = request.method, request.url.path
    match error.status_code:
        case 404:
            return f"{path} is no address of this server; see /openapi.json"
        case 405:
            return f"{path} does not take {method}; see /openapi.json"
        case _:
            return str(error.detail)
