"""`crossframe classify` as people and programs use it: what it prints, where, and how it ends."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import wave
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import XCLIPModel

import crossframe
from crossframe.cli import main
from crossframe.model.config import ModelConfig, PromptConfig
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.recognizer import Recognizer
from crossframe.records import Records, read_records
from crossframe.text.tokenizer import Tokenizer
from crossframe.weights import load
from tests.cli.conftest import Outcome, Run
from tests.data.test_layouts import write_tar
from tests.video.clips import moving, write_clip

LABELS = ["-l", "arm wrestling", "-l", "cleaning a pool"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("one") / "a clip.mp4", frames=moving(9, 48, 40))


def one_line(outcome: Outcome, *words: str) -> bool:
    """The error is a single line that has these words, and no traceback."""
    return (
        outcome.err.count("\n") == 1 and all(word in outcome.err for word in words) and "Traceback" not in outcome.err
    )


def test_json_has_one_object_a_video_and_names_bad_files_on_standard_error(
    command: Run, clip: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_clip(tmp_path / "b.avi", frames=moving(5, 40, 48), codec="mpeg4")
    notes = tmp_path / "notes.txt"
    notes.write_text("buy milk")
    loads: list[object] = []
    monkeypatch.setattr("crossframe.weights.load", lambda *a, **k: loads.append(a) or load(*a, **k))
    videos = [clip, other, tmp_path / "missing.mp4", notes]
    outcome = command("classify", *videos, *LABELS, "--model", tiny_folder, "--json", "--precision", "float32")
    records = [json.loads(line) for line in outcome.out.splitlines()]
    assert outcome.status == 1
    assert [record["video"] for record in records] == list(map(str, videos))
    assert records[2]["error"] == f"{tmp_path / 'missing.mp4'}: does not exist; check the path"
    assert "notes.txt: is not a video" in records[3]["error"]
    results = [record for record in records if "error" not in record]
    assert [result["video"] for result in results] == [str(clip), str(other)]
    assert "missing.mp4" in outcome.err
    assert "notes.txt" in outcome.err
    assert "Traceback" not in outcome.err
    assert len(loads) == 1
    for result in results:
        assert {entry["label"] for entry in result["predictions"]} == {"arm wrestling", "cleaning a pool"}
        assert sum(entry["score"] for entry in result["predictions"]) == pytest.approx(1)
        assert all(-1 <= entry["similarity"] <= 1 for entry in result["predictions"])
        assert result["precision"] == "float32"
        assert len(result["weights"]) == 64
    assert results[0]["frames"]["indices"] == [1, 3, 5, 7]  # int((i + 0.5) * 9 / 4)
    assert len(results[0]["frames"]["times"]) == 4


def test_a_full_gpu_is_said_in_one_line(
    command: Run, clip: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")

    monkeypatch.setattr("crossframe.model.xclip.XCLIP.encode_text", fail)
    outcome = command("classify", clip, *LABELS, "--model", tiny_folder)
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert outcome.err.startswith("crossframe: the GPU's memory is full;")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
        OSError(12, "Cannot allocate memory"),
    ],
    ids=repr,
)
def test_full_memory_is_said_in_one_line(
    error: Exception, command: Run, clip: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("crossframe.model.xclip.XCLIP.encode_text", fail)
    outcome = command("classify", clip, *LABELS, "--model", tiny_folder)
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert outcome.err.startswith("crossframe: memory is full, or limited too far;")


def test_scores_are_those_of_the_library(command: Run, clip: Path, tiny_folder: Path) -> None:
    outcome = command("classify", clip, *LABELS, "--model", tiny_folder, "--json", "--precision", "float32")
    prediction = crossframe.Recognizer(load(tiny_folder)).classify(clip, ["arm wrestling", "cleaning a pool"])
    shown = json.loads(outcome.out)["predictions"]
    assert [entry["label"] for entry in shown] == [name for name, _ in prediction.top()]
    torch.testing.assert_close(
        torch.tensor([entry["score"] for entry in shown]), torch.tensor([score for _, score in prediction.top()])
    )


def test_scores_are_those_of_transformers_on_the_same_pixels(
    command: Run, clip: Path, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    config = replace(tiny_config, prompts=PromptConfig(layers=2, heads=2, mlp_width=128))  # as wide as theirs must be
    model = XCLIP(config, tokenizer=Tokenizer.clip(), preprocess=Preprocess.xclip(size=32))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    torch.nn.init.constant_(model.logit_scale, 3.0)
    folder = crossframe.save(model, tmp_path / "published", "transformers")
    outcome = command("classify", clip, *LABELS, "--model", folder, "--json", "--precision", "float32")
    shown = {entry["label"]: entry["score"] for entry in json.loads(outcome.out)["predictions"]}
    pixels = model.prepare(crossframe.read_video(clip, num_frames=4, short_side=36).pixels)  # 36 = 256/224 of 32
    with torch.inference_mode():
        theirs = XCLIPModel.from_pretrained(folder).eval()
        logits = theirs(input_ids=model.tokenize(list(shown)), pixel_values=pixels).logits_per_video[0]
    assert logits.softmax(0).max() < 0.99
    torch.testing.assert_close(torch.tensor(list(shown.values())), logits.softmax(0), rtol=0, atol=1e-5)


def test_table_shows_every_label_with_its_share(command: Run, clip: Path, tiny_folder: Path) -> None:
    outcome = command("classify", clip, *LABELS, "--model", tiny_folder)
    assert outcome.status == 0
    assert clip.name in outcome.out.replace("\n", "")
    assert "arm wrestling" in outcome.out
    assert outcome.out.count("%") == 2


def test_what_a_share_of_one_label_is_worth_is_said(command: Run, clip: Path, tiny_folder: Path) -> None:
    for label, hint in (("yoga", "give others"), ("yoga, judo", "repeat -l, since commas divide no labels")):
        outcome = command("classify", clip, "-l", label, "--model", tiny_folder)
        assert outcome.status == 0
        assert one_line(outcome, f"One label alone always gets 100%; {hint}, or --background generic.")
    for words in (("-l", "yoga", "--json"), ("-l", "yoga", "-l", "judo")):
        assert command("classify", clip, *words, "--model", tiny_folder).err == ""


class Terminal(io.StringIO):
    """What a person looks at, as far as programs can tell."""

    def isatty(self) -> bool:
        return True


def test_a_progress_bar_on_the_terminal_leaves_json_in_its_file(
    command: Run, clip: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    outcome = command("classify", clip, "gone.mp4", clip, *LABELS, "--model", tiny_folder, "--json")
    assert [json.loads(line)["video"] for line in outcome.out.splitlines()] == [str(clip), "gone.mp4", str(clip)]
    seen = terminal.getvalue()
    assert "videos" in seen
    assert "gone.mp4: does not exist" in seen
    assert "predictions" not in seen


def test_a_progress_bar_stays_below_tables_and_errors(
    clip: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.chdir(tmp_path)
    Path("a.mp4").write_bytes(clip.read_bytes())
    Path("notes.mp4").write_text("buy milk")
    with pytest.raises(SystemExit):
        main(["classify", "a.mp4", "notes.mp4", "a.mp4", *LABELS, "--model", str(tiny_folder)])
    seen = terminal.getvalue()
    erase = "\r\x1b[2K"
    assert f"{erase}crossframe: notes.mp4: is not a video" in seen
    assert len(re.findall(re.escape(erase) + r"\S*a\.mp4", seen)) == 2
    assert seen.count("cleaning a pool") == 2


def test_one_video_has_no_progress_bar(
    command: Run, clip: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert command("classify", clip, *LABELS, "--model", tiny_folder, "--json").status == 0
    assert terminal.getvalue() == ""


def test_brackets_and_colons_in_names_are_shown_as_they_are(
    command: Run, clip: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "[red] :smile:.mp4"
    path.write_bytes(clip.read_bytes())
    outcome = command("classify", path, "-l", "[bold]yoga[/bold]", "-l", "[/no tag]", "--model", tiny_folder)
    assert outcome.status == 0, outcome.err
    assert path.name in outcome.out
    assert "[bold]yoga[/bold]" in outcome.out
    assert "[/no tag]" in outcome.out


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_characters_that_the_terminal_lacks_do_not_end_the_work(
    clip: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, form: list[str]
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with pytest.raises(SystemExit) as ended:
        main(["classify", str(clip), "-l", "café", "--model", str(tiny_folder), *form])
    assert ended.value.code == 0
    if form:
        assert json.loads(raw.getvalue())["predictions"][0]["label"] == "café"
    else:
        assert b"caf\\xe9" in raw.getvalue()


def test_json_shows_words_of_any_language(command: Run, clip: Path, tiny_folder: Path, tmp_path: Path) -> None:
    words = ("classify", clip, "-l", "拉小提琴", "--model", tiny_folder, "--json")
    outcome = command(*words, "--out", tmp_path / "out.jsonl")
    for text in (command(*words).out, outcome.out, (tmp_path / "out.jsonl").read_text(encoding="utf-8")):
        assert '"label": "拉小提琴"' in text
    assert outcome.status == 0


@pytest.mark.parametrize("form", [["--json"], []])
def test_a_reader_that_stops_reading_ends_the_work_quietly(
    clip: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], form: list[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as output:
        monkeypatch.setattr("sys.stdout", output)
        with pytest.raises(SystemExit) as ended:
            main(["classify", str(clip), str(clip), *LABELS, "--model", str(tiny_folder), *form])
    assert ended.value.code == 1
    assert capfd.readouterr().err == ""


def test_a_folder_stands_for_the_videos_in_it_and_a_file_for_its_labels(
    command: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    for name in ("b.mp4", "a.mp4"):
        (tmp_path / "clips").mkdir(exist_ok=True)
        write_clip(tmp_path / "clips" / name, frames=moving(4, 40, 40))
    (tmp_path / "clips" / "readme.txt").write_text("not a clip")
    (tmp_path / "labels.txt").write_text("ApplyEyeMakeup\nbrush_hair\n")
    out = tmp_path / "out.jsonl"
    words = ["classify", tmp_path / "clips", "--labels", tmp_path / "labels.txt", "--humanize"]
    outcome = command(*words, "--model", tiny_folder, "--out", out, "--top", "1")
    results = [json.loads(line) for line in out.read_text().splitlines()]
    assert outcome.status == 0
    assert [Path(result["video"]).name for result in results] == ["a.mp4", "b.mp4"]
    assert all(result["predictions"][0]["label"] in ("apply eye makeup", "brush hair") for result in results)
    assert all(len(result["predictions"]) == 1 for result in results)


def test_an_archive_stands_for_the_videos_in_it(command: Run, clip: Path, tiny_folder: Path, tmp_path: Path) -> None:
    for number in range(2):
        write_tar(tmp_path / f"{number}.tar", {"b/notes.txt": b"x", f"b/{number}.mp4": clip.read_bytes()})
    outcome = command("classify", tmp_path / "{0..1}.tar", *LABELS, "--model", tiny_folder, "--json")
    assert outcome.status == 0
    assert [Path(json.loads(line)["video"]).name for line in outcome.out.splitlines()] == ["0.mp4", "1.mp4"]
    (tmp_path / "1.tar").rename(tmp_path / "1.tar.gz")
    outcome = command("classify", clip, tmp_path / "1.tar.gz", tmp_path / "{0..1}.tar", *LABELS, "--model", tiny_folder)
    assert outcome.status == 1
    packed, missing = outcome.err.splitlines()[:2]
    assert "1.tar.gz is compressed" in packed
    assert "1.tar does not exist, 1 of the 2 archives" in missing


def test_bad_files_take_one_line_each(command: Run, clip: Path, tiny_folder: Path, tmp_path: Path) -> None:
    empty, truncated, text, sound = (tmp_path / name for name in ("empty.mp4", "cut.mp4", "text.mp4", "sound.wav"))
    empty.touch()
    truncated.write_bytes(clip.read_bytes()[:200])
    text.write_text("this is no video")
    with wave.open(str(sound), "wb") as audio:
        audio.setparams((1, 2, 8000, 0, "NONE", ""))
        audio.writeframes(bytes(1600))
    for path in (empty, truncated, text, sound, tmp_path / "gone.mp4"):
        outcome = command("classify", path, *LABELS, "--model", tiny_folder)
        assert outcome.status == 2, path
        assert outcome.out == "", path
        assert one_line(outcome, path.name), outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["no labels"]),
        (["-l", "yoga", "-l", "Yoga"], ["yoga", "Yoga", "same"]),
        ([*LABELS, "--frames", "0"], ["--frames"]),
        ([*LABELS, "--precision", "int8"], ["int8"]),
        ([*LABELS, "--framess", "4"], ["--framess", "see crossframe classify --help"]),
    ],
)
def test_wrong_usage_ends_with_2_before_anything_is_loaded(
    command: Run, clip: Path, arguments: list[str], words: list[str]
) -> None:
    outcome = command("classify", clip, "--model", "does/not-matter", *arguments)
    assert outcome.status == 2
    assert one_line(outcome, *words), outcome.err


def test_files_that_do_not_exist_are_said_before_a_model_is_looked_for(command: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("kept")
    outcome = command("classify", tmp_path / "gone.mp4", *LABELS, "--model", "does/not-matter", "--out", out)
    assert (outcome.status, outcome.out) == (2, "")
    assert one_line(outcome, "gone.mp4: does not exist; check the path")
    assert out.read_text() == "kept"
    outcome = command("classify", tmp_path / "gone.mp4", *LABELS, "--model", "does/not-matter", "--json")
    error = f"{tmp_path / 'gone.mp4'}: does not exist; check the path"
    assert json.loads(outcome.out) == {"video": str(tmp_path / "gone.mp4"), "error": error}
    outcome = command("classify", "https://example.com/clip.mp4", *LABELS, "--model", "does/not-matter")
    assert one_line(outcome, "does/not-matter: ")  # an address is looked for when the model is there
    Path(tmp_path / "text.mp4").write_text("buy milk")
    outcome = command("classify", tmp_path / "text.mp4", *LABELS, "--model", "mistyped", "--out", out, "--resume")
    assert one_line(outcome, "'mistyped' is no file, no folder and no model of the hub")
    assert out.read_text() == "kept"


def test_whether_a_file_may_be_read_is_found_out_by_reading_it(
    command: Run, clip: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # asked beforehand, one such file would stop the others
    outcome = command("classify", clip, *LABELS, "--model", tiny_folder, "--json")
    assert (outcome.status, outcome.out.count("\n"), outcome.err) == (0, 1, "")


def test_only_what_was_named_is_said_to_be_no_drawn_shape(command: Run, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("buy milk")
    outcome = command("classify", tmp_path / "text.mp4", *LABELS, "--model", "shapes")
    assert (outcome.status, outcome.out) == (2, "")
    assert one_line(outcome, "text.mp4: is not a video")


def test_what_cannot_be_used_ends_with_2_and_one_line(
    command: Run, clip: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "nothing").mkdir()
    outcome = command("classify", tmp_path / "nothing", *LABELS, "--model", tiny_folder)
    assert outcome.status == 2
    assert one_line(outcome, "nothing", "no video")
    outcome = command("classify", tmp_path / "nothing", clip, *LABELS, "--model", tiny_folder, "--json")
    assert outcome.status == 1  # one bad one does not stop the others
    assert ["error" in json.loads(line) for line in outcome.out.splitlines()] == [True, False]
    for out in (tmp_path / "no" / "such" / "out.jsonl", tmp_path):
        outcome = command("classify", clip, *LABELS, "--model", tiny_folder, "--out", out)
        assert outcome.status == 2
        assert one_line(outcome, str(out), "cannot be written", "another path")
    outcome = command("classify", clip, *LABELS, "--model", tiny_folder, "--device", "abacus")
    assert outcome.status == 2
    assert one_line(outcome, "'abacus'", "choose cpu")
    outcome = command("classify", clip, *LABELS, "--model", tmp_path / "no-model")
    assert outcome.status == 2
    assert one_line(outcome, "no-model")


def test_debug_shows_the_traceback(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no-model"):
        main(["classify", str(clip), *LABELS, "--model", str(tmp_path / "no-model"), "--debug"])


def test_ctrl_c_is_one_line_and_leaves_no_traceback(clip: Path, tiny_folder: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from crossframe.cli import main; main()",
        "classify",
        *[str(clip)] * 2000,
        *LABELS,
    ]
    command += ["--model", str(tiny_folder), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()  # it is at work now
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert json.loads(first)["video"] == str(clip)
    assert process.returncode == 130
    assert err.strip() == "crossframe: interrupted"


def test_descriptions_stand_for_labels_and_name_them(
    command: Run, clip: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "said.json"
    path.write_text(json.dumps({"arm wrestling": ["two people pull", "hands on a table"], "pool": "a net in water"}))
    settings = ["--model", tiny_folder, "--json", "--precision", "float32"]
    outcome = command("classify", clip, "--descriptions", path, *settings)
    result = json.loads(outcome.out)
    assert {row["label"] for row in result["predictions"]} == {"arm wrestling", "pool"}
    assert result["descriptions"] == str(path)
    plain = json.loads(command("classify", clip, "-l", "arm wrestling", "-l", "pool", *settings).out)
    assert plain["descriptions"] is None
    scores = [{row["label"]: row["similarity"] for row in found["predictions"]} for found in (result, plain)]
    assert scores[0] != scores[1]
    outcome = command("classify", clip, "--descriptions", path, "-l", "golf", *settings)
    assert outcome.status == 2
    assert one_line(outcome, "the label 'golf' has no description; add one for it")
    outcome = command("classify", clip, "--descriptions", path, "--template", "a {}", *settings)
    assert one_line(outcome, "descriptions are sentences and take no template")


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet"])
def test_a_result_is_not_written_over_and_is_gone_on_with(
    name: str, command: Run, clip: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, out = tmp_path / "text.mp4", tmp_path / name
    text.write_text("buy milk")
    words = [*LABELS, "--model", tiny_folder, "--precision", "float32", "--out", out]
    outcome = command("classify", text, clip, tmp_path / "gone.mp4", *words)
    assert outcome.status == 1
    found = {Path(record["video"]).name: record for record in read_records(out)}
    gone, bad, good = found["gone.mp4"], found["text.mp4"], found[clip.name]
    assert "does not exist" in gone["error"]
    assert "is not a video" in bad["error"]
    assert [name for name in good if name != "none"] == ["video", "predictions", "accepted", "frames"]
    assert good["accepted"] == [good["predictions"][0]["label"]]
    assert len(good["predictions"]) == 2
    run = json.loads((tmp_path / f"{name}.run.json").read_text())
    assert run["labels"] == ["arm wrestling", "cleaning a pool"]
    assert len(run["weights"]) == 64
    before = out.read_bytes()
    outcome = command("classify", text, clip, *words)
    assert outcome.status == 2
    assert one_line(outcome, f"{out} is there already", "--resume")
    assert out.read_bytes() == before

    write_clip(text, frames=moving(6, 40, 40))  # mended
    read: list[object] = []
    each = Recognizer.classify_each

    def watched(self: Recognizer, videos: list[Path], labels: list[str]) -> object:
        read.append(videos)
        return each(self, videos, labels)

    monkeypatch.setattr(Recognizer, "classify_each", watched)
    outcome = command("classify", text, clip, *words, "--resume")
    assert (outcome.status, [[video.name for video in videos] for videos in read]) == (0, [[str(text)]])
    records = {record["video"]: record for record in read_records(out)}
    assert records[str(clip)] == good
    assert "error" not in records[str(text)]
    outcome = command("classify", clip, "-l", "golf", *words[4:], "--resume")
    assert outcome.status == 2
    assert one_line(outcome, "was made with labels", "golf")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, f"{name}.run.json", "text.mp4"])


def test_what_a_killed_command_has_done_is_not_done_again(
    command: Run, clip: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [write_clip(tmp_path / f"{number}.mp4", frames=moving(4 + number, 40, 40)) for number in range(3)]
    out = tmp_path / "out.jsonl"
    words = [*clips, *LABELS, "--model", tiny_folder, "--precision", "float32", "--out", out]
    add, added = Records.add, []

    def die(self: Records, record: dict[str, object]) -> None:
        add(self, record)
        added.append(record)
        if len(added) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Records, "add", die)
    assert command("classify", *words).status == 130
    assert not out.exists()
    with (tmp_path / "out.jsonl.partial").open("a") as file:
        file.write('{"video": "cut')  # as a kill in the middle of a line leaves it
    monkeypatch.setattr(Records, "add", lambda self, record: added.append(record) or add(self, record))
    assert one_line(command("classify", *words), "out.jsonl.partial is there already")
    assert command("classify", *words, "--resume").status == 0
    assert [record["video"] for record in added] == list(map(str, clips))
    assert [record["video"] for record in read_records(out)] == list(map(str, clips))


def test_warnings_are_in_the_record(command: Run, tiny_folder: Path, tmp_path: Path) -> None:
    short = write_clip(tmp_path / "short.mp4", frames=moving(2, 40, 40))
    outcome = command("classify", short, *LABELS, "--model", tiny_folder, "--json")
    assert json.loads(outcome.out)["warnings"] == ["has 2 frames, 4 were wanted; some are repeated"]


@pytest.mark.parametrize("words", [["--html"], ["--json", "--html"], ["--out", "out.csv", "--html"]])
def test_classify_writes_a_page_with_the_frames_and_the_failures(
    words: list[str], command: Run, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clips = [write_clip(tmp_path / f"{number}.mp4", frames=moving(2 + 2 * number, 48, 40)) for number in range(3)]
    Path("bad.mp4").write_text("buy milk")
    page = Path("pages/mine.html")
    outcome = command("classify", *clips, "bad.mp4", *LABELS, "--model", tiny_folder, *words, page)
    assert outcome.status == 1
    assert outcome.err.splitlines()[-1] == str(page)
    text = page.read_text(encoding="utf-8")
    assert text.count("<img ") == 3 * 4
    assert "3 of 4 videos were named, each among 2 labels." in text
    assert "has 2 frames, 4 were wanted; some are repeated" in text
    assert "bad.mp4: is not a video" in text
    assert not re.search(r"""(src|href)=["'](?!data:)|url\(|@import""", text)  # opens offline


