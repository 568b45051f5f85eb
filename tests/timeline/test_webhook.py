"""Segments posted to an address: what is delivered, and what is said of the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from crossframe.timeline import webhook
from crossframe.timeline.webhook import Webhook


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Generator[tuple[str, list[str]]]:
    """The address of a server that answers so, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer(self)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object, **__: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def failing(handler: BaseHTTPRequestHandler) -> None:
    handler.send_error(500)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_says_where_to(status: int, caplog: pytest.LogCaptureFixture) -> None:
    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status if handler.path == "/old" else 204)
        handler.send_header("Location", "/new")
        handler.end_headers()

    with serving(elsewhere) as (address, asked), Webhook(f"{address}/old") as hook:
        hook.send({"number": 0})
        hook.send({"number": 1})
    assert asked == ["POST /old"] * 2
    assert hook.failed == 2
    first, last = (record.getMessage() for record in caplog.records)
    assert first == f"{address}/old: points to {address}/new ({status}), where nothing is sent; give that address"
    assert last == f"{address}/old: 2 of 2 segments could not be delivered"


def test_a_server_that_always_fails_is_told_once_and_counted_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    with serving(failing) as (address, asked), Webhook(address) as hook:
        for number in range(3):
            hook.send({"number": number})
    assert (len(asked), hook.failed) == (3, 3)
    assert [record.getMessage() for record in caplog.records] == [
        f"{address}: did not take a segment (Internal Server Error)",
        f"{address}: 3 of 3 segments could not be delivered",
    ]


def test_one_in_flight_at_the_end_is_not_sent(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "LEAVING", 0.01)
    arrived, over = threading.Event(), threading.Event()

    def late(handler: BaseHTTPRequestHandler) -> None:
        arrived.set()
        over.wait(60)
        handler.send_error(500)

    with serving(late) as (address, asked):
        with Webhook(address) as hook:
            hook.send({"number": 0})
            hook.send({"number": 1})
            assert arrived.wait(60)
        assert hook.failed == 2
        thread = next(each for each in threading.enumerate() if each.name == "webhook")
        over.set()
        thread.join(60)
    assert hook.failed == 2  # the answer that comes too late counts no second time
    assert len(asked) == 1
    assert "2 of 2 segments could not be delivered" in caplog.text


def test_nothing_is_said_where_all_is_delivered(caplog: pytest.LogCaptureFixture) -> None:
    def fine(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(204)
        handler.end_headers()

    with serving(fine) as (address, asked), Webhook(address) as hook:
        hook.send({"number": 0})
    assert (asked, hook.failed, caplog.records) == (["POST /"], 0, [])
