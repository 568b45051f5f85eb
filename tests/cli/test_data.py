"""`crossframe data` as people and programs use it: what it writes, what it prints, and how it ends."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from crossframe.extras import install_command
from crossframe.video.decode import read_video
from tests.cli.conftest import Run
from tests.data.dataset import write_numbered


@pytest.fixture
def run(command: Run) -> Run:
    """Runs `crossframe data ...` in this process."""
    return lambda *arguments: command("data", *arguments)


@pytest.fixture
def ucf(tmp_path: Path) -> Path:
    """Two classes of UCF-101 with one video missing."""
    lists = tmp_path / "ucf/ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text("1 ApplyEyeMakeup\n2 YoYo\n")
    (lists / "trainlist01.txt").write_text("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\nYoYo/v_YoYo_g08_c01.avi 2\n")
    (lists / "testlist01.txt").write_text("YoYo/v_YoYo_g01_c01.avi\nYoYo/v_YoYo_g01_c02.avi\n")
    for name in ("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01", "YoYo/v_YoYo_g08_c01", "YoYo/v_YoYo_g01_c01"):
        file = tmp_path / "ucf/UCF-101" / f"{name}.avi"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path / "ucf"


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_an_import_writes_a_list_says_what_is_missing_and_counts(run: Run, ucf: Path) -> None:
    outcome = run("import", "ucf101", ucf, ucf / "list.csv", "--humanize", "--labels", ucf / "labels.txt")
    assert outcome.status == 0
    assert [(row["path"], row["label"], row["split"]) for row in read_csv(ucf / "list.csv")] == [
        ("UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi", "apply eye makeup", "train"),
        ("UCF-101/YoYo/v_YoYo_g08_c01.avi", "yo yo", "train"),
        ("UCF-101/YoYo/v_YoYo_g01_c01.avi", "yo yo", "test"),
    ]
    assert (ucf / "labels.txt").read_text() == "apply eye makeup\nyo yo\n"
    assert "1 of 4 clips are missing on the disk: YoYo/v_YoYo_g01_c02.avi" in outcome.err
    assert "the lists name 2 classes, and ucf101 has 101" in outcome.err
    assert [line.split() for line in outcome.out.splitlines()] == [
        ["class", "train", "test"],
        ["apply", "eye", "makeup", "1", "0"],
        ["yo", "yo", "1", "1"],
        ["total", "2", "1"],
        [str(ucf / "list.csv")],
    ]


def test_parquet_and_lists_in_another_folder(run: Run, ucf: Path, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "lists/ucf.parquet"
    outcome = run("import", "ucf101", ucf / "UCF-101", out, "--annotations", ucf / "ucfTrainTestlist")
    assert outcome.status == 0
    table = pyarrow.read_table(out)
    assert {"path", "label", "split"} <= set(table.column_names)
    assert all(Path(path).is_file() for path in table["path"].to_pylist())


def test_an_overlap_is_refused_with_the_list_and_nothing_is_written(run: Run, ucf: Path) -> None:
    (ucf / "ucfTrainTestlist/testlist01.txt").write_text("YoYo/v_YoYo_g08_c01.avi\n")
    outcome = run("import", "ucf101", ucf, ucf / "list.csv")
    assert outcome.status == 1
    assert outcome.out == "YoYo/v_YoYo_g08_c01.avi (train, test)\n"
    assert outcome.err.count("\n") == 1
    assert "1 clips are in several splits" in outcome.err
    assert not (ucf / "list.csv").exists()


@pytest.mark.parametrize(
    "words",
    [
        "import ucf101 . mine.csv",
        "few-shot mine.csv mine.csv --shots 1",
        "new-classes other.csv mine.csv --old other.csv",
        "hold-out other.csv mine.csv",
        "between other.csv mine.csv",
    ],
)
def test_a_list_made_by_hand_stays(words: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("path,label\na.mp4,corrected\n")
    outcome = run(*words.split())
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert "mine.csv is there" in outcome.err
    assert Path("mine.csv").read_text() == "path,label\na.mp4,corrected\n"


def test_a_list_that_was_corrected_stays_beside_the_next_one(run: Run, ucf: Path) -> None:
    written = run("import", "ucf101", ucf, ucf / "list.csv")
    assert (written.status, "held another list" in written.err) == (0, False), written.err
    corrected = (ucf / "list.csv").read_text().replace("train", "val", 1)
    (ucf / "list.csv").write_text(corrected)
    outcome = run("import", "ucf101", ucf, ucf / "list.csv")
    assert (outcome.status, "list.csv held another list, which is list.csv.old now" in outcome.err) == (0, True)
    assert (ucf / "list.csv.old").read_text() == corrected


def test_no_command_at_all_is_answered_with_the_help_alone(run: Run) -> None:
    outcome = run()
    assert (outcome.status, outcome.err) == (2, "")
    assert "few-shot" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("import", "ucf102", ".", "out.csv"), 2, "ucf101"),
        (("import", "ucf101", "nowhere", "out.csv"), 1, "nowhere is no folder"),
        (("import", "ucf101", ".", "out.csv", "--split-number", "4"), 2, "split-number"),
        (("verify", "nothing.csv"), 1, "nothing.csv does not exist"),
        (("prepare", "nothing.csv", "out"), 1, "nothing.csv does not exist"),
        (("few-shot", "nothing.csv", "out.csv", "--shots", "2"), 1, "nothing.csv does not exist"),
        (
            ("import", "ucf101", "nowhere", "out.txt"),
            1,
            "out.txt: a list of clips is written to a .csv or a .parq",
        ),
        (("prepare", ".", "."), 1, ". holds the list itself, which would be written over; choose another folder"),
        (("verify", ".", "--record", "file/record"), 1, "file/record: cannot be written (File exists); give --record"),
        (
            ("import", "foldr", ".", "out.csv"),
            2,
            "Invalid value for 'name': 'foldr' is none of kinetics400, kinetics600",
        ),
    ],
)
def test_mistakes_are_named_in_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], status: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("walk").mkdir()
    Path("walk/a.mp4").touch()
    outcome = run(*arguments)
    assert outcome.status == status
    assert words in outcome.err
    assert outcome.err.count("\n") == 1


def test_lists_of_class_numbers_are_imported_and_taken_as_they_are(run: Run, tmp_path: Path) -> None:
    (tmp_path / "videos/deep").mkdir(parents=True)
    for name in ("a", "b", "c"):
        write_numbered(tmp_path / f"videos/{name}.mp4", width=40)
    (tmp_path / "train.txt").write_text("a.mp4 1\nb.mp4 0\nc.mp4 1\n")
    (tmp_path / "labels.json").write_text('{"run": 0, "walk": 1}')
    given = "--annotations", tmp_path / "train.txt", "--annotations", tmp_path / "labels.json"
    assert run("import", "txt", tmp_path / "videos", tmp_path / "list.csv", *given).status == 0
    assert [(row["path"], row["label"], row["split"]) for row in read_csv(tmp_path / "list.csv")] == [
        ("videos/a.mp4", "walk", "train"),
        ("videos/b.mp4", "run", "train"),
        ("videos/c.mp4", "walk", "train"),
    ]
    as_is = "--labels", tmp_path / "labels.json", "--root", tmp_path / "videos"
    assert run("verify", tmp_path / "train.txt", *as_is).out.startswith("3 files, 0 problems")
    assert run("few-shot", tmp_path / "train.txt", tmp_path / "few.csv", "--shots", "1", *as_is).status == 0
    assert {row["label"] for row in read_csv(tmp_path / "few.csv")} == {"run", "walk"}
    refused = run("few-shot", tmp_path / "train.txt", tmp_path / "few.csv", "--shots", "1")
    assert (refused.status, refused.err.count("\n")) == (1, 1)
    assert "give the file with their names" in refused.err


@pytest.mark.parametrize("name", ["verify", "prepare", "hold-out", "few-shot", "import"])
def test_contained_commands_take_no_file_outside(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "outside.mp4").touch()
    source = tmp_path / "set/list.csv"
    source.write_text("path,label\n../outside.mp4,walk\n")
    arguments: dict[str, tuple[str | Path, ...]] = {
        "verify": (source,),
        "prepare": (source, tmp_path / "out"),
        "hold-out": (source, tmp_path / "out.csv"),
        "few-shot": (source, tmp_path / "out.csv", "--shots", "1"),
        "import": ("csv", source, tmp_path / "out.csv"),
    }
    outcome = run(name, *arguments[name], "--contained")
    assert outcome.status == 1
    assert "../outside.mp4: lies outside" in outcome.err
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.csv").exists()


def test_verify_and_prepare_list_the_broken_and_end_with_one(run: Run, tmp_path: Path) -> None:
    for name in ("run/a.mp4", "walk/b.mp4"):
        (tmp_path / "clips" / name).parent.mkdir(parents=True)
        write_numbered(tmp_path / "clips" / name, width=40)
    (tmp_path / "clips/walk/c.mp4").write_text("no video")
    assert run("import", "folder", tmp_path / "clips", tmp_path / "list.csv").status == 0

    verified = run("verify", tmp_path / "list.csv", "--workers", 1)
    assert (verified.status, verified.err) == (1, "")  # no terminal, no bar, no empty line of one
    assert verified.out.splitlines() == [
        "clips/walk/c.mp4: is not a video, or is cut off so early that nothing of it can be read; "
        "give a video file that plays",
        f"3 files, 1 problem; see {tmp_path / 'list.verified.jsonl'}",
    ]

    prepared = run("prepare", tmp_path / "list.csv", tmp_path / "small", "--short-side", 16, "--workers", 1)
    assert (prepared.status, prepared.err) == (1, "")
    assert "1 of 3 files stay as they were, in the new list too" in prepared.out
    rows = read_csv(tmp_path / "small/manifest.csv")
    assert [row["path"] for row in rows] == [
        "videos/run/a.mp4",
        "videos/walk/b.mp4",
        str(tmp_path / "clips/walk/c.mp4"),
    ]
    assert read_video(tmp_path / "small/videos/run/a.mp4", 1).pixels.shape[2:] == (16, 20)

    packed = run("prepare", tmp_path / "list.csv", tmp_path / "small", "--short-side", 16, "--workers", 1, "--shards")
    assert packed.status == 1
    rows = read_csv(tmp_path / "small/manifest.csv")
    assert [row["path"].rpartition("+")[0].rpartition("/")[0] for row in rows] == ["shards/00000.tar"] * 2 + [""]
    assert rows[2]["path"] == str(tmp_path / "clips/walk/c.mp4")
    assert read_video(tmp_path / "small" / rows[1]["path"], 1).pixels.shape[2:] == (16, 20)

    (tmp_path / "clips/walk/c.mp4").unlink()
    write_numbered(tmp_path / "clips/walk/c.mp4")
    elsewhere = tmp_path / "notes/record.jsonl"
    assert run("verify", tmp_path / "list.csv", "--record", elsewhere, "--workers", 1).status == 0
    assert elsewhere.read_text().count("\n") == 3


def test_parquet_without_its_library_is_said_before_the_work(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    outcome = run("import", "ucf101", "nowhere", "list.parquet")
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert f"Parquet files need pyarrow ({install_command('train')}); other kinds of files need nothing" in outcome.err


def test_few_clips_are_drawn_from_training_and_the_rest_stays(run: Run, tmp_path: Path) -> None:
    lines = ["path,label,split"]
    for label in ("run", "walk"):
        for number in range(5):
            (tmp_path / f"{label}{number}.mp4").touch()
            lines.append(f"{label}{number}.mp4,{label},{'test' if number == 4 else 'train'}")
    (tmp_path / "list.csv").write_text("\n".join(lines))

    def drawn(shots: int, seed: int) -> set[str]:
        assert (
            run("few-shot", tmp_path / "list.csv", tmp_path / "few.csv", "--shots", shots, "--seed", seed).status == 0
        )
        rows = read_csv(tmp_path / "few.csv")
        assert {row["path"] for row in rows if row["split"] == "test"} == {"run4.mp4", "walk4.mp4"}
        return {row["path"] for row in rows if row["split"] == "train"}

    assert len(drawn(2, 0)) == 4
    assert drawn(1, 0) < drawn(2, 0) == drawn(2, 0)
    assert len({frozenset(drawn(2, seed)) for seed in range(4)}) > 1
    outcome = run("few-shot", tmp_path / "list.csv", tmp_path / "few.csv", "--shots", 5)
    assert outcome.status == 1
    assert "2 of 2 classes have fewer than 5 clips, 'run' has 4" in outcome.err


def test_training_refuses_clips_that_are_tested_too_and_lists_them(run: Run, command: Run, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.mp4").touch()
    rows = [
        "path,label,split",
        "a.mp4,run,train",
        "b.mp4,walk,train",
        "b.mp4,walk,val",
        "a.mp4,run,val",
        "c.mp4,run,val",
    ]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    few = run("few-shot", tmp_path / "list.csv", tmp_path / "few.csv", "--shots", 1)
    trained = command("train", "finetune", "--data", tmp_path / "list.csv", "--out", tmp_path / "run")
    for outcome in (few, trained):
        assert outcome.status == 1
        assert outcome.out.splitlines() == ["a.mp4 (train, val)", "b.mp4 (train, val)"]
        assert "2 clips are in several splits" in outcome.err
        assert outcome.err.count("\n") == 1
    assert not (tmp_path / "few.csv").exists()
    assert not (tmp_path / "run" / "last").exists()


def test_new_classes_are_drawn_by_the_seed_with_a_record_of_the_matches(run: Run, tmp_path: Path) -> None:
    old = ["making bed", "hugging", "yoga", "tying tie"]
    new = ["making the bed", "hugging (not baby)", "yoga", "tying necktie", "arguing", "bowling", "curling", "diving"]
    (tmp_path / "old.txt").write_text("\n".join(old))
    rows = ["path,label,split"]
    for number, label in enumerate(new):
        (tmp_path / f"{number}.mp4").touch()
        rows += [f"{number}.mp4,{label},val"]
    (tmp_path / "new.csv").write_text("\n".join(rows))

    def drawn(*words: object) -> list[str]:
        outcome = run("new-classes", tmp_path / "new.csv", tmp_path / "out.csv", "--old", tmp_path / "old.txt", *words)
        assert outcome.status == 0, outcome.err
        lines = [line.split("\t") for line in outcome.out.splitlines()]
        assert ["making the bed", "spelling", "making bed", ""] in lines
        return [row["label"] for row in read_csv(tmp_path / "out.csv")]

    assert drawn() == ["tying necktie", "arguing", "bowling", "curling", "diving"]
    (tmp_path / "renamed.csv").write_text("new,old\ntying necktie,tying tie\n")
    renamed = ("--renamed", tmp_path / "renamed.csv")
    assert drawn(*renamed) == ["arguing", "bowling", "curling", "diving"]
    draws = [tuple(drawn(*renamed, "--classes", 2, "--seed", seed)) for seed in range(4)]
    assert {len(draw) for draw in draws} == {2}
    assert len(set(draws)) > 1
    assert drawn(*renamed, "--classes", 2, "--seed", 0) == list(draws[0])
    too_many = (
        "new-classes",
        tmp_path / "new.csv",
        tmp_path / "out.csv",
        "--old",
        tmp_path / "old.txt",
        "--classes",
        9,
    )
    assert "9 of 5 new classes cannot be drawn" in run(*too_many).err


def test_clips_of_several_classes_count_for_each(run: Run, tmp_path: Path) -> None:
    labels = ("run|jump", "run", "jump", "run")
    for number in range(4):
        (tmp_path / f"{number}.mp4").touch()
    rows = [f"{number}.mp4,{label}" for number, label in enumerate(labels)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]))
    outcome = run("hold-out", tmp_path / "list.csv", tmp_path / "divided.csv", "--fraction", 0.25)
    counts = {line.split()[0]: sum(map(int, line.split()[1:])) for line in outcome.out.splitlines()[1:4]}
    assert counts == {"jump": 2, "run": 3, "total": 4}


def test_held_out_clips_keep_groups_together(run: Run, tmp_path: Path) -> None:
    lines = ["path,label,group"]
    for number in range(12):
        (tmp_path / f"{number}.mp4").touch()
        lines.append(f"{number}.mp4,{'run' if number % 2 else 'walk'},film {number // 4}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    assert run("hold-out", tmp_path / "list.csv", tmp_path / "divided.csv", "--fraction", 0.3).status == 0
    rows = read_csv(tmp_path / "divided.csv")
    sides = {group: {row["split"] for row in rows if row["group"] == group} for group in ("film 0", "film 1", "film 2")}
    assert sorted(len(side) for side in sides.values()) == [1, 1, 1]
    assert {row["split"] for row in rows} == {"train", "val"}
    again = run("hold-out", tmp_path / "divided.csv", tmp_path / "more.csv")
    assert again.status == 1
    assert "is divided already, into train, val" in again.err
    for name in ("", "training"):
        outcome = run("hold-out", tmp_path / "list.csv", tmp_path / "divided.csv", "--name", name)
        assert outcome.status == 2
        assert f"'{name}' does not tell them from the others; call them val or test" in outcome.err
