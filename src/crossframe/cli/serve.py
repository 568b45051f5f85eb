"""`crossframe serve`: an API and a page for a team."""

from __future__ import annotations

import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from typer import Option

from crossframe import DEFAULT_MODEL
from crossframe.cli import options
from crossframe.cli.shared import given_labels, made_by, open_recognizer, own_labels, set_file_limits
from crossframe.extras import install_command
from crossframe.text.label_files import read_label_set

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crossframe.text.labels import LabelSet

PACKAGES = ("fastapi", "uvicorn", "multipart", "prometheus_client")  # of the extra
TOKEN = "CROSSFRAME_TOKEN"

DefaultLabelOption: TypeAlias = Annotated[
    list[str] | None, Option("-l", "--label", help="A label, where a request has none; repeat.")
]

IndexOption: TypeAlias = Annotated[
    Path | None, Option(help="An index to search, of the same model: see crossframe index.", show_default=False)
]

TokenFileOption: TypeAlias = Annotated[
    Path | None, Option(help=f"A file with the token that requests must bear; or set {TOKEN}.")
]

AllowedHostOption: TypeAlias = Annotated[
    list[str] | None, Option(help="A name by which the server is called, beside localhost; repeat.")
]

MaxLengthOption: TypeAlias = Annotated[
    float, Option(min=0.1, metavar="<seconds>", help="Of a video or the part asked for.")
]

MaxSecondsOption: TypeAlias = Annotated[
    float, Option(min=0.1, metavar="<s>", help="For a request to arrive, and again to be answered.")
]


def serve(
    host: Annotated[str, Option(help="The address to listen on; 0.0.0.0 is every one of this machine.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, metavar="<port>", help="0 chooses a free one.")] = 8000,
    label: DefaultLabelOption = None,
    labels: options.Labels = None,
    model: options.Model = DEFAULT_MODEL,
    folder: Annotated[list[Path] | None, Option(help="A folder from which requests may name videos; repeat.")] = None,
    index: IndexOption = None,
    token_file: TokenFileOption = None,
    allowed_host: AllowedHostOption = None,
    queue: Annotated[int, Option(min=1, help="Requests in work or waiting; one more is refused.")] = 64,
    latency: Annotated[float, Option(min=0, metavar="<ms>", help="What a clip waits for others, in ms.")] = 10.0,
    max_size: Annotated[int, Option(min=1, metavar="<MB>", help="Of an upload.")] = 256,
    max_length: MaxLengthOption = 600.0,
    max_labels: Annotated[int, Option(min=1, help="Of one request.")] = 1000,
    max_seconds: MaxSecondsOption = 60.0,
    frames: options.Frames = None,
    precision: options.Precision = "auto",
    device: options.Device = None,
    template: options.Template = None,
    workers: options.Workers = None,
    batch_size: options.BatchSize = None,
    timeout: Annotated[float, Option(min=0.1, metavar="<seconds>", help="Seconds to read one video.")] = 20.0,
    memory: options.Memory = None,
    most_frames: options.MostFrames = None,
) -> None:
    """Serve an API and a page: one model, kept loaded, for a whole team."""
    if missing := next((name for name in PACKAGES if find_spec(name) is None), None):
        raise ValueError(f"{missing} is not installed; this brings what a server needs: {install_command('serve')}")
    token = _token(token_file)
    names = given_labels(label or [], labels, clean=False) if label or labels else []
    folders = _folders(folder or [])
    set_file_limits(memory, most_frames)
    from crossframe.serve.listen import bound, listen
    from crossframe.serve.settings import Settings

    where = bound(host, port)
    hosts = _hosts(host, allowed_host or [], token)
    how = {"num_frames": frames, "precision": precision, "template": template}
    recognizer = open_recognizer(model, device, workers, batch_size, timeout, **how)
    if names or recognizer.model.labels:
        names = own_labels(recognizer.model, names, quiet=False)
    settings = Settings(
        labels=_labels(names, labels),
        folders=folders,
        index=index,
        queue=queue,
        latency=latency / 1000,
        size=max_size << 20,
        length=max_length,
        most_labels=max_labels,
        seconds=max_seconds,
        token=token,
        hosts=hosts,
        made_by=made_by(model, recognizer) | {"descriptions": None},
    )
    from crossframe.serve.app import make_app

    _log_requests()
    listen(make_app(recognizer, settings), settings, where)


def _folders(given: list[Path]) -> tuple[Path, ...]:
    for one in given:
        if not one.is_dir():
            raise typer.BadParameter(f"{one} is no folder", param_hint="--folder")
    return tuple(one.resolve() for one in given)


def _hosts(host: str, allowed: list[str], token: str) -> tuple[str, ...]:
    """The names that the server goes by, none for any; who may ask is said where it is everybody."""
    from crossframe.serve.settings import LOOPBACK

    local = host in LOOPBACK
    if not (local or token):
        print(f"crossframe: whoever reaches {host} may ask; --token-file keeps others out", file=sys.stderr)
    return (*LOOPBACK, *allowed) if local or allowed else ()


def _labels(names: list[str], file: Path | None) -> LabelSet | Sequence[str] | None:
    """The labels of a server, with what a file says about them; None where requests bring theirs."""
    found = read_label_set(file) if file else None
    if found is None or not found.to_dict():
        return names or None
    if list(found.labels) != names:
        raise ValueError(f"{file} says more than labels; leave --label out, or write them into it")
    return found


def _token(file: Path | None) -> str:
    token = file.read_text(encoding="utf-8").strip() if file else os.environ.get(TOKEN, "").strip()
    if file and not token:
        raise ValueError(f"{file}: holds no token; write one line into it")
    return token


def _log_requests() -> None:
    """A line of JSON for each request, on standard error, and nothing else."""
    log = logging.getLogger("crossframe.serve.requests")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
