"""The size and order of the source: lines, files, what a reader enters, and what there must be none of.

python -m benchmarks.house

A file is entered by a command if one of its functions runs: what is merely imported, for its names, is not counted.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import crossframe
from benchmarks.harness import ROOT, Bar, Options, Result, run
from tests.data.dataset import write_dataset

SRC = ROOT / "src" / "crossframe"
LONGEST_FUNCTION = 60  # lines
MOST_PARAMETERS = 7  # beside self
_MARKS = tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER
NO_CODE = {tokenize.COMMENT, *_MARKS}

# Prints the files of SRC whose functions run between `enter()` and `leave()`, here and in the threads started.
ENTERED = """
import json, sys, threading
src, program = sys.argv[1] + "/", sys.argv[2]
seen = set()

def note(frame, event, argument):
    code = frame.f_code
    if event == "call" and code.co_filename.startswith(src) and code.co_name != "<module>":
        seen.add(code.co_filename.removeprefix(src))

def enter():
    threading.setprofile(note)
    sys.setprofile(note)

def leave():
    sys.setprofile(None)
    threading.setprofile(None)

exec(program, {"arguments": sys.argv[3:], "enter": enter, "leave": leave})
print(json.dumps(sorted(seen)))
"""

# One clip through the API, decoded in this process, by a model that is loaded already.
CLASSIFY = """
from crossframe import Recognizer
recognizer = Recognizer.from_pretrained("shapes", workers=0)
recognizer.classify(arguments[0], ["a red circle", "a blue square"])  # imports what is imported late

enter()
Recognizer(recognizer.model, workers=0).classify(arguments[0], ["a green circle", "a blue star"])
leave()
"""

# The second step of a run on clips in files, from the batch that is read to the weights that are changed.
TRAIN = """
from crossframe.recipes.load import load_recipe
from crossframe.train import run

changes = ["train.workers=0", "train.batch_size=2", "train.epochs=1", "train.warmup_epochs=0", "train.threads=1"]
recipe = load_recipe("finetune", [*changes, "model.frames=2"], tiny=True)
add, steps = run.Meter.add, []

def watched(*given):
    leave()
    steps.append(add(*given))
    if len(steps) == 1:
        enter()

run.Meter.add = watched
run.train(recipe, arguments[1], init="shapes", data=arguments[0])
"""


def files() -> list[Path]:
    """Every source file."""
    return sorted(SRC.rglob("*.py"))


def lines() -> int:
    """Lines of all source files, blank ones and comments too."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files())


def code_lines(path: Path) -> int:
    """Lines that hold code: neither blank, nor a comment, nor a docstring."""
    with path.open("rb") as file:
        tokens = list(tokenize.tokenize(file.readline))
    held = {line for token in tokens if token.type not in NO_CODE for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            held -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(held)


def repeated_names() -> list[str]:
    """File names that occur more than once, `__init__` and the files of `cli/`, one a command, aside."""
    found = Counter(path.name for path in files() if path.parent.name != "cli" and path.name != "__init__.py")
    return sorted(name for name, times in found.items() if times > 1)


def long_functions() -> list[str]:
    """Functions of more than 60 lines, from `def` to the end."""
    return [
        f"{place}: {node.end_lineno - node.lineno + 1} lines"
        for place, node in _functions()
        if node.end_lineno is not None and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    ]


def long_signatures() -> list[str]:
    """Functions of more than 7 parameters; the options of commands aside, and of what the package itself exports."""
    found: list[str] = []
    for place, node in _functions():
        arguments = node.args
        count = len([*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs])
        count -= bool(arguments.args) and arguments.args[0].arg in ("self", "cls")
        if count > MOST_PARAMETERS and not place.startswith("cli/") and node.name not in crossframe.__all__:
            found.append(f"{place}: {count} parameters")
    return found


def _functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(SRC)}:{node.lineno} {node.name}", node


def imports_against_the_layers() -> list[str]:
    """The contracts of `pyproject.toml` that are broken."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if "BROKEN" in line]


def entered(program: str, *arguments: str) -> list[str]:
    """The source files that run between `enter()` and `leave()` of a program, in a process of its own."""
    command = [sys.executable, "-c", ENTERED, str(SRC), program, *arguments]
    ours = {**os.environ, "PYTHONPATH": str(SRC.parent)}  # whichever copy is installed
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ours)
    return json.loads(done.stdout.splitlines()[-1])


def measure(options: Options) -> Result:
    with TemporaryDirectory() as folder:
        clips = write_dataset(Path(folder) / "clips")
        classify = entered(CLASSIFY, str(next(clips.rglob("0.mp4"))))
        train = entered(TRAIN, str(clips), str(Path(folder) / "run"))
    none = {
        "file names twice outside cli/": repeated_names(),
        "imports against the layers": imports_against_the_layers(),
        "functions of more than 7 parameters": long_signatures(),
        "functions of more than 60 lines": long_functions(),
    }
    bars = [
        Bar("lines", lines(), 16_600, at_most=True),
        Bar("files", len(files()), 140, at_most=True),
        Bar("files entered by one classify", len(classify), 23, at_most=True),
        Bar("files entered by one training step", len(train), 30, at_most=True),
        Bar("lines of code in model/", sum(map(code_lines, (SRC / "model").glob("*.py"))), 1_000, at_most=True),
        *(Bar(name, len(found), 0, at_most=True) for name, found in none.items()),
    ]
    rows = [{"what": "entered by classify", "where": " ".join(classify)}]
    rows.append({"what": "entered by training", "where": " ".join(train)})
    rows += [{"what": name, "where": place} for name, found in none.items() for place in found]
    return Result(bars, rows)


if __name__ == "__main__":
    run("house", measure)
