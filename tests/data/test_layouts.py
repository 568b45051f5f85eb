"""Lists as other people's tools write them, and what comes near one and is refused."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import braceexpand
import pandas as pd
import pytest
import webdataset

from crossframe.data.archives import Archive, shards
from crossframe.data.clip import Clip
from crossframe.data.importers import import_dataset
from crossframe.data.layouts import read_candidates
from crossframe.data.manifest import Manifest, read_manifest
from crossframe.video.decode import read_video
from tests.data.dataset import FRAMES, write_numbered

LABELS = ["jump", "run"]
FIELD = Path(__file__).parents[3] / "shared/field/lists"


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def rows(manifest: Manifest) -> list[tuple[str, str, str]]:
    return [(clip.path, clip.label, clip.split) for clip in manifest.clips]


def write_tar(path: Path, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


class TestNumbers:
    """Paths and class numbers."""

    @pytest.mark.parametrize(
        ("name", "text", "split"),
        [
            ("train.txt", "a b.mp4 1\n#1.avi 0\n", "train"),
            ("val.txt", "# made by hand\npath label\na b.mp4 1\n\n#1.avi 0\n", "val"),
            ("hmdb_test1.csv", "a b.mp4,1\n#1.avi,0\n", "test"),
            ("videos.csv", "a b.mp4 1\n#1.avi 0\n", ""),
            ("k400_validate.csv", "video,class\na b.mp4, 1\n#1.avi, 0\n", "val"),
            ("train_val.tsv", "a b.mp4\t1\n#1.avi\t0\n", ""),
            ("trainlist01.txt", "a b.mp4 1\n#1.avi 0\n", "train"),
            ("testlist.txt", "a b.mp4 1\n#1.avi 0\n", "test"),
            ("list.txt", "a b.mp4 1\n#1.avi 0\n", "list"),
            ("train.csv", '"a b.mp4",1\r\n"#1.avi",0\r\n', "train"),
            ("train.txt", ".\\a b.mp4 1\r\n.\\#1.avi 0\r\n\r\n", "train"),
        ],
    )
    def test_every_way_to_write_them(self, tmp_path: Path, name: str, text: str, split: str) -> None:
        touch(tmp_path, "a b.mp4", "#1.avi")
        (tmp_path / name).write_text(text)
        found = read_manifest(tmp_path / name, labels=LABELS)
        assert rows(found) == [("a b.mp4", "run", split), ("#1.avi", "jump", split)]
        assert found.labels == ("jump", "run")

    def test_as_pandas_writes_them(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.mp4", "b.mp4")
        table = pd.DataFrame({"path": ["a.mp4", "b.mp4"], "label": [1, 0]})
        table.to_csv(tmp_path / "train.csv", sep=" ", header=False, index=False)  # SlowFast
        table.to_csv(tmp_path / "val.csv", index=False)
        table.to_csv(tmp_path / "test.tsv", sep="\t", index=False)
        for name in ("train.csv", "val.csv", "test.tsv"):
            found = read_manifest(tmp_path / name, labels=LABELS)
            assert [(clip.path, clip.label) for clip in found.clips] == [("a.mp4", "run"), ("b.mp4", "jump")]

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("train.txt", "a.mp4 0\nb.mp4\n", r"line 2: 'b\.mp4' is not a path and a class index"),
            ("train.txt", "a.mp4 0\nb.mp4 2\n", "line 2: class 2 is unknown; labels go from 0 to 1"),
            ("train.txt", "clips/a 120 0\n", "has several numbers, as lists of frame folders"),
            ("train.txt", "a.mp4 0 1\n", "has several numbers"),
            ("train.csv", "a.mp4 jump\n", "first line must be the names of the columns"),
            ("train.csv", "path,label\na.mp4,2\n", "line 2: class 2 is unknown"),
            ("train.txt", "a.mp4,jump\n", "'a.mp4,jump' is not a path and a class index; write both on each line"),
            ("train.txt", "a.mp4 0\n./a.mp4 1\n", "a.mp4 has two labels, 'jump' and 'run'"),
            ("train.txt", "# nothing\n", "lists no clips"),
            ("train.csv", "path,label,start\na.mp4,run,0:30\n", "line 2: start is '0:30'; write seconds"),
        ],
    )
    def test_near_misses(self, tmp_path: Path, name: str, text: str, message: str) -> None:
        touch(tmp_path, "a.mp4", "b.mp4")
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=message) as caught:
            read_manifest(tmp_path / name, labels=LABELS)
        assert "\n" not in str(caught.value)

    def test_videos_in_an_archive(self, tmp_path: Path) -> None:
        video = write_numbered(tmp_path / "one.mp4").read_bytes()
        (tmp_path / "far").mkdir()
        write_tar(tmp_path / "far/videos.tar", {"./a.mp4": video, "set/b.mp4": video, "set/notes.txt": b"x"})
        (tmp_path / "train.txt").write_text("a.mp4 1\nb.mp4 0\n")
        found = read_manifest(tmp_path / "train.txt", labels=LABELS, root=tmp_path / "far/videos.tar")
        assert found.root == tmp_path / "far"
        assert [clip.label for clip in found.clips] == ["run", "jump"]
        assert [read_video(found.locate(clip)).total for clip in found.clips] == [FRAMES, FRAMES]
        (tmp_path / "train.txt").write_text("c.mp4 1\n")
        with pytest.raises(ValueError, match=r"1 of 1 files are missing: .*c\.mp4"):
            read_manifest(tmp_path / "train.txt", labels=LABELS, root=tmp_path / "far/videos.tar")


class TestArchives:
    def shard(self, path: Path, *samples: Mapping[str, object]) -> Path:
        with webdataset.TarWriter(str(path)) as tar:
            for number, sample in enumerate(samples):
                tar.write({"__key__": f"{number:04d}", **sample})
        return path

    def test_webdataset(self, tmp_path: Path) -> None:
        video = write_numbered(tmp_path / "one.mp4").read_bytes()
        path = self.shard(
            tmp_path / "train-000000.tar",
            {"mp4": video, "cls": 1, "txt": "run"},
            {"mp4": video, "cls": 0, "txt": "jump", "json": {"label": "other"}},
        )
        for labels in (LABELS, None):
            found = read_manifest(path, labels=labels)
            assert [(clip.label, clip.split) for clip in found.clips] == [("run", "train"), ("jump", "train")]
            assert read_video(found.locate(found.clips[1])).total == FRAMES
        captions = self.shard(tmp_path / "shard.tar", {"clip.MP4": video, "json": {"caption": "someone runs"}})
        assert [(clip.label, clip.split) for clip in read_manifest(captions).clips] == [("someone runs", "")]
        (tmp_path / "set").mkdir()
        for number in range(2):
            self.shard(tmp_path / f"set/{number:06d}.tar", {"mp4": video, "cls": number})
        assert [clip.label for clip in read_manifest(tmp_path / "set", labels=LABELS).clips] == LABELS

    def test_near_misses(self, tmp_path: Path) -> None:
        numbers = self.shard(tmp_path / "a.tar", {"mp4": b"v", "cls": 1})
        with pytest.raises(ValueError, match="sample 0000 has a class number alone; give the file"):
            read_manifest(numbers)
        with pytest.raises(ValueError, match="class 1 is unknown; labels go from 0 to 0"):
            read_manifest(numbers, labels=["jump"])
        for told in ({"label": 1}, 1):
            within = self.shard(tmp_path / "e.tar", {"mp4": b"v", "json": told})
            with pytest.raises(ValueError, match="sample 0000 has a class number alone; give the file"):
                read_manifest(within)
            assert [clip.label for clip in read_manifest(within, labels=LABELS).clips] == ["run"]
        with pytest.raises(ValueError, match="sample 0000 has no label beside its video"):
            read_manifest(self.shard(tmp_path / "b.tar", {"mp4": b"v"}), labels=LABELS)
        with pytest.raises(ValueError, match="holds no video"):
            read_manifest(self.shard(tmp_path / "c.tar", {"jpg": b"v", "cls": 1}), labels=LABELS)
        packed = self.shard(tmp_path / "d.tar.gz", {"mp4": b"v", "cls": 1}).rename(tmp_path / "d.tar")
        with pytest.raises(ValueError, match=r"cannot be read as an uncompressed \.tar"):
            read_manifest(packed, labels=LABELS)

    def test_patterns_mean_what_webdataset_makes_of_them(self, tmp_path: Path) -> None:
        patterns = "{000..011} {0..10} {9..11}-{a,b} {b,a}/{2..0} x{a,b{0..1}} {a}"
        for pattern in (f"{name}.tar" for name in patterns.split()):
            expected = list(dict.fromkeys(braceexpand.braceexpand(str(tmp_path / pattern))))
            touch(tmp_path, *expected)
            assert sorted(map(str, shards(tmp_path / pattern))) == sorted(expected)
        assert [path.name for path in shards(tmp_path / "{000..011}.tar")] == [f"{n:03}.tar" for n in range(12)]
        (tmp_path / "010.tar").unlink()
        with pytest.raises(ValueError, match=r"010\.tar does not exist, 1 of the 12 archives of .*; fetch the missing"):
            shards(tmp_path / "{000..011}.tar")
        with pytest.raises(ValueError, match="means more than 100,000 archives; correct the numbers"):
            shards(tmp_path / "{0..999}{0..999}{0..999999999}.tar")

    def test_shards_by_a_pattern_and_in_a_folder_for_each_split(self, tmp_path: Path) -> None:
        video = write_numbered(tmp_path / "one.mp4").read_bytes()
        for split, number in (("train", 0), ("train", 1), ("val", 0)):
            (tmp_path / "set" / split).mkdir(parents=True, exist_ok=True)
            self.shard(tmp_path / f"set/{split}/{number:03d}.tar", {"mp4": video, "cls": number})
        found = read_manifest(tmp_path / "set/train/{000..001}.tar", labels=LABELS)
        assert [clip.label for clip in found.clips] == LABELS
        assert [read_video(found.locate(clip)).total for clip in found.clips] == [FRAMES, FRAMES]
        for source in (tmp_path / "set", tmp_path / "set/{train,val}/000.tar"):
            found = read_manifest(source, labels=LABELS)
            assert all(read_video(found.locate(clip)).total == FRAMES for clip in found.clips)
        assert [clip.split for clip in read_manifest(tmp_path / "set", labels=LABELS).clips] == [
            "train",
            "train",
            "val",
        ]

    def test_videos_in_several_archives(self, tmp_path: Path) -> None:
        for number, name in enumerate(("a.mp4", "b.mp4")):
            write_tar(tmp_path / f"{number}.tar", {f"set/{name}": b"v", "set/both.mp4": b"v"})
        (tmp_path / "train.txt").write_text("a.mp4 1\nset\\b.mp4 0\n")
        found = read_manifest(tmp_path / "train.txt", labels=LABELS, root=tmp_path / "{0..1}.tar")
        assert [clip.path.split("/")[0] for clip in found.clips] == ["0.tar", "1.tar"]
        (tmp_path / "train.txt").write_text("both.mp4 1\n")
        with pytest.raises(ValueError, match=r"2 files that could be 'both\.mp4': 0\.tar/.*, 1\.tar/"):
            read_manifest(tmp_path / "train.txt", labels=LABELS, root=tmp_path / "{0..1}.tar")

    @pytest.mark.parametrize("ending", [".tar.gz", ".tgz", ".tar.xz", ".zip"])
    def test_what_is_packed_is_refused_wherever_it_is_taken(self, tmp_path: Path, ending: str) -> None:
        packed = touch(tmp_path, f"videos{ending}") / f"videos{ending}"
        (tmp_path / "train.txt").write_text("a.mp4 1\n")
        for source, root in ((packed, None), (tmp_path / "train.txt", packed)):
            with pytest.raises(ValueError, match=rf"videos{ending} is compressed, .*unpack it"):
                read_manifest(source, labels=LABELS, root=root)
        with pytest.raises(ValueError, match="is compressed"):
            import_dataset("txt", packed, tmp_path / "train.txt")

    @pytest.mark.parametrize("name", ["../a.mp4", "/etc/a.mp4", "set/../../a.mp4"])
    def test_names_that_lead_out_of_an_archive_are_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ValueError, match=r"leads out of the archive"):
            Archive.read(write_tar(tmp_path / "a.tar", {name: b"v"}))

    def test_links_in_an_archive_are_no_files(self, tmp_path: Path) -> None:
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            link = tarfile.TarInfo("a.mp4")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(link)
        assert Archive.read(tmp_path / "a.tar").find("a.mp4") is None

    def test_two_files_of_one_name_need_their_folders(self, tmp_path: Path) -> None:
        archive = Archive.read(write_tar(tmp_path / "a.tar", {"x/a.mp4": b"1", "y/a.mp4": b"2"}))
        with pytest.raises(ValueError, match=r"2 files that could be 'a\.mp4': x/a\.mp4, y/a\.mp4"):
            archive.find("a.mp4")
        assert (archive.find("y/a.mp4") or "").endswith("/y/a.mp4")


class TestHuggingFace:
    TABLE = pd.DataFrame({"file_name": ["a.mp4", "b/c.mp4"], "label": LABELS})

    @pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet"])
    def test_a_folder_with_metadata(self, tmp_path: Path, name: str) -> None:
        touch(tmp_path, "a.mp4", "b/c.mp4")
        self.write(tmp_path / name)
        for source in (tmp_path, tmp_path / name):
            assert rows(read_manifest(source)) == [("a.mp4", "jump", ""), ("b/c.mp4", "run", "")]

    def test_a_folder_for_each_split(self, tmp_path: Path) -> None:
        for split in ("train", "validation"):
            touch(tmp_path / split, "a.mp4", "b/c.mp4")
            self.write(tmp_path / split / "metadata.jsonl")
        assert rows(read_manifest(tmp_path, "val")) == [
            ("validation/a.mp4", "jump", "val"),
            ("validation/b/c.mp4", "run", "val"),
        ]

    def test_near_misses(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.mp4")
        self.TABLE.drop(columns="label").to_json(tmp_path / "metadata.jsonl", orient="records", lines=True)
        with pytest.raises(ValueError, match="line 1: has no label; the columns are file_name"):
            read_manifest(tmp_path)
        (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.mp4", "label": "run"}\n"a.mp4"\n')
        with pytest.raises(ValueError, match="line 2: is no table of a clip's path and label"):
            read_manifest(tmp_path)
        (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.mp4",\n')
        with pytest.raises(ValueError, match="line 1: is not JSON"):
            read_manifest(tmp_path)

    def write(self, path: Path) -> None:
        match path.suffix:
            case ".csv":
                self.TABLE.to_csv(path, index=False)
            case ".jsonl":
                self.TABLE.to_json(path, orient="records", lines=True)
            case _:
                self.TABLE.to_parquet(path)


class TestJson:
    ACTIVITYNET: ClassVar = {
        "version": "VERSION 1.3",
        "database": {
            "abc": {
                "duration": 20.0,
                "subset": "training",
                "annotations": [
                    {"segment": [1.0, 3.5], "label": "Drinking coffee"},
                    {"segment": [4, 4], "label": "Drinking coffee"},
                ],
            },
            "d-e": {"subset": "validation", "annotations": [{"segment": [0, 9], "label": "Archery"}]},
            "f": {"subset": "testing", "annotations": []},
        },
        "taxonomy": [],
    }
    KINETICS: ClassVar = {
        "abc": {"annotations": {"label": "jump", "segment": [84.0, 94.0]}, "subset": "train", "url": "u"},
        "d-e": {"annotations": {"label": "run", "segment": [2.0, 12.0]}, "subset": "validate", "url": "u"},
    }

    def test_activitynet(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        touch(tmp_path, "v_abc.mp4", "val/d-e.mkv")
        (tmp_path / "an.json").write_text(json.dumps(self.ACTIVITYNET))
        assert read_manifest(tmp_path / "an.json").clips == (
            Clip("v_abc.mp4", "Drinking coffee", "train", 1.0, 3.5, "abc"),
            Clip("val/d-e.mkv", "Archery", "val", 0.0, 9.0, "d-e"),
        )
        assert "1 segments last no time and are left out: abc" in caplog.text
        (tmp_path / "v_abc.mp4").unlink()
        with pytest.raises(ValueError, match=r"1 of 2 files are missing: .*abc\.mp4"):
            read_manifest(tmp_path / "an.json")

    def test_kinetics_whole_or_cut(self, tmp_path: Path) -> None:
        touch(tmp_path, "jump/abc_000084_000094.mp4", "d-e.mp4")
        (tmp_path / "train.json").write_text(json.dumps(self.KINETICS))
        assert read_manifest(tmp_path / "train.json").clips == (
            Clip("jump/abc_000084_000094.mp4", "jump", "train", group="abc"),
            Clip("d-e.mp4", "run", "val", 2.0, 12.0, "d-e"),
        )

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"database": {"a": {"annotations": [{"label": "x"}]}}}, "video 'a' has the annotation .* and not a label"),
            ({"database": {"a": {"annotations": [{"segment": [2, 1], "label": "x"}]}}}, "lists no clips"),
            ({"jump": 0}, "holds no list of clips"),
            ([{"filename": "a.mp4", "label": []}], "entry 1: has no label, and a clip needs one"),
            (["a.mp4"], "entry 1: is no table of a clip's path and label"),
        ],
    )
    def test_near_misses(self, tmp_path: Path, values: object, message: str) -> None:
        (tmp_path / "list.json").write_text(json.dumps(values))
        with pytest.raises(ValueError, match=message):
            read_manifest(tmp_path / "list.json", labels=LABELS)


def test_what_is_left_out_of_a_folder_is_counted_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, *(f"run/{name}" for name in ("a.mp4", "b.GIF", "c.mxf", "d.jpg", "e.JPG", "notes", ".hidden")))
    touch(tmp_path, "walk/f.vob", "walk/g.y4m")
    for _ in range(2):
        assert read_manifest(tmp_path).counts() == {"run": 3, "walk": 2}
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: 3 files are left out, which are not called videos: 2 .jpg, 1 without an ending"
    ]


@pytest.mark.parametrize("split", ["", "train/"])
def test_videos_in_no_folder_of_a_class_are_told(tmp_path: Path, split: str, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, f"{split}run/a.mp4", f"{split}walk/b.mp4", f"{split}loose.mp4", "notes.txt")
    assert read_manifest(tmp_path).counts() == {"run": 1, "walk": 1}
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: 1 video in no folder of a class, left out: loose.mp4"
    ]


def test_candidates_come_from_lists_and_from_files_of_labels(tmp_path: Path) -> None:
    (tmp_path / "list.tsv").write_text("path\tlabel\na.mp4\trun\nb.mp4\tjump\n")
    (tmp_path / "an.json").write_text(json.dumps(TestJson.ACTIVITYNET))
    (tmp_path / "labels.json").write_text('{"run": 0, "jump": 1}')
    (tmp_path / "labels.txt").write_text("0 run\n1 jump\n")
    assert read_candidates(tmp_path / "list.tsv") == ["jump", "run"]
    assert read_candidates(tmp_path / "an.json") == ["Archery", "Drinking coffee"]
    assert read_candidates(tmp_path / "labels.json") == read_candidates(tmp_path / "labels.txt") == ["run", "jump"]


def test_a_contained_list_names_no_file_outside_its_folder(tmp_path: Path) -> None:
    touch(tmp_path, "secret.mp4", "set/a.mp4")
    (tmp_path / "set/link.mp4").symlink_to(tmp_path / "secret.mp4")
    source = tmp_path / "set/list.csv"
    source.write_text("path,label\na.mp4,run\n")
    assert len(read_manifest(source, contained=True)) == 1
    for name in ("../secret.mp4", "../set/a.mp4", str(tmp_path / "secret.mp4"), "link.mp4"):
        source.write_text(f"path,label\n{name},run\n")
        assert len(read_manifest(source)) == 1
        with pytest.raises(ValueError, match=r"lies outside .*set; leave it out"):
            read_manifest(source, contained=True)


@pytest.mark.skipif(not FIELD.is_dir(), reason="the files that people had are not here")
class TestField:
    def clips(self, name: str, **given: Path) -> list[tuple[str, str]]:
        labels, root = given.get("labels"), given.get("root")
        found = read_manifest(FIELD / name, None, labels, root, missing_ok=True)
        return [(clip.path.rpartition("/")[2], clip.label) for clip in found.clips]

    def test_the_authors_list_with_its_labels_and_archive(self) -> None:
        labels, root = FIELD / "authors_labels.csv", FIELD / "authors_videos.tar"
        found = read_manifest(FIELD / "authors_train.txt", "train", labels, root)
        assert [(clip.path.rpartition("/")[2], clip.label) for clip in found.clips] == [
            ("a.mp4", "abseiling"),
            ("b.mp4", "air drumming"),
        ]
        assert all(read_video(found.locate(clip)).total for clip in found.clips)
        assert self.clips("slowfast_no_header.csv", labels=labels, root=root) == [
            ("a.mp4", "abseiling"),
            ("b.mp4", "air drumming"),
        ]

    def test_webdataset_metadata_and_activitynet(self) -> None:
        assert [label for _, label in self.clips("webdataset-000000.tar")] == ["run", "jump"]
        assert self.clips("hf_metadata.csv") == [("a.mp4", "run"), ("b.mp4", "jump")]
        found = read_manifest(FIELD / "activitynet.json", missing_ok=True)
        assert found.clips == (Clip("abc.mp4", "Drinking coffee", "train", 1.0, 3.0, "abc"),)
