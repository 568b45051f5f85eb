"""Importers on miniature trees in exactly the layouts in which data sets are published."""

from __future__ import annotations

import json
import tarfile
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import pytest

from crossframe.data.clip import Clip, OverlapError
from crossframe.data.importers import import_dataset
from crossframe.data.importers.activitynet import import_activitynet
from crossframe.data.importers.hmdb51 import import_hmdb51
from crossframe.data.importers.imported import Imported
from crossframe.data.importers.kinetics import import_kinetics
from crossframe.data.importers.plain import import_csv, import_folder
from crossframe.data.importers.something import import_something
from crossframe.data.importers.txt import import_txt
from crossframe.data.importers.ucf101 import import_ucf101

HEADER = "label,youtube_id,time_start,time_end,split"


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def write(path: Path, lines: Iterable[str], newline: str = "\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + newline for line in lines).encode())


def rows(imported: Imported) -> list[tuple[str, str, str]]:
    return sorted((clip.path, clip.label, clip.split) for clip in imported.manifest.clips)


class TestKinetics:
    @pytest.fixture
    def lists(self, tmp_path: Path) -> Path:
        write(
            tmp_path / "k400/annotations/train.csv",
            [
                HEADER + ",is_cc",
                'abseiling,-3B32lodo2M,59,69,train,0\n"air drumming",_dbcJuKJQNs,40,50,train,0',
                '"passing American football (in game)",0aBcDeFgHiJ,0,10,train,1',
                "abseiling,gone_from_Y,3,13,train,0",
            ],
        )
        write(tmp_path / "k400/annotations/validate.csv", [HEADER, "abseiling,---QUuC4vJs,84,94,validate"])
        return tmp_path / "k400"

    def test_class_folders_and_missing_videos(self, lists: Path) -> None:
        touch(
            lists,
            "train/abseiling/-3B32lodo2M_000059_000069.mp4",
            "train/air_drumming/_dbcJuKJQNs_000040_000050.mp4",
            "train/passing American football (in game)/0aBcDeFgHiJ_000000_000010.mkv",
            "val/abseiling/---QUuC4vJs_000084_000094.mp4",
        )
        imported = import_kinetics(lists)
        assert rows(imported) == [
            ("train/abseiling/-3B32lodo2M_000059_000069.mp4", "abseiling", "train"),
            ("train/air_drumming/_dbcJuKJQNs_000040_000050.mp4", "air drumming", "train"),
            (
                "train/passing American football (in game)/0aBcDeFgHiJ_000000_000010.mkv",
                "passing American football (in game)",
                "train",
            ),
            ("val/abseiling/---QUuC4vJs_000084_000094.mp4", "abseiling", "val"),
        ]
        assert imported.missing == ("gone_from_Y_000003_000013",)
        assert imported.manifest.clips[0].group == "-3B32lodo2M"

    def test_flat_folders_with_replacements_and_lists_elsewhere(self, lists: Path, tmp_path: Path) -> None:
        videos = tmp_path / "videos"
        touch(
            videos,
            "train/-3B32lodo2M_000059_000069.mp4",
            "train/_dbcJuKJQNs_000040_000050.mp4",
            "train/_DBCJUKJQNS_000040_000050.mp4",  # another video: ids have capitals
            "val/---QUuC4vJs_000084_000094.mp4",
            "replacement/replacement_for_corrupted_k400/-3B32lodo2M.mp4",
        )
        imported = import_kinetics(videos, lists / "annotations")
        assert [clip.path for clip in imported.manifest.clips] == [
            "replacement/replacement_for_corrupted_k400/-3B32lodo2M.mp4",
            "train/_dbcJuKJQNs_000040_000050.mp4",
            "val/---QUuC4vJs_000084_000094.mp4",
        ]
        assert len(imported.missing) == 2
        assert imported.manifest.counts()["passing American football (in game)"] == 0

    def test_a_table_without_labels_is_left_out_with_a_note(self, lists: Path) -> None:
        write(lists / "annotations/test.csv", ["youtube_id,time_start,time_end,split", "aaaaaaaaaaa,1,11,test"])
        touch(lists, "all/---QUuC4vJs_000084_000094.mp4")
        assert import_kinetics(lists).notes == ("test.csv has 1 clips without a label, which are left out",)

    def test_splits_that_share_a_clip_are_refused_with_the_list(self, lists: Path) -> None:
        write(lists / "annotations/test.csv", [HEADER, "abseiling,---QUuC4vJs,84,94,test"])
        with pytest.raises(OverlapError, match="1 clips are in several splits") as raised:
            import_kinetics(lists)
        assert raised.value.names == ["---QUuC4vJs_000084_000094 (test, val)"]

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ('"Air drumming",bbbbbbbbbbb,1,11,train', "two spellings"),
            ("abseiling,bbbbbbbbbbb,one,11,train", r"more\.csv, line 2: 'one' to '11' are no times"),
        ],
    )
    def test_mistakes_in_a_table(self, lists: Path, line: str, message: str) -> None:
        write(lists / "annotations/more.csv", [HEADER, line])
        touch(lists, "all/---QUuC4vJs_000084_000094.mp4")
        with pytest.raises(ValueError, match=message):
            import_kinetics(lists)

    def test_nothing_to_import(self, lists: Path, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="has none of the 5 videos listed: -3B32lodo2M_000059_000069, "):
            import_kinetics(lists)
        (tmp_path / "empty").mkdir()
        with pytest.raises(ValueError, match="has no table with the columns"):
            import_kinetics(tmp_path / "empty")
        with pytest.raises(ValueError, match="is no folder"):
            import_kinetics(tmp_path / "nowhere")

    def test_a_clip_in_two_places_is_refused_rather_than_guessed(self, lists: Path) -> None:
        touch(lists, "a/---QUuC4vJs_000084_000094.mp4", "b/---QUuC4vJs_000084_000094.mp4")
        with pytest.raises(ValueError, match="lies in two places"):
            import_kinetics(lists)


