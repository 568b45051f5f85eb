"""The pages say what is so: every command and every block of Python in them runs, every link leads somewhere.

tests/pages.py says what differs from what a reader does, and which commands are not run, and why.
"""

from __future__ import annotations

import itertools
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tokenize
import tomllib
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from scripts import api_reference, code_lines
from transformers import ViTConfig, ViTModel, XCLIPConfig, XCLIPModel

from benchmarks.tables import COMMANDS_PAGE, with_commands
from crossframe.cli import app, main
from crossframe.recipes.load import load_recipe
from crossframe.recipes.paper import experiments
from tests.pages import NOT_RUN, PAGES, ROOT, as_tested, blocks, commands, furnish, lay_out_runs, tiny_run

# A link or an image of this repository, and the heading that it leads to.
LINK = re.compile(r"""(?:\]\(|src=")(?!http)([^)#"\s]*)#?([^)"\s]*)""")
DOCS = sorted((ROOT / "docs").glob("*.md"))
MANY = "docs/results.md"  # the paper's experiments: nearly a hundred trainings
PYTHON = (
    "README.md",
    "docs/first-video.md",
    "docs/data.md",
    "docs/own-loop.md",
    "docs/explain.md",
    "docs/hub.md",
    "docs/timeline.md",
)


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", prose, flags=re.M)
    }


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run, for the commands that name one."""
    folder = tmp_path_factory.mktemp("trained")
    furnish(folder, with_lists=True)
    return tiny_run(folder)


@pytest.mark.parametrize("page", [pytest.param(p, marks=[pytest.mark.slow] if p == MANY else []) for p in PAGES])
def test_every_command_of_the_page_ends_well(
    page: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    furnish(tmp_path, with_lists=page != "docs/data.md")
    if page == MANY:
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1}
        ViTModel(ViTConfig(**sizes, image_size=32, patch_size=16)).save_pretrained("image-encoder")
    ran = [words for words in commands(page) if words[0] not in NOT_RUN]
    for program, *words in ran:
        lay_out_runs(words, trained)
        start = partial(main, as_tested(words)) if program == "crossframe" else partial(_run_python, words)
        with pytest.raises(SystemExit) as ended:
            start()
        captured = capsys.readouterr()
        assert ended.value.code in (0, None), (program, words, captured.err)


def _run_python(words: list[str]) -> None:
    """Starts a module or a script of this repository as written. They measure for minutes to hours, so they are asked
    for help; tests/benchmarks runs small measurements."""
    before, sys.argv = sys.argv, [*words, "--help"]
    try:
        if words[0] == "-m":
            sys.argv = sys.argv[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(str(ROOT / words[0]), run_name="__main__")
    finally:
        sys.argv = before


def test_in_a_fresh_clone_commands_run_as_written_once_the_environment_is_active(tmp_path: Path) -> None:
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)  # what make setup makes
    words = [["python", *words[1:], "--help"] for words in commands(MANY) if words[0] == "python"]
    script = [". .venv/bin/activate", "crossframe doctor", "python -m crossframe models", "make --dry-run test"]
    script += [shlex.join(words[0]), "python scripts/bundle_shapes.py --help"]
    environment = {**os.environ, "PYTHONPATH": "src"}
    outcome = subprocess.run(
        ["bash", "-ec", "\n".join(script)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "usage: " in outcome.stdout


def test_what_is_not_run_is_there() -> None:
    made = {words[1] for page in PAGES for words in commands(page) if words[0] == "make" and len(words) > 1}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {"setup", "test", "bench"} <= made <= targets
    used = {words[0] for page in PAGES for words in commands(page)}
    assert {"crossframe", "python"} <= used
    assert {"pip", "make", "torchrun"} <= used & NOT_RUN.keys()


@pytest.mark.parametrize("page", PYTHON)
def test_the_python_of_the_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    furnish(tmp_path, with_lists=False)
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
    vision = {**text, "image_size": 32, "patch_size": 16, "mit_hidden_size": 32, "mit_intermediate_size": 128}
    config = XCLIPConfig(text_config=text, vision_config=vision, projection_dim=32, prompt_num_attention_heads=1)
    XCLIPModel(config).save_pretrained("my-xclip")
    names: dict[str, object] = {"__name__": "page"}
    found = blocks(page, "python")
    assert found
    for block in found:
        exec(block, names)


def test_every_page_whose_python_is_not_run_says_why_by_needing_the_hub_or_another_tool() -> None:
    others = [page for page in PAGES if page not in PYTHON and page != "docs/api.md"]
    needed = {"docs/evaluation.md": 'load("microsoft/', "docs/scale.md": "import fiftyone"}  # test_labeling_tools.py
    assert {page for page in others if blocks(page, "python")} == needed.keys()
    assert all(words in block for page, words in needed.items() for block in blocks(page, "python"))


def test_every_command_of_the_docs_parses_and_its_recipe_resolves() -> None:
    indented = [page.name for page in DOCS if re.search(r"^    (\S*/)?crossframe ", page.read_text(), re.M)]
    assert indented == []  # where nothing below would find them
    recipes: list[str] = []
    runs: set[str] = set()  # that a page trains
    own: set[str] = set()  # whose own recipe measures them
    for arguments in (words[1:] for page in PAGES for words in commands(page) if words[0] == "crossframe"):
        command: Any = typer.main.get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[arguments.pop(0)]
        values = command.make_context(command.name, arguments).params
        recipe = values.get("recipe")
        if not isinstance(recipe, str):
            continue
        if command.name == "train":
            runs.add(str(values["out"]))
        if recipe.startswith("runs/"):  # a run, or the recipe in it
            own.add(recipe.removesuffix("/recipe.yaml"))
        else:
            load_recipe(recipe, values["changes"] or ())
            recipes.append(recipe)
    assert set(recipes) > {run.recipe for run in experiments()}
    assert len(own) > 3
    assert own <= runs


def test_the_lists_of_commands_are_those_of_the_recipes() -> None:
    page = COMMANDS_PAGE.read_text(encoding="utf-8")
    assert page.count("<!-- commands") > 5
    assert with_commands(page) == page, "run python -m benchmarks.tables"


def test_the_api_reference_is_that_of_the_docstrings() -> None:
    page = api_reference.PAGE.read_text(encoding="utf-8")
    assert page.count("\n## ") >= 11
    assert api_reference.reference() == page, "run python scripts/api_reference.py"


def test_every_link_of_the_pages_leads_somewhere() -> None:
    seen, broken = 0, []
    for page in (*DOCS, *ROOT.glob("*.md")):
        for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
            target = page.parent / (path or page.name)
            seen += 1
            if not target.exists() or (anchor and anchor not in headings(target)):
                broken.append(f"{page.name}: {path}#{anchor}")
    assert broken == []
    assert seen > 30


def test_every_page_has_its_place_in_the_site() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    placed = re.findall(r": (\S+\.md)$", nav, re.M)
    assert sorted(placed) == sorted("index.md" if page == "README.md" else Path(page).name for page in PAGES)


def test_the_results_page_has_every_experiment_of_the_paper_and_its_number() -> None:
    text = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    missing = [run.command for run in experiments() if f"{run.name}: {run.result}\n{run.command}\n" not in text]
    assert missing == []


def test_the_benchmarks_and_scripts_that_the_pages_name_exist() -> None:
    text = "".join(page.read_text() for page in (*DOCS, *ROOT.glob("*.md")))
    named = set(re.findall(r"-m (benchmarks\.\w+)", text)) - {"benchmarks.NAME"}
    assert "benchmarks.components" in named
    assert [name for name in named if find_spec(name) is None] == []
    scripts = set(re.findall(r"python (scripts/\w+\.py)", text))
    assert "scripts/api_reference.py" in scripts
    assert [name for name in scripts if not (ROOT / name).is_file()] == []


def test_the_table_of_parts_has_the_layers_that_lint_checks() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = text[text.index("| part |") : text.index("Inside `model/`")]
    cells = [line.split("|")[1] for line in table.splitlines()[2:] if line]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    assert [re.findall(r"`(\w+)`", cell) for cell in cells] == [layer.split(" | ") for layer in layers]


def test_the_workflow_runs_what_developers_run_and_the_forms_ask_for_doctor() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    assert {system.split("-")[0] for system in job["strategy"]["matrix"]["os"]} == {"ubuntu", "macos"}
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert job["strategy"]["matrix"]["python"] == [supported.removeprefix(">="), "3.x"]
    forms = [path for path in (ROOT / ".github/ISSUE_TEMPLATE").iterdir() if path.name != "config.yml"]
    for form in forms:
        fields = yaml.safe_load(form.read_text())["body"]
        assert any("crossframe doctor" in str(field["attributes"].get("label")) for field in fields), form
    assert len(forms) == 2
    assert "crossframe doctor" in (ROOT / ".github/pull_request_template.md").read_text()


def test_the_changelog_has_this_version_and_only_the_sections_that_readers_know() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(rf"^## \[{re.escape(version('crossframe'))}\] - \d{{4}}-\d\d-\d\d$", text, re.M)
    sections = re.findall(r"^### (.+)$", text, re.M)
    assert {"Added", "Changed"} <= set(sections) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


# In prose; names in code, and keys of files that people have, may keep theirs.
BRITISH = re.compile(
    r"(?<![`_.\w])(colour|grey|centre|licence|behaviour|neighbour|learnt|catalogue"
    r"|(optimi|normali|initiali|recogni|summari|organi|memori|generali)s(e|es|ed|er|ers|ing|ation)\b)",
    re.I,
)


def prose(path: Path) -> list[tokenize.TokenInfo]:
    """The comments and docstrings of a module."""
    with path.open("rb") as file:
        tokens = list(tokenize.tokenize(file.readline))
    return [
        token
        for before, token in itertools.pairwise(tokens)
        if token.type == tokenize.COMMENT
        or (token.type == tokenize.STRING and token.string.startswith('"""') and before.type != tokenize.OP)
    ]


