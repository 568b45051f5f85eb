"""A dry run: what it says of a run, in numbers that can be checked, and that it touches nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from crossframe.cli import main
from crossframe.model.config import variant
from crossframe.model.xclip import XCLIP
from crossframe.recipes.load import load_recipe
from crossframe.recipes.paper import HEADLINE
from crossframe.recipes.schema import Recipe
from crossframe.train import dry_run, memory
from crossframe.train.build import build_model, meta_model, meta_weights
from crossframe.train.dry_run import Speed, extrapolated
from crossframe.train.memory import Estimate, Memory, batch_of, multiply_accumulates, step_flops
from crossframe.weights import load
from tests.data.dataset import write_dataset

GB = 10**9
MEMORY = Memory(1, GB, GB, GB)


@pytest.fixture
def _two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "STEPS", 2)


@pytest.mark.usefixtures("_two_steps")
def test_a_plan_counts_clips_steps_and_hours(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "clips", 3, broken="jumping/1.mp4")  # which a dry run does not notice
    recipe = load_recipe("k400", ["train.batch_size=4", "train.accumulate=2"], tiny=True)
    found = dry_run.dry_run(recipe, data=folder)
    assert (found.clips, found.labels) == (9, ("clapping", "jumping", "waving"))
    assert (found.schedule.steps_per_epoch, found.schedule.steps) == (2, 2 * recipe.train.epochs)
    model = build_model(recipe.model, None)
    assert found.frozen == 1 + sum(p.numel() for p in model.text.parameters())  # pyright: ignore
    assert found.learning + found.frozen == sum(p.numel() for p in model.parameters())
    speed = found.speed(found.memory())
    assert speed is not None
    assert speed.clips in (1, 4)
    assert found.hours(speed) == pytest.approx(9 * recipe.train.epochs / speed.clips_per_second / 3600)


def test_a_model_is_built_with_the_stochastic_depth_of_its_recipe() -> None:
    recipe = load_recipe("k400", ["model.drop_path=0.2"], tiny=True)
    blocks = build_model(recipe.model, None).vision.blocks
    assert [block.drop_path.rate for block in blocks] == pytest.approx(torch.linspace(0, 0.2, len(blocks)).tolist())


def test_places_begin_as_waves_of_their_row_and_of_their_column() -> None:
    model = build_model(load_recipe("shapes-pretrain", tiny=True).model, None)
    grid, width = model.config.vision.grid, model.config.vision.width
    rows, columns = model.vision.position[1:].detach().unflatten(0, (grid, grid)).split(width // 2, dim=-1)
    assert torch.equal(rows, rows[:, :1].expand_as(rows))
    assert torch.equal(columns, columns[:1].expand_as(columns))
    assert len(rows[:, 0].unique(dim=0)) == len(columns[0].unique(dim=0)) == grid


@pytest.mark.usefixtures("_two_steps")
def test_what_stays_near_the_pretrained_weights_is_in_the_figures() -> None:
    recipe = load_recipe(
        "finetune", ["train.interpolate={}", "train.distill={}", "data.classes=3", "data.clips=9"], tiny=True
    )
    found = dry_run.dry_run(recipe, init="shapes")
    plain = dry_run.dry_run(load_recipe("finetune", ["data.classes=3", "data.clips=9"], tiny=True), init="shapes")
    memory = found.memory()
    assert memory.batch.weights > 1.9 * plain.memory().batch.weights
    assert found.speed(memory) is not None
    with pytest.raises(ValueError, match="stay near pretrained weights; give them with --init"):
        dry_run.dry_run(load_recipe("shapes", ["train.distill={}"], tiny=True))


def test_noise_is_drawn_once_for_each_size(tiny_folder: Path) -> None:
    noise = dry_run._Noise(load(tiny_folder, device="cpu"), ("a", "b"))
    batches = noise.batches()
    first, again = next(batches).clips.videos, next(batches).clips.videos
    assert again is first
    noise.clips = 3
    assert len(next(batches)) == 3


def test_drawn_clips_are_planned_too() -> None:
    recipe = load_recipe("shapes", tiny=True)
    found = dry_run.dry_run(recipe)
    assert found.files is None
    assert found.clips == recipe.data.batches_per_epoch * recipe.train.batch_size  # pyright: ignore
    assert len(found.labels) > 20
    assert found.memory().batch.clips == recipe.train.batch_size


@pytest.mark.parametrize("experiment", HEADLINE[:1] + HEADLINE[5:6] + HEADLINE[-1:], ids=lambda run: run.name)
def test_the_papers_models_are_known_without_fetching_them(experiment: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    recipe = load_recipe(experiment.recipe, experiment.changes)  # pyright: ignore
    model = meta_model(recipe.model, experiment.init or recipe.init, recipe.data.classes)  # pyright: ignore
    name = {"B/32, 8 frames": "B/32", "L/14@336, 16 frames": "L/14@336"}.get(experiment.name, "B/16")  # pyright: ignore
    assert model.config == variant(name, recipe.model.frames or 0)
    assert all(parameter.is_meta for parameter in model.parameters())
    assert model.tokenizer is not None
    assert model.preprocess is not None


def test_a_meta_model_has_the_shapes_of_the_model(tiny_folder: Path) -> None:
    asked = load_recipe("k400", ["model.frames=2"]).model
    meta, model = meta_model(asked, str(tiny_folder)), build_model(asked, str(tiny_folder))
    assert meta.config == model.config
    assert {n: p.shape for n, p in meta.named_parameters()} == {n: p.shape for n, p in model.named_parameters()}


def test_published_weights_of_clip_are_those_of_a_plain_clip() -> None:
    near = meta_weights("openai/clip-vit-base-patch16").config
    assert (near.vision.mixing, near.mit, near.prompts) == ("none", None, None)
    assert meta_weights("microsoft/xclip-base-patch16").config == variant("B/16")


@pytest.mark.parametrize(
    ("changes", "paper"),
    [(("model.mixing=joint", "model.mit_layers=0"), 184), ((), 145), (("model.frames=16",), 287)],
)
def test_ablations_cost_what_the_paper_says(changes: tuple[str, ...], paper: int) -> None:
    recipe = load_recipe("k400", changes)
    macs = multiply_accumulates(meta_model(recipe.model, recipe.init), 400) / 1e9
    assert 0.98 * paper < macs < paper


def test_too_little_memory_is_said_with_the_remedy() -> None:
    one, batch = Memory(1, GB, 2 * GB, GB), Memory(64, GB, 2 * GB, 64 * GB)
    fits = Estimate(batch, one, 1, 1, 100 * GB)
    assert (fits.fitting, fits.room) == (64, "100 GB are free")
    small = replace(fits, free=15 * GB)
    assert small.fitting == 12
    assert small.room == "15 GB are free, enough for 8: set train.batch_size=8 and train.accumulate=8"
    shared = replace(small, processes=4, accumulate=2)
    assert shared.room == "15 GB are free, enough for 8: set train.batch_size=32 and train.accumulate=16"
    none = replace(fits, free=3 * GB)
    assert none.fitting == 0
    assert none.room == "3 GB are free, too little for a single clip, which takes 4 GB"
    assert replace(fits, free=None).fitting == 64


def run_command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, str], str]:
    with pytest.raises(SystemExit) as ended:
        main(["train", *arguments, "--dry-run"])
    output = capsys.readouterr()
    rows = [line.split(maxsplit=1) for line in output.out.splitlines()]
    return int(ended.value.code or 0), {row[0]: row[1] for row in rows}, output.err


def test_the_command_prints_the_plan_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(dry_run, "measure", lambda *_: Speed(2.0, 5, 16))
    monkeypatch.setattr(dry_run, "LARGE", math.inf)
    monkeypatch.setattr(memory, "free_memory", lambda _: 40 * GB)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    rounded = ("--set", "train.precision=bfloat16")
    code, rows, _ = run_command(capsys, "k400", "--set", "train.batch_size=64", *rounded)
    assert code == 0
    assert rows["weights"] == "openai/clip-vit-base-patch16; not on this machine yet: the run fetches them from the hub"
    assert rows["data"].startswith("none given, about 240,000 clips of 400 classes; sparse frames")
    assert rows["schedule"] == "30 epochs of 3,750 steps of 64 clips"
    assert rows["compute"].startswith("143.5 billion multiply-accumulates a clip")
    assert "enough for 32: set train.batch_size=32 and train.accumulate=2" in rows["memory"]
    assert rows["time"].startswith("about 1,000 hours (42 days) on this device")
    _, rows, _ = run_command(capsys, "k400", "--set", "data.clips=64")
    assert rows["time"].startswith("about 16 minutes on this device")
    _, rows, _ = run_command(
        capsys, "k400", "--set", "data.clips=64", "--set", "train.epochs=1", "--set", "train.warmup_epochs=0"
    )
    assert rows["time"].startswith("about 32 seconds on this device")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("fast", "chosen"), [(True, "bfloat16"), (False, "float32")])
def test_the_plan_says_which_precision_this_device_gets(
    fast: bool, chosen: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dry_run, "measure", lambda *_: Speed(2.0, 5, 16))
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": fast})
    _, auto, _ = run_command(capsys, "shapes", "--tiny", "--set", "train.precision=auto")
    assert f"; {chosen}; " in auto["learning"]
    _, asked, _ = run_command(capsys, "shapes", "--tiny", "--set", f"train.precision={chosen}")
    assert auto["memory"].split("; ")[0] == asked["memory"].split("; ")[0]


def test_each_line_is_printed_before_the_next_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed: list[list[str]] = []

    def note(*_: object) -> None:
        printed.append([line.split()[0] for line in capsys.readouterr().out.splitlines()])

    monkeypatch.setattr(dry_run, "estimate_memory", lambda *_, **__: note() or Estimate(MEMORY, MEMORY, 1, 1, None))
    monkeypatch.setattr(dry_run, "measure", lambda *_: note() or Speed(2.0, 5, 16))
    run_command(capsys, "shapes", "--tiny")
    first, second = printed
    assert first == ["recipe", "weights", "model", "data", "learning", "schedule", "compute"]
    assert second == ["memory"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("finetune",), "does not say how many clips and classes it is for: give a manifest or a folder with --data"),
        (("k400", "--data", "missing.csv"), "missing.csv"),
        (("k400", "--init", "openai/clip-vit-base-patch61"), "openai/clip-vit-base-patch61"),
        (("k400", "--set", "data.shots=0"), "data.shots is 0"),
        (("shapes", "--data", "clips"), "draws its own data"),
    ],
)
def test_what_would_keep_a_run_from_beginning_is_said_in_one_line(
    arguments: tuple[str, ...],
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    code, rows, error = run_command(capsys, *arguments)
    assert (code, rows) == (1, {})
    assert complaint in error
    assert error.count("\n") == 1


class Clock:
    """A processor that does so many operations a second, and something else in each step."""

    def __init__(self, rate: float, more: float) -> None:
        self.rate, self.more = rate, more

    def measure(self, recipe: Recipe, model: XCLIP, labels: Sequence[str], clips: int, *_: object) -> Speed:
        flops = step_flops(model, recipe.train, batch_of(model, labels, clips))
        return Speed(clips / (self.more + flops / self.rate), 6, clips)


@pytest.mark.parametrize(("name", "changes"), [("shapes", []), ("finetune", ["data.classes=3", "data.clips=9"])])
def test_large_models_are_timed_by_their_parts(name: str, changes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(rate=3e9, more=0.01)
    monkeypatch.setattr(dry_run, "measure", clock.measure)
    found = dry_run.dry_run(load_recipe(name, [*changes, "train.batch_size=4"], tiny=True), init="shapes")
    room = Estimate(MEMORY, MEMORY, 1, 1, None)
    true = clock.measure(found.recipe, found.model, found.labels, 1)
    monkeypatch.setattr(dry_run, "LARGE", 0)
    estimated = found.speed(room)
    assert estimated is not None
    assert estimated.steps == 0
    assert estimated.clips_per_second == pytest.approx(true.clips_per_second, rel=0.02)


def test_operations_of_a_step_are_those_of_the_paper_three_times() -> None:
    recipe = load_recipe("k400", ["train.precision=float32"])
    found = dry_run.dry_run(recipe)
    one, two = (step_flops(found.model, recipe.train, batch_of(found.model, found.labels, clips)) for clips in (1, 2))
    # forward, and backward to weights and to what was before, which the first layer and the frozen text spare
    assert (two - one) / (2 * found.macs) == pytest.approx(3, rel=0.02)


def test_devices_that_are_not_here_are_estimated_from_published_rates(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dry_run, "measure", lambda *_: pytest.fail("nothing is measured"))
    monkeypatch.setattr(dry_run, "step_flops", lambda *_: 32 * 10**12)
    monkeypatch.setattr(dry_run, "estimate_memory", lambda *_: Estimate(replace(MEMORY, clips=32), MEMORY, 1, 8, None))
    code, rows, _ = run_command(capsys, "k400", "--device-like", "A100x8")
    assert code == 0
    assert rows["memory"].endswith("80 GB are free")
    assert rows["time"].startswith("about 2.3 hours on 8 a100, an estimate from published rates, of which 35% are used")
    for like, complaint in (
        ("b100", "device 'b100' is unknown; known are t4, "),
        ("a100x0", "device 'a100x0' is unknown"),
        ("t4x2", "a t4 has no bfloat16 in hardware; add --set train.precision=float16"),
    ):
        changes = ("--set", "train.precision=bfloat16")
        code, _, error = run_command(capsys, "k400", "--device-like", like, *changes)
        assert (code, error.count("\n")) == (1, 1)
        assert complaint in error
    with pytest.raises(SystemExit) as ended:
        main(["train", "k400", "--out", "run", "--device-like", "a100"])
    assert ended.value.code == 2


def test_noise_makes_no_time_negative() -> None:
    assert extrapolated((1.0, 2.0), (10, 20), 100) == pytest.approx(10)
    assert extrapolated((1.0, 0.9), (10, 20), 100) >= 1.0
    assert extrapolated((1.0, 1.0), (10, 10), 100) == pytest.approx(10)


def test_a_dry_run_is_of_one_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    code, rows, error = run_command(capsys, "shapes", "--tiny")
    assert (code, rows, error) == (1, {}, "crossframe: a dry run is of one process; leave torchrun out\n")


def test_a_real_run_needs_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", "k400"])
    assert ended.value.code == 2
    assert "--out" in capsys.readouterr().err
