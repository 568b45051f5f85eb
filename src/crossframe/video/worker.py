"""The process that reads one video after the other for `isolate`.

It is run as `python -m crossframe.video.worker SECONDS BYTES FRAMES`, takes jobs from standard input and writes
answers to standard output, each a pickle, and ends when its input does. A file may take SECONDS and have FRAMES, and
the memory of the process may grow by BYTES.
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import numpy as np

from crossframe.processes import leave_signals_to_parent
from crossframe.video.error import VideoError
from crossframe.video.exact import Decoded
from crossframe.video.guard import Limits
from crossframe.video.media import read_beside_others, set_limits

Read: TypeAlias = Callable[..., Decoded]
Job: TypeAlias = tuple[str, Read, tuple[Any, ...], dict[str, Any]]  # the file's name; a function and what it is given
Answer: TypeAlias = Decoded | VideoError | None  # None, once, when the process is ready

OUT_OF_MEMORY = 77  # exit status
LEAST = 256 << 20  # bytes that reading may always take: what a group uses can be given back


def main() -> None:
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
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    allowed = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([used + min(growth, _left_of_group(growth)), *allowed]), hard))


def _left_of_group(otherwise: int) -> int:
    """The memory that the control group of this process has left; `otherwise` where it has no limit."""
    for folder, most, used in (
        ("/sys/fs/cgroup", "memory.max", "memory.current"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):  # ValueError: "max"
            sizes = [int(Path(folder, name).read_text()) for name in (most, used)]
            return max(sizes[0] - sizes[1], LEAST)
    return otherwise


if __name__ == "__main__":
    main()
