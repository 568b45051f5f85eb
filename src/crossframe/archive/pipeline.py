"""An archive through Ray Data: CPU actors decode, and models in actors answer, on one machine or many.

Ray schedules, keeps memory flat by holding back what reads ahead, and does again what a lost process had in work.
`decoding` and `annotator` are what runs in its processes, `results` is what is kept.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from threading import current_thread, main_thread
from typing import Any, Literal

import torch

from crossframe.archive.annotator import Annotator, Answering
from crossframe.archive.decoding import Cutter, Decoder, Job, Reading
from crossframe.extras import install_command
from crossframe.model.xclip import XCLIP
from crossframe.processes import cores

AT_ONCE = 8  # clips that travel together
SHARE = 4  # cores of a model without a GPU
LOOKING = 0.25  # of a core, what a decoder asks for beside a model that computes on all of them
OBJECTS = 1 << 30  # bytes of memory for what is on its way, on this machine
MOST_BLOCKS = 2000


def ray() -> Any:
    """The library, or a ValueError that says how to get it."""
    try:
        import_module("ray.data")
        return import_module("ray")
    except ImportError:
        raise ValueError(f"annotating an archive needs Ray: {install_command('ray')}") from None


@contextmanager
def cluster(address: str | None) -> Generator[None]:
    """Ray, started on this machine and ended with all its processes, or that at an address, which stays.

    Raises ValueError where none answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # of this process; the cluster's own logs are files
    library = ray()
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options |= {"num_cpus": cores(), "include_dashboard": False, "object_store_memory": OBJECTS}
    try:
        with _quiet(), _own_signals():
            library.init(address or "local", **options)
    except Exception as error:  # of a node that does not start in time, Ray raises no narrower class
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        remedy = "check the address, and that both have the same RAY_AUTH_TOKEN" if address else "see its logs"
        raise ValueError(f"Ray cannot be reached or started ({reason}); {remedy}") from error
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    context = library.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.verbose_stats_logs = False
    try:
        with _without_own_kills():
            yield
    finally:
        library.shutdown()


@contextmanager
def _without_own_kills() -> Generator[None]:
    """Inside, Ray's messages do not come where they are of workers that this process ends, after Ctrl-C for instance.

    Others do, that memory runs low for instance. Ray knows but all or none of its messages, and gives no other way.
    """
    worker: Any = import_module("ray._private.worker")
    tell = getattr(worker, "print_to_stdstream", None)
    if tell is None:  # another version of Ray, whose messages are no reason not to work
        yield
        return

    def tell_others(data: dict[str, Any], *given: Any, **options: Any) -> None:
        if not any("ray.kill" in line for line in data["lines"]):
            tell(data, *given, **options)

    worker.print_to_stdstream = tell_others
    try:
        yield
    finally:
        worker.print_to_stdstream = tell


@contextmanager
def _own_signals() -> Generator[None]:
    """SIGTERM afterwards does what it did before: Ray's own handler ends the process, and those forked from it."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if current_thread() is main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _quiet() -> Generator[None]:
    """Inside, nothing comes to standard error from below Python: the library there says how loud it is set."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def device_of(address: str | None) -> Literal["cpu", "cuda"]:
    """The devices that models compute on: the GPUs of this machine or of a cluster, if it has any."""
    if address is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    with cluster(address):
        return "cuda" if ray().cluster_resources().get("GPU", 0) >= 1 else "cpu"


def annotated(jobs: Sequence[Job], reading: Reading, answering: Answering, model: XCLIP, device: str) -> Iterator[Any]:
    """Tables of `Answering.columns`, in any order, with a row for each clip: a result, or its error; and with how many
    seconds a model `waited` and `worked` for each.

    Raises ValueError where Ray gives up.
    """
    library = ray()
    readers, models, share = _shares(library, device)
    on_gpu = device == "cuda"
    blocks = max(1, min(len(jobs) // (2 * AT_ONCE), MOST_BLOCKS))

    def pool(size: int) -> Any:
        return library.data.ActorPoolStrategy(min_size=1, max_size=size, initial_size=min(size, blocks))

    cpus = 1 if on_gpu else LOOKING
    flow = library.data.from_items([{"job": pickle.dumps(job)} for job in jobs], override_num_blocks=blocks)
    looking = {"fn_constructor_args": (reading,), "batch_size": AT_ONCE}
    if reading.window:
        flow = flow.map_batches(Cutter, compute=pool(max(1, readers // 4)), num_cpus=cpus / 4, **looking)
    flow = flow.map_batches(Decoder, compute=pool(readers), num_cpus=cpus, **looking)
    flow = flow.map_batches(
        Annotator,
        fn_constructor_args=(library.put(model), answering, device, share),
        batch_size=AT_ONCE,
        compute=pool(models),
        num_cpus=1 if on_gpu else share * (1 - LOOKING),
        num_gpus=1 if on_gpu else 0,
    )
    try:
        yield from flow.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except library.exceptions.RayError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise ValueError(
            f"Ray gave up ({lines[-1].strip() if lines else type(error).__name__}); start again"
        ) from error


def _shares(library: Any, device: str) -> tuple[int, int, int]:
    """How many decoders and models there are, and how many cores one model has."""
    nodes = [node["Resources"] for node in library.nodes() if node["Alive"]]
    each = [int(node.get("CPU", 0)) for node in nodes]
    if device == "cuda":
        models = int(sum(node.get("GPU", 0) for node in nodes))
        return max(1, sum(each) - models), models, 1
    share = max(1, min(SHARE, *[count for count in each if count] or [1], SHARE))
    return max(1, sum(each)), max(1, sum(count // share for count in each)), share
