"""Many parts of one video in one pass of the decoder, each with the frames that reading it alone would give.

Parts may overlap: a frame is decoded once, converted once, and kept only as long as a part to come wants it. As in
`exact`, packets that no wanted frame needs are left out where the container proves which those are. Where the stream
then looks damaged, or is not as its packets said, the pass begins again, decodes everything, and goes on with the first
part that has not been given. Nothing here needs torch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from time import monotonic

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from crossframe.taught import FrameRule
from crossframe.video.exact import Decoded, IndexOf, OpenVideo, Pass, open_video
from crossframe.video.given import Video, VideoError
from crossframe.video.media import Media, VideoPacket, View
from crossframe.video.plan import Plan
from crossframe.video.sample import Wanted

Span = tuple[float, float]  # from the first second until before the second one


def read_parts(
    video: OpenVideo,
    spans: Iterable[Span],
    num_frames: int = 8,
    *,
    sampling: FrameRule = "sparse",
    short_side: int | None = None,
) -> Iterator[Decoded | VideoError]:
    """The frames of each part of an open video, in order; a part without a frame gives its error instead.

    `spans` are seconds after the first frame, with starts and ends that do not fall. A part has the frames that
    `exact.read_arrays` picks for `Video(source, start, end)`, with the same pixels. The limit of seconds holds from one
    part to the next, and not for all of them.

    Raises VideoError where there is no video to read.
    """
    parts = deque(_placed(video, spans, num_frames, sampling))
    yield from _Reading(video, parts, short_side).run()


@dataclass(slots=True)
class _Part:
    start: float
    end: float
    wanted: Wanted
    indices: Sequence[int] = ()
    error: VideoError | None = None
    needs_from: int = 0  # the first frame that this part or a later one wants


def _placed(video: OpenVideo, spans: Iterable[Span], num_frames: int, sampling: FrameRule) -> list[_Part]:
    """The parts with their frames, as far as the packets tell."""
    total = video.found.shown
    clock = video.clock(total)
    parts: list[_Part] = []
    for start, end in spans:
        try:
            part = _Part(start, end, Wanted(video.name, num_frames, sampling, None, video.frame_range(start, end)))
            part.indices = part.wanted.supposing(total, *clock)
        except VideoError as error:
            part = _Part(start, end, Wanted(video.name, num_frames, sampling), error=error)
        parts.append(part)
    first = total
    for part in reversed(parts):
        part.needs_from = first = min([first, *part.indices])
    return parts


class _OffPlanError(Exception):
    """The stream does not keep to what its packets said, or is damaged."""


@dataclass(slots=True)
class _Shelf(Pass):
    """Frames by number, from when they are decoded until no part wants them."""

    wanted: set[int] = field(default_factory=set[int])
    kept: dict[int, tuple[NDArray[np.uint8], float]] = field(default_factory=dict)  # picture, time
    _views: dict[tuple[int, int], View] = field(default_factory=dict[tuple[int, int], View])

    def keep(self, media: Media, index: int, frame: VideoFrame) -> None:
        if index not in self.wanted:
            return
        size = (frame.width, frame.height)  # which a stream can change on the way
        view = self._views.get(size) or media.view(frame, self.short_side, self.square_pixels)
        self._views[size] = view
        media.limits.check_memory(media.name, (len(self.kept) + 1) * 3 * view.width * view.height)
        self.kept[index] = media.picture(frame, view), media.seconds(frame)

    def drop_before(self, index: int) -> None:
        """Forget frames that no part wants any more."""
        for old in [number for number in self.kept if number < index]:
            del self.kept[old]


@dataclass(slots=True)
class _Reading:
    """The parts that are still to be given."""

    video: OpenVideo
    parts: deque[_Part]
    short_side: int | None
    notes: tuple[str, ...] = ()
    timed: bool = True  # the times of the packets rise, as those of frames then should

    def run(self) -> Iterator[Decoded | VideoError]:
        """All parts, by the plan or else by a full decode."""
        yield from self._without_frames()
        if not self.parts:
            return
        self.notes = self.video.notes(self.parts[0].wanted)
        self.timed = all(time < later for time, later in pairwise(self.video.found.times or ()))
        if self.video.found.plan:
            try:
                yield from self._by_plan(self.video.found.plan)
            except _OffPlanError:
                pass
            else:
                return
        yield from self._by_count()

    def _by_plan(self, plan: Plan) -> Iterator[Decoded | VideoError]:
        """Decode what the parts need; see `OpenVideo`."""
        shelf = self._shelf()
        needed = plan.needed(shelf.wanted)
        expected = iter(plan.shown(needed))

        def index_of(frame: VideoFrame) -> int:
            index = next(expected, None)
            if index is None or (plan.times is not None and frame.pts != plan.times[index]):
                raise _OffPlanError
            return index

        with self.video.start(probe=False) as (media, packets):
            media.begun = monotonic()
            media.use_threads(True)
            media.be_strict(proven=True)
            selected = plan.select(self.video.numbered(media, packets, needed[0], plan), needed)
            yield from self._decode(shelf, media, selected, index_of, strict=True)
            if self.parts:
                raise _OffPlanError

    def _by_count(self) -> Iterator[Decoded | VideoError]:
        """Decode and count every frame, again without threads if there is damage; see `OpenVideo`."""
        may_thread, may_be_strict = True, True
        suspects: set[int | None] = set()
        while True:
            shelf = self._shelf()
            shelf.suspects |= suspects
            with self.video.start(probe=True) as (media, given):
                packets = iter(given)
                media.begun = monotonic()
                threaded = media.use_threads(may_thread)
                strict = may_be_strict and media.be_strict(proven=False)
                try:
                    count_of: IndexOf = lambda _frame, shelf=shelf: shelf.count  # noqa: E731
                    yield from self._decode(shelf, media, packets, count_of, strict=threaded or strict)
                except _OffPlanError:
                    if threaded:
                        may_thread = False
                        continue
                    # Only a strict decoder tells which pictures are damaged, and only another one shows them.
                    shelf.wanted.clear()
                    shelf.run(media, packets, lambda _frame: None)
                    suspects, may_be_strict = shelf.suspects, False
                    continue
            yield from self._rest(shelf)
            return

    def _decode(
        self, shelf: _Shelf, media: Media, packets: Iterable[VideoPacket], index_of: IndexOf, *, strict: bool
    ) -> Iterator[Decoded | VideoError]:
        """Give parts as soon as their frames are there. Raises `_OffPlanError` at any damage if `strict`."""
        settled = -1  # up to this frame nothing that comes can tell of more damage

        def numbered(frame: VideoFrame) -> int | None:
            nonlocal settled
            index = index_of(frame)
            if index is not None and shelf.last_reference == shelf.count:
                settled = index
            return index

        for packet in chain(packets, [None]):
            shelf.feed(media, packet, numbered)
            if strict and (shelf.damaged or shelf.broken):
                raise _OffPlanError
            while self.parts and (packet is None or max(self.parts[0].indices) <= settled):
                if any(index not in shelf.kept for index in self.parts[0].indices):
                    return  # the stream ended before the packets said
                part = self.parts.popleft()
                yield self._decoded(part, shelf, media)
                yield from self._without_frames()
                shelf.drop_before(self.parts[0].needs_from if self.parts else self.video.found.shown)
                media.begun = monotonic()
            if not self.parts:
                return

    def _rest(self, shelf: _Shelf) -> Iterator[Decoded | VideoError]:
        """The parts that a stream with fewer frames than packets does not fill."""
        if not shelf.count:
            raise VideoError(f"{self.video.name}: holds no frame that can be decoded; give a video file that plays")
        while self.parts:
            part = self.parts.popleft()
            try:
                part.wanted.of(shelf.count, *self.video.clock(shelf.count))  # before anything is decoded once more
                yield part.error or self._read(part)
            except VideoError as error:
                yield error

    def _shelf(self) -> _Shelf:
        wanted = {index for part in self.parts for index in part.indices}
        return _Shelf(short_side=self.short_side, square_pixels=False, timed=self.timed, wanted=wanted)

    def _without_frames(self) -> Iterator[VideoError]:
        """The errors of the next parts that have no frames."""
        while self.parts and self.parts[0].error:
            yield self.parts.popleft().error or VideoError(self.video.name)

    def _decoded(self, part: _Part, shelf: _Shelf, media: Media) -> Decoded:
        pictures = [shelf.kept[index][0] for index in part.indices]
        if len({picture.shape for picture in pictures}) > 1:
            return self._read(part)
        indices = np.array(part.indices, dtype=np.int64)
        times = np.array([shelf.kept[index][1] for index in part.indices])
        found = self.video.found
        return Decoded(
            np.stack(pictures),
            indices,
            shelf.times_of(media, indices, times),
            found.shown,
            shelf.damage_of(indices),
            found.missing + shelf.broken,
            self.video.name,
            self.notes,
            part.start,
            part.end,
            found.begins,
        )

    def _read(self, part: _Part) -> Decoded:
        """A part by itself."""
        return replace(self.video.read(part.wanted, short_side=self.short_side), start=part.start, end=part.end)


def span_of(video: Video, longest: float, *, stream: int | None = None) -> Span:
    """From when to when a video, or the part of it that is asked for, lasts, in seconds after its first frame.

    Raises VideoError where nobody knows, or that is longer than `longest` seconds.
    """
    with open_video(video, stream=stream) as opened:
        part = opened.frame_range(video.start, video.end)  # says what is missing
        opened.check_length(None if video.whole else part, longest)
        end = opened.duration if video.end is None else min(video.end, opened.duration)
        return video.start or 0.0, end


def read_windows_of(
    video: Video,
    spans: Sequence[Span],
    num_frames: int,
    *,
    sampling: FrameRule = "sparse",
    stream: int | None = None,
    short_side: int | None = None,
) -> list[Decoded | VideoError]:
    """The frames of each of these windows; one in which no frame is shown gives its error instead."""
    with open_video(video, stream=stream) as opened:
        return list(read_parts(opened, spans, num_frames, sampling=sampling, short_side=short_side))
