"""Every command that takes a list of clips takes the same forms of it, and refuses the same in the same line."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import datasets
import pytest
import webdataset
from datasets import ClassLabel, Features, Value

from crossframe.data.manifest import Manifest
from crossframe.evaluate import evaluate, trials
from crossframe.model.xclip import XCLIP
from crossframe.recipes.load import with_sources
from crossframe.recipes.schema import Recipe
from crossframe.train import run
from crossframe.train.source import read_clip_files
from crossframe.weights import blending
from tests.cli.conftest import Outcome, Run
from tests.data.dataset import write_numbered
from tests.data.test_layouts import write_tar

CLASSES = ("run", "walk")
FILES = {"a.mp4": 0, "b.mp4": 1, "c.mp4": 0, "d.mp4": 1}  # their class numbers

assert trials  # which takes what it measures with from `evaluate` when it is imported: before a test replaces it
datasets.disable_progress_bars()  # they would stand among the commands' lines

Given = tuple[object, ...]
Place = Callable[[Path], Given]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name in FILES:
        write_numbered(folder / name, width=32 + 2 * ord(name[0]) % 16)
    return folder


@pytest.fixture
def place(tmp_path: Path, videos: Path) -> Path:
    """A folder with the videos, in a folder and in an archive, and the names of the classes."""
    shutil.copytree(videos, tmp_path / "videos")
    write_tar(tmp_path / "videos.tar", {f"set/{name}": (videos / name).read_bytes() for name in FILES})
    (tmp_path / "labels.csv").write_text("id,name\n0,run\n1,walk\n")
    return tmp_path


def numbers(place: Path, line: str = "{} {}\n", head: str = "") -> Path:
    path = place / "my_list.txt"
    path.write_text(head + "".join(line.format(name, number) for name, number in FILES.items()))
    return path


def table(place: Path) -> Path:
    path = place / "my list.csv"
    rows = (f'"videos/{name}",{CLASSES[number]}' for name, number in FILES.items())
    path.write_bytes("\r\n".join(["\ufeffPath,Label", *rows, ",", ""]).encode())
    return path


def folders(place: Path) -> Path:
    for name, number in FILES.items():
        (place / "clips" / CLASSES[number]).mkdir(parents=True, exist_ok=True)
        shutil.copy(place / "videos" / name, place / "clips" / CLASSES[number])
    return place / "clips"


def shards(place: Path, count: int = 2) -> Path:
    (place / "shards").mkdir()
    for shard, names in enumerate([("a.mp4", "b.mp4"), ("c.mp4", "d.mp4")][:count]):
        with webdataset.TarWriter(str(place / f"shards/{shard:03d}.tar")) as tar:
            for name in names:
                content = (place / "videos" / name).read_bytes()
                tar.write({"__key__": name[0], "mp4": content, "cls": FILES[name]})
    return place / "shards/{000..001}.tar"


def hugging_face(place: Path, names: Sequence[str] = CLASSES) -> Path:
    features = Features({"file_name": Value("string"), "label": ClassLabel(names=list(names))})
    columns = {"file_name": [f"videos/{name}" for name in FILES], "label": list(FILES.values())}
    datasets.Dataset.from_dict(columns, features=features).to_parquet(place / "hub.parquet")
    return place / "hub.parquet"


def activitynet(place: Path) -> Path:
    path = place / "activities.json"
    about = {
        name[0]: {"subset": "", "annotations": [{"segment": [0.0, 1.5], "label": CLASSES[number]}]}
        for name, number in FILES.items()
    }
    path.write_text(json.dumps({"database": about}))
    return path


FORMS: dict[str, Place] = {
    "numbers, a folder": lambda p: (numbers(p), "--labels", p / "labels.csv", "--root", p / "videos"),
    "numbers, an archive": lambda p: (
        numbers(p, "old\\{},{}\n", "path,label\n"), "--labels", p / "labels.csv", "--root", p / "videos.tar",
    ),
    "a table": lambda p: (table(p),),
    "folders": lambda p: (folders(p),),
    "shards": lambda p: (shards(p), "--labels", p / "labels.csv"),
    "Hugging Face": lambda p: (hugging_face(p),),
    "ActivityNet": lambda p: (activitynet(p), "--root", p / "videos"),
}  # fmt: skip


def packed(place: Path) -> Path:
    shutil.copy(place / "videos.tar", place / "videos.tar.gz")
    return place / "videos.tar.gz"


def headless(place: Path) -> Path:
    (place / "list.csv").write_text("videos/a.mp4,run\n")
    return place / "list.csv"


def emptied(place: Path) -> Path:
    (folders(place) / "sit").mkdir()
    return place / "clips"


def saved(place: Path) -> Path:
    datasets.Dataset.from_dict({"file_name": ["videos/a.mp4"], "label": ["run"]}).save_to_disk(place / "s")
    return place / "s"


def timeless(place: Path) -> Path:
    path = activitynet(place)
    path.write_text(path.read_text().replace("[0.0, 1.5]", "1.5"))
    return path


MISSES: dict[str, tuple[Place, str]] = {
    "numbers without names": (lambda p: (numbers(p), "--root", p / "videos"), "names .* as labels: --labels"),
    "a root without the videos": (lambda p: (numbers(p), "--labels", p / "labels.csv"), "are missing: .*a.mp4"),
    "a root that is packed": (
        lambda p: (numbers(p), "--labels", p / "labels.csv", "--root", packed(p)), r"is compressed, .* unpack it",
    ),
    "no root": (lambda p: (numbers(p), "--root", p / "x", "--labels", p / "labels.csv"), "is no folder and no .tar"),
    "a table without a header": (lambda p: (headless(p),), "first line must be the names of the columns"),
    "an empty class": (lambda p: (emptied(p),), "class 'sit' is empty"),
    "a missing shard": (
        lambda p: (shards(p, 1), "--labels", p / "labels.csv"), r"001\.tar does not exist, 1 of the 2 archives of",
    ),
    "too few names": (lambda p: (numbers(p), "--root", p / "videos", "--labels", one_name(p)), "class 1 is unknown"),
    "a data set saved to disk": (lambda p: (saved(p),), "save_to_disk writes"),
    "no times": (lambda p: (timeless(p), "--root", p / "videos"), "not a label and a segment"),
}  # fmt: skip


def one_name(place: Path) -> Path:
    (place / "one.txt").write_text("run\n")
    return place / "one.txt"


class Commands:
    """Each command that takes a list; it gives how it ended, and the labels and the number of clips that it saw."""

    def __init__(self, command: Run, model: Path, out: Path) -> None:
        self.command, self.model, self.out = command, model, out
        self.read: list[Manifest] = []  # by those that would go on for long

    def saw(self, outcome: Outcome) -> tuple[Outcome, set[str], int]:
        found = self.read[-1:]
        return outcome, {label for one in found for label in one.labels}, sum(map(len, found))

    def rows(self, outcome: Outcome, path: Path) -> tuple[Outcome, set[str], int]:
        if outcome.status:
            return outcome, set(), 0
        with path.open(newline="") as file:
            found = list(csv.DictReader(file))
        return outcome, {row["label"] for row in found}, len(found)

    def train(self, *given: object) -> tuple[Outcome, set[str], int]:
        short = ("--init", self.model, "--out", self.out / "run", "--hold-out", 0, "--epochs", 1)
        return self.saw(self.command("train", "finetune", *short, "--set", "train.warmup_epochs=0", "--data", *given))

    def evaluate(self, *given: object) -> tuple[Outcome, set[str], int]:
        short = ("--model", self.model, "--out", self.out, "--set", "train.workers=0")
        outcome = self.command("evaluate", "finetune", *short, "--data", *given)
        summary = {} if outcome.status else json.loads((self.out / "summary.json").read_text())
        return outcome, {one["label"] for one in summary.get("per_class", ())}, summary.get("videos", 0)

    def blend(self, *given: object) -> tuple[Outcome, set[str], int]:
        short = (self.model, self.model, "--out", self.out / "new")
        return self.saw(self.command("blend", *short, "--choose-on", *given))

    def verify(self, *given: object) -> tuple[Outcome, set[str], int]:
        outcome = self.command("data", "verify", *given)
        return outcome, set(CLASSES), 4 * outcome.out.startswith("4 files, 0 problems")

    def prepare(self, *given: object) -> tuple[Outcome, set[str], int]:
        return self.rows(self.command("data", "prepare", *given, self.out), self.out / "manifest.csv")

    def few_shot(self, *given: object) -> tuple[Outcome, set[str], int]:
        return self.listed("few-shot", *given, "--shots", 2)

    def hold_out(self, *given: object) -> tuple[Outcome, set[str], int]:
        return self.listed("hold-out", *given, "--fraction", 0.5)

    def new_classes(self, *given: object) -> tuple[Outcome, set[str], int]:
        (self.out / "old.txt").write_text("jump\nsit\n")
        return self.listed("new-classes", *given, "--old", self.out / "old.txt")

    def listed(self, name: str, source: object, *given: object) -> tuple[Outcome, set[str], int]:
        return self.rows(self.command("data", name, source, self.out / "new.csv", *given), self.out / "new.csv")


NAMES = ("train", "evaluate", "blend", "verify", "prepare", "few_shot", "hold_out", "new_classes")


@pytest.fixture
def commands(
    command: Run, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Commands:
    """Training and choosing a weight end where the clips have been read; other tests go on from there."""
    made = Commands(command, tiny_folder, tmp_path_factory.mktemp("out"))

    def train(recipe: Recipe, _out: Path, *, data: str, **_: object) -> SimpleNamespace:
        files = read_clip_files(with_sources(recipe, None, data))
        made.read += [files.train] if files else []
        return SimpleNamespace(best={}, best_step=0, steps=0, seconds=0.0, clips=0, unreadable=0)

    def choose_weight(*models: XCLIP, score: Callable[[XCLIP], float]) -> tuple[float, dict[float, float]]:
        return 1.0, {1.0: score(models[0])}

    def evaluate_manifest(_model: XCLIP, manifest: Manifest) -> SimpleNamespace:
        made.read.append(manifest)
        return SimpleNamespace(counts=SimpleNamespace(top1=1.0))

    monkeypatch.setattr(run, "train", train)
    monkeypatch.setattr(evaluate, "evaluate_manifest", evaluate_manifest)
    monkeypatch.setattr(blending, "choose_weight", choose_weight)
    return made


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_every_command_takes_every_form(commands: Commands, place: Path, name: str, form: str) -> None:
    outcome, labels, count = getattr(commands, name)(*FORMS[form](place))
    assert outcome.status == 0, outcome.err
    assert (labels, count) == (set(CLASSES), len(FILES))


@pytest.mark.parametrize("miss", MISSES)
def test_every_command_refuses_a_near_miss_in_the_same_line(
    command: Run, tiny_folder: Path, place: Path, tmp_path: Path, miss: str
) -> None:
    made, message = MISSES[miss]
    given = made(place)
    said: set[str] = set()
    # what is missing on the disk is what `verify` and `prepare` are asked about
    for name in NAMES if miss != "a root without the videos" else set(NAMES) - {"verify", "prepare"}:
        (tmp_path / name).mkdir()
        outcome, _, _ = getattr(Commands(command, tiny_folder, tmp_path / name), name)(*given)
        assert (outcome.status, outcome.out) == (1, ""), (name, outcome)
        said.add(outcome.err)
    (line,) = said
    assert line.count("\n") == 1
    assert re.search(message, line)
