"""Batches from files: which clips, in which words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from crossframe.evaluate.evaluate import evaluate_manifest
from crossframe.evaluate.result import Evaluation
from crossframe.evaluate.trials import Trial, run_trial
from crossframe.model.config import ModelConfig
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.recipes.load import load_recipe
from crossframe.recipes.schema import Recipe
from crossframe.text import ENSEMBLE, fill
from crossframe.text.tokenizer import Tokenizer
from crossframe.train.source import ClipFiles, FileSource, build_source, read_clip_files
from tests.data.dataset import CLASSES, numbers, write_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "set", 4, broken=None)


@pytest.fixture
def model(tiny_config: ModelConfig) -> XCLIP:
    return XCLIP(tiny_config, tokenizer=Tokenizer.clip(), preprocess=Preprocess(32, 32))


def few(folder: Path, *changes: str) -> Recipe:
    return load_recipe("hmdb51-few-shot", [f"data.source={folder}", "train.batch_size=6", *changes], tiny=True)


def test_few_shot_draws_by_its_seed_and_larger_draws_hold_smaller_ones(folder: Path) -> None:
    drawn = {}
    for changes in (("data.shots=2",), ("data.shots=2", "data.draw=1"), ("data.shots=3",)):
        files = read_clip_files(few(folder, *changes))
        assert files is not None
        drawn[changes] = set(files.train.names)
        assert set(files.train.counts().values()) == {3 if "data.shots=3" in changes else 2}
    two, other_two, three = drawn.values()
    assert two != other_two
    assert two < three


def test_a_test_split_by_another_name_is_found_and_none_at_all_is_told(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    splits = ["training", "training", "testing", "testing"]
    rows = [f"{folder / name}/{i}.mp4,{name},{splits[i]}" for name in CLASSES for i in range(4)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,split", *rows]))
    files = read_clip_files(few(tmp_path / "list.csv", "data.shots=2"))
    assert files is not None
    assert files.test is not None
    assert len(files.test) == 6
    assert not caplog.messages
    files = read_clip_files(few(tmp_path / "list.csv", "data.shots=2", "data.test_split=exam"))
    assert files is not None
    assert files.test is None
    assert caplog.messages == [f"{tmp_path / 'list.csv'} has no split 'exam', and so nothing is tested"]


def test_a_training_split_that_does_not_exist_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no split 'trian'; it has no splits"):
        read_clip_files(few(folder, "data.train_split=trian"))
    rows = [f"{folder / name}/{i}.mp4,{name},{('train', 'val')[i % 2]}" for name in CLASSES for i in range(4)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,split", *rows]))
    with pytest.raises(ValueError, match=r"has 'train', 'val'; choose one with --set data\.train_split="):
        read_clip_files(few(tmp_path / "list.csv", "data.train_split=trian"))


def test_classes_without_a_clip_are_told_and_keep_their_place(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "labels.txt").write_text("\n".join(["dancing", *CLASSES]))
    files = read_clip_files(
        load_recipe("finetune", [f"data.source={folder}", f"data.labels={tmp_path / 'labels.txt'}"])
    )
    assert files is not None
    assert files.train.labels == ("dancing", *CLASSES)
    assert caplog.messages[0] == "1 of 4 classes have no clip, and are not learned: dancing"


def test_one_class_is_nothing_to_learn(folder: Path) -> None:
    alone = folder.parent / "alone"
    (alone / "clapping").mkdir(parents=True)
    (alone / "clapping" / "0.mp4").write_bytes((folder / "clapping" / "0.mp4").read_bytes())
    with pytest.raises(ValueError, match="has clips of one class, 'clapping'; give those of two or more"):
        read_clip_files(few(alone))


def test_a_recording_on_both_sides_is_told(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    splits = ["train", "train", "test", "test"]
    rows = [f"{folder / name}/{i}.mp4,{name},{splits[i]},film" for name in CLASSES for i in range(4)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,split,group", *rows]))
    assert read_clip_files(few(tmp_path / "list.csv", "data.shots=2")) is not None
    assert any("1 recordings have clips in several splits: film (train, test)" in line for line in caplog.messages)


def test_a_class_with_too_few_clips_and_a_wrong_number_of_classes_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="3 of 3 classes have fewer than 5 clips, 'clapping' has 4"):
        read_clip_files(few(folder, "data.shots=5"))
    with pytest.raises(ValueError, match=r"has 3 classes, and recipe 'hmdb51-few-shot' is for 51; give all") as caught:
        read_clip_files(few(folder, "data.classes=51"))
    assert "\n" not in str(caught.value)


def test_each_batch_draws_one_template_by_its_number(folder: Path, model: XCLIP) -> None:
    recipe = few(folder, "data.template=ensemble")
    source = build_source(recipe, model, read_clip_files(recipe))
    asked = [batch.tasks[0].texts for batch in source.batches(0, 6)]
    assert len(set(asked)) > 2
    assert all(list(texts) in [fill(template, CLASSES) for template in ENSEMBLE] for texts in asked)
    assert [batch.tasks[0].texts for batch in source.batches(3, 6)] == asked[3:]


def test_only_without_its_tail_training_never_draws_the_last_frames(folder: Path, tiny_config: ModelConfig) -> None:
    three = XCLIP(replace(tiny_config, num_frames=3), tokenizer=Tokenizer.clip(), preprocess=Preprocess(32, 32))

    def drawn(*changes: str) -> set[int]:
        recipe = few(folder, *changes)
        batches = build_source(recipe, three, read_clip_files(recipe)).batches(0, 12)
        return {number for batch in batches for clip in batch.clips.videos for number in numbers(torch.as_tensor(clip))}

    assert drawn("data.tail=false") == set(range(18))  # three parts of 6 frames, of 20
    assert {18, 19} <= drawn()
    assert {18, 19} <= drawn("data.sampling=dense")


def test_without_templates_labels_stand_alone(folder: Path, model: XCLIP) -> None:
    recipe = few(folder)
    (batch,) = build_source(recipe, model, read_clip_files(recipe)).batches(0, 1)
    assert batch.tasks[0].texts == CLASSES


def test_described_labels_are_asked_in_one_of_their_sentences_each(folder: Path, model: XCLIP, tmp_path: Path) -> None:
    said = {"clapping": ["hands meet"], "jumping": ["up", "off the ground"], "waving": ["a hand", "an arm", "bye"]}
    path = tmp_path / "said.json"
    path.write_text(json.dumps(said))
    recipe = few(folder, f"data.descriptions={path}", "data.test_split=train")
    source = build_source(recipe, model, read_clip_files(recipe))
    asked = [batch.tasks[0].texts for batch in source.batches(0, 12)]
    assert len(set(asked)) > 2
    for texts in asked:
        assert all(text in said[label] for text, label in zip(texts, CLASSES, strict=True))
    del said["waving"]
    path.write_text(json.dumps(said))
    with pytest.raises(ValueError, match="the label 'waving' has no description; add one for it"):
        read_clip_files(recipe)


@pytest.mark.parametrize("tests", ["in training", "after it"])
def test_an_ensemble_is_tested_on_all_its_templates(
    tests: str, folder: Path, model: XCLIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = few(folder, "data.template=ensemble", "data.shots=2")
    files = read_clip_files(recipe)
    assert files is not None
    seen: list[torch.Tensor] = []

    def watched(*given: Any, text: torch.Tensor, **options: Any) -> Evaluation:
        seen.append(text)
        return evaluate_manifest(*given, text=text, **options)

    if tests == "in training":
        monkeypatch.setattr("crossframe.train.source.evaluate_manifest", watched)
        source = build_source(recipe, model, ClipFiles(files.train, files.train, files.wordings))
        assert source.test(model).keys() == {"top1"}  # of so few labels, the best five are all
    else:
        monkeypatch.setattr("crossframe.evaluate.trials.evaluate_manifest", watched)
        run_trial(model, Trial("a model", "", str(folder), files.train), recipe)
    with torch.no_grad():
        said = [model.encode_text(model.tokenize(fill(one, files.train.labels))) for one in ENSEMBLE]
    directions = torch.stack([features / features.norm(dim=1, keepdim=True) for features in said]).mean(dim=0)
    torch.testing.assert_close(F.normalize(seen[0], dim=1), F.normalize(directions, dim=1))
    lengths = torch.stack([features.norm(dim=1) for features in said]).mean(dim=0)
    torch.testing.assert_close(seen[0].norm(dim=1), directions.norm(dim=1) * lengths)


def test_by_the_authors_schedule_an_epoch_is_whole_batches_but_in_runs_that_began_otherwise(
    folder: Path, model: XCLIP
) -> None:
    recipe = few(folder, "data.shots=3", "train.batch_size=4", "train.schedule=authors")
    files = read_clip_files(recipe)
    assert files is not None
    assert len(files.train) == 9
    source = build_source(recipe, model, files)
    assert isinstance(source, FileSource)
    assert source.batches_per_epoch == 2
    seen = [batch.clips.indices.tolist() for batch in source.batches(0, 4)]
    assert [len(indices) for indices in seen] == [4] * 4
    assert seen[:2] != seen[2:]  # others are left out of the next epoch
    for state, batches in (({}, 3), ({"batches": 3}, 3), ({"batches": 2}, 2)):
        begun = source.as_begun(state)
        assert begun.batches_per_epoch == batches
        assert len(list(begun.batches(0, batches))) == batches
