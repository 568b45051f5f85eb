"""The command line: `crossframe COMMAND`. One file for each command, which imports what is slow only when it runs."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from crossframe import __version__
from crossframe.cli.about import TRAINING_PACKAGES, doctor, models
from crossframe.cli.annotate import annotate
from crossframe.cli.base_to_novel import base_to_novel
from crossframe.cli.blend import blend
from crossframe.cli.calibrate import calibrate
from crossframe.cli.card import card
from crossframe.cli.classify import classify
from crossframe.cli.data import data
from crossframe.cli.demo import demo
from crossframe.cli.embed import embed
from crossframe.cli.evaluate import evaluate
from crossframe.cli.explain import explain
from crossframe.cli.index import index
from crossframe.cli.plain_help import PlainTyper
from crossframe.cli.processes import INTERRUPTED, MESSAGE, catch_interrupts, is_first, leave_it_to_the_first
from crossframe.cli.recipes import recipes
from crossframe.cli.report import compare, report
from crossframe.cli.retrieval import retrieval
from crossframe.cli.search import search
from crossframe.cli.serve import serve
from crossframe.cli.shapes import shapes
from crossframe.cli.suggest import suggest
from crossframe.cli.timeline import timeline
from crossframe.cli.train import train
from crossframe.cli.watch import watch
from crossframe.data.clip import OverlapError
from crossframe.extras import install_command
from crossframe.processes import share_cores
from crossframe.text.labels import escaped

# The system's errors about files, with a remedy.
_OF_FILES: dict[int | None, str] = {
    errno.ENOENT: "does not exist; check the path",
    errno.EEXIST: "is a file, where a folder is needed; give another path",
    errno.ENOTDIR: "lies in a file, where a folder is needed; give another path",
    errno.EISDIR: "is a folder, where a file is needed; give the path of a file",
    errno.EACCES: "permission denied; give another path, or change who may use it",
    errno.EROFS: "lies on a disk that cannot be written to; give another path",
    errno.EFBIG: "would be larger than files may be here (ulimit -f); allow more and start again",
    errno.ENOSPC: "no space is left on the disk; make room and start again",
}

# What the system's loader, Python and torch say where memory is at its limit.
_OF_MEMORY = (
    *("failed to map segment", "Cannot allocate memory", "can't allocate memory", "can't start new thread"),
    "std::bad_alloc",
)

# Commands whose status 1 says that some videos failed and the others did not; what ends them is 2.
_OF_VIDEOS = ("annotate", "classify", "embed", "explain", "index", "timeline", "watch")

NO_GPU_MEMORY = "the GPU's memory is full; end what else computes there, or hide it with CUDA_VISIBLE_DEVICES="
NO_MEMORY = (
    "memory is full, or limited too far; end what else computes here, or allow more (ulimit -v, a container's limit)"
)
LOST_READER = "a process that reads clips has ended; see what it said last, leave that file out, and start again"

app = PlainTyper(
    name="crossframe",
    help="Name what happens in any video, in your own words; teach it new actions with a handful of clips.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(f"crossframe {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options that come before the command. `main` reads `--debug`, wherever it stands."""


COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {  # as --help shows them
    "Videos": (classify, timeline, watch, explain, embed, demo),
    "Archives and teams": (annotate, index, search, suggest, serve),
    "Training": (train, recipes, blend, calibrate, card),
    "Measuring": (evaluate, retrieval, base_to_novel, compare, report),
    "This installation": (models, doctor),
}
for purpose, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=purpose)(command)
app.add_typer(data, name="data", rich_help_panel="Data")
app.add_typer(shapes, name="shapes", rich_help_panel="Data")


def main(arguments: list[str] | None = None) -> None:
    """Runs a command line and exits: 0 all well, 1 something failed, 2 wrong usage, 130 interrupted.

    Commands that read videos end with 1 where some failed, and with 2 where nothing could be done.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    # accepted before and after the command's name
    arguments = [argument for argument in arguments if argument != "--debug"]
    _log_to_stderr(verbose=debug)
    catch_interrupts()
    share_cores()
    if isinstance(sys.stdout, TextIOWrapper):  # a file name that the terminal cannot show must not end the work
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(_run(arguments, debug))


def _run(arguments: list[str], debug: bool) -> int:
    failed = 2 if arguments[:1] and arguments[0] in _OF_VIDEOS else 1
    try:
        code = app(arguments or ["--help"], prog_name="crossframe", standalone_mode=False) or 0
    except TyperException as error:  # wrong usage
        context = getattr(error, "ctx", None)
        command = context.command_path if context else f"crossframe {arguments[0]}"
        leave_it_to_the_first(error.exit_code)
        if text := _one_line(error):  # a group of commands that was given none has printed its help
            print(f"crossframe: {text} (see {command} --help)", file=sys.stderr)
        return error.exit_code
    except (Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BrokenPipeError:  # the reader of our output, `head` for instance, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the end of Python would complain
        return 1
    except (ValueError, OSError, ImportError, MemoryError, RuntimeError) as error:  # what a user can cause
        reason = _reason(error)
        if debug or not reason:  # a fault of ours
            raise
        if not isinstance(error, ConnectionError):  # it says which process was lost, perhaps the first
            leave_it_to_the_first(failed)
        if isinstance(error, OverlapError):
            print("\n".join(map(escaped, error.names)))
        print(f"crossframe: {reason}", file=sys.stderr)
        return failed
    if code == INTERRUPTED and is_first():
        print(MESSAGE, file=sys.stderr)
    return code


def _reason(error: Exception) -> str:
    """An error in one line for the user; nothing where no user can cause it."""
    text = str(error)
    if isinstance(error, MemoryError) or any(words in text for words in _OF_MEMORY):
        return NO_MEMORY
    if not isinstance(error, RuntimeError):
        return _one_line(error)
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported for its sake
        return NO_GPU_MEMORY
    return LOST_READER if text.startswith("DataLoader worker") else ""


def _one_line(error: Exception) -> str:
    match error:
        case OSError(strerror=str(reason)):
            named = error.filename or error.errno == errno.ENOSPC  # which is told without a name
            reason = _OF_FILES.get(error.errno, reason) if named else reason
            if str(error.filename).endswith(".partial"):  # of work that is kept, which another start would refuse
                reason = reason.replace("start again", "go on with --resume")
            text = f"{error.filename}: {reason}" if error.filename else reason
        case ModuleNotFoundError(name=str(name)) if name in TRAINING_PACKAGES:
            text = f"{name} is not installed; this brings what the command needs: {install_command('train')}"
        case TyperException():
            text = error.format_message().replace("Value error, ", "")
        case _:
            text = str(error)
    return escaped(" ".join(text.split()))


class _ToStderr(logging.Handler):
    """Writes to the current standard error, so that a progress bar can stay below the lines; the same line once."""

    last: str = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if text == self.last:
            return
        self.last = text
        lines = text.splitlines() or [""]  # several, of a traceback
        print("\n".join(["crossframe: " + escaped(lines[0]), *map(escaped, lines[1:])]), file=sys.stderr)


def _log_to_stderr(verbose: bool) -> None:
    log = logging.getLogger("crossframe")
    log.handlers = [_ToStderr()]
    log.setLevel(logging.INFO if verbose else logging.WARNING)
