"""Label files, label checks and words out of CamelCase."""

from __future__ import annotations

import codecs
import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from crossframe.text import check_labels, humanize, read_labels
from crossframe.text.tokenizer import Tokenizer


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("ApplyEyeMakeup", "apply eye makeup"),
        ("brush_hair", "brush hair"),
        ("YoYo", "yo yo"),
        ("TaiChi", "tai chi"),
        ("HandstandPushups", "handstand pushups"),
        ("BasketballDunk", "basketball dunk"),
        ("CleanAndJerk", "clean and jerk"),
        ("PlayingTVShow", "playing TV show"),
        ("WatchTV", "watch TV"),
        ("DJsMixing", "djs mixing"),
        ("RideABike", "ride a bike"),
        ("100mHurdles", "100m hurdles"),
        ("Top10Moves", "top10 moves"),
        ("4x4", "4x4"),
        ("__shake__hands_", "shake hands"),
        ("Brush_YourTeeth", "brush your teeth"),
        ("arm wrestling", "arm wrestling"),
        ("tap (dance), slow", "tap (dance), slow"),
        ("ÉcrireÀMain", "écrire à main"),
        ("A", "a"),
        ("", ""),
    ],
)
def test_humanize(label: str, expected: str) -> None:
    assert humanize(label) == expected


def test_humanize_leaves_words_alone(golden: Path) -> None:
    labels = json.loads((golden / "tokens.json").read_text(encoding="utf-8"))["labels"]
    for name in labels["hmdb_51_labels.csv"]["names"]:
        assert humanize(name) == name.replace("_", " ")
    ucf = [humanize(name) for name in labels["ucf_101_labels.csv"]["names"]]
    assert all(name == name.lower() for name in ucf)
    assert check_labels(ucf) == ucf


class TestCheck:
    def test_good_labels_come_back(self) -> None:
        assert check_labels(("jump", "run")) == ["jump", "run"]

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ([], "no labels: give at least one"),
            (["jump", " "], "label 2 of 2 is empty"),
            (["jump", "run", "jump"], "labels 1 and 3 read the same, 'jump' and 'jump': remove one"),
            (["Arm wrestling", "arm  wrestling"], "labels 1 and 2 read the same"),
            ("jump", "single text 'jump': give a list"),
        ],
    )
    def test_mistakes(self, labels: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            check_labels(labels)

    @pytest.mark.parametrize(
        ("one", "other"),
        [("don't do it", "don\u2019t do it"), ("rock & roll", "rock &amp; roll"), ("fix it", "\ufb01x it")],
    )
    def test_what_the_tokenizer_repairs_reads_the_same(self, one: str, other: str) -> None:
        assert torch.equal(*Tokenizer.clip()([one, other]).unbind())
        with pytest.raises(ValueError, match="labels 1 and 2 read the same"):
            check_labels([one, other])

    def test_not_text(self) -> None:
        with pytest.raises(ValueError, match="label 2 is 3, of type int"):
            check_labels(["jump", 3])  # pyright: ignore[reportArgumentType]


class TestRead:
    @pytest.mark.parametrize(
        ("name", "content", "expected"),
        [
            ("l.txt", "jump\nrun\n", ["jump", "run"]),
            ("l.txt", "jump\r\nrun", ["jump", "run"]),
            ("l.txt", "  jump, high \nrun\n\n \n", ["jump, high", "run"]),
            ("l.txt", "name\nrun", ["name", "run"]),
            ("l.txt", 'say "hi"\nrun', ['say "hi"', "run"]),
            ("l.csv", "id,name\n0,jump\n1,run\n", ["jump", "run"]),
            ("l.csv", 'id,name\r\n0,"jump, high"\r\n1,"say ""hi"""\r\n\r\n', ["jump, high", 'say "hi"']),
            ("l.csv", "label\njump\nrun", ["jump", "run"]),
            ("l.csv", "Label,group\njump,1\nrun,2", ["jump", "run"]),
            ("l.csv", "id,name,label\n7,x,jump\n7,x,run", ["jump", "run"]),
            ("labels", "id,name\n0,jump\n", ["jump"]),
        ],
    )
    @pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
    def test_layouts(self, tmp_path: Path, name: str, content: str, expected: list[str], mark: bytes) -> None:
        path = tmp_path / name
        path.write_bytes(mark + content.encode("utf-8"))
        assert read_labels(path) == expected

    def test_the_layout_of_the_authors(self, tmp_path: Path, golden: Path) -> None:
        labels = json.loads((golden / "tokens.json").read_text(encoding="utf-8"))["labels"]
        for file, content in labels.items():
            with (tmp_path / file).open("w", newline="", encoding="utf-8") as out:
                csv.writer(out).writerows([("id", "name"), *enumerate(content["names"])])
            assert read_labels(tmp_path / file) == content["names"]

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("l.txt", "", r"l\.txt holds no labels"),
            ("l.txt", "\n\n", "holds no labels"),
            ("l.txt", "jump\n\nrun", "line 2: the label is empty"),
            ("l.txt", "jump\nrun\nJump", "line 3: 'Jump' repeats the label of line 1"),
            ("l.csv", "id,name\n", "holds no labels"),
            ("l.csv", "id,name\n0,jump\n\n1,run", "line 3: the label is empty"),
            ("l.csv", "id,name\n0,\n", "line 2: the label is empty"),
            ("l.csv", "id,name\n0,jump\n1,jump", "line 3: 'jump' repeats the label of line 2"),
            ("l.csv", "id,name\n1,jump\n2,run", "line 2: the id is '1' where 0 is expected"),
            ("l.csv", "id,name\n0,jump, high", "line 2: 3 fields under a header of 2: put quotes"),
            ("l.csv", 'id,name\n0,"jump', "line 2: .*check the quotes"),
            ("l.csv", "jump\nrun", "first line must be a header .*not 'jump'"),
        ],
    )
    def test_mistakes(self, tmp_path: Path, name: str, content: str, message: str) -> None:
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match=message) as caught:
            read_labels(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_not_utf8(self, tmp_path: Path) -> None:
        path = tmp_path / "l.txt"
        path.write_bytes("jump\ncafé".encode("latin-1"))
        with pytest.raises(ValueError, match=r"not UTF-8 text \(byte 8\); save it as UTF-8"):
            read_labels(path)

    def test_unreadable(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"nowhere\.txt \(No such file or directory\); check the path"):
            read_labels(tmp_path / "nowhere.txt")
        with pytest.raises(ValueError, match=r"cannot read .*; check the path"):
            read_labels(tmp_path)


def test_checking_labels_needs_no_torch() -> None:
    code = (
        "import sys, crossframe.text; print([name for name in ('torch', 'ftfy', 'tokenizers') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
