"""The learning rate: the authors' with its faults, timm's, and ours."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from crossframe.recipes.load import load_recipe
from crossframe.recipes.schema import FileData
from crossframe.train.schedule import Schedule, batches_of_epoch

CASES = ["30x10_lr8e-6", "50x7_lr2e-6", "50x7_lr2e-6_acc2"]


@pytest.mark.parametrize("case", CASES)
def test_official_rates_are_those_of_the_authors(case: str, golden: Path) -> None:
    values = json.loads((golden / "lr_schedule.json").read_text())[case]
    schedule = Schedule(
        values["epochs"],
        values["iters_per_epoch"],
        values["warmup_epochs"],
        values["accumulation_steps"],
        course="authors",
    )
    used, base = values["used_at_optimizer_step"], values["base_lr"]
    assert schedule.steps == len(used["base"])
    for factor, name in ((1, "base"), (10, "x10")):
        rates = [schedule.rate(step, base * factor, base / 100) for step in range(schedule.steps)]
        assert rates == pytest.approx(used[name], rel=1e-9, abs=1e-18)
    positions = [schedule.batches_of(step)[-1] for step in range(schedule.steps)]
    expected = [e * values["iters_per_epoch"] + i for e, i in zip(used["epoch"], used["idx"], strict=True)]
    assert positions == expected


def test_every_run_of_the_paper_has_the_rates_of_timm(golden: Path) -> None:
    """Recorded by scripts/record_rates.py; sizes are those of the paper's runs."""
    record = json.loads((golden / "lr_schedule_timm.json").read_text())
    assert len(record["runs"]) == 6
    for name, run in record["runs"].items():
        train = load_recipe(name.partition(",")[0].partition(" ")[0]).train
        assert (train.epochs, train.warmup_epochs, train.rates.base) == (
            run["epochs"],
            record["warmup_epochs"],
            run["base"],
        )
        schedule = Schedule(train.epochs, run["batches"], train.warmup_epochs, run["accumulate"], train.schedule)
        assert schedule.steps == run["steps"]
        for step, rates in run["rates"].items():
            ours = [schedule.rate(int(step), run["base"] * factor, run["base"] / 100) for factor in (1, 10)]
            assert ours == pytest.approx(rates, rel=1e-9, abs=1e-18), (name, step)


@pytest.mark.parametrize(
    ("recipe", "theirs"),  # clips that each of 8 GPUs takes at once, and batches of a step; as their configurations say
    [("k400", (8, 4)), ("k600", (8, 4)), ("zero-shot", (4, 8))],
)
def test_as_many_steps_as_the_authors(recipe: str, theirs: tuple[int, int]) -> None:
    found = load_recipe(recipe)
    assert isinstance(found.data, FileData)
    assert found.data.clips is not None
    assert _steps(found.data.clips, found.train.batch_size) == _their_steps(found.data.clips, *theirs)


@pytest.mark.parametrize(("recipe", "classes"), [("hmdb51-few-shot", 51), ("ucf101-few-shot", 101)])
@pytest.mark.parametrize("shots", [2, 4, 8, 16])
def test_as_many_steps_as_the_authors_from_few_clips(recipe: str, classes: int, shots: int) -> None:
    batch = load_recipe(recipe).train.batch_size
    assert _steps(shots * classes, batch) == _their_steps(shots * classes, 4, 2)


def _steps(clips: int, batch: int) -> int:
    return Schedule(50, batches_of_epoch(clips, batch, "authors"), course="authors").steps


def _their_steps(clips: int, each: int, accumulate: int) -> int:
    """The sampler gives 8 GPUs equally many clips, some twice; each drops what does not fill a batch, then a step."""
    return 50 * (-(-clips // 8) // each // accumulate)


def test_without_their_loop_timms_course_has_no_step_that_learns_nothing() -> None:
    theirs, repaired = (Schedule(30, 10, 5, course=course) for course in ("authors", "timm"))
    assert [theirs.rate(step, 1.0, 0.01) for step in (0, 1)] == [0, 0]
    assert all(repaired.rate(step, 1.0, 0.01) > 0 for step in range(300))
    # the same curve, two steps sooner
    assert [repaired.rate(step, 1.0, 0.01) for step in range(2, 250)] == pytest.approx(
        [theirs.rate(step + 2, 1.0, 0.01) for step in range(2, 250)]
    )


@pytest.mark.parametrize(("recipe", "sizes", "more"), [("k400", (30, 937), 1.19), ("zero-shot", (10, 937), 1.46)])
def test_the_smooth_course_learns_more(recipe: str, sizes: tuple[int, int], more: float) -> None:
    """Rates summed over a run, which docs/results.md quotes."""
    sums = {
        course: sum(schedule.rate(step, 1.0, 0.01) for step in range(schedule.steps))
        for course in ("smooth", "authors")
        for schedule in [Schedule(*sizes, load_recipe(recipe).train.warmup_epochs, course=course)]
    }
    assert sums["smooth"] / sums["authors"] == pytest.approx(more, abs=0.01)


def test_without_the_faults_every_step_learns_and_nothing_jumps() -> None:
    schedule = Schedule(epochs=30, batches=10, warmup_epochs=5)
    rates = [schedule.rate(step, 1.0, 0.01) for step in range(schedule.steps)]
    assert rates[0] == pytest.approx(1 / 50)
    assert rates[49] == max(rates) == 1.0
    assert rates[-1] == pytest.approx(0.01)
    assert rates[:50] == sorted(rates[:50])
    assert rates[49:] == sorted(rates[49:], reverse=True)
    assert max(abs(a - b) for a, b in pairwise(rates)) < 1 / 49


def test_no_batch_is_lost_when_steps_take_several() -> None:
    schedule = Schedule(epochs=3, batches=7, accumulate=3)
    taken = [batch for step in range(schedule.steps) for batch in schedule.batches_of(step)]
    assert taken == list(range(21))
    assert [len(schedule.batches_of(step)) for step in range(3)] == [3, 3, 1]


def test_a_run_of_warm_up_alone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"warm-up of 5 epochs leaves none of 5"):
        Schedule(epochs=5, batches=2, warmup_epochs=5)
    with pytest.raises(ValueError, match="not enough for one step of 4"):
        Schedule(epochs=5, batches=2, accumulate=4, course="authors")