class TestUCF101:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        lists = tmp_path / "ucfTrainTestlist"
        write(lists / "classInd.txt", ["1 ApplyEyeMakeup", "2 HandstandPushups", "3 YoYo"], "\r\n")
        for number in ("01", "02", "03"):
            train = [
                "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1",
                "HandstandPushups/v_HandStandPushups_g08_c01.avi 2",
            ]
            write(lists / f"trainlist{number}.txt", [*train, f"YoYo/v_YoYo_g{number}_c01.avi 3"], "\r\n")
            write(lists / f"testlist{number}.txt", ["ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi"], "\r\n")
        touch(
            tmp_path / "UCF-101",
            "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi",
            "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi",
            "HandstandPushups/v_HandstandPushups_g08_c01.avi",
            "YoYo/v_YoYo_g02_c01.avi",
        )
        return tmp_path

    def test_classes_count_from_one_and_files_differ_in_letters_case(self, root: Path) -> None:
        imported = import_ucf101(root)
        assert rows(imported) == [
            ("UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi", "ApplyEyeMakeup", "test"),
            ("UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi", "ApplyEyeMakeup", "train"),
            ("UCF-101/HandstandPushups/v_HandstandPushups_g08_c01.avi", "HandstandPushups", "train"),
        ]
        assert imported.missing == ("YoYo/v_YoYo_g01_c01.avi",)
        assert imported.manifest.labels == ("ApplyEyeMakeup", "HandstandPushups", "YoYo")
        assert imported.manifest.clips[0].group == "v_ApplyEyeMakeup_g08"

    def test_the_other_splits(self, root: Path) -> None:
        assert import_ucf101(root / "UCF-101", root / "ucfTrainTestlist", 2).manifest.counts()["YoYo"] == 1

    def test_a_training_clip_among_the_test_clips_is_refused_with_the_list(self, root: Path) -> None:
        test = ["ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi", "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi"]
        write(root / "ucfTrainTestlist/testlist01.txt", test)
        with pytest.raises(OverlapError) as raised:
            import_ucf101(root)
        assert raised.value.names == ["ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi (train, test)"]
        assert "\n" not in str(raised.value)

    @pytest.mark.parametrize(
        ("file", "lines", "message"),
        [
            ("classInd.txt", ["0 ApplyEyeMakeup", "1 YoYo"], "line 1: .* is not class 1 and its name"),
            ("classInd.txt", ["1 YoYo", "2 Yo_Yo", "3 ApplyEyeMakeup", "4 HandstandPushups"], "number|two spellings"),
            ("trainlist01.txt", ["YoYo/v_YoYo_g01_c01.avi 2"], "line 1: .* where 2 is HandstandPushups"),
            ("trainlist01.txt", ["Yodel/v_Yodel_g01_c01.avi 2"], "line 1: .* is of no class"),
        ],
    )
    def test_lists_that_contradict_each_other(self, root: Path, file: str, lines: list[str], message: str) -> None:
        write(root / "ucfTrainTestlist" / file, lines)
        with pytest.raises(ValueError, match=message):
            import_ucf101(root)

    def test_lists_that_are_not_there(self, root: Path) -> None:
        with pytest.raises(ValueError, match=r"classInd\.txt is not below this folder; give its folder with"):
            import_ucf101(root / "UCF-101")


