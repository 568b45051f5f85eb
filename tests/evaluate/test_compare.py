"""Two runs side by side: counted by hand, and refused where they do not belong together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from crossframe.cli import main
from crossframe.evaluate.compare import ClassChange, compare
from crossframe.evaluate.result import Evaluation, VideoResult
from crossframe.evaluate.statistics import mcnemar, paired_interval

LABELS = ("clap", "jump", "wave")
TARGETS = (0, 0, 0, 1, 1, 2, 2)


def save(
    folder: Path,
    said: Sequence[int | None],
    names: Sequence[str] | None = None,
    recordings: Sequence[str] | None = None,
    trained_on: int | None = None,
) -> Path:
    """A run that answered with these classes; None for a video that could not be read."""
    results = [
        VideoResult(index, target, error="broken")
        if answer is None
        else VideoResult(index, target, (answer, *({0, 1, 2} - {answer})), (0.8, 0.1, 0.1), 0.5)
        for index, (target, answer) in enumerate(zip(TARGETS, said, strict=True))
    ]
    names = names or [f"{index}.mp4" for index in range(len(TARGETS))]
    Evaluation(LABELS, tuple(names), tuple(results), {}, recordings=recordings, trained_on=trained_on).save(folder)
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Right are 3 and 4 of 7: videos 1, 2 and 6 are gained, 3 and 5 lost, and 4 is wrong in both."""
    return save(tmp_path / "a", [0, 1, 1, 1, 2, 2, 0]), save(tmp_path / "b", [0, 0, 0, 2, None, 1, 2])


def test_the_difference_and_the_classes_that_moved(runs: tuple[Path, Path]) -> None:
    found = compare(*runs)
    assert (found.videos, found.gained, found.lost) == (7, 3, 2)
    assert (found.first, found.second) == (3 / 7, 4 / 7)
    assert found.difference == pytest.approx(found.second - found.first)
    assert found.interval == paired_interval([(1, 1)] * 3 + [(-1, 1)] * 2 + [(0, 1)] * 2)
    assert found.p_value == mcnemar([(1, 1)] * 3 + [(-1, 1)] * 2)
    # one of two `wave` was gained and the other lost: the class did not move
    assert found.classes == (ClassChange("clap", 3, 1, 3), ClassChange("jump", 2, 1, 0))


def test_the_other_way_round_is_the_opposite(runs: tuple[Path, Path]) -> None:
    there, back = compare(*runs), compare(*runs[::-1])
    assert back.difference == -there.difference
    assert back.p_value == there.p_value
    assert compare(runs[0], runs[0]).classes == ()


def test_the_order_of_videos_does_not_matter(runs: tuple[Path, Path], tmp_path: Path) -> None:
    names = [f"{index}.mp4" for index in (2, 1, 0, 4, 3, 6, 5)]
    turned = save(tmp_path / "c", [0, 0, 0, None, 2, 2, 1], names)
    assert compare(runs[0], turned) == compare(*runs)


def test_recordings_are_one_observation_each(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recordings = ["x", "x", "x", "y", "y", "z", "z"]  # gained in them: 2, -1 and 0
    first = save(tmp_path / "a", [0, 1, 1, 1, 2, 2, 0], recordings=recordings)
    second = save(tmp_path / "b", [0, 0, 0, 2, None, 1, 2], recordings=recordings)
    found = compare(first, second)
    gains = [(2, 3), (-1, 2), (0, 2)]
    assert (found.recordings, found.gained, found.lost) == (3, 3, 2)
    assert (found.interval, found.p_value) == (paired_interval(gains), mcnemar(gains))
    with pytest.raises(SystemExit, match="0"):
        main(["compare", str(first), str(second)])
    lines = capfd.readouterr().out.splitlines()
    assert "(95% interval, paired over 3 recordings: " in lines[2]
    assert lines[3] == "gained      3, lost 2  (exact permutation test over 3 recordings: p = 1)"


def test_the_command_prints_and_speaks_json(runs: tuple[Path, Path], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["compare", *map(str, runs)])
    lines = capfd.readouterr().out.splitlines()
    assert lines[1:3] == ["top1        42.9% and 57.1%", lines[2]]
    assert lines[2].startswith("difference  +14.3%  (95% interval, paired: ")
    assert lines[3] == "gained      3, lost 2  (McNemar's exact test: p = 1)"
    assert [line.split() for line in lines[6:]] == [["clap", "3", "33%", "100%"], ["jump", "2", "50%", "0%"]]
    with pytest.raises(SystemExit, match="0"):
        main(["compare", *map(str, runs), "--json"])
    assert json.loads(capfd.readouterr().out)["difference"] == pytest.approx(1 / 7)


def test_a_run_on_training_clips_is_marked(
    runs: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert compare(*runs).warnings == ()
    taught = save(tmp_path / "taught", [0] * 7, trained_on=3)
    with pytest.raises(SystemExit, match="0"):
        main(["compare", str(runs[0]), str(taught)])
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert f"{taught}: the model was trained on 3 of these 7 clips: its accuracy on clips that it never saw" in error


def test_runs_that_do_not_belong_together(
    runs: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = save(tmp_path / "c", [0] * 7, ["new.mp4", *(f"{index}.mp4" for index in range(1, 7))])
    (tmp_path / "several/one").mkdir(parents=True)
    save(tmp_path / "several/one", [0] * 7)
    mistakes = {
        other: "not on the same videos: 1 of .*a are not in .*c, the first is 0.mp4",
        tmp_path / "nowhere": "holds no predictions.parquet; give a folder that",
        tmp_path / "several": "holds several trials: one; compare one, ",
    }
    for run, message in mistakes.items():
        with pytest.raises(ValueError, match=message):
            compare(runs[0], run)
        with pytest.raises(SystemExit, match="1"):
            main(["compare", str(runs[0]), str(run)])
        assert capfd.readouterr().err.count("\n") == 1
