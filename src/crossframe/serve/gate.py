"""The door: requests show their token and the name that they call the server by, and every answer is marked."""

from __future__ import annotations

import hmac
from time import monotonic
from urllib.parse import urlsplit
from uuid import uuid4

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from crossframe.serve.metrics import Watch
from crossframe.serve.settings import Places, RefusedError, Settings
from crossframe.text.labels import escaped

WORK = "/v1/"  # paths below it need a place
OPEN = ("/", "/healthz", "/readyz")  # need no token
GONE = 499  # in logs, of a client that did not wait
ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
}


class Gate:
    """An ASGI application before another one: refuses strangers, counts, and gives each request a name."""

    def __init__(self, app: FastAPI, settings: Settings, places: Places, watch: Watch) -> None:
        self._app = app
        self._token = settings.token.encode()
        self._hosts = settings.hosts
        self.places = places
        self._watch = watch
        self._routes = {getattr(route, "path", "") for route in app.routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, name, status, size = monotonic(), uuid4().hex, GONE, 0

        async def receiving() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for header, value in {**ALWAYS, "x-request-id": name}.items():
                    headers.setdefault(header, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            self._check(scope["path"], Headers(scope=scope))
            await self._app(scope, receiving, sending)
        except RefusedError as refused:
            await refusal(refused)(scope, receiving, sending)
        finally:
            self._watch.note(name, self._route(scope["path"]), status, monotonic() - begun, size)

    def turn_away(self, path: str) -> bytes:
        """The answer to a request that is one too many, as it is sent, where nothing but its first line was read."""
        name = uuid4().hex
        answer = refusal(self.places.refusal())
        answer.headers.update({**ALWAYS, "x-request-id": name, "cache-control": "no-store", "connection": "close"})
        self._watch.note(name, self._route(path), answer.status_code, 0.0, 0)
        head = b"".join(b"%b: %b\r\n" % header for header in answer.raw_headers)
        return b"HTTP/1.1 503 Service Unavailable\r\n%b\r\n%b" % (head, answer.body)

    def _route(self, path: str) -> str:
        return path if path in self._routes else "other"

    def _check(self, path: str, headers: Headers) -> None:
        if self._hosts and _host(headers.get("host", "")) not in self._hosts:
            raise RefusedError(421, "this server does not go by that name; use its address, or ask for --allowed-host")
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # headers are bytes, which are read as Latin-1
        good = hmac.compare_digest(given.strip().encode("latin-1"), self._token) and scheme.lower() == "bearer"
        if self._token and path not in OPEN and not good:
            reason = "a token is needed; send it as Authorization: Bearer TOKEN"
            raise RefusedError(401, reason, WWW_Authenticate="Bearer")
        if path.startswith(WORK):  # here, where a refusal costs the least: there may be many
            self.places.check()


def refusal(refused: RefusedError) -> JSONResponse:
    """The answer to a request that gets none: one line, whatever names are in it."""
    return JSONResponse({"error": escaped(str(refused))}, refused.status, refused.headers)


def _host(given: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return urlsplit(f"//{given}").hostname or ""
    except ValueError:  # a bracket that is not closed
        return ""
