"""Files of labels: every form, and what comes near one and is refused."""

from __future__ import annotations

import codecs
import csv
import json
import shutil
from pathlib import Path

import pytest

from crossframe.text import read_labels


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
        ("l.txt", "# two classes\njump\n\nrun\n  # the end\n", ["jump", "run"]),
        ("l.csv", "id,name\n0,jump\n\n1,run\n,\n", ["jump", "run"]),
        ("l.csv", "id;name\n0;jump, high\n1;run\n", ["jump, high", "run"]),
        ("l.csv", ",label\n0,jump\n1,run\n", ["jump", "run"]),
        ("l.csv", "label,name\n0,jump\n1,run\n", ["jump", "run"]),
        ("l.csv", "0,jump\n1,run\n", ["jump", "run"]),
        ("l.csv", "jump,1\nrun,2\n", ["jump", "run"]),
        ("l.tsv", "id\tname\n0\tjump\n1\trun\n", ["jump", "run"]),
        ("l.tsv", "0\tjump\n1\trun\n", ["jump", "run"]),
        ("l.txt", "0 jump high\n1 run\n", ["jump high", "run"]),
        ("l.txt", "1: jump\n2: run\n", ["jump", "run"]),
        ("classInd.txt", "1 ApplyEyeMakeup\n2 ApplyLipstick\n", ["ApplyEyeMakeup", "ApplyLipstick"]),
        ("l.txt", "100m hurdles\n4x4 relay\n2 people dancing\n", ["100m hurdles", "4x4 relay", "2 people dancing"]),
        ("l.txt", "(1) jump\n(2) run\n", ["jump", "run"]),
        ("l.txt", "0 - jump\n1 - run\n", ["jump", "run"]),
        ("l.txt", "0=jump\n1=run\n", ["jump", "run"]),
        ("l.txt", "0|jump\n1|run\n\n\n", ["jump", "run"]),
        ("l.txt", "\"jump\"\n'run'\n", ["jump", "run"]),
        ("l.txt", '0: "jump"\n1: "run"\n', ["jump", "run"]),
        ("l.json", '["jump", "run"]', ["jump", "run"]),
        ("l.txt", '["jump",\n "run"]\n', ["jump", "run"]),
        ("l.json", '{"1": "run", "0": "jump"}', ["jump", "run"]),
        (
            "config.json",
            '{"id2label": {"0": "jump", "1": "run"}, "label2id": {"jump": 0, "run": 1}}',
            ["jump", "run"],
        ),
        ("l.json", '{"\\"run\\"": 1, "\\"jump\\"": 0}', ["jump", "run"]),
        ("l.json", '{"jump": "0", "run": "1"}', ["jump", "run"]),
        ("l.json", '{"jump": ["someone leaves the ground"], "run": "someone runs"}', ["jump", "run"]),
        ("l.json", '[{"id": 1, "name": "jump"}, {"id": 2, "name": "run"}]', ["jump", "run"]),
        ("l.yaml", "names:\n  0: jump\n  1: no\n", ["jump", "no"]),
        ("l.yml", "- jump\n- yes\n", ["jump", "yes"]),
        ("l.yaml", "jump: someone leaves the ground\nrun:\n  - someone runs\n", ["jump", "run"]),
    ],
)
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_forms(tmp_path: Path, name: str, content: str, expected: list[str], mark: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(mark + content.encode("utf-8"))
    assert read_labels(path) == expected


def test_the_layout_of_the_authors(tmp_path: Path, golden: Path) -> None:
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
        ("l.txt", "jump\nrun\nJump", "line 3: 'Jump' repeats the label of line 1"),
        ("l.csv", "id,name\n", "holds no labels"),
        ("l.csv", "id,name\n0,\n", "line 2: the label is empty"),
        ("l.csv", "id,name\n0,jump\n1,jump", "line 3: 'jump' repeats the label of line 2"),
        ("l.csv", "id,name\n2,jump\n3,run", "line 2: the id is '2' where 0 is expected"),
        ("l.csv", "id,name\n1,jump\n3,run", "line 3: the id is '3' where 2 is expected"),
        ("l.csv", "id,name\n0,jump, high", "line 2: 3 fields under a header of 2: put quotes"),
        ("l.csv", 'id,name\n0,"jump', "line 2: .*check the quotes"),
        ("l.csv", "jump\nrun", "first line must be a header .*not 'jump'"),
        ("l.txt", '"0": "jump",\n"1": "run",\n', "line 1: .* looks like a part of JSON"),
        ("l.txt", "{'jump': 0,\n'run': 1\n", "looks like a part of JSON"),
        ("l.txt", "- jump\n- run\n", "looks like a part of .*YAML"),
        ("l.txt", "jump,\nrun,\n", "looks like a part of"),
        ("l.txt", "jump\thigh\nrun\tfast\n", "looks like .*a table"),
        ("l.txt", "1 jump\n3 run\n", "begins with a number, and they do not count up"),
        ("l.txt", "1 person\n", "begins with a number, and they do not count up"),
        ("l.txt", "0 jump\n1 run\nwalk\n", "line 3: has no number, and other lines are numbered"),
        ("l.txt", "jump 0\nrun 1\n", "end with numbers that count up"),
        ("train.txt", "a/b.mp4 0\nc.mp4 0\n", "lists clips and the numbers of their classes"),
        ("train.csv", "a.mp4,3\n", "lists clips and the numbers of their classes"),
        ("l.txt", "<!DOCTYPE html>\n<p>jump</p>", "is a web page"),
        ("l.csv", "id,label\n0,4\n1,5\n", "the column 'label' holds numbers alone"),
        ("l.json", '{"0": "jump", "0": "run"}', "the key '0' is there twice"),
        ("l.json", '{"0": "jump", "2": "run"}', "ids do not count up"),
        ("l.json", '{"jump": 0, "run": 0}', "ids do not count up"),
        ("l.json", '{"0": 1, "1": 0}', "neither names by number"),
        ("l.json", '{"jump": true, "run": false}', "neither names by number"),
        ("l.json", '["jump", 3]', "neither a list of labels nor"),
        ("l.json", '{"database": {"x": {"annotations": []}}}', "is a list of clips"),
        ("l.json", '["jump", "run"', "is not JSON"),
        ("l.json", "[]", "holds no labels"),
        ("l.txt", "c0 jump\nc1 run\n", "every line begins with a code, as 'c0 jump'"),
        ("l.txt", "A001 jump\nA002 run\n", "every line begins with a code"),
        ("l.txt", "jump, run, walk\n", "is one line that could be one label or several"),
        ("l.txt", "0 0\n1 1\n", "holds numbers alone"),
        ("l.txt", "// actions\njump\n", "looks like a part of"),
        ("l.txt", "a photo of {}\nrun\n", "looks like a part of"),
        ("l.py", "A = [\n'jump',\n'run',\n]\n", "looks like a part of"),
        ("l.txt", "jump\x00\nrun\n", r"'jump\\\\x00' is no label that says anything"),
        ("l.npy", "jump", "is no text; save its column of labels"),
        ("l.parquet", "jump", "is no text; save its column of labels"),
        ("config.json", '{"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}', "'LABEL_0' is no label that says anything"),
        ("l.json", '{"actions": ["jump", "run"]}', "actions could be labels or names of lists"),
        ("l.yaml", '{"a\\nb\\x1b": [jump]}', r"a\\nb\\x1b could be labels or names of lists"),
        ("l.json", '{"train": ["jump"], "test": ["run"]}', "train, test could be labels or names of lists"),
        ("l.yaml", "a: &x [jump]\nb: *x\n", "repeats parts of itself"),
        ("l.yaml", "jump: 0\njump: 1\n", "the key 'jump' is there twice"),
    ],
)
def test_what_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        read_labels(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "l.txt"
    path.write_bytes("jump\ncafé".encode("latin-1"))
    with pytest.raises(ValueError, match=r"not UTF-8 text \(byte 8\); save it as UTF-8"):
        read_labels(path)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_is_no_file_of_labels(tmp_path: Path, kind: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "labels.txt").write_text("jump\n")
    archive = Path(shutil.make_archive(str(tmp_path / "labels"), kind, tmp_path / "in"))
    with pytest.raises(
        ValueError, match=rf"labels\.{kind} is an archive, not a text file; give the file that is meant"
    ):
        read_labels(archive)


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.txt \(No such file or directory\); check the path"):
        read_labels(tmp_path / "nowhere.txt")
    with pytest.raises(ValueError, match=r"cannot read .*; check the path"):
        read_labels(tmp_path)
