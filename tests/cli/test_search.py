"""`crossframe index` and `crossframe search`, as a user runs them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from crossframe.archive.store import Store
from tests.cli.conftest import Run
from tests.video.clips import moving, write_clip


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(4):
        write_clip(folder / f"{number}.mp4", frames=moving(5 + 3 * number, 48, 40))
    return folder


@pytest.fixture
def indexed(command: Run, clips: Path, tiny_folder: Path, tmp_path: Path) -> Path:
    outcome = command("index", clips, "--out", tmp_path / "index", "--model", tiny_folder, "--summary")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == f"{tmp_path / 'index'}: 4 clips added, 4 in the index\n"
    return tmp_path / "index"


def test_an_index_finds_its_model_again_or_says_how_to(
    command: Run, clips: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shapes").mkdir()  # clips of the bundled model's world, for instance
    assert command("index", clips / "1.mp4", "--out", "drawn", "--model", "shapes").status == 0
    assert Store.open(Path("drawn")).run["model"] == "shapes"
    assert command("search", "drawn", "a square").status == 0
    shutil.copytree(tiny_folder, "mine")
    assert command("index", clips / "1.mp4", "--out", "index", "--model", "mine").status == 0
    Path("mine").rename("moved")
    for words in (("search", "index", "a"), ("suggest", "index", "-l", "a", "-l", "b", "--out", "next.csv")):
        outcome = command(*words)
        assert (outcome.status, outcome.err.count("\n")) == (1, 1)
        assert f"index was made with {tmp_path / 'mine'}, which is no longer there; give --model, where" in outcome.err
        assert command(*words, "--model", "moved").status == 0
    outcome = command("index", clips / "2.mp4", "--out", "index", "--add")
    assert (outcome.status, "give --model, where it is now" in outcome.err) == (2, True)


def test_search_prints_what_classify_prints_and_writes_a_page_and_a_list(
    command: Run, clips: Path, indexed: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outputs = ["--html", "page.html", "--out", "found.csv"]
    outcome = command("search", "index", "a square", "--json", "--top", 3, *outputs)
    assert (outcome.status, outcome.err) == (0, "page.html\nfound.csv\n")
    found = [json.loads(line) for line in outcome.out.splitlines()]
    assert len(found) == 3
    classified = command("classify", clips, "-l", "a square", "--model", tiny_folder, "--json")
    expected = {}
    for line in classified.out.splitlines():
        record = json.loads(line)
        expected[record["video"]] = (record["predictions"][0]["similarity"], record["weights"])
    assert [(hit["similarity"], hit["weights"]) for hit in found] == [expected[hit["video"]] for hit in found]
    assert [hit["similarity"] for hit in found] == sorted((s for s, _ in expected.values()), reverse=True)[:3]
    with open("found.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [hit["video"] for hit in found]
    assert {row["label"] for row in rows} == {"a square"}
    assert Path("page.html").read_text().count("<img") == 12

    outcome = command("search", "index", "a square", "--where", "video LIKE '%/2.mp4'")
    assert outcome.status == 0
    assert f"{clips}/2.mp4" in outcome.out
    assert f"{clips}/1.mp4" not in outcome.out
    outcome = command("search", "index", "a square", "--where", "vidoe = 3")
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert "--where 'vidoe = 3' is no condition" in outcome.err
    outcome = command("search", "index", "a square", "--where", "video = 'x'")
    assert (outcome.status, outcome.out) == (0, "")
    assert "no clip of the index fits" in outcome.err


def test_an_index_grows_by_what_is_new_and_loses_what_is_removed(
    command: Run, clips: Path, indexed: Path, tmp_path: Path
) -> None:
    outcome = command("index", clips, "--out", indexed)
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "is there already" in outcome.err
    (tmp_path / "new").mkdir()
    new = write_clip(tmp_path / "new" / "new.mp4", frames=moving(9, 48, 40))
    outcome = command("index", clips, new, tmp_path / "gone.mp4", "--out", indexed, "--add")
    assert outcome.status == 1
    assert outcome.out == f"{indexed}: 1 clip added, 5 in the index\n"
    assert outcome.err == f"crossframe: {tmp_path}/gone.mp4: does not exist; check the path\n"
    assert command("search", indexed, "--like", new, "--top", 1).out.splitlines()[-1].split()[-1] == str(new)
    assert command("index", tmp_path / "new", "--out", indexed, "--remove").out.startswith(f"{indexed}: 1 clip removed")
    outcome = command("index", "--out", indexed, "--remove", "--where", "video LIKE '%/3.mp4'")
    assert outcome.out == f"{indexed}: 1 clip removed, 3 in the index\n"
    outcome = command("search", indexed, "--dedupe", "--alike", 1.0)
    assert (outcome.status, outcome.out) == (0, "")
    assert "0 of 3 clips are copies" in outcome.err


@pytest.mark.parametrize("name", ["vectors.parquet", "vectors.npy", "vectors.jsonl"])
def test_what_embed_wrote_is_indexed_without_a_video(
    name: str, command: Run, clips: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clips)
    videos = ["0.mp4", "1.mp4", "2.mp4"]
    words = ["embed", *videos, "-l", "a text", "--model", tiny_folder, "--out", tmp_path / name]
    assert command(*words).status == 0
    outcome = command("index", tmp_path / name, "--out", tmp_path / "index")
    assert (outcome.status, outcome.out) == (0, f"{tmp_path / 'index'}: 3 clips added, 3 in the index\n")
    monkeypatch.chdir(tmp_path)
    outcome = command("search", "index", "--like", clips / "1.mp4", "--json")
    hits = [json.loads(line) for line in outcome.out.splitlines()]
    assert hits[0]["video"] == "1.mp4"
    assert hits[0]["similarity"] == pytest.approx(1, abs=1e-5)
    assert command("search", "index", "a square", "--rerank", 3).status == 0  # their videos are found from anywhere
    monkeypatch.chdir(clips)
    outcome = command("index", tmp_path / name, "3.mp4", "--add", "--out", tmp_path / "index")
    assert outcome.out == f"{tmp_path / 'index'}: 1 clip added, 4 in the index\n"
    two = tmp_path / "two.parquet"
    assert command("embed", "0.mp4", "--model", tiny_folder, "--frames", 2, "--out", two).status == 0
    outcome = command("index", two, "--add", "--out", tmp_path / "index")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "was made with num_frames 4, not 2" in outcome.err


def test_an_index_of_nothing_stays_in_nobodys_way(command: Run, tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    outcome = command("index", tmp_path / "text.mp4", "--model", tiny_folder, "--out", tmp_path / "index")
    assert outcome.status == 2
    assert "there is no clip that could be added, and so no index" in outcome.err
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["search", "{}"], "say what to look for"),
        (["search", "{}", "--dedupe", "words"], "compares all clips"),
        (["index", "--out", "{}"], "give videos"),
        (["index", "a.mp4", "--where", "x", "--out", "{}"], "chooses what --remove takes out"),
        (["index", "--remove", "--where", " ", "--out", "{}"], "is empty; give a condition"),
        (["index", "--remove", "--out", "{}"], "give videos or --where"),
        (["index", "a.mp4", "--add", "--remove", "--out", "{}"], "give one of them"),
        (["search", "{}", "words"], "is no index; make one with crossframe index"),
        (["index", "a.mp4", "--add", "--out", "{}"], "is no index; make one with crossframe index"),
    ],
)
def test_mistakes_are_told_in_one_line(words: list[str], says: str, command: Run, tmp_path: Path) -> None:
    outcome = command(*(word.format(tmp_path / "nothing") for word in words))
    assert outcome.status in (1, 2)
    assert outcome.err.count("\n") == 1
    assert says in outcome.err
    assert not (tmp_path / "nothing").exists()
