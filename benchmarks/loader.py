"""Where the processors' time goes when processes of the loader read a folder; a part of `benchmarks.decode`.

FFmpeg's work is timed inside the processes themselves, where it shares caches and memory with the others: opening,
demuxing, decoding, converting, closing. Looking at the clock counts as ours. The processes import this file by name.
"""

from __future__ import annotations

import functools
import gc
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import av

from crossframe.video import exact
from crossframe.video.decode import Frames, decode_many
from crossframe.video.exact import Decoded
from crossframe.video.media import Media

FFMPEG, HEADERS, KEEPING, HANDING = "FFmpeg", "headers for the proof", "keeping frames", "handing over"
_spent: Counter[str] = Counter()  # processor seconds in FFmpeg, in the scan, in reading, and from answer to answer


def shares(paths: list[Path], num_frames: int, times: int, **options: Any) -> dict[str, float]:
    """Of all processors' time while two processes read `paths`: the shares of FFmpeg and of what is ours, by cause."""
    read = decode_many(paths * (times + 1), num_frames, workers=2, read=_read_timed, **options)
    spent: Counter[str] = Counter()
    for number, frames in enumerate(read):
        if not isinstance(frames, Frames):
            raise frames
        if number == len(paths) - 1:  # once through, so that nothing is counted of how processes start
            started = time.process_time()
        elif number >= len(paths):
            spent.update(json.loads(frames.source))
    total = spent["cycle"] + time.process_time() - started
    parts = {
        FFMPEG: spent["ffmpeg"],
        HEADERS: spent["scan"] - spent["packets"],
        KEEPING: spent["read"] - spent["scan"] - (spent["ffmpeg"] - spent["packets"]),
        HANDING: total - spent["read"],
    }
    return {name: seconds / total for name, seconds in parts.items()}


def _read_timed(source: Path, num_frames: int, **options: Any) -> Decoded:
    """`read_arrays`, whose result is called by what was spent on it, and on handing over the one before."""
    _watch()
    _spent.clear()
    decoded = _timed(exact.read_arrays, "read")(source, num_frames, **options)
    _spent["cycle"] = _since_last()
    return replace(decoded, source=json.dumps(_spent))


def _since_last() -> float:
    """Processor seconds of this process since the last call."""
    global _last
    before, _last = _last, time.process_time()
    return _last - before


_last = 0.0


@functools.cache
def _watch() -> None:
    """Time the calls from which FFmpeg works, in this process from now on."""
    gc.freeze()  # this file imports torch, which the loader's own processes do not: nobody shall search it for garbage
    plain = Media.packets

    def packets(opened: Media) -> Iterator[Any]:
        following = _timed(partial(next, plain(opened), None), "ffmpeg", "packets")
        while (packet := following()) is not None:
            yield packet

    Media.packets = packets
    Media.decode = _timed(Media.decode, "ffmpeg")
    Media.picture = _timed(Media.picture, "ffmpeg")
    av.open = _timed(av.open, "ffmpeg")
    exact.scan = _timed(exact.scan, "scan")
    exact.open_media = _closing(exact.open_media)


def _closing(opening: Callable[..., AbstractContextManager[Media]]) -> Callable[..., AbstractContextManager[Media]]:
    @contextmanager
    def opened(*arguments: Any, **options: Any) -> Iterator[Media]:
        with ExitStack() as stack:
            context = opening(*arguments, **options)
            stack.push(_timed(context.__exit__, "ffmpeg"))
            yield context.__enter__()

    return opened


def _timed(function: Callable[..., Any], *names: str) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        started = time.process_time()
        try:
            return function(*arguments, **options)
        finally:
            seconds = time.process_time() - started
            for name in names:
                _spent[name] += seconds

    return call
