"""Rate and time left, in logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossframe import pace
from crossframe.pace import Pace, figure, told
from crossframe.train.progress import progress_bar
from tests.cli.conftest import Run
from tests.cli.conftest import command as command  # a fixture
from tests.video.clips import moving, write_clip


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test sets."""
    now = [0.0]
    monkeypatch.setattr("crossframe.pace.time.monotonic", lambda: now[0])
    return now


def test_a_line_comes_once_a_minute_with_rate_and_time_left(clock: list[float]) -> None:
    work = Pace("videos", 10_000, done=1000)
    clock[0] = 59
    assert work.line(1100) is None
    clock[0] = 100
    assert work.line(2000) == "2,000 of 10,000 videos, 10 a second, about 13 minutes left"
    assert work.line(2001) is None
    clock[0] = 170
    assert work.line(10_000) == "10,000 of 10,000 videos, 52.9 a second, about 0 seconds left"
    slow = Pace("steps", 10_000)
    clock[0] = 1170
    assert slow.line(100) == "100 of 10,000 steps, 0.1 a second, about 28 hours left"


def test_no_number_has_a_power_of_ten(clock: list[float]) -> None:
    work = Pace("steps", 10**7)
    for steps, seconds, line in (
        (1500, 1, "1,500 of 10,000,000 steps, 1,500 a second, about 110 minutes left"),
        (10, 600, "10 of 10,000,000 steps, 0.0167 a second, about 6,900 days left"),
        (10**6, 800, "1,000,000 of 10,000,000 steps, 1,250 a second, about 2 hours left"),
    ):
        clock[0] = -pace.EVERY  # the line before this one
        work = Pace("steps", 10**7)
        work._started, clock[0] = 0.0, seconds
        assert work.line(steps) == line
    assert [figure(value) for value in (1e-9, 0.5, 999.7, 123456.0, -2e6)] == [
        "0.000000001",
        "0.5",
        "1,000",
        "123,000",
        "-2,000,000",
    ]


def test_items_are_handed_on_and_lines_go_to_standard_error(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    for item in told([1, 2, 3], "videos", 3):
        clock[0] += 40 * item
    assert capsys.readouterr().err.splitlines() == [
        "crossframe: 2 of 3 videos, 0.0167 a second, about 60 seconds left",
        "crossframe: 3 of 3 videos, 0.0125 a second, about 0 seconds left",
    ]


def test_classify_says_it_where_no_terminal_is(
    command: Run, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "EVERY", 0.0)
    clips = [write_clip(tmp_path / f"{number}.mp4", frames=moving(4, 48, 40)) for number in range(2)]
    outcome = command("classify", *clips, "-l", "yoga", "-l", "golf", "--model", tiny_folder, "--json")
    assert "crossframe: 1 of 2 videos, " in outcome.err
    assert "about 0 seconds left" in outcome.err
    assert "seconds left" not in outcome.out


def test_training_says_it_with_the_loss(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    values = {"loss": 1.5, "clips_per_second": 8.0, "waiting": 0.25}
    with progress_bar(0, 100) as bar:
        clock[0] = 150
        bar.show(50, values)
    assert "50 of 100 steps, 0.333 a second, about 2.5 minutes left; loss 1.500  8 clips/s" in capsys.readouterr().err
