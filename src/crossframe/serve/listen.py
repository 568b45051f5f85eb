"""The socket: uvicorn, without patience for those who never ask, and with an end that finishes what it took."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import suppress

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from crossframe.serve.settings import Settings

PATIENCE = 15.0  # seconds for the head of a request to arrive
IDLE = 30  # seconds that a connection is kept without a request
MORE = 5  # connections for each request that may be in work or wait: others are kept, or are refused in words


class Hurried(H11Protocol):
    """HTTP/1.1 that ends a connection on which no request begins, or whose head does not end."""

    patience = PATIENCE
    _alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Sets the alarm while a head is awaited, once for each."""
        if self.conn.their_state is not h11.IDLE:
            self._calm()
        elif self._alarm is None:
            self._alarm = self.loop.call_later(self.patience, self.transport.close)

    def _calm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None


class _Server(uvicorn.Server):
    """Says where it listens, once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            print(f"crossframe: listening on {address(sockets[0])}", file=sys.stderr, flush=True)


def bound(host: str, port: int) -> socket.socket:
    """A socket for `listen`, on which nobody is heard yet.

    Raises ValueError where the address or the port cannot be had.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(place)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ValueError(f"{host}:{port} cannot be listened on ({reason}); give another --port or --host") from error
    return found


def address(bound: socket.socket) -> str:
    """The address of the page."""
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def listen(app: ASGIApp, settings: Settings, where: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM. Requests that were taken are answered first; a second Ctrl-C does not wait."""
    config = uvicorn.Config(
        app,
        http=type("Hurried", (Hurried,), {"patience": min(PATIENCE, settings.seconds)}),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=round(2 * settings.seconds),
        limit_concurrency=MORE * settings.queue,
    )
    with suppress(KeyboardInterrupt):  # which uvicorn raises once more when it has ended
        _Server(config).run(sockets=[where])
