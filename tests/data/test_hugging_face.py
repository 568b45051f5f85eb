"""Data sets as Hugging Face's own library writes them: read by their names, or refused with the way on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, Video
from datasets.info import DatasetInfosDict
from huggingface_hub import DatasetCard, DatasetCardData

from crossframe.data.manifest import Manifest, read_manifest

NAMES = ["run", "jump"]  # not in the order of the alphabet
CLASSES = ClassLabel(names=NAMES)
FILES = ("a.mp4", "b.mp4")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def listed(kind: Any = CLASSES, column: str = "file_name") -> Dataset:
    features = Features({column: Value("string"), "label": kind})
    return Dataset.from_dict({column: list(FILES), "label": [0, 1]}, features=features)


def videos(place: Path, content: bytes | None = None) -> Dataset:
    values = [{"bytes": content, "path": name if content else str(place / name)} for name in FILES]
    return Dataset.from_dict(
        {"video": values, "label": [0, 1]}, features=Features({"video": Video(), "label": CLASSES})
    )


def rows(manifest: Manifest) -> list[tuple[str, str]]:
    return [(Path(clip.path).name, clip.label) for clip in manifest.clips]


def write(table: Dataset, path: Path) -> Path:
    match path.suffix:
        case ".parquet":
            table.to_parquet(path)
        case ".csv":
            table.to_csv(path)
        case _:
            table.to_json(path)
    return path


def write_card(folder: Path, table: Dataset) -> None:
    """The README that `push_to_hub` writes."""
    card = DatasetCardData()
    DatasetInfosDict({"default": table.info}).to_dataset_card_data(card)
    DatasetCard(f"---\n{card}\n---\n\n# Clips\n").save(folder / "README.md")


def test_parquet_knows_the_names_of_its_classes(place: Path) -> None:
    expected = [("a.mp4", "run"), ("b.mp4", "jump")]
    assert rows(read_manifest(write(listed(), place / "metadata.parquet"))) == expected
    assert rows(read_manifest(write(videos(place), place / "videos.parquet"))) == expected
    assert rows(read_manifest(place / "videos.parquet", labels=["x", "y"])) == [("a.mp4", "x"), ("b.mp4", "y")]


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_numbers_in_metadata_have_their_names_in_the_card(place: Path, name: str) -> None:
    write(listed(), place / name)
    with pytest.raises(ValueError, match=r"has class indices, not labels; give the file with their names"):
        read_manifest(place)
    write_card(place, listed())
    assert rows(read_manifest(place)) == [("a.mp4", "run"), ("b.mp4", "jump")]
    (place / "train").mkdir()
    for file in (*FILES, name):
        (place / file).rename(place / "train" / file)
    found = read_manifest(place, "train")
    assert (rows(found), found.clips[0].path) == ([("a.mp4", "run"), ("b.mp4", "jump")], "train/a.mp4")


def test_a_card_without_names_says_nothing(place: Path) -> None:
    write(listed(Value("int64")), place / "metadata.csv")
    write_card(place, listed(Value("int64")))
    with pytest.raises(ValueError, match="has class indices, not labels"):
        read_manifest(place)
    (place / "README.md").write_text("# Clips\n\n---\nof people\n")
    with pytest.raises(ValueError, match="has class indices, not labels"):
        read_manifest(place)


def test_json_of_videos_has_their_paths_and_csv_is_refused(place: Path) -> None:
    table = videos(place)
    found = read_manifest(write(table, place / "list.jsonl"), labels=NAMES)
    assert rows(found) == [("a.mp4", "run"), ("b.mp4", "jump")]
    with pytest.raises(ValueError, match="has videos as datasets' to_csv writes them; use its to_json or to_parquet"):
        read_manifest(write(table, place / "list.csv"), labels=NAMES)


def test_videos_inside_of_a_table_are_not_read(place: Path) -> None:
    path = write(videos(place, b"some bytes"), place / "inside.parquet")
    with pytest.raises(ValueError, match="holds the videos themselves, in the column 'video': write each to a file"):
        read_manifest(path)


def test_what_is_saved_for_datasets_alone_is_named(place: Path) -> None:
    table = listed()
    table.save_to_disk(place / "one")
    DatasetDict({"train": table}).save_to_disk(place / "several")
    for folder in ("one", "several", "several/train"):
        with pytest.raises(ValueError, match=f"{folder} is what datasets' save_to_disk writes"):
            read_manifest(place / folder)
    (place / "hub/data").mkdir(parents=True)
    table.to_parquet(place / "hub/data/train-00000-of-00001.parquet")
    with pytest.raises(ValueError, match=r"is a data set of Parquet files, .* give one of them, such as .*-of-00001"):
        read_manifest(place / "hub")


def test_a_folder_that_datasets_reads_is_read_alike(place: Path) -> None:
    for split in ("train", "test"):
        for number, name in enumerate(("jump", "run")):
            (place / "set" / split / name).mkdir(parents=True)
            (place / "set" / split / name / f"{number}{split}.mp4").write_bytes(b"v")
    theirs = datasets.load_dataset("videofolder", data_dir=str(place / "set"), cache_dir=str(place / "cache"))
    names = theirs["train"].features["label"].names
    for split in ("train", "test"):
        columns = theirs[split].cast_column("video", Video(decode=False))
        expected = {(Path(row["video"]["path"]).name, names[row["label"]]) for row in columns}
        assert set(rows(read_manifest(place / "set", split))) == expected


def test_numbers_that_pandas_made_floats_and_bytes_of_numpy(place: Path) -> None:
    pd.DataFrame({"path": [name.encode() for name in FILES], "label": [0.0, 1.0]}).to_parquet(place / "a.parquet")
    assert rows(read_manifest(place / "a.parquet", labels=NAMES)) == [("a.mp4", "run"), ("b.mp4", "jump")]
    with pytest.raises(ValueError, match="has class indices, not labels"):
        read_manifest(place / "a.parquet")
    pd.DataFrame({"path": FILES, "label": pd.Categorical(NAMES)}).to_parquet(place / "b.parquet")
    assert rows(read_manifest(place / "b.parquet")) == [("a.mp4", "run"), ("b.mp4", "jump")]
