"""Counters for Prometheus, and a line of JSON about each request, without contents.

Neither names of files nor labels are in either of them.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from crossframe.serve.settings import Places

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)
log = logging.getLogger("crossframe.serve.requests")


class Watch:
    """The counters of one server."""

    def __init__(self, places: Places) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = self._counter("requests", "Requests that were answered or refused.", "route", "status")
        self._bytes = self._counter("received_bytes", "Bytes of the bodies of requests.")
        self._seconds = self._histogram("request_seconds", "From the first byte to the last.", SECONDS, "route")
        self.reading = self._histogram("read_seconds", "Decoding of one video.", SECONDS)
        self.computing = self._histogram("compute_seconds", "One batch in the model.", SECONDS)
        self.together = self._histogram("batch_clips", "Clips computed together.", (1, 2, 4, 8, 16, 32, 64))
        taken = Gauge("crossframe_requests_taken", "Requests in work or waiting.", registry=self._registry)
        taken.set_function(lambda: places.taken)
        most = Gauge("crossframe_requests_most", "Requests that may be in work or wait.", registry=self._registry)
        most.set(places.most)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"crossframe_{name}", what, labels, registry=self._registry)

    def _histogram(self, name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"crossframe_{name}", what, labels, buckets=buckets, registry=self._registry)

    def note(self, request: str, route: str, status: int, seconds: float, size: int) -> None:
        """Counts a request and writes it down. Status 499 is that of a client that has gone."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        self._bytes.inc(size)
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "request": request,
            "route": route,
            "status": status,
            "seconds": round(seconds, 4),
            "bytes": size,
        }
        log.info("%s", json.dumps(line))

    def page(self) -> tuple[bytes, str]:
        """All counters as Prometheus reads them, and the type of that."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