class TestHMDB51:
    NAMES = (
        "#20_Rhythm_(clap)_[best of]_clap_u_nm_np1_fr_goo_0.avi",
        "Die Brücke am Fluß_clap_f_cm_np2_le_med_1.avi",
        "日本_clap_u_nm_np1_fr_med_2.avi",
        "never used_clap_u_nm_np1_fr_bad_3.avi",
    )

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        lists = tmp_path / "testTrainMulti_7030_splits"
        marks = dict(zip(self.NAMES, "1210", strict=True))
        write(lists / "clap_test_split1.txt", [f"{name} {mark} " for name, mark in marks.items()])
        write(lists / "brush_hair_test_split1.txt", ["April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1 "])
        write(lists / "clap_test_split2.txt", [f"{self.NAMES[0]} 2 "])
        touch(
            tmp_path, *(f"clap/{name}" for name in self.NAMES), "brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi"
        )
        return tmp_path

    def test_marks_and_names_of_all_kinds(self, root: Path) -> None:
        imported = import_hmdb51(root)
        assert rows(imported) == sorted(
            [
                ("brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi", "brush_hair", "train"),
                (f"clap/{self.NAMES[0]}", "clap", "train"),
                (f"clap/{self.NAMES[1]}", "clap", "test"),
                (f"clap/{self.NAMES[2]}", "clap", "train"),
            ]
        )
        assert imported.notes == ("1 clips are marked 0, for neither training nor testing, and left out",)
        assert imported.missing == ()
        groups = {clip.group for clip in imported.manifest.clips}
        assert groups == {"April_09", "#20_Rhythm_(clap)_[best of]", "Die Brücke am Fluß", "日本"}

    def test_another_split(self, root: Path) -> None:
        assert rows(import_hmdb51(root, split_number=2)) == [(f"clap/{self.NAMES[0]}", "clap", "test")]
        with pytest.raises(ValueError, match=r"has no file CLASS_test_split3\.txt"):
            import_hmdb51(root, split_number=3)

    def test_accents_taken_apart_by_a_file_system(self, root: Path) -> None:
        file = root / "clap" / self.NAMES[1]
        file.rename(file.with_name(unicodedata.normalize("NFD", file.name)))
        assert import_hmdb51(root).missing == ()

    def test_a_film_in_two_splits_is_told(self, root: Path) -> None:
        name = "April_09_wave_u_nm_np1_fr_goo_0.avi"
        write(root / "testTrainMulti_7030_splits/wave_test_split1.txt", [f"{name} 2"])
        touch(root, f"wave/{name}")
        shared = "1 recordings have clips in several splits: April_09 (train, test); "
        assert import_hmdb51(root).notes[-1].startswith(shared)

    def test_a_name_of_two_classes_is_looked_for_in_its_own(self, root: Path) -> None:
        write(root / "testTrainMulti_7030_splits/wave_test_split1.txt", [f"{self.NAMES[0]} 2"])
        touch(root, f"wave/{self.NAMES[0]}")
        assert (f"wave/{self.NAMES[0]}", "wave", "test") in rows(import_hmdb51(root))
        (root / "wave" / self.NAMES[0]).unlink()
        assert import_hmdb51(root).missing == (f"wave/{self.NAMES[0]}",)

    @pytest.mark.parametrize("line", ["no mark.avi", "a mark too many.avi 3"])
    def test_a_line_without_a_mark(self, root: Path, line: str) -> None:
        write(root / "testTrainMulti_7030_splits/clap_test_split1.txt", ["fine.avi 1", line])
        with pytest.raises(
            ValueError, match=r"clap_test_split1\.txt, line 2: .* is not a name and a mark of 0, 1 or 2"
        ):
            import_hmdb51(root)

    def test_a_clip_for_training_and_testing_is_refused(self, root: Path) -> None:
        lines = [f"{self.NAMES[0]} 1", f"{self.NAMES[0]} 2"]
        write(root / "testTrainMulti_7030_splits/clap_test_split1.txt", lines)
        with pytest.raises(OverlapError, match="take them out of one"):
            import_hmdb51(root)