def test_comments_and_docstrings_are_american_and_say_what_is_returned() -> None:
    wrong = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        for token in prose(path):
            words = re.sub(r"`[^`]*`", "", token.string)
            if BRITISH.search(words) or re.match(r'"""(What|Whether|Those)\b', words):
                wrong.append(f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string[:60]}")
    assert wrong == []


def test_the_pages_are_american() -> None:
    pages = {page: re.sub(r"`[^`]*`", "", (ROOT / page).read_text()) for page in PAGES}
    assert [(page, found[0]) for page, text in pages.items() if (found := BRITISH.search(text))] == []


def test_the_table_of_changes_names_files_and_what_is_in_them() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = text[text.index("| change |") : text.index("## Why it is so")]
    rows = [line.split("|")[1:-1] for line in table.splitlines()[2:] if line]
    missing: list[str] = []
    for change, *cells in rows:
        words = re.findall(r"`([^`]+)`", "|".join(cells))
        files = [word for word in words if re.fullmatch(r"\w+(/\w+)*\.py", word)]
        places = [next((ROOT / "src/crossframe").rglob(name), None) for name in files]
        missing += [name for name, place in zip(files, places, strict=True) if place is None]
        sources = "".join(place.read_text() for place in places if place)
        names = [word for word in words if word not in files and re.fullmatch(r"_?[A-Za-z]\w+(\.\w+)?", word)]
        missing += [f"{change}: {n}" for n in names if not re.search(rf"\b{n.rpartition('.')[2]}\b", sources)]
    assert missing == []
    assert len(rows) == 11


def test_the_table_of_changes_has_the_line_of_each_definition() -> None:
    page = code_lines.PAGE.read_text(encoding="utf-8")
    assert len(code_lines.NAME.findall(page)) > 25
    assert code_lines.with_lines(page) == page, "run python scripts/code_lines.py"
    assert code_lines.with_lines(page.replace("`Message` (", "`Message` (9")) == page
    with pytest.raises(LookupError, match="Massage"):
        code_lines.with_lines(page.replace("`Message` (", "`Massage` ("))
