"""The page about an evaluation: complete, safe, self-contained, and readable in a real browser at any width."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from urllib.parse import unquote

import pytest
from markupsafe import escape

import crossframe
from crossframe.cli import main
from crossframe.data.manifest import read_manifest
from crossframe.evaluate.evaluate import Setting, evaluate_manifest
from crossframe.evaluate.report import MANY, SHOWN, write_report
from crossframe.evaluate.result import Evaluation, VideoResult
from crossframe.evaluate.shapes import evaluate_shapes, frames_of
from crossframe.pages import strip
from crossframe.shapes.splits import draw
from tests.browser import CHROMIUM, opened
from tests.data.dataset import write_dataset
from tests.evaluate.world import small_model

EVIL = "<script>document.title = 'run'</script>"
LONG = "a_label_of_somebody_who_never_uses_spaces_" * 4


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of three clips, `jumping/1.mp4` broken."""
    return write_dataset(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="module")
def run(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of those clips."""
    folder = tmp_path_factory.mktemp("runs") / "three classes"
    evaluate_manifest(small_model(), read_manifest(clips)).save(folder)
    return folder


def invented(folder: Path, labels: Sequence[str], videos: int, root: Path) -> Path:
    """An evaluation with answers drawn at random, half of them right."""
    rng = random.Random(0)
    results: list[VideoResult] = []
    for index in range(videos):
        target = index % len(labels)
        if index % 50 == 49:
            results.append(VideoResult(index, target, error=f"{EVIL}: is no video"))
            continue
        top = rng.sample([place for place in range(len(labels)) if place != target], 5)
        if rng.random() < 0.5:
            top = [target, *top[1:]]
        scores = sorted((rng.random() / 5 for _ in top), reverse=True)
        results.append(VideoResult(index, target, tuple(top), tuple(scores), scores[0] if top[0] == target else 0.0))
    made_with = asdict(Setting()) | {"data": str(root)}
    Evaluation(tuple(labels), tuple(f"{EVIL}{i}.mp4" for i in range(videos)), tuple(results), made_with).save(folder)
    return folder


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def pictures(text: str) -> int:
    return text.count("<img ")


def test_the_page_of_an_evaluation_has_its_numbers_and_its_mistakes(run: Path, clips: Path) -> None:
    text = read(write_report(run))
    summary = json.loads((run / "summary.json").read_text())
    for number in (summary["top1"], summary["mean_class"], *summary["top1_interval"], summary["calibration"]["error"]):
        assert f"{number:.1%}" in text
    wrong = round((1 - summary["top1"]) * summary["videos"]) - summary["unreadable"]
    assert wrong > 0
    assert pictures(text) == wrong * 4  # frames of this model
    assert "jumping/1.mp4" in text
    assert escape(summary["failures"][0]["reason"]) in text
    assert summary["made_with"]["weights"] in text
    assert not re.search(r"""(src|href)=["'](?!data:)|url\(|@import""", text)  # opens offline


def test_rows_of_the_matrix_add_up(run: Path) -> None:
    text = read(write_report(run))
    matrix = text[text.index("Confusion matrix") :]
    taken = re.findall(r"<title>(\w+), taken for (\w+): (\d+)</title>", matrix)
    per_class = {label: sum(int(n) for shown, _, n in taken if shown == label) for label, _, _ in taken}
    assert per_class == {"clapping": 3, "jumping": 3, "waving": 3}
    assert ("jumping", "another", "1") in taken  # the broken one


def test_videos_that_moved_are_found_below_root_and_otherwise_missed_kindly(
    run: Path, clips: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    summary = json.loads((copy / "summary.json").read_text())
    summary["made_with"]["data"] = str(tmp_path / "gone")
    (copy / "summary.json").write_text(json.dumps(summary))
    text = read(write_report(copy))
    assert pictures(text) == 0
    assert "No pictures" in text
    assert read(write_report(copy, root=clips)).count("<img ") == pictures(read(write_report(run)))


def test_names_and_labels_are_text_whatever_they_hold(tmp_path: Path) -> None:
    page = write_report(invented(tmp_path, [EVIL, "b", "c", "d", "e", "f"], 100, tmp_path))
    assert "<script" not in read(page)
    assert escape(EVIL) in read(page)


def test_hundreds_of_classes_stay_readable(tmp_path: Path) -> None:
    labels = [f"class number {i}" for i in range(700)]
    text = read(write_report(invented(tmp_path, labels, 2100, tmp_path)))
    matrix = text[text.index("Confusion matrix") : text.index("Worst mistakes")]
    assert 2 <= matrix.count('text-anchor="end">class number') <= MANY
    assert text.count('<article class="clip">') == SHOWN
    assert "All 700 classes" in text
    assert f"The first {SHOWN} of them" in text
    assert len(text) < 500_000


def test_a_page_without_any_answer_says_so(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(f"path,label\n{clips}/jumping/1.mp4,jumping")
    evaluate_manifest(small_model(), read_manifest(tmp_path / "list.csv", labels=["jumping", "other"])).save(tmp_path)
    text = read(write_report(tmp_path))
    assert "No video gave an answer" in text
    assert "1 of 1 videos gave no answer" in text


def test_a_stretch_of_a_file_is_shown_where_it_is(clips: Path, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    for folder, columns, rest in ((whole, "path,label", ""), (part, "path,label,start,end", ",1.0,2.0")):
        rows = [f"{clips}/{label}/0.mp4,{label}{rest}" for label in ("clapping", "jumping", "waving")]
        (tmp_path / "list.csv").write_text("\n".join([columns, *rows]))
        evaluate_manifest(small_model(), read_manifest(tmp_path / "list.csv")).save(folder)
    assert "0.mp4#t=1.0,2.0" in read(write_report(part))
    assert pictures(read(write_report(part))) == pictures(read(write_report(whole))) > 0
    assert set(re.findall('src="([^"]+)"', read(write_report(part)))) != set(
        re.findall('src="([^"]+)"', read(write_report(whole)))
    )


def test_clips_of_shapes_are_drawn_again(tiny_folder: Path, tmp_path: Path) -> None:
    model = crossframe.load(tiny_folder)
    evaluation = evaluate_shapes(model, "test", 4, among=("growing", "shrinking", "turning"))
    evaluation.save(tmp_path)
    text = read(write_report(tmp_path))
    wrong = [evaluation.names[result.index] for result in evaluation.results if not result.correct]
    assert pictures(text) == len(wrong) * model.config.num_frames > 0
    for name in wrong:
        scene = draw("test", 0, int(name.removeprefix("test/").removesuffix(".mp4")))
        assert strip(frames_of(scene, model.config.num_frames))[-1] in text


def test_the_command_writes_where_it_is_told(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", str(run), "--out", str(tmp_path / "new" / "page.html")])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "new" / "page.html")
    assert read(tmp_path / "new" / "page.html") == read(write_report(run))


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({}, "83.8 / 96.7 (Kinetics-400; B/16, 8 frames)."),
        (
            {"crops": 1, "sampling": {"num_frames": 8, "rule": "sparse", "views": 1}},
            "82.3 (Kinetics-400; B/16, 8 frames).",
        ),
        ({"variant": "L/14"}, "87.1 / 97.6 (Kinetics-400; L/14, 8 frames)."),
        (
            {"recipe": "zero-shot", "crops": 1, "sampling": {"num_frames": 32, "rule": "sparse", "views": 1}},
            "44.6, 72.0, 65",
        ),
        ({"crops": 1}, None),
        ({"variant": None}, None),
        ({"recipe": "finetune"}, None),
        ({"sampling": {"num_frames": 8, "rule": "dense", "views": 4}}, None),
    ],
)
def test_the_papers_number_stands_beside_ours_where_model_and_protocol_are_the_papers(
    changes: dict[str, object], number: str | None, run: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    summary = json.loads((copy / "summary.json").read_text())
    four = {"num_frames": 8, "rule": "sparse", "views": 4}
    summary["made_with"] |= {"recipe": "k400", "variant": "B/16", "sampling": four, "crops": 3} | changes
    (copy / "summary.json").write_text(json.dumps(summary))
    text = read(write_report(copy))
    assert ("The paper, with this model and protocol" in text) == (number is not None)
    assert number is None or number in text


def test_several_trials_have_a_page_that_leads_to_theirs(run: Path, tmp_path: Path) -> None:
    folders = ["split <1>", "split 2"]
    trials = [json.loads((run / "summary.json").read_text()) | {"folder": folder} for folder in folders]
    for folder in folders:
        shutil.copytree(run, tmp_path / folder)
        (tmp_path / folder / "report.html").unlink(missing_ok=True)
    numbers = {"top1": 0.5, "mean_class": 0.25, "median_rank": 3.7}
    for trial in trials:
        trial["median_rank"] = 4.2
    (tmp_path / "summary.json").write_text(json.dumps({"mean": numbers, "deviation": numbers, "trials": trials}))
    text = read(write_report(tmp_path, tmp_path / "pages" / "all.html"))
    assert "50.0%" in text
    assert "deviation 25.0 points" in text
    assert "deviation 3.7" in text
    assert ">4.2<" in re.sub(r"\s", "", text)
    assert not re.search(r"3[67]\d(\.\d)?%|420(\.\d)?%", text)  # a rank is no share
    links = [unquote(link) for link in re.findall('href="(\\.[^"]+)"', text)]
    assert links == [f"../{folder}/report.html" for folder in folders]
    assert all("Confusion matrix" in read(tmp_path / "pages" / link) for link in links)


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "holds no summary.json"), ("{", "is not JSON"), ('{"steps": 4}', "not that of an evaluation")],
)
def test_a_folder_without_an_evaluation_is_refused(text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "summary.json").write_text(text)
        (tmp_path / "predictions.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match=message):
        write_report(tmp_path)


@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")
def test_it_opens_in_a_browser_at_the_width_of_a_phone_and_of_a_desk(run: Path, tmp_path: Path) -> None:
    shown = write_report(run)
    hard = write_report(invented(tmp_path / "run", [EVIL, LONG, *map(str, range(398))], 800, tmp_path))
    for number, (page, width) in enumerate(product((shown, hard), (360, 1280))):
        with opened(page, tmp_path / f"profile-{number}", width=width) as tab:
            assert tab.ask("document.documentElement.scrollWidth") <= width
            assert tab.ask("document.querySelectorAll('svg rect').length") > 3
            assert tab.ask("[...document.images].every(image => image.naturalWidth > 0)")
            assert tab.ask("document.title").startswith("Evaluation")
        assert tab.errors == []
        assert [request for request in tab.requests if not request.startswith("data:")] == [page.as_uri()]


def test_no_class_is_the_worst_where_all_are_right(tmp_path: Path) -> None:
    right = tuple(VideoResult(place, place, (place, 1 - place), (0.9, 0.1), 0.9) for place in (0, 1))
    made_with = {"sampling": {"num_frames": 2, "rule": "sparse", "views": 1, "official": False}, "crops": 1}
    Evaluation(("a", "b"), ("0.mp4", "1.mp4"), right, made_with, trained_on=1).save(tmp_path)
    page = write_report(tmp_path).read_text()
    assert "None: every video of every class is named right." in page
    assert "the model was trained on 1 of these 2 clips" in page