class TestSomethingSomething:
    @pytest.fixture(params=["something-something-v2-", ""], ids=["first names", "later names"])
    def prefix(self, request: pytest.FixtureRequest) -> str:
        return request.param

    @pytest.fixture
    def root(self, tmp_path: Path, prefix: str) -> Path:
        def save(name: str, content: object) -> None:
            (tmp_path / "labels").mkdir(exist_ok=True)
            (tmp_path / "labels" / f"{prefix}{name}.json").write_text(json.dumps(content))

        def entry(number: str, template: str) -> dict[str, object]:
            return {"id": number, "label": "…", "template": template, "placeholders": ["a cup"]}

        holding, putting = "Holding something", "Putting something, that can't roll, onto something"
        save("labels", {putting: "1", holding: "0"})
        save(
            "train",
            [
                entry("78687", "Holding [something]"),
                entry("3", "Putting [something], that can't roll, onto [something]"),
            ],
        )
        save("validation", [entry("2", "Holding [something]")])
        save("test", [{"id": "1420"}])
        touch(tmp_path / "20bn-something-something-v2", "78687.webm", "2.webm", "1420.webm")
        return tmp_path

    def test_templates_become_classes_in_the_official_order(self, root: Path) -> None:
        imported = import_something(root)
        folder = "20bn-something-something-v2"
        assert rows(imported) == [
            (f"{folder}/2.webm", "Holding something", "val"),
            (f"{folder}/78687.webm", "Holding something", "train"),
        ]
        assert imported.manifest.labels == ("Holding something", "Putting something, that can't roll, onto something")
        assert imported.missing == ("3",)
        assert imported.notes == ("test-answers.csv is not there, and so there is no split 'test'",)

    def test_the_answers_make_a_test_split(self, root: Path) -> None:
        write(root / "labels/test-answers.csv", ["1420;Holding something"])
        assert ("20bn-something-something-v2/1420.webm", "Holding something", "test") in rows(import_something(root))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (
                '[{"id": 2, "template": "Dropping [something]"}]',
                "clip 2 is of class 'Dropping something', which labels",
            ),
            ('[{"id": 2}]', "has no id or no template"),
            ("[", "is not JSON"),
            ("{}", "holds a dict, not a list"),
        ],
    )
    def test_a_list_that_does_not_fit(self, root: Path, prefix: str, content: str, message: str) -> None:
        (root / f"labels/{prefix}validation.json").write_text(content)
        with pytest.raises(ValueError, match=message):
            import_something(root)


