"""The commands and the Python of the README and of the first page for users, run as they stand.

Three things differ from what a reader does: training runs in its tiny variant, drawing makes fewer clips, and where a
command would ask the hub for its default model, the bundled one takes its place.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from crossframe.cli import app, main
from crossframe.recipes.load import load_recipe
from crossframe.recipes.paper import experiments
from crossframe.shapes.splits import draw
from crossframe.shapes.write import write_clip

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/first-video.md")
# A link or a picture of this repository, and the heading that it leads to.
LINK = re.compile(r"""(?:\]\(|src=")(?!http)([^)#"\s]*)#?([^)"\s]*)""")
DOCS = sorted((ROOT / "docs").glob("*.md"))


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in this language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.M | re.S)
    return [block for said, block in fenced if said == language]


def commands(page: str) -> list[list[str]]:
    """The command lines of a page that call crossframe, without comments and redirections."""
    lines = (line.split("#")[0].split(">")[0] for block in blocks(page, "") for line in block.splitlines())
    calls = (line for line in lines if line.startswith(("crossframe ", ".venv/bin/crossframe ")))
    return [words[1:] for words in map(shlex.split, calls)]


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", prose, flags=re.M)
    }


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the pages speak of."""
    monkeypatch.chdir(tmp_path)
    for name in ("clip.mp4", "more.mp4", "a.mp4", "b.mp4", "clips/one.mp4"):
        Path(name).parent.mkdir(exist_ok=True)
        write_clip(draw("test", 7, len(name)), name)
    Path("labels.txt").write_text("a red circle moving left\na red circle growing\n")
    for index, action in enumerate(("pulsing", "zigzagging") * 2):
        folder = tmp_path / "my_clips" / action
        folder.mkdir(parents=True, exist_ok=True)
        write_clip(draw("few_shot_train", 0, index), folder / f"{index}.mp4")
    return tmp_path


def as_tested(arguments: list[str]) -> list[str]:
    match arguments[0]:
        case "train":
            return [*arguments, "--tiny"]
        case "classify" if "--model" not in arguments:
            return [*arguments, "--model", "shapes"]
        case "shapes" if "render" in arguments:
            return [*arguments, "--videos", "4", "--workers", "1"]
        case "evaluate":
            return [*arguments, "--videos", "8"]
        case _:
            return arguments


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_the_page_ends_well(page: str, at_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = commands(page)
    assert found
    for arguments in found:
        with pytest.raises(SystemExit) as ended:
            main(as_tested(arguments))
        assert ended.value.code == 0, (arguments, capsys.readouterr().err)


@pytest.mark.parametrize("page", [*PAGES, "docs/data.md"])
def test_the_python_of_the_page_runs(page: str, at_home: Path) -> None:
    names: dict[str, object] = {}
    found = blocks(page, "python")
    assert found
    for block in found:
        exec(block, names)


def test_every_command_of_the_docs_parses_and_its_recipe_resolves() -> None:
    indented = [page.name for page in DOCS if re.search(r"^    (\S*/)?crossframe ", page.read_text(), re.M)]
    assert indented == []  # where nothing below would find them
    recipes: list[str] = []
    runs: set[str] = set()  # that a page trains
    own: set[str] = set()  # whose own recipe measures them
    for arguments in (words for page in DOCS for words in commands(f"docs/{page.name}")):
        command: Any = typer.main.get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[arguments.pop(0)]
        values = command.make_context(command.name, arguments).params
        recipe = values.get("recipe")
        if not isinstance(recipe, str):
            continue
        if command.name == "train":
            runs.add(str(values["out"]))
        if recipe.endswith("/recipe.yaml"):
            own.add(recipe.removesuffix("/recipe.yaml"))
        else:
            load_recipe(recipe, values["changes"] or ())
            recipes.append(recipe)
    assert set(recipes) > {run.recipe for run in experiments()}
    assert len(own) > 3
    assert own <= runs


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


def test_the_results_page_has_every_experiment_of_the_paper_and_its_number() -> None:
    text = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    missing = [run.command for run in experiments() if f"# {run.name}: {run.result}\n{run.command}\n" not in text]
    assert missing == []


def test_the_benchmarks_that_the_docs_name_exist() -> None:
    named = {name for page in DOCS for name in re.findall(r"-m (benchmarks\.\w+)", page.read_text())}
    assert "benchmarks.components" in named
    assert [name for name in named if find_spec(name) is None] == []


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
