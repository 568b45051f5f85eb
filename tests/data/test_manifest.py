"""What a data set says about itself, in every layout, and what is refused."""

from __future__ import annotations

import csv
import itertools
import json
import os
import unicodedata
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from crossframe.data.clip import Clip
from crossframe.data.manifest import Manifest, read_manifest, write_manifest
from tests.data.dataset import CLASSES

HEADER = "path,label,split\n"


def table(
    folder: Path, text: str, name: str = "list.csv", files: tuple[str, ...] = ("a.mp4", "b.mp4", "c.mp4")
) -> Path:
    for file in files:
        (folder / file).touch()
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_a_folder_for_each_class(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest.labels == CLASSES
    assert manifest.counts() == dict.fromkeys(CLASSES, 3)
    assert manifest.names[:2] == ["clapping/0.mp4", "clapping/1.mp4"]
    assert manifest.targets() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert manifest.locate(manifest.clips[4]) == folder / "jumping" / "1.mp4"


def test_other_words_for_a_split_mean_the_same(tmp_path: Path) -> None:
    for split in ("Train", "valid", "testing"):
        (tmp_path / "folders" / split / "yoga").mkdir(parents=True)
        (tmp_path / "folders" / split / "yoga" / "a.mp4").touch()
    rows = "a.mp4,yoga,training\nb.mp4,yoga,Validation\nc.mp4,yoga,test\na.mp4,yoga,unseen\n"
    assert [clip.split for clip in read_manifest(tmp_path / "folders").clips] == ["train", "test", "val"]
    source = table(tmp_path, HEADER + rows)
    assert [clip.split for clip in read_manifest(source).clips] == ["train", "val", "test", "unseen"]
    assert read_manifest(source, "validation").names == read_manifest(source, "val").names == ["b.mp4"]


def test_a_split_that_is_nearly_a_known_one_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = table(tmp_path, HEADER + "a.mp4,yoga,train\nb.mp4,yoga,trian\nc.mp4,yoga,unseen\na.mp4,yoga,test2\n")
    assert read_manifest(source, "train").names == ["a.mp4"]
    (told,) = [record.getMessage() for record in caplog.records]
    assert told == f"{source}: 1 clip of split 'trian', a split of its own; is it 'train'?"


def test_a_list_with_other_lines_stays_beside_the_new_one(
    tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, old = tmp_path / "list.csv", tmp_path / "list.csv.old"
    found = read_manifest(folder)
    write_manifest(found.keep(found.clips[:1]), out)
    write_manifest(found, out)  # more of the same
    write_manifest(found, out)
    assert (old.exists(), caplog.records) == (False, [])
    corrected = out.read_text().replace(found.clips[0].label, "corrected")
    out.write_text(corrected)
    write_manifest(found, out)
    assert old.read_text() == corrected
    assert "corrected" not in out.read_text()
    assert caplog.records[-1].getMessage() == f"{out} held another list, which is list.csv.old now"


def test_folders_in_a_folder_for_each_split(tmp_path: Path) -> None:
    for split, name in (("train", "yoga"), ("train", "judo"), ("val", "yoga"), ("val", "judo")):
        (tmp_path / split / name).mkdir(parents=True)
        (tmp_path / split / name / "ä [1] b.MP4").touch()
        (tmp_path / split / name / "notes.txt").touch()
    manifest = read_manifest(tmp_path, "val")
    assert manifest.clips == (
        Clip("val/judo/ä [1] b.MP4", "judo", "val"),
        Clip("val/yoga/ä [1] b.MP4", "yoga", "val"),
    )


def test_links_to_folders_are_followed_but_not_into_another_class(tmp_path: Path) -> None:
    for name in ("disk/judo/b.mp4", "clips/yoga/a.mp4"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (tmp_path / "clips/judo").symlink_to(tmp_path / "disk/judo")
    (tmp_path / "clips/yoga/back").symlink_to(tmp_path / "clips")
    assert read_manifest(tmp_path / "clips").clips == (Clip("judo/b.mp4", "judo"), Clip("yoga/a.mp4", "yoga"))


def test_a_table_with_everything_in_it(tmp_path: Path) -> None:
    text = 'group,path,label,split,start,end,extra\ng1,a.mp4,"run, fast",train,0.5,2,x\n,b.mp4,walk,test,,,y\n'
    manifest = read_manifest(table(tmp_path, "\ufeff" + text))
    assert manifest.clips == (Clip("a.mp4", "run, fast", "train", 0.5, 2.0, "g1"), Clip("b.mp4", "walk", "test"))
    assert manifest.labels == ("run, fast", "walk")
    assert manifest.names == ["a.mp4#t=0.5,2.0", "b.mp4"]


def test_a_column_without_a_name_is_left_alone(tmp_path: Path) -> None:
    manifest = read_manifest(table(tmp_path, ",path,label\n0,a.mp4,walk\n1,b.mp4,run\n"))  # as pandas writes it
    assert [(clip.path, clip.label) for clip in manifest.clips] == [("a.mp4", "walk"), ("b.mp4", "run")]


def test_a_caption_stands_in_for_a_label(tmp_path: Path) -> None:
    manifest = read_manifest(table(tmp_path, "path,caption\na.mp4,a red circle\n"))
    assert manifest.labels == ("a red circle",)


def test_a_folder_with_a_manifest_in_it(tmp_path: Path) -> None:
    table(tmp_path, HEADER + "a.mp4,walk,train\n", "manifest.csv")
    assert read_manifest(tmp_path).names == ["a.mp4"]


def test_the_authors_list(tmp_path: Path) -> None:
    table(tmp_path, "a.mp4 1\nwith space.mp4 0\n\nc.mp4\t1\n", "train.txt", ("a.mp4", "with space.mp4", "c.mp4"))
    (tmp_path / "labels.csv").write_text("id,name\n0,abseiling\n1,air drumming\n")
    manifest = read_manifest(tmp_path / "train.txt", "train", tmp_path / "labels.csv")
    assert manifest.labels == ("abseiling", "air drumming")
    assert [(clip.path, clip.label) for clip in manifest.clips] == [
        ("a.mp4", "air drumming"),
        ("with space.mp4", "abseiling"),
        ("c.mp4", "air drumming"),
    ]


def test_the_videos_may_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "v.mp4").touch()
    source = table(tmp_path, "v.mp4 0\n", "val.txt", files=())
    manifest = read_manifest(source, labels=["yoga"], root=tmp_path / "videos")
    assert manifest.locate(manifest.clips[0]) == tmp_path / "videos" / "v.mp4"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_is_written_is_read_again(tmp_path: Path, folder: Path, suffix: str) -> None:
    clips = (
        Clip("clapping/0.mp4", "clapping", "train", 0.25, 1.5, "first"),
        Clip("waving/0.mp4", 'says "hello, you"', "test"),
    )
    manifest = Manifest(clips, ("clapping", 'says "hello, you"'), folder)
    write_manifest(manifest, tmp_path / f"out/list{suffix}")
    again = read_manifest(tmp_path / f"out/list{suffix}")
    assert [again.locate(clip) for clip in again.clips] == [manifest.locate(clip) for clip in clips]
    assert [(clip.label, clip.split, clip.start, clip.end, clip.group) for clip in again.clips] == [
        (clip.label, clip.split, clip.start, clip.end, clip.group) for clip in clips
    ]
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"list{suffix}"]


def test_a_folder_with_a_colon_in_its_name(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    manifest = read_manifest(folder)
    write_manifest(manifest, "disk:1/list.parquet")
    assert read_manifest("disk:1/list.parquet").labels == manifest.labels


def test_paths_are_written_relative_to_the_manifest(tmp_path: Path) -> None:
    manifest = read_manifest(table(tmp_path, HEADER + "a.mp4,walk,train\n"))
    write_manifest(manifest, tmp_path / "again.csv")
    with (tmp_path / "again.csv").open() as file:
        assert [row["path"] for row in csv.DictReader(file)] == ["a.mp4"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = read_manifest(table(tmp_path, HEADER + "a.mp4,walk,train\n"))
    write_manifest(manifest, tmp_path / "again.csv")
    before = (tmp_path / "again.csv").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(csv.DictWriter, "writerows", full)
    with pytest.raises(OSError, match="No space"):
        write_manifest(manifest, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_labels_give_the_class_indices_and_may_have_no_clip(tmp_path: Path) -> None:
    source = table(tmp_path, HEADER + "a.mp4,walk,train\nb.mp4,run,train\nc.mp4,walk,val\n")
    train = read_manifest(source, "train")
    assert train.labels == ("run", "walk")
    validation = read_manifest(source, "val", labels=train.labels)
    assert validation.targets() == [1]
    assert validation.counts() == {"run": 0, "walk": 1}


def test_the_digest_knows_clips_and_labels_but_neither_order_nor_place(tmp_path: Path) -> None:
    a, b = Clip("a.mp4", "walk"), Clip("b.mp4", "run")
    digest = Manifest((a, b), ("run", "walk"), tmp_path).digest()
    assert len(digest) == 64
    assert Manifest((b, a), ("run", "walk"), tmp_path / "elsewhere").digest() == digest
    assert Manifest((a, b), ("walk", "run"), tmp_path).digest() != digest
    assert Manifest((a, Clip("b.mp4", "run", end=1.0)), ("run", "walk"), tmp_path).digest() != digest
    assert Manifest((a,), ("run", "walk"), tmp_path).digest() != digest
    assert Manifest((a, Clip("b.mp4", "walk")), ("run", "walk"), tmp_path).digest() != digest


def test_recordings_are_known_where_some_clips_share_one(tmp_path: Path) -> None:
    a, b, again = Clip("a.mp4", "walk"), Clip("b.mp4", "run"), Clip("b.mp4", "walk", 1.0, 2.0)
    assert Manifest((a, b), ("run", "walk"), tmp_path).recordings is None
    assert Manifest((a, b, again), ("run", "walk"), tmp_path).recordings == ["a.mp4", "b.mp4", "b.mp4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.mp4,walk,train\nx.mp4,walk,train\ny.mp4,run,train\n", r"2 of 3 files are missing: .*x\.mp4, .*y\.mp4"),
        ("a.mp4,walk,train\na.mp4,run,train\n", r"a\.mp4 has two labels, 'walk' and 'run'"),
        ("a.mp4,walk,train\na.mp4,run,val\n", r"a\.mp4 has two labels"),
        ("a.mp4,walk,train\na.mp4,walk,train\n", r"a\.mp4 is listed twice in split 'train'"),
        ("a.mp4,ApplyMakeup,train\nb.mp4,apply_makeup,train\n", "two spellings: 'ApplyMakeup' and 'apply_makeup'"),
        ("a.mp4,hand-stand,train\nb.mp4,Hand Stand,train\n", "two spellings"),
        ("a.mp4,,train\n", "line 2: has no label"),
        (",walk,train\n", "line 2: has no path"),
        ("a.mp4,walk,train,more\n", "line 2: has too many fields"),
        ("", "lists no clips"),
        ("a.mp4,walk,lessons\nb.mp4,run,val\n", "has no split 'train'; it has 'lessons', 'val'"),
    ],
)
def test_mistakes_in_a_table_are_named_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    source = table(tmp_path, HEADER + text)
    with pytest.raises(ValueError, match=message) as raised:
        read_manifest(source, "train" if "lessons" in text else None)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("header", ["A.mp4,Walk", "path;label", "path,class"])
def test_a_table_without_a_header_is_named(tmp_path: Path, header: str) -> None:
    with pytest.raises(ValueError, match=f"the first line must be the names of the columns .*; it is '{header}'"):
        read_manifest(table(tmp_path, f"{header}\nb.mp4,run\n"))


@pytest.mark.parametrize("columns", ["note,path,label", '"a\nnote",path,label'])
def test_cells_in_quotes_may_be_of_several_lines(tmp_path: Path, columns: str) -> None:
    source = table(tmp_path, f'{columns}\n"seen\ntwice",a.mp4,walk\nb,b.mp4,run\n')
    assert read_manifest(source).clips == (Clip("a.mp4", "walk"), Clip("b.mp4", "run"))
    for rest in ("b.mp4,run\n", "b.mp4,run\n" * 20_000):  # more than a cell may hold
        source.write_text(f'path,label\n"a.mp4,walk\n{rest}')
        with pytest.raises(ValueError, match="check the quotes"):
            read_manifest(source)


def test_what_spreadsheets_leave_in_a_table(tmp_path: Path) -> None:
    source = tmp_path / "list.csv"
    (tmp_path / "a.mp4").touch()
    source.write_bytes("\ufeffpath,label,,\r\na.mp4,walk,,\r\n,,,\r\n\r\n".encode())
    assert read_manifest(source).clips == (Clip("a.mp4", "walk"),)


@pytest.mark.parametrize(("listed", "there"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_of_one_character_or_two(tmp_path: Path, listed: str, there: str) -> None:
    name = "caf\u00e9/\u00fcben.mp4"
    path = tmp_path / unicodedata.normalize(there, name)
    path.parent.mkdir()
    path.touch()
    source = table(tmp_path, f"path,label\n{unicodedata.normalize(listed, name)},walk\na.mp4,run\n")
    for missing_ok in (False, True):
        found = read_manifest(source, contained=True, missing_ok=missing_ok)
        assert [found.locate(clip) for clip in found.clips] == [path, tmp_path / "a.mp4"]
    source.write_text(f"path,label\n{name},walk\ncaf\u00e9/no.mp4,run\n")
    with pytest.raises(ValueError, match=r"1 of 2 files are missing: .*no\.mp4; check the folder"):
        read_manifest(source)


def test_a_name_that_no_list_can_hold_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set/walk").mkdir(parents=True)
    try:
        (tmp_path / "set/walk" / os.fsdecode(b"\xb2\xbd.mp4")).touch()
    except OSError:  # macOS takes no such names
        pytest.skip("this disk has UTF-8 names only")
    with pytest.raises(ValueError, match=r"walk/.*\.mp4: the name is not UTF-8, which lists need; rename the file"):
        read_manifest(tmp_path / "set")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2,1", "last from 2.0 to 1.0 s"),
        ("-1,", "last from -1.0"),
        ("soon,", "line 2: .*'soon'"),
        ("nan,", "last from nan"),
    ],
)
def test_impossible_times_are_refused(tmp_path: Path, row: str, message: str) -> None:
    source = table(tmp_path, f"path,label,start,end\na.mp4,walk,{row}\n")
    with pytest.raises(ValueError, match=message):
        read_manifest(source)


def test_one_clip_of_several_splits_and_stretches_of_one_file_are_no_mistake(tmp_path: Path) -> None:
    source = table(tmp_path, "path,label,split,start\na.mp4,walk,train,0\na.mp4,walk,test,0\na.mp4,run,train,3\n")
    assert len(read_manifest(source)) == 3


def test_labels_that_do_not_fit(tmp_path: Path) -> None:
    source = table(tmp_path, HEADER + "a.mp4,walk,train\nb.mp4,BrushHair,train\n")
    with pytest.raises(ValueError, match=r"1 labels are unknown: BrushHair, the first at b\.mp4"):
        read_manifest(source, labels=["walk", "run"])
    with pytest.raises(ValueError, match="two spellings: 'brush hair' and 'BrushHair'"):
        read_manifest(source, labels=["walk", "brush hair"])


def test_what_is_missing_is_empty_in_every_form(tmp_path: Path) -> None:
    columns = "path,label,split,start,end,group"
    source = table(tmp_path, f"{columns}\na.mp4,walk,nan,,,NULL\nb.mp4,nan,,,,\n")
    assert read_manifest(source).clips == (Clip("a.mp4", "walk"), Clip("b.mp4", "nan"))  # a class may be called so
    row = dict.fromkeys(columns.split(","), float("nan")) | {"path": "a.mp4"}
    for label, name in itertools.product(("walk", float("nan")), ("list.json", "list.jsonl", "list.parquet")):
        listed = {**row, "label": label}
        if name == "list.parquet":
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist([listed]), tmp_path / name)
        else:
            (tmp_path / name).write_text(json.dumps(listed if name == "list.jsonl" else [listed]))
        if label == "walk":
            assert read_manifest(tmp_path / name).clips == (Clip("a.mp4", "walk"),)
        else:
            with pytest.raises(ValueError, match=rf"{name}, (entry 1|line 1|row 0): has no label"):
                read_manifest(tmp_path / name)
    (tmp_path / "list.json").write_text('[{"path": "a.mp4", "label": ["walk", NaN]}]')
    with pytest.raises(ValueError, match="entry 1: has no label"):
        read_manifest(tmp_path / "list.json")


def test_an_authors_list_that_does_not_fit_its_labels(tmp_path: Path) -> None:
    source = table(tmp_path, "a.mp4 0\nb.mp4 7\n", "train.txt")
    with pytest.raises(ValueError, match="give the file with their names"):
        read_manifest(source)
    with pytest.raises(ValueError, match="line 2: class 7 is unknown; labels go from 0 to 1"):
        read_manifest(source, labels=["x", "y"])
    with pytest.raises(ValueError, match="has no split 'test'; it has 'train'"):
        read_manifest(table(tmp_path, "a.mp4 0\n", "train.txt"), "test", labels=["x"])
    with pytest.raises(ValueError, match=r"line 1: 'a\.mp4' is not a path and a class index"):
        read_manifest(table(tmp_path, "a.mp4\n", "train.txt"), labels=["x"])


def test_an_empty_class_folder(tmp_path: Path) -> None:
    (tmp_path / "yoga").mkdir()
    (tmp_path / "yoga" / "a.mp4").touch()
    (tmp_path / "judo").mkdir()
    with pytest.raises(ValueError, match="class 'judo' is empty"):
        read_manifest(tmp_path)


def test_sources_that_are_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        read_manifest(tmp_path / "nothing.csv")
    with pytest.raises(ValueError, match="holds no folders"):
        read_manifest(tmp_path)
    (tmp_path / "list.json").touch()
    with pytest.raises(ValueError, match=r"list\.json is not JSON"):
        read_manifest(tmp_path / "list.json")
    (tmp_path / "list.xml").touch()
    with pytest.raises(ValueError, match="is no manifest"):
        read_manifest(tmp_path / "list.xml")
    (tmp_path / "list.parquet").write_text("no")
    with pytest.raises(ValueError, match="cannot be read as Parquet"):
        read_manifest(tmp_path / "list.parquet")


@pytest.mark.parametrize("name", ["list.csv", "train.txt"])
def test_a_list_that_is_not_utf_8_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"path,label\n\xff.mp4,waving\n")
    with pytest.raises(ValueError, match=rf"{name} is not UTF-8 text \(byte 11\); save it as UTF-8"):
        read_manifest(tmp_path / name, labels=["waving"])


def test_rows_of_one_stretch_are_events_where_a_list_is_of_events(tmp_path: Path) -> None:
    rows = ["a.mp4,2,5,running", "a.mp4,2,5,throwing", "a.mp4,6,9,running", "a.mp4,2,5,running"]
    listed = tmp_path / "events.csv"
    listed.write_text("\n".join(["path,start,end,label", *rows]))
    with pytest.raises(ValueError, match="has two labels, 'running' and 'throwing'"):
        read_manifest(listed, missing_ok=True)
    found = read_manifest(listed, missing_ok=True, events=True)
    assert [(clip.start, clip.labels) for clip in found.clips] == [(2.0, ("running", "throwing")), (6.0, ("running",))]
    assert found.labels == ("running", "throwing")
    listed.write_text("path,start,end,label\na.mp4,2,5,running\na.mp4,2,5,throwing|running\n")
    assert [clip.labels for clip in read_manifest(listed, missing_ok=True, events=True).clips] == [
        ("running", "throwing")
    ]
