"""Processes that each read one video after the other: a file that kills the decoder costs that file only.

`decode.decode_many` reads whole videos, `data.loader` the clips of training and evaluation; `Readers` serves both. Both
ends of the pipes are here: `Worker`, and what it starts, `python -m crossframe.video.isolate SECONDS BYTES FRAMES`,
which takes jobs from standard input and writes answers to standard output, each a pickle, and ends when its input does.
A file may take SECONDS and have FRAMES, and the memory of the process may grow by BYTES.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import astuple
from io import BufferedReader
from queue import SimpleQueue
from threading import Event, Timer
from typing import Any, BinaryIO, TypeAlias, TypeVar, cast

import numpy as np

from crossframe.pace import figure
from crossframe.processes import leave_signals_to_parent, memory_quota, starting_workers
from crossframe.video.exact import Decoded
from crossframe.video.given import Limits, VideoError, set_limits
from crossframe.video.media import read_beside_others

log = logging.getLogger(__name__)

Read: TypeAlias = Callable[..., Decoded]
Job: TypeAlias = tuple[str, Read, tuple[Any, ...], dict[str, Any]]  # the file's name; a function and what it is given
Answer: TypeAlias = Decoded | VideoError | None  # None, once, when the process is ready
T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2  # videos in work or waiting, for each worker
GRACE = 5.0  # seconds in which a process that has closed its output must end
OUT_OF_MEMORY = 77  # exit status
LEAST = 256 << 20  # bytes that reading may always take: what a group uses can be given back


class Readers:
    """`count` processes that read videos, kept from one stream of jobs to the next, each with these limits."""

    def __init__(self, count: int, limits: Limits) -> None:
        self.count = count
        self.limits = limits
        self._idle: list[Worker] = []
        self.close = weakref.finalize(self, _close, self._idle)  # ends the processes that nobody uses

    def map(self, read: Callable[[Worker, T], R], jobs: Iterable[T], ahead: int = 0) -> Iterator[R]:
        """The results of `read` for each job with the next worker that is free, in the order of the jobs.

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
        """The result of the job's function there, or the VideoError that the file costs."""
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
                [sys.executable, "-P", "-m", "crossframe.video.isolate", *map(str, astuple(self._limits))],
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
            return f"was not read within {figure(self._limits.seconds, 6)} seconds; leave it out, or allow more time"
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


def main() -> None:
    """The work of the process: to answer jobs until there are no more."""
    leave_signals_to_parent()
    jobs = cast("BufferedReader", sys.stdin.buffer)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not mix with the answers
    seconds, memory, frames = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    set_limits(Limits(seconds, memory, frames))
    _limit_memory(memory)
    read_beside_others()
    send(answers, None)
    while True:
        try:
            name, read, given, options = receive(jobs)
        except EOFError:
            return
        try:
            answer = read(*given, **options)
        except VideoError as error:
            answer = error
        except MemoryError:
            sys.exit(OUT_OF_MEMORY)
        except Exception as error:  # a mistake of ours costs that file alone
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            answer = VideoError(f"{name}: stopped the reader ({reason}); leave it out")
            answer.add_note(traceback.format_exc())
        send(answers, answer)


def send(pipe: BinaryIO, message: Job | Answer) -> None:
    """Arrays go into the pipe from where they lie; a pickle that holds them would be another copy."""
    arrays: list[pickle.PickleBuffer] = []
    rest = pickle.dumps(message, protocol=5, buffer_callback=arrays.append)
    parts = [array.raw() for array in arrays]
    pickle.dump((rest, [part.nbytes for part in parts]), pipe)
    for part in parts:
        pipe.write(part)
    pipe.flush()


def receive(pipe: BufferedReader) -> Any:
    """The message that the other side sent. Raises EOFError if it ended before, or within."""
    rest, sizes = pickle.load(pipe)
    arrays = [np.empty(size, dtype=np.uint8) for size in sizes]
    for array in arrays:
        if pipe.readinto(array.data) < array.nbytes:
            raise EOFError
    return pickle.loads(rest, buffers=arrays)


def _limit_memory(growth: int) -> None:
    """Let this process grow by `growth` bytes, or as far as who started it allows; without effect on systems that keep
    no such limit."""
    try:
        import resource

        with open("/proc/self/statm") as statm:
            used = int(statm.read().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return
    if group := memory_quota():
        growth = min(growth, max(group.left, LEAST))
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    allowed = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([used + growth, *allowed]), hard))


if __name__ == "__main__":
    main()
