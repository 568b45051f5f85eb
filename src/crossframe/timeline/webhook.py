"""Segments to an address of the user's: one POST of JSON for each, in the background, so that watching goes on.

An address that does not answer costs segments there, and nothing else: a bounded number waits, the oldest go first.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Mapping
from http.client import HTTPException
from threading import Condition, Thread
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

log = logging.getLogger(__name__)

WAITING = 100  # segments
SECONDS = 5.0  # for an answer
LEAVING = 10.0  # seconds in which what still waits may be sent at the end


class Webhook:
    """Posts what it is given to `address`, in order. Raises ValueError for one that is not http or https."""

    def __init__(self, address: str) -> None:
        if not _is_address(address):
            raise ValueError(f"{address}: is no address for a webhook; give one with http:// or https://")
        self.address = address
        self.failed = 0
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
        if self._waiting:
            log.warning("%s: %d segments have not been sent", self.address, len(self._waiting))

    def send(self, values: Mapping[str, Any]) -> None:
        """Post this soon."""
        with self._changed:
            if len(self._waiting) == WAITING:
                self._waiting.popleft()
                self.failed += 1
            self._waiting.append(values)
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                values = self._waiting.popleft()
            data = json.dumps(values).encode()
            request = Request(self.address, data, {"Content-Type": "application/json"}, method="POST")
            try:
                with urlopen(request, timeout=SECONDS):
                    pass
            except (HTTPException, OSError, ValueError) as error:  # of an answer that is none, too
                self.failed += 1
                log.warning("%s: did not take a segment (%s)", self.address, getattr(error, "reason", error))


def _is_address(address: str) -> bool:
    """True for http or https, with a host, a port that is a number if there is one, and nothing that is not shown."""
    if not address.isprintable() or " " in address:
        return False
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
