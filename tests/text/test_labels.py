"""Label checks and words out of CamelCase."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from crossframe.text import check_labels, humanize
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
            (b"jump", "single text b'jump': give a list"),
            (PurePosixPath("labels.txt"), "the path .*labels.txt.*: give a list"),
            ([b"caf\xe9"], "is not UTF-8: decode it"),
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

    @pytest.mark.parametrize(
        "column",
        [
            np.array(["jump", "run"]),
            np.array(["jump", "run"], dtype=object),
            pd.Series(["jump", "run"], dtype="string"),
            pd.Series(["jump", "run"], dtype="category"),
            pd.Series(["jump", "run"], index=[7, 3], dtype=object),
            pd.Index(["jump", "run"]),
            pd.DataFrame({"label": ["jump", "run"]})["label"],
            pd.Categorical(["jump", "run"]),
            np.array([b"jump", b"run"]),
            pa.array(["jump", "run"]),
            pa.chunked_array([["jump"], ["run"]]),
        ],
    )
    def test_columns_are_labels(self, column: Any) -> None:
        labels = check_labels(column)
        assert labels == ["jump", "run"]
        assert {type(label) for label in labels} == {str}

    @pytest.mark.parametrize(
        ("column", "message"),
        [
            (pd.DataFrame({"label": ["jump", "run"]}), "labels is a table, of type DataFrame: .*one of its columns"),
            ({"jump": 0, "run": 1}, "labels is a table, of type dict"),
            (pd.Series(["jump", pd.NA], dtype="string"), "label 2 is (<NA>|nan)"),
            (pd.Series(["jump", None], dtype=object), "label 2 is None"),
            (np.array([["jump", "run"]]), "label 1 is array"),
            (np.array([], dtype=str), "there are no labels"),
        ],
    )
    def test_tables_and_gaps_are_not(self, column: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            check_labels(column)

    def test_not_text(self) -> None:
        with pytest.raises(ValueError, match="label 2 is 3, of type int"):
            check_labels(["jump", 3])  # pyright: ignore[reportArgumentType]


def test_checking_labels_needs_no_torch() -> None:
    code = (
        "import sys, crossframe.text; print([name for name in ('torch', 'ftfy', 'tokenizers') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
