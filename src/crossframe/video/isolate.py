"""Many videos, read ahead in processes of their own: a file that kills the decoder costs that file only.

`decode_many` reads whole videos, `data.loader` the clips of training and evaluation; `Readers` serves both.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import astuple
from io import BufferedReader
from queue import SimpleQueue
from threading import Event, Timer
from typing import Any, BinaryIO, TypeVar, cast

from crossframe.processes import starting_workers
from crossframe.video.decode import Frames, Source, log_problems, read_video
from crossframe.video.error import VideoError
from crossframe.video.exact import Decoded, read_arrays
from crossframe.video.guard import Limits
from crossframe.video.media import limits_here
from crossframe.video.sample import source_name
from crossframe.video.worker import OUT_OF_MEMORY, Answer, Job, Read, receive, send

log = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")

FILE = (str, os.PathLike, bytes, bytearray, memoryview)  # `exact.File`
AHEAD = 2  # videos in work or waiting, for each worker
GRACE = 5.0  # seconds in which a process that has closed its output must end


def decode_many(
    sources: Iterable[Source],
    num_frames: int = 8,
    *,
    workers: int = 2,
    timeout: float | None = None,
    memory: int | None = None,
    read: Read = read_arrays,
    **options: Any,
) -> Iterator[Frames | VideoError]:
    """Read every source, in order; one that cannot be read gives its VideoError instead of frames.

    Each of `workers` processes reads one video at a time, for which it may take `timeout` seconds and grow by
    `memory` bytes, by default as much as this process allows itself (`media.set_limits`); a process that goes beyond,
    or dies, is replaced. A few videos are read ahead, so that
    decoding overlaps what the caller does. With 0 workers everything is read in this process when it is asked
    for; a decoder that hangs or dies is then not helped. `options` are those of `read_video`; a rule for `indices`,
    like `read` itself, must be importable by name where there are workers.
    """
    if workers < 0:
        raise ValueError(f"workers={workers}: use 0 or more")
    here = limits_here()
    limits = Limits(
        here.seconds if timeout is None else timeout, here.memory if memory is None else memory, here.frames
    )
    limited = options | ({"limits": limits} if read is read_arrays else {})

    def read_here(source: Source) -> Frames | VideoError:
        try:
            if not isinstance(source, FILE):  # decoded already, or no video
                return read_video(source, num_frames, **options)
            frames = Frames.from_arrays(read(source, num_frames, **limited))
        except VideoError as error:
            return error
        log_problems(frames)
        return frames

    if workers == 0:
        return (read_here(source) for source in sources)

    def read_there(worker: Worker, source: Source) -> Frames | VideoError:
        if not isinstance(source, FILE):
            return read_here(source)
        file = bytes(source) if isinstance(source, bytearray | memoryview) else source  # which can be sent
        answer = worker.read((source_name(source), read, (file, num_frames), options))
        if isinstance(answer, VideoError):
            return answer
        frames = Frames.from_arrays(answer)
        log_problems(frames)
        return frames

    def read_all() -> Iterator[Frames | VideoError]:
        with closing(Readers(workers, limits)) as readers:
            yield from readers.map(read_there, sources)

    return read_all()


class Readers:
    """`count` processes that read videos, kept from one stream of jobs to the next, each with these limits."""

    def __init__(self, count: int, limits: Limits) -> None:
        self.count = count
        self.limits = limits
        self._idle: list[Worker] = []
        self.close = weakref.finalize(self, _close, self._idle)  # ends the processes that nobody uses

    def map(self, read: Callable[[Worker, T], R], jobs: Iterable[T], ahead: int = 0) -> Iterator[R]:
        """What `read` makes of each job with the next worker that is free, in the order of the jobs.

        It runs in threads. At least `ahead` jobs are in work or waiting. A stream has its workers to itself, and gives
        them back when it ends; those of one that is left before are ended, whatever they are doing.
        """
        workers = [self._idle.pop() for _ in range(len(self._idle))]
        workers += [Worker(self.limits) for _ in range(self.count - len(workers))]
        free: SimpleQueue[Worker] = SimpleQueue()
        for worker in workers:
            free.put(worker)

        def read_next(job: T) -> R:
            worker = free.get()
            try:
                return read(worker, job)
            finally:
                free.put(worker)

        ahead = max(ahead, AHEAD * self.count)
        threads = ThreadPoolExecutor(self.count, thread_name_prefix="read-video")
        pending: deque[Future[R]] = deque()
        try:
            for job in jobs:
                pending.append(threads.submit(read_next, job))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
            self._idle += workers
        except BaseException:
            # Also when the caller has seen enough, and on Ctrl-C: nothing is left running.
            for future in pending:
                future.cancel()
            _close(workers)
            raise
        finally:
            threads.shutdown()


def _close(workers: list[Worker]) -> None:
    for worker in workers:
        worker.close()


class Worker:
    """A process that reads videos, started when first needed and again when lost; for one thread at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def read(self, job: Job) -> Decoded | VideoError:
        """What the function of the job returns there, or the VideoError that the file costs."""
        process = self._process or self._start()
        expired = Event()

        def expire() -> None:
            expired.set()
            process.kill()

        watchdog = Timer(self._limits.seconds, expire)
        watchdog.start()
        try:
            answer = _exchange(process, job)
        finally:
            watchdog.cancel()
            watchdog.join()
        if answer is None or expired.is_set():
            status = self._stop(GRACE)
            answer = answer or VideoError(f"{job[0]}: {self._why(expired.is_set(), status)}")
        if isinstance(answer, VideoError):
            for note in getattr(answer, "__notes__", ()):
                log.debug("%s", note)
        return answer

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._closed = True
        self._stop(0.0)

    def _start(self) -> subprocess.Popen[bytes]:
        # The worker must find the modules that we find, also those beside a script.
        path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
        with starting_workers():
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "crossframe.video.worker", *map(str, astuple(self._limits))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pipesize=1 << 20,  # frames fill a small pipe many times
                env={**os.environ, "PYTHONPATH": path},
            )
        self._process = process
        if self._closed:
            process.kill()
        try:
            # Until it is ready, it imports: that time is not a video's.
            receive(cast("BufferedReader", process.stdout))
        except EOFError:
            raise RuntimeError(f"the process that reads videos did not start ({process.wait()})") from None
        return process

    def _stop(self, grace: float) -> int:
        """End the process, if need be by force; returns its exit status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        try:
            status = process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):  # a job that was not sent to its end
                cast("BinaryIO", pipe).close()
        return status

    def _why(self, expired: bool, status: int) -> str:
        if expired:
            return f"was not read within {self._limits.seconds:g} seconds; leave it out, or allow more time"
        if status == OUT_OF_MEMORY:
            return f"needs more than {self._limits.memory >> 20} MB to be read; leave it out, or allow more memory"
        reason = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return f"stopped the decoder ({reason}); leave it out"


def _exchange(process: subprocess.Popen[bytes], job: Job) -> Answer:
    """The answer to a job; None if the process ended before it could give one."""
    try:
        send(cast("BinaryIO", process.stdin), job)
        return receive(cast("BufferedReader", process.stdout))
    except (EOFError, OSError, pickle.UnpicklingError):
        return None