def test_none_of_these_is_an_answer_in_the_table_and_in_json(command: Run, clip: Path, tiny_folder: Path) -> None:
    given = ["classify", clip, *LABELS, "--model", tiny_folder, "--background", "generic", "--threshold", "0.99"]
    table = command(*given)
    assert (table.status, "none of these" in table.out) == (0, True)
    record = json.loads(command(*given, "--json").out)
    assert (record["none"], record["accepted"]) == (True, [])
    assert sum(entry["score"] for entry in record["predictions"]) < 1
    assert {entry["label"] for entry in record["predictions"]} == {"arm wrestling", "cleaning a pool"}
    sure = json.loads(command(*given[:-1], "0", "--json").out)
    assert (sure["none"], sure["accepted"]) == (False, [sure["predictions"][0]["label"]])


def test_a_file_of_groups_scores_each_by_its_own_rule(
    command: Run, clip: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    example = Path(__file__).parents[2] / "examples" / "at-home.yaml"
    outcome = command("classify", clip, "--labels", example, "--model", tiny_folder, "--json", "--top", "9")
    record = json.loads(outcome.out)
    assert {entry["group"] for entry in record["predictions"]} == {"safety", "sport", "household"}
    out = tmp_path / "found.parquet"
    page = tmp_path / "found.html"
    given = ["classify", clip, "--labels", example, "--model", tiny_folder, "--out", out, "--html", page]
    assert command(*given).status == 0
    (row,) = read_records(out)
    assert row["accepted"] == record["accepted"]
    assert "fire or smoke" in json.loads((tmp_path / "found.parquet.run.json").read_text())["thresholds"]
    twice = tmp_path / "twice.json"
    twice.write_text('{"groups": {"a": {"labels": ["golf"]}, "b": {"labels": ["yoga", "golf"]}}}')
    refused = command("classify", clip, "--labels", twice, "--model", tiny_folder)
    assert refused.status == 2
    assert one_line(refused, "'golf' is in two groups, 'a' and 'b'")
    mixed = command("classify", clip, "--labels", example, "-l", "chess", "--model", tiny_folder)
    assert one_line(mixed, "says more than labels")
