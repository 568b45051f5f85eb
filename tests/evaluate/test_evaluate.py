"""A whole evaluation: every video once, for any number of processes and from any source."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest
import torch

from crossframe.data.batch import Batch, Failure
from crossframe.data.loader import EvalLoader
from crossframe.data.manifest import Manifest, read_manifest
from crossframe.data.reader import Sampling
from crossframe.evaluate.evaluate import Setting, evaluate, evaluate_manifest, scoring_of
from crossframe.evaluate.statistics import grouped, interval
from crossframe.inference import label_features
from tests.data.dataset import CLASSES, write_dataset
from tests.evaluate.world import small_model

NAMES = [f"clip {i}" for i in range(5)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of three clips, `jumping/1.mp4` broken."""
    return write_dataset(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Manifest:
    return read_manifest(folder)


def drawn(indices: list[int], failures: tuple[Failure, ...] = ()) -> Batch:
    """A batch without files; what a clip shows depends on its index."""
    videos = torch.stack([torch.full((4, 3, 32, 32), 50 * index, dtype=torch.uint8) for index in indices])
    return Batch(videos, torch.tensor([index % 3 for index in indices]), torch.tensor(indices), failures)


def test_damaged_videos_are_named(tmp_path: Path, shared: Path) -> None:
    for name in ("h264_mkv.flip1063.mkv", "h264.mkv"):
        (tmp_path / "videos" / "jumping").mkdir(parents=True, exist_ok=True)
        shutil.copy(shared / "field" / "hostile" / name, tmp_path / "videos" / "jumping")
    whole = (tmp_path / "videos" / "jumping" / "h264.mkv").read_bytes()
    (tmp_path / "videos" / "jumping" / "cut.mkv").write_bytes(whole[: len(whole) * 3 // 5])
    for workers in (0, 1):
        evaluation = evaluate_manifest(small_model(), read_manifest(tmp_path / "videos"), workers=workers)
        assert evaluation.summary()["damaged"] == ["jumping/cut.mkv", "jumping/h264_mkv.flip1063.mkv"]
        assert [row["damaged"] for row in evaluation.rows()] == [True, False, True]


def test_every_video_has_a_row_and_the_broken_one_counts_as_wrong(manifest: Manifest, tmp_path: Path) -> None:
    root = manifest.root.absolute()
    evaluation = evaluate_manifest(small_model(), manifest, made_with={"template": "{}"})
    evaluation.save(tmp_path)
    rows = pyarrow.parquet.read_table(tmp_path / "predictions.parquet").to_pylist()
    assert [row["path"] for row in rows] == manifest.names
    assert [row["label"] for row in rows] == [clip.label for clip in manifest.clips]
    for row in rows:
        if row["path"] == "jumping/1.mp4":
            assert "jumping/1.mp4" in row["error"]
            assert (row["predicted"], row["correct"], row["correct_top5"], row["top_labels"]) == (
                None,
                False,
                False,
                [],
            )
            continue
        assert row["error"] is None
        assert row["correct"] == (row["predicted"] == row["label"])
        assert sorted(row["top_labels"]) == sorted(CLASSES)
        assert row["top_scores"] == sorted(row["top_scores"], reverse=True)
        assert row["top_scores"][row["top_labels"].index(row["label"])] == row["label_score"]

    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["top1"] == sum(row["correct"] for row in rows) / 9
    assert summary["top5"] == 8 / 9
    assert (summary["videos"], summary["unreadable"], summary["classes"]) == (9, 1, 3)
    assert [failure["path"] for failure in summary["failures"]] == ["jumping/1.mp4"]
    assert [row["videos"] for row in summary["per_class"]] == [3, 3, 3]
    assert summary["mean_class"] == pytest.approx(sum(row["top1"] for row in summary["per_class"]) / 3)
    made_with = summary["made_with"]
    assert made_with["sampling"] == {"num_frames": 4, "rule": "sparse", "views": 1, "official": False}
    assert (made_with["crops"], made_with["precision"]) == (1, "float32")
    assert (made_with["data"], made_with["split"], made_with["split_hash"]) == (str(root), "all", manifest.digest())
    assert len(made_with["weights"]) == 64
    assert made_with["template"] == "{}"
    low, high = summary["top1_interval"]
    assert low < summary["top1"] < high
    assert sum(part["videos"] for part in summary["calibration"]["bins"]) == 8
    pairs = Counter((row["label"], row["predicted"]) for row in rows if row["predicted"])
    assert {(row["label"], row["predicted"]): row["videos"] for row in summary["confusion"]} == pairs


def test_clips_of_one_recording_are_one_observation(manifest: Manifest, tmp_path: Path) -> None:
    clips = [
        replace(clip, group=None if number > 5 else f"film {number % 2}") for number, clip in enumerate(manifest.clips)
    ]
    evaluation = evaluate_manifest(small_model(), manifest.keep(clips))
    rights = [int(result.correct) for result in evaluation.results]
    alone = [clip.recording for clip in clips]
    assert alone[4:] == ["film 0", "film 1", *manifest.names[6:]]
    summary = evaluation.summary()
    assert (summary["recordings"], summary["made_with"]["bootstrap_of"]) == (5, "recordings")
    assert summary["top1_interval"] == list(interval(grouped(rights, alone)))
    evaluation.save(tmp_path)
    assert [
        row["recording"] for row in pyarrow.parquet.read_table(tmp_path / "predictions.parquet").to_pylist()
    ] == alone

    summary = evaluate_manifest(small_model(), manifest).summary()
    assert (summary["recordings"], summary["made_with"]["bootstrap_of"]) == (None, "videos")
    assert summary["top1_interval"] == list(interval(grouped(rights)))


def test_evaluation_draws_no_random_numbers_and_leaves_the_model_in_its_mode(manifest: Manifest) -> None:
    model = small_model().train()
    before = torch.get_rng_state()
    first = evaluate_manifest(model, manifest)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    torch.manual_seed(99)
    assert evaluate_manifest(model, manifest) == first


def test_workers_change_nothing(manifest: Manifest) -> None:
    setting = Setting(Sampling(4, views=2), crops=3, batch_size=4)
    assert evaluate_manifest(small_model(), manifest, setting, workers=2) == evaluate_manifest(
        small_model(), manifest, setting
    )


def test_batches_may_come_from_anywhere_in_any_order() -> None:
    batches = [drawn([3, 1]), drawn([0], (Failure(4, 1, "clip 4: lost"),)), drawn([2])]
    evaluation = evaluate(small_model(), batches, CLASSES, NAMES)
    assert [result.index for result in evaluation.results] == [0, 1, 2, 3, 4]
    assert [result.target for result in evaluation.results] == [0, 1, 2, 0, 1]
    assert [result.error for result in evaluation.failures] == ["clip 4: lost"]
    alone = evaluate(small_model(), (drawn([index]) for index in range(5)), CLASSES, NAMES)
    for a, b in zip(evaluation.results[:4], alone.results[:4], strict=True):
        assert a.top == b.top
        assert a.scores == pytest.approx(b.scores, abs=1e-6)


def test_other_words_for_the_labels() -> None:
    model = small_model().eval()
    words = ["somebody claps", "somebody jumps", "somebody waves"]
    batches = [drawn([0, 1, 2, 3, 4])]
    by_features = evaluate(model, batches, CLASSES, NAMES, text=label_features(model, words))
    by_words = evaluate(model, batches, words, NAMES)
    assert by_features.results == by_words.results
    assert by_features.results != evaluate(model, batches, CLASSES, NAMES).results
    assert by_features.labels == CLASSES
    with pytest.raises(ValueError, match="features of 3 texts for 2 labels"):
        evaluate(model, batches, CLASSES[:2], NAMES, text=label_features(model, words))


def test_a_linear_head_is_evaluated_too() -> None:
    model = small_model(num_classes=3)
    assert len(evaluate(model, [drawn([0, 1, 2, 3, 4])], CLASSES, NAMES).results) == 5
    with pytest.raises(ValueError, match="linear head has 3 classes"):
        evaluate(model, [drawn([0])], [*CLASSES, "more"], NAMES[:1])


def test_a_model_that_diverged_is_wrong_and_says_so() -> None:
    model = small_model()
    model.mit.position.data.fill_(float("nan"))  # pyright: ignore
    evaluation = evaluate(model, [drawn([0, 1, 2, 3, 4])], CLASSES, NAMES)
    assert evaluation.counts.top1 == 0.0
    assert "diverged" in str(evaluation.results[0].error)
    json.dumps(evaluation.summary(), allow_nan=False)


def test_one_score_that_is_no_number_spoils_its_clip() -> None:
    model, setting = small_model(), Setting(Sampling(4))
    background = scoring_of(model, CLASSES, setting, several=True).labels.background
    text = label_features(model, [*CLASSES, *background])
    text[1] = float("nan")  # of labels that do not compete, one spoils no other
    truths = [(index % 3,) for index in range(5)]
    evaluation = evaluate(model, [drawn([0, 1, 2, 3, 4])], CLASSES, NAMES, text=text, setting=setting, truths=truths)
    assert all("diverged" in str(result.error) for result in evaluation.results)


@pytest.mark.parametrize("indices", [[0, 1, 2, 3], [0, 1, 2, 3, 3], [0, 1, 2, 3, 4, 4]])
def test_a_video_that_is_missing_or_comes_twice_is_refused(indices: list[int]) -> None:
    with pytest.raises(ValueError, match=f"the batches hold {len(indices)} videos, .* of 5; give every video once"):
        evaluate(small_model(), [drawn(indices)], CLASSES, NAMES)


def test_mistakes_are_named() -> None:
    model = small_model()
    with pytest.raises(ValueError, match="no videos to evaluate"):
        evaluate(model, [], CLASSES, [])
    with pytest.raises(ValueError, match="a video has class 5, and there are 3 labels"):
        evaluate(
            model,
            [Batch([], torch.tensor([], dtype=torch.int64), torch.tensor([]), (Failure(0, 5, "x"),))],
            CLASSES,
            ["x"],
        )
    with pytest.raises(ValueError, match="2 crops are not possible"):
        Setting(crops=2)  # pyright: ignore[reportArgumentType]


def test_a_progress_bar_sees_every_batch(manifest: Manifest) -> None:
    seen: list[int] = []

    def watch(loader: EvalLoader) -> Iterable[Batch]:
        def batches() -> Iterator[Batch]:
            for batch in loader:
                seen.append(len(batch))
                yield batch

        assert len(loader) == 2
        return batches()

    evaluate_manifest(small_model(), manifest, watch=watch)
    assert seen == [7, 1]
