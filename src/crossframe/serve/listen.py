"""The socket: uvicorn, without patience for those who never ask or come in a flood, and with an end that finishes what
it took."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from contextlib import suppress

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from crossframe.serve.gate import WORK, Gate
from crossframe.serve.settings import Settings

PATIENCE = 15.0  # seconds for the head of a request to arrive
IDLE = 30  # seconds that a connection is kept without a request
LINGER = 2.0  # seconds in which a client that is turned away may go on sending, so that it reads why
MORE = 5  # connections for each request that may be in work or wait: others are kept, or are refused in words


ASKING = f"POST {WORK}".encode()


class Hurried(H11Protocol):
    """HTTP/1.1 that ends a connection on which no request begins, or whose head does not end.

    Of a flood of requests, those for which there will clearly be no place are turned away by their first line: the gate
    would refuse them too, but only after each was parsed and had its task, which for hundreds takes a while.
    """

    gate: Gate
    patience = PATIENCE
    _alarm: asyncio.TimerHandle | None = None
    _turned_away = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        if self._turned_away:
            return
        if self._is_one_too_many(data):
            self._turn_away(data)
            return
        super().data_received(data)
        self._watch()

    def _is_one_too_many(self, data: bytes) -> bool:
        crowded = len(self.tasks) >= self.gate.places.most
        return crowded and self.conn.their_state is h11.IDLE and data.startswith(ASKING)

    def _turn_away(self, data: bytes) -> None:
        self._turned_away = True
        self._calm()
        target = data.split(maxsplit=2)[1].partition(b"?")[0]
        self.transport.write(self.gate.turn_away(target.decode("latin-1")))
        # An end before the client has sent all would take the answer away from it; mostly it ends by itself.
        self._alarm = self.loop.call_later(LINGER, self.transport.close)

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
        # All that is there by now stays: looked through for garbage, it would stop the server for a tenth of a second.
        gc.collect()
        gc.freeze()
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


def listen(app: Gate, settings: Settings, where: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM. Requests that were taken are answered first; a second Ctrl-C does not wait."""
    config = uvicorn.Config(
        app,
        http=type("Hurried", (Hurried,), {"gate": app, "patience": min(PATIENCE, settings.seconds)}),
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
