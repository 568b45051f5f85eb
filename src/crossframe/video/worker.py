"""The process that reads one video after the other for `isolate`; run as `python -m crossframe.video.worker BYTES`.

It takes jobs from standard input and writes answers to standard output, each a pickle, and ends when its
input does. BYTES is how far its memory may grow.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from io import BufferedReader
from typing import Any, BinaryIO, TypeAlias, cast

import numpy as np

from crossframe.processes import leave_signals_to_parent
from crossframe.video.error import VideoError
from crossframe.video.exact import Decoded
from crossframe.video.media import read_beside_others

Read: TypeAlias = Callable[..., Decoded]
Job: TypeAlias = tuple[Read, Any, int, dict[str, Any]]  # a function and what it is called with
Answer: TypeAlias = Decoded | VideoError | None  # None, once, when the process is ready

OUT_OF_MEMORY = 77  # exit status


def main() -> None:
    leave_signals_to_parent()
    jobs = cast("BufferedReader", sys.stdin.buffer)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not mix with the answers
    _limit_memory(int(sys.argv[1]))
    read_beside_others()
    send(answers, None)
    while True:
        try:
            read, source, num_frames, options = receive(jobs)
        except EOFError:
            return
        try:
            answer = read(source, num_frames, **options)
        except VideoError as error:
            answer = error
        except MemoryError:
            sys.exit(OUT_OF_MEMORY)
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
    """What the other side sent. Raises EOFError if it ended before, or within."""
    rest, sizes = pickle.load(pipe)
    arrays = [np.empty(size, dtype=np.uint8) for size in sizes]
    for array in arrays:
        if pipe.readinto(array.data) < array.nbytes:
            raise EOFError
    return pickle.loads(rest, buffers=arrays)


def _limit_memory(growth: int) -> None:
    """Let this process grow by `growth` bytes; without effect on systems that keep no such limit."""
    try:
        import resource

        with open("/proc/self/statm") as statm:
            used = int(statm.read().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return
    resource.setrlimit(resource.RLIMIT_AS, (used + growth, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