class TestOwnClips:
    def test_a_folder_for_each_class_in_one_for_each_split(self, tmp_path: Path) -> None:
        touch(tmp_path, "train/yo yo (fast)/a.mp4", "train/tai chi/b.mov", "validation/tai chi/b.mov")
        assert rows(import_folder(tmp_path)) == [
            ("train/tai chi/b.mov", "tai chi", "train"),
            ("train/yo yo (fast)/a.mp4", "yo yo (fast)", "train"),
            ("validation/tai chi/b.mov", "tai chi", "val"),
        ]

    def test_a_class_in_two_spellings_is_refused(self, tmp_path: Path) -> None:
        touch(tmp_path, "train/TaiChi/a.mp4", "test/tai_chi/b.mp4")
        with pytest.raises(ValueError, match="two spellings: 'TaiChi' and 'tai_chi'"):
            import_folder(tmp_path)

    def test_a_table_with_missing_files(self, tmp_path: Path) -> None:
        write(tmp_path / "list.csv", ["path,label,split,start", "a.mp4,run,train,1.5", "b.mp4,walk,test,"])
        touch(tmp_path, "videos/a.mp4")
        imported = import_csv(tmp_path / "videos", tmp_path / "list.csv")
        assert rows(imported) == [("a.mp4", "run", "train")]
        assert imported.missing == ("b.mp4",)
        assert imported.manifest.labels == ("run", "walk")
        assert imported.manifest.clips[0].start == 1.5
        with pytest.raises(ValueError, match=r"has none of the 2 files listed: a\.mp4, b\.mp4"):
            import_csv(tmp_path / "list.csv")

    def test_a_table_whose_splits_overlap(self, tmp_path: Path) -> None:
        write(tmp_path / "list.csv", ["path,label,split", "a.mp4,run,train", "a.mp4,run,test", "b.mp4,run,test"])
        with pytest.raises(OverlapError) as raised:
            import_csv(tmp_path / "list.csv")
        assert raised.value.names == ["a.mp4 (train, test)"]

    def test_one_recording_in_two_splits_is_refused(self, tmp_path: Path) -> None:
        lines = ["path,label,split,group", "a.mp4,run,train,film", "b.mp4,run,test,film"]
        write(tmp_path / "list.csv", lines)
        touch(tmp_path, "a.mp4", "b.mp4")
        with pytest.raises(ValueError, match=r"1 recordings have clips in several splits: film \(train, test\)"):
            import_csv(tmp_path / "list.csv")

    def test_links_to_folders_are_followed_and_circles_end(self, tmp_path: Path) -> None:
        touch(tmp_path, "disk/abseiling/---QUuC4vJs_000084_000094.mp4")
        write(tmp_path / "root/val.csv", [HEADER, "abseiling,---QUuC4vJs,84,94,val"])
        (tmp_path / "root/val").symlink_to(tmp_path / "disk")
        (tmp_path / "disk/back").symlink_to(tmp_path / "root")
        assert [path for path, _, _ in rows(import_kinetics(tmp_path / "root"))] == [
            "val/abseiling/---QUuC4vJs_000084_000094.mp4"
        ]


class TestTxt:
    """Lists of paths and class numbers, with a file of labels."""

    @pytest.fixture
    def lists(self, tmp_path: Path) -> Path:
        write(tmp_path / "lists/train.txt", ["a.mp4 0", "b.avi 1", "gone.mp4 1"])
        write(tmp_path / "lists/val.csv", ["val/a.mp4,1"])
        write(tmp_path / "lists/k400_labels.csv", ["id,name", "0,abseiling", "1,air drumming", "2,yoga"])
        write(tmp_path / "lists/README.txt", ["these are lists"])
        touch(tmp_path / "videos", "x/train/a.mp4", "b.mp4", "val/a.mp4")
        return tmp_path / "lists"

    def test_a_folder_of_lists_and_one_of_videos(self, lists: Path) -> None:
        videos = lists.parent / "videos"
        (videos / "val/a.mp4").rename(videos / "val/c.mp4")
        write(lists / "val.csv", ["path,class", "val/c.mp4,1"])
        imported = import_txt(videos, [lists])
        assert rows(imported) == [
            ("b.mp4", "air drumming", "train"),
            ("val/c.mp4", "air drumming", "val"),
            ("x/train/a.mp4", "abseiling", "train"),
        ]
        assert imported.missing == ("gone.mp4",)
        assert imported.manifest.labels == ("abseiling", "air drumming", "yoga")
        assert imported.notes == (f"the classes are those of {lists / 'k400_labels.csv'}",)

    def test_file_by_file_and_everything_in_one_folder(self, lists: Path) -> None:
        given = [lists / "k400_labels.csv", lists / "train.txt"]
        touch(lists, "a.mp4", "b.avi")
        expected = [("a.mp4", "abseiling", "train"), ("b.avi", "air drumming", "train")]
        assert rows(import_dataset("txt", lists, given)) == expected
        assert import_txt(lists, given).notes == ()
        touch(lists, "val/a.mp4")
        assert rows(import_txt(lists)) == [*expected, ("val/a.mp4", "air drumming", "val")]

    def test_videos_in_an_archive(self, lists: Path) -> None:
        with tarfile.open(lists / "videos.tar", "w") as tar:
            for name in ("a.mp4", "b.avi"):
                tar.add(lists / "train.txt", name)
        (lists / "val.csv").unlink()
        imported = import_txt(lists / "videos.tar")
        assert [path.rpartition("/")[2] for path, _, _ in rows(imported)] == ["a.mp4", "b.avi"]
        assert imported.missing == ("gone.mp4",)
        assert imported.manifest.root == lists

    def test_mistakes(self, lists: Path) -> None:
        videos = lists.parent / "videos"
        write(lists / "train1.txt", ["a.mp4 1"])
        with pytest.raises(ValueError, match=r"train\.txt and .*train1\.txt are both of split 'train'"):
            import_txt(videos, [lists])
        with pytest.raises(ValueError, match="class numbers need a file of the classes' names"):
            import_txt(videos, [lists / "train.txt"])
        write(lists / "more_labels.txt", ["x", "y"])
        with pytest.raises(ValueError, match=r"k400_labels\.csv, .*more_labels\.txt could all be the labels"):
            import_txt(videos, [lists])
        with pytest.raises(ValueError, match="no list of paths and class numbers"):
            import_txt(videos)
        write(lists / "one.json", ['["x"]'])
        with pytest.raises(ValueError, match="class 1 is unknown; labels go from 0 to 0"):
            import_txt(videos, [lists / "train.txt", lists / "one.json"])
        with pytest.raises(ValueError, match="ucf101 takes one --annotations, and 2 were given"):
            import_dataset("ucf101", videos, [lists, lists])
        with pytest.raises(ValueError, match="no data set is called 'ucf102'; choose one of kinetics400"):
            import_dataset("ucf102", videos)  # pyright: ignore[reportArgumentType]


