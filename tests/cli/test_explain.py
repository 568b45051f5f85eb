"""`crossframe explain`: one video, a table, JSON, a page and pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossframe.shapes.caption import all_sentences, sentence
from crossframe.shapes.splits import draw
from crossframe.shapes.write import write_clip
from tests.cli.conftest import Run

SCENE = draw("test", 0, 24)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("clips")
    clip = write_clip(SCENE, folder / "clip.mp4")
    return [
        str(clip),
        "--model",
        "shapes",
        *(word for label in all_sentences(SCENE).values() for word in ("-l", label)),
    ]


def test_json_page_and_pictures(words: list[str], command: Run, tmp_path: Path) -> None:
    files = ["--html", tmp_path / "page.html", "--png", tmp_path / "frames"]
    outcome = command("explain", *words, "--json", "--top", 2, *files)
    assert outcome.status == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["explained"]["label"] == sentence(SCENE)
    assert len(found["explained"]["frames"]) == len(list((tmp_path / "frames").glob("*.png"))) == 8
    assert len(found["predictions"]) == 2
    assert found["model"] == "shapes"
    assert sentence(SCENE) in (tmp_path / "page.html").read_text()


def test_the_table_has_a_row_for_each_frame_and_tells_of_messages(words: list[str], command: Run) -> None:
    outcome = command("explain", *words, "--why", sentence(SCENE), "--frames", 4)
    assert outcome.status == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0].endswith("%")
    assert sum(" s " in line for line in lines) == 4
    assert lines[-1].startswith("Without messages between frames: ")
    assert "evidence: by how much its log-odds fall then." in lines
    assert outcome.err.endswith("knows only drawn shapes; --model names one for real videos.\n")


def test_a_label_alone_is_told_for_what_it_is(words: list[str], command: Run) -> None:
    alone = command("explain", words[0], "-l", "a red circle", "--model", "shapes", "--frames", 2)
    assert alone.status == 0, alone.err
    assert "evidence: by how much its logit falls then." in alone.out
    assert ", logit " in alone.out.splitlines()[-1]
    assert "One label alone always gets 100%; give others, or --background generic." in alone.err
    words = [words[0], "-l", "skiing downhill", "--model", "shapes", "--frames", "2", "--background", "generic"]
    beside = command("explain", *words)
    assert "none of these; skiing downhill, " in beside.out.splitlines()[0]
    assert "by how much its log-odds fall" in beside.out
    assert "One label alone" not in beside.err


def test_pictures_of_two_runs_are_not_mixed(words: list[str], command: Run, tmp_path: Path) -> None:
    (tmp_path / "frame-000017.png").write_bytes(b"of another video")
    outcome = command("explain", words[0], "-l", "x", "--model", "gone", "--png", tmp_path)  # before a model is opened
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert f"{tmp_path} has pictures of another run; give --png another folder" in outcome.err


def test_mistakes_are_told_in_a_line(words: list[str], command: Run, tmp_path: Path) -> None:
    for arguments, said in (
        ([*words, "--why", "dancing"], "'dancing' is not among the labels; add it with -l"),
        (["gone.mp4", *words[1:]], "gone.mp4: does not exist; check the path"),
        ([str(Path(words[0]).parent), *words[1:], "--html", tmp_path / "no" / "x.html"], "'no"),
    ):
        outcome = command("explain", *arguments)
        if said == "'no":  # a folder with one video is that video
            assert outcome.status == 0
            continue
        assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
        assert said in outcome.err


def test_a_file_of_groups_is_explained_as_classify_answers(words: list[str], command: Run) -> None:
    example = Path(__file__).parents[2] / "examples" / "at-home.yaml"
    asked = (words[0], "--labels", example, "--model", "shapes", "--json")
    answer = json.loads(command("classify", *asked, "--precision", "float32").out)["predictions"][0]
    explained = json.loads(command("explain", *asked).out)["explained"]
    assert (explained["label"], explained["score"]) == (answer["label"], pytest.approx(answer["score"], abs=1e-5))
