"""The rules of a server: the cost of a request, who may ask, and how one is refused."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from crossframe.text.labels import LabelSet

LOOPBACK = ("127.0.0.1", "localhost", "::1")
LABEL_LENGTH = 500  # characters; a model reads far fewer
FIELDS = 1 << 20  # bytes of a body beside its video


@dataclass(frozen=True, slots=True)
class Settings:
    """The rules of a server.

    `labels` are asked about where a request has none. `folders` are those in which paths may lie, `index` is
    what is searched. `queue` requests may
    be in work or wait; clips wait `latency` seconds for others to be computed with. A video may have `size` bytes and
    last `length` seconds, a request have `most_labels`, a timeline
    `most_windows`; each may take `seconds` to arrive, and as many to be answered.
    With a `token`, requests must bear it. `hosts` are the names that the server goes by; none means any.
    `made_by` stands in every answer.
    """

    labels: LabelSet | Sequence[str] | None = None
    folders: tuple[Path, ...] = ()
    index: Path | None = None
    queue: int = 64
    latency: float = 0.01
    size: int = 256 << 20
    length: float = 600.0
    most_labels: int = 1000
    most_windows: int = 500
    seconds: float = 60.0
    token: str = ""
    hosts: tuple[str, ...] = LOOPBACK
    made_by: dict[str, Any] = field(default_factory=dict[str, Any])


class RefusedError(Exception):
    """A request that gets no answer: the HTTP status and one line that says why, and what would help."""

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@contextmanager
def in_words() -> Generator[None]:
    """Refuse what a library call says of its arguments, in its words: they name the value and the remedy."""
    try:
        yield
    except ValueError as error:
        raise RefusedError(422, " ".join(str(error).split())) from error


class Places:
    """As many requests as may be in work or wait; one more is refused, and told when to come back."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self._pace = 0.1  # seconds between two requests that are done

    @property
    def free(self) -> bool:
        return self.taken < self.most

    def check(self) -> None:
        """Raise RefusedError where one more request would have no place."""
        if not self.free:
            raise self.refusal()

    def refusal(self) -> RefusedError:
        """The error of a request that is one too many."""
        soon = str(max(1, math.ceil(self.most * self._pace)))
        return RefusedError(503, f"{self.most} requests wait already; try again in {soon} s", Retry_After=soon)

    @contextmanager
    def one(self) -> Generator[None]:
        """A place for one request. Raises RefusedError at once where there is none."""
        self.check()
        self.taken += 1
        begun, others = monotonic(), self.taken
        try:
            yield
        finally:
            self.taken -= 1
            self._pace += 0.1 * ((monotonic() - begun) / others - self._pace)
