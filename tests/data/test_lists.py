"""Class numbers that count from 0 or from 1, and JSON with a record on each line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from crossframe.data.manifest import read_manifest
from tests.data.test_layouts import LABELS, rows, touch


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ApplyMakeup/a.avi 1\nyoga/b.avi 2\n", ["apply makeup", "yoga"]),  # UCF-101's, without its last class
        ("x/ApplyMakeup/a.avi 1\nc.avi 3\n", ["apply makeup", "zumba"]),
        ("yoga/a.avi 1\nzumba/b.avi 2\n", ["yoga", "zumba"]),  # MMAction2's, without the first
        ("yoga/zumba/a.avi 2\nyoga/b.avi 2\n", ["yoga", "yoga"]),
        ("yoga/a.avi 0\nyoga/b.avi 2\n", ["apply makeup", "zumba"]),
        ("c.avi 2\n", ["zumba"]),
    ],
)
@pytest.mark.parametrize("name", ["list.txt", "list.csv", "list.json"])
def test_folders_say_whether_numbers_count_from_one(
    tmp_path: Path, name: str, text: str, expected: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    pairs = [line.split() for line in text.splitlines()]
    touch(tmp_path, *(path for path, _ in pairs))
    labels = ["apply makeup", "yoga", "zumba"]
    if name == "list.json":
        text = json.dumps([{"filename": path, "label": [int(number)]} for path, number in pairs])
    elif name == "list.csv":
        text = "path,label\n" + text.replace(" ", ",")
    (tmp_path / name).write_text(text)
    assert [clip.label for clip in read_manifest(tmp_path / name, labels=labels).clips] == expected
    assert not caplog.messages


def test_numbers_that_may_count_from_one_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = touch(tmp_path, "a.mp4", "b.mp4") / "train.txt"
    source.write_text("a.mp4 1\nb.mp4 2\n")
    for _ in range(2):
        found = read_manifest(source, labels=["jump", "run", "yoga"])
    assert [clip.label for clip in found.clips] == ["run", "yoga"]
    assert [*map(str, caplog.messages)] == [
        f"{source}: no clip has class number 0, and 1 is taken for 'run', the second label; where it means 'jump', "
        f"give the names instead of the numbers, below a header path,label"
    ]


@pytest.mark.parametrize("name", ["list.json", "list.ndjson", "list.jsonl"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_record_on_each_line(tmp_path: Path, name: str, count: int) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    table = pd.DataFrame({"path": ["a.mp4", "b.mp4"], "label": LABELS})[:count]
    table.to_json(tmp_path / name, orient="records", lines=True)
    assert rows(read_manifest(tmp_path / name)) == [("a.mp4", "jump", ""), ("b.mp4", "run", "")][:count]
    (tmp_path / name).write_text('{"path": "a.mp4", "label": "jump"}\n{"path": "b.mp4"\n')
    with pytest.raises(ValueError, match=rf"{name}, line 2: is not JSON"):
        read_manifest(tmp_path / name)


def test_lines_that_are_no_records(tmp_path: Path) -> None:
    for text in ('{"path": "a.mp4",\n"label": "run"}\n{}', '{"path": "a.mp4"}\n1\n', "1\n2\n"):
        (tmp_path / "list.json").write_text(text)
        with pytest.raises(ValueError, match=r"list\.json is not JSON: Extra data"):
            read_manifest(tmp_path / "list.json")


def test_several_numbers_need_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "list.json").write_text(json.dumps([{"filename": "a.mp4", "label": [0, 1]}]))
    assert rows(read_manifest(tmp_path / "list.json", labels=LABELS)) == [("a.mp4", "jump|run", "")]
    with pytest.raises(ValueError, match="has class indices, not labels; give the file with their names"):
        read_manifest(tmp_path / "list.json")


def test_json_of_mmaction2(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    for name, split in (("list.json", ""), ("kinetics400_val_list_videos.json", "val")):  # MMAction2
        (tmp_path / name).write_text(json.dumps([{"filename": "a.mp4", "label": [1]}]))
        assert rows(read_manifest(tmp_path / name, labels=LABELS)) == [("a.mp4", "run", split)]
    (tmp_path / "val.json").write_text(json.dumps([{"path": "a.mp4", "label": "run"}]))
    assert rows(read_manifest(tmp_path / "val.json")) == [("a.mp4", "run", "")]
