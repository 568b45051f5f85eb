"""Watching a live source: one thread reads it into a ring, the caller's own answers windows and tells segments.

Where the model is slower than a stream or a camera, windows are dropped, so that what is told is never far behind. A
file and a pipe wait instead. What comes in bursts by TCP, as playlists and servers with a buffer send it, may wait for
as long as a window and a stride, and what a playlist names for half a minute more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, inf
from threading import Condition, Thread
from time import monotonic

from crossframe.timeline.live import Live, Lost, Shown
from crossframe.timeline.segments import Segment
from crossframe.timeline.stream import Stream
from crossframe.timeline.windows import DIGITS
from crossframe.video.decode import Frames

LEAVING = 2.0  # seconds for the reader to notice that it is over; one that waits for the network is left behind
DRIFT = 1e-3  # by which a source's clock may be slower than ours
PATIENCE = 0.5  # seconds between looks at what nobody told of: Ctrl-C on systems whose locks do not hear it


@dataclass
class Watch:
    """A source being watched: a loop over it gives segments the moment they close, and `Lost` connections.

    `dropped` windows were due while another was computed. `behind` is the greatest delay so far: the seconds of the
    source from the end of a window to the newest frame when its turn came. A loop that is left, by Ctrl-C for instance,
    stops the reader; `close` then gives the segments that are still open.

    Raises VideoError where a source that is no stream cannot be opened.
    """

    live: Live
    stream: Stream
    dropped: int = 0
    behind: float = 0.0
    _lost: deque[Lost] = field(default_factory=deque[Lost])
    _changed: Condition = field(default_factory=Condition)
    _latest: float | None = None  # time of the newest frame
    _begins: float | None = None  # the next window
    _gap: tuple[float, float] = (inf, inf)  # the last time and the next, where times jumped last
    _lead: float = inf  # the least time of the clock, of that of a frame when it came
    _read_at: float = 0.0  # by the clock
    _telling: bool = False  # what a loss has closed
    _over: bool = False
    _failure: Exception | None = None

    def __iter__(self) -> Iterator[Segment | Lost]:
        reader = Thread(target=self._read, name="watch", daemon=True)
        reader.start()
        try:
            while (found := self._next()) is not None:
                if isinstance(found, Frames):
                    yield from self.stream.look(found)
                else:
                    yield from self.stream.interrupt()
                    yield found
        finally:
            self.live.stop()
            with self._changed:
                self._changed.notify_all()
            reader.join(LEAVING)
        if self._failure is not None:
            raise self._failure
        yield from self.close()

    def close(self) -> list[Segment]:
        """Stop reading; the segments that are still open."""
        self.live.stop()
        return self.stream.finish()

    def _read(self) -> None:
        """The reader's thread."""
        try:
            for shown in self.live.frames(self.stream.ring.wants):
                with self._changed:
                    if isinstance(shown, Shown):
                        self._add(shown)
                    else:  # what comes next must not follow what came before
                        self._lost.append(shown)
                        self._changed.notify_all()
                        self._changed.wait_for(lambda: not self._lost or self.live.stopped)
        except Exception as error:  # told by the caller's thread
            self._failure = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _add(self, shown: Shown) -> None:
        """Take a frame into the ring; before that, wait until the windows before it have been taken, where the source
        allows it."""
        now = monotonic()
        drift = DRIFT * (now - self._read_at)
        self._lead, self._read_at = min(self._lead + drift, now - shown.time), now
        if self._latest is not None and shown.time > self._latest + self.stream.grid.window:
            self._gap = self._latest, shown.time
        self._latest = shown.time
        self._begins = shown.time if self._begins is None else self._begins
        self._changed.notify_all()
        while self._is_full() and not self.live.stopped and (left := self._patience()) > 0:
            self._changed.wait(min(left, PATIENCE))
        if shown.picture is not None:
            self.stream.ring.add(shown.picture, shown.time)

    def _patience(self) -> float:
        """Seconds that the source still may be kept waiting for, none or fewer where the newest frame is too late: by
        the clock, compared with the one that came soonest."""
        if not self.live.is_live:
            return PATIENCE
        allowed, latest = self.live.patience, self._latest
        if allowed is None or latest is None:
            return 0.0
        late = monotonic() - latest - self._lead
        return allowed + self.stream.grid.window + self.stream.grid.stride - late

    def _is_full(self) -> bool:
        """True if all frames of the next window have come, however long none came."""
        if self._latest is None or self._begins is None:
            return False
        return self._latest >= self._begins + self.stream.grid.window - 1e-6

    def _next(self) -> Frames | Lost | None:
        """The frames of the next window that is full, or else what was lost; None at the end."""
        with self._changed:
            if self._telling:  # it has been told, and of what was before nothing is needed any more
                self._telling = False
                self._lost.popleft()
                self._changed.notify_all()
            while True:
                if (span := self._due()) is not None:
                    self._changed.notify_all()
                    if (frames := self.stream.frames(*span)) is not None:
                        return frames
                elif self._lost:
                    self._begins = self._latest = None
                    self._lead, self._telling = inf, True
                    return self._lost[0]
                elif self._over:
                    return None
                else:
                    self._changed.wait(PATIENCE)

    def _due(self) -> tuple[float, float] | None:
        """The next window that is full; of several of a source that does not wait, late ones are dropped."""
        latest = self._latest
        if latest is None or self._begins is None:
            return None
        window, stride = self.stream.grid.window, self.stream.grid.stride
        self._begins = self._with_frames(self._begins)
        while self.live.is_live and latest >= self._begins + window + stride:
            self._begins = self._with_frames(round(self._begins + stride, DIGITS))
            self.dropped += 1
        if not self._is_full():
            return None
        span = self._begins, round(self._begins + window, DIGITS)
        self._begins = round(self._begins + stride, DIGITS)
        self.behind = max(self.behind, latest - span[1])
        return span

    def _with_frames(self, begins: float) -> float:
        """When the next window begins that is not wholly within a gap."""
        before, after = self._gap
        empty = after - begins - self.stream.grid.window
        if begins <= before or empty <= 0:
            return begins
        return round(begins + ceil(empty / self.stream.grid.stride) * self.stream.grid.stride, DIGITS)
