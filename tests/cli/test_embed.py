"""`crossframe embed`: files of vectors as other programs read them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch

import crossframe
from crossframe.vectors import Vectors
from tests.cli.conftest import Run
from tests.video.clips import moving, write_clip

TEXTS = ["arm wrestling", "cleaning a pool"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder / f"{number}.mp4", frames=moving(4 + number, 48, 40)) for number in range(3)]


def written(path: Path) -> dict[str, list[float] | None]:
    """The vector of each video and text, as pyarrow, numpy and json read it; None for those in the file of failures."""
    if path.suffix == ".npy":
        rows = [json.loads(line) for line in path.with_name(f"{path.name}.rows.jsonl").read_text().splitlines()]
        found = [(row, vector.tolist()) for row, vector in zip(rows, np.load(path), strict=True)]
    elif path.suffix == ".parquet":
        found = [(row, row["vector"]) for row in parquet.read_table(path).to_pylist()]
    else:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        found = [(row, row.get("vector")) for row in rows]
    failed = path.with_name(f"{path.name}.failed.jsonl")
    lines = failed.read_text().splitlines() if failed.exists() else []
    vectors = {row.get("video") or row["text"]: vector for row, vector in found}
    return vectors | {json.loads(line)["video"]: None for line in lines}


@pytest.mark.parametrize("name", ["vectors.parquet", "vectors.npy", "vectors.jsonl"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_vectors_of_videos_and_texts_are_those_of_the_library_and_are_gone_on_with(
    name: str, dtype: str, command: Run, clips: list[Path], tiny_folder: Path, tmp_path: Path
) -> None:
    bad, out = tmp_path / "bad.mp4", tmp_path / name
    bad.write_text("buy milk")
    words = ["-l", TEXTS[0], "-l", TEXTS[1], "--model", tiny_folder, "--precision", "float32", "--dtype", dtype]
    outcome = command("embed", clips[0], bad, tmp_path / "gone.mp4", clips[1], *words, "--out", out)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 2
    found = written(out)
    assert list(found) == [*TEXTS, *map(str, (clips[0], clips[1], bad, tmp_path / "gone.mp4"))]
    assert [name for name, vector in found.items() if vector is None] == [str(bad), str(tmp_path / "gone.mp4")]
    errors = [json.loads(line)["error"] for line in (tmp_path / f"{name}.failed.jsonl").read_text().splitlines()]
    assert ["is not a video" in errors[0], "does not exist" in errors[1]] == [True, True]
    recognizer = crossframe.Recognizer(crossframe.load(tiny_folder))
    expected = torch.cat([recognizer.embed_texts(TEXTS), recognizer.embed_videos(clips[:2])]).to(getattr(torch, dtype))
    ours = torch.tensor([vector for vector in found.values() if vector is not None])
    torch.testing.assert_close(ours, expected.float(), rtol=0, atol=1e-6 if dtype == "float32" else 1e-3)
    if out.suffix != ".jsonl":  # which has as many digits as give the same number back
        assert torch.equal(ours, ours.to(expected.dtype).float())
    run = json.loads((tmp_path / f"{name}.run.json").read_text())
    assert (len(run["weights"]), run["width"], run["dtype"]) == (64, 32, dtype)

    write_clip(bad, frames=moving(6, 40, 40))  # mended
    outcome = command("embed", clips[0], bad, clips[1], clips[2], *words, "--out", out, "--resume")
    assert outcome.status == 0
    again = written(out)
    assert all(again[text] == found[text] for text in (*TEXTS, str(clips[0]), str(clips[1])))
    assert [name for name, vector in again.items() if vector is None] == [str(tmp_path / "gone.mp4")]
    assert len(again) == 7
    outcome = command("embed", clips[0], *words, "--out", out)
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "is there already" in outcome.err


def test_a_parquet_file_has_lists_of_one_size_and_says_what_made_it(
    command: Run, clips: list[Path], tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "vectors.parquet"
    assert command("embed", *clips, "--model", tiny_folder, "--out", out).status == 0
    schema = parquet.read_schema(out)
    assert str(schema.field("vector").type) == "fixed_size_list<element: float>[32]"
    assert (
        schema.metadata[b"weights"].decode()
        == json.loads((tmp_path / "vectors.parquet.run.json").read_text())["weights"]
    )
    assert schema.metadata[b"num_frames"] == b"4"
    table = parquet.read_table(out)
    assert table["video"].to_pylist() == list(map(str, clips))
    assert table["frames"][0].as_py()["indices"] == [0, 1, 2, 3]
    vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(3, 32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)


def test_what_a_killed_command_has_embedded_is_not_embedded_again(
    command: Run, clips: list[Path], tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, added = tmp_path / "vectors.parquet", []
    add = Vectors.add

    def die(self: Vectors, record: dict[str, object]) -> None:
        add(self, record)
        added.append(record)
        if len(added) == 2:
            raise KeyboardInterrupt

    words = ["embed", *clips, "--model", tiny_folder, "--out", out]
    monkeypatch.setattr(Vectors, "add", die)
    assert command(*words).status == 130
    assert not out.exists()
    monkeypatch.setattr(Vectors, "add", lambda self, record: added.append(record) or add(self, record))
    assert command(*words, "--resume").status == 0
    assert [record["video"] for record in added] == list(map(str, clips))
    assert list(written(out)) == list(map(str, clips))


def test_mistakes_are_one_line_and_status_2(command: Run, clips: list[Path], tiny_folder: Path, tmp_path: Path) -> None:
    out, words = tmp_path / "vectors.parquet", ["--model", "does/not-matter"]
    for given, said in (
        (["embed", *words, "--out", out], "give videos, or texts with -l"),
        (["embed", clips[0], *words], "--out"),
        (["embed", clips[0], *words, "--out", tmp_path / "vectors.csv"], "let it end in .parquet, .npy or .jsonl"),
        (["embed", tmp_path / "gone.mp4", *words, "--out", out], "gone.mp4: does not exist; check the path"),
        (["embed", clips[0], "--model", tmp_path / "no-model", "--out", out], "no-model"),
    ):
        outcome = command(*given)
        assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1), outcome.err
        assert said in outcome.err
    assert [*tmp_path.iterdir()] == []


def test_texts_alone_will_do(command: Run, tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("ApplyEyeMakeup\nbrush_hair\n")
    out = tmp_path / "texts.npy"
    words = ["--labels", tmp_path / "labels.txt", "--humanize", "--model", tiny_folder, "--out", out]
    assert command("embed", *words).status == 0
    assert list(written(out)) == ["apply eye makeup", "brush hair"]
    assert np.load(out).shape == (2, 32)