class TestSegments:
    """JSON of ActivityNet and of Kinetics."""

    def test_activitynet(self, tmp_path: Path) -> None:
        database = {
            "abc": {"subset": "training", "annotations": [{"segment": [1, 3], "label": "Archery"}]},
            "gone": {"subset": "validation", "annotations": [{"segment": [0, 2], "label": "Yoga"}]},
        }
        write(tmp_path / "lists/activity_net.v1-3.min.json", [json.dumps({"database": database})])
        touch(tmp_path, "videos/v_abc.mkv")
        for given in (tmp_path / "lists", tmp_path / "lists/activity_net.v1-3.min.json"):
            imported = import_activitynet(tmp_path / "videos", given)
            assert imported.manifest.clips == (Clip("v_abc.mkv", "Archery", "train", 1.0, 3.0, "abc"),)
            assert imported.manifest.labels == ("Archery", "Yoga")
            assert imported.missing == ("gone",)
        with pytest.raises(ValueError, match=r"has no \.json of ActivityNet's annotations; give the file"):
            import_activitynet(tmp_path / "videos")

    def test_kinetics(self, tmp_path: Path) -> None:
        table = {"abc": {"subset": "validate", "annotations": {"segment": [2.0, 12.0], "label": "yoga"}, "url": ""}}
        write(tmp_path / "k400/validate.json", [json.dumps(table)])
        touch(tmp_path, "k400/val/yoga/abc_000002_000012.mp4")
        assert rows(import_kinetics(tmp_path / "k400")) == [("val/yoga/abc_000002_000012.mp4", "yoga", "val")]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(("train", "train"), ("training", "train"), ("val", "val"), ("valid", "val"), ("validate", "val")),
        *(("Validation", "val"), (" validate ", "val"), ("test", "test"), ("testing", "test"), ("unseen", "unseen")),
    ],
)
@pytest.mark.parametrize("column", [True, False])
def test_the_splits_of_kinetics_have_their_canonical_names(name: str, split: str, column: bool, tmp_path: Path) -> None:
    head = "label,youtube_id,time_start,time_end" + ",split" * column
    table = tmp_path / "k400" / ("all.csv" if column else f"{name.strip().lower()}.csv")
    write(table, [head, "abseiling,---QUuC4vJs,84,94" + f",{name}" * column])
    video = table.parent / "videos" / "---QUuC4vJs_000084_000094.mp4"
    video.parent.mkdir()
    video.touch()
    (clip,) = import_kinetics(tmp_path / "k400").manifest.clips
    assert clip.split == split
