"""The learning rate: the authors' with its faults, ours without."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from crossframe.train.schedule import Schedule

CASES = ["30x10_lr8e-6", "50x7_lr2e-6", "50x7_lr2e-6_acc2"]


@pytest.mark.parametrize("case", CASES)
def test_official_rates_are_those_of_the_authors(case: str, golden: Path) -> None:
    values = json.loads((golden / "lr_schedule.json").read_text())[case]
    schedule = Schedule(
        values["epochs"],
        values["iters_per_epoch"],
        values["warmup_epochs"],
        values["accumulation_steps"],
        official=True,
    )
    used, base = values["used_at_optimizer_step"], values["base_lr"]
    assert schedule.steps == len(used["base"])
    for factor, name in ((1, "base"), (10, "x10")):
        rates = [schedule.rate(step, base * factor, base / 100) for step in range(schedule.steps)]
        assert rates == pytest.approx(used[name], rel=1e-9, abs=1e-18)
    positions = [schedule.batches_of(step)[-1] for step in range(schedule.steps)]
    expected = [e * values["iters_per_epoch"] + i for e, i in zip(used["epoch"], used["idx"], strict=True)]
    assert positions == expected


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
        Schedule(epochs=5, batches=2, accumulate=4, official=True)
