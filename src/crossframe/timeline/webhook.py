"""Segments to an address of the user's: one POST of JSON for each, in the background, so that watching goes on.

An address that does not answer costs segments there, and nothing else: a bounded number waits, the oldest go first.
Redirects are not followed: what is sent on from there would be a GET without the segment.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Mapping
from http.client import HTTPException
from threading import Condition, Thread
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from crossframe.pace import counted
from crossframe.video.given import without_secrets

log = logging.getLogger(__name__)

WAITING = 100  # segments
SECONDS = 5.0  # for an answer
LEAVING = 10.0  # seconds in which what still waits may be sent at the end


class _NoRedirects(HTTPRedirectHandler):
    """Redirects raise HTTPError, as other answers do that are no success."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Webhook:
    """Posts what it is given to `address`, in order. Raises ValueError for one that is not http or https.

    `failed` counts what could not be delivered; at the end that is also what still waits, or has had no answer.
    """

    def __init__(self, address: str) -> None:
        if not _is_address(address):
            raise ValueError(
                f"{without_secrets(address)}: is no address for a webhook; give one with http:// or https://"
            )
        self.address = address
        self.failed = 0
        self._given = 0
        self._in_flight = False
        self._told: set[str] = set()  # why segments were not taken, each once
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._changed = Condition()
        self._closing = False
        self._thread = Thread(target=self._work, name="webhook", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(LEAVING)
        with self._changed:
            self.failed += len(self._waiting) + self._in_flight
            self._waiting.clear()  # a thread that is stuck until now must not send what is told to be lost
            self._in_flight = False
            if self.failed:
                given = counted(self._given, "segment")
                log.warning("%s: %d of %s could not be delivered", without_secrets(self.address), self.failed, given)

    def send(self, values: Mapping[str, Any]) -> None:
        """Post this soon."""
        with self._changed:
            if len(self._waiting) == WAITING:
                self._waiting.popleft()
                self.failed += 1
            self._waiting.append(values)
            self._given += 1
            self._changed.notify_all()

    def _work(self) -> None:
        opener = build_opener(_NoRedirects)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                values = self._waiting.popleft()
                self._in_flight = True
            data = json.dumps(values).encode()
            request = Request(self.address, data, {"Content-Type": "application/json"}, method="POST")
            problem = None
            try:
                with opener.open(request, timeout=SECONDS):
                    pass
            except (HTTPException, OSError, ValueError) as error:  # of an answer that is none, too
                problem = _problem(self.address, error)
            with self._changed:
                self.failed += self._in_flight and problem is not None  # at the end it has been counted
                self._in_flight = False
            if problem is not None and problem not in self._told:
                self._told.add(problem)
                log.warning("%s: %s", without_secrets(self.address), problem)


def _problem(address: str, error: Exception) -> str:
    """Why a segment was not taken, in words for the user."""
    if isinstance(error, HTTPError) and 300 <= error.code < 400 and (place := error.headers.get("Location")):
        other = without_secrets(urljoin(address, place))
        return f"points to {other} ({error.code}), where nothing is sent; give that address"
    return f"did not take a segment ({getattr(error, 'reason', error)})"


def _is_address(address: str) -> bool:
    """True for http or https, with a host, a port that is a number if there is one, and nothing that is not shown."""
    if not address.isprintable() or " " in address:
        return False
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
