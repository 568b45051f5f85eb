"""From `crossframe train` to what is done with its checkpoint: it knows its classes, its words and its clips."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossframe
from crossframe.data.manifest import read_manifest
from crossframe.data.seen import marks, seen
from crossframe.model.config import ModelConfig
from crossframe.model.xclip import XCLIP
from crossframe.text.tokenizer import Tokenizer
from crossframe.weights.blending import blend
from crossframe.weights.saving import fingerprint
from tests.cli.conftest import Run
from tests.video.clips import write_clip

CLASSES = ("clapping", "jumping", "waving")
EACH = 4


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of four clips, no two alike."""
    folder = tmp_path_factory.mktemp("clips") / "set"
    noise = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for number in range(EACH):
            write_clip(folder / name / f"{number}.mp4", frames=noise.integers(0, 256, (24, 32, 32, 3), np.uint8))
    return folder


@pytest.fixture
def train(command: Run, clips: Path, tiny_folder: Path, tmp_path: Path) -> Any:
    """Trains for an epoch with further options into the folder of that name."""

    def run(name: str, *more: object) -> tuple[Path, str]:
        short = ("--tiny", "--epochs", 2, "--init", tiny_folder, "--data", clips, "--out", tmp_path / name)
        outcome = command("train", "finetune", *short, *more)
        assert outcome.status == 0, outcome.err
        return tmp_path / name, outcome.out + outcome.err

    return run


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def test_a_part_is_held_out_and_only_that_is_measured(command: Run, train: Any, clips: Path, tmp_path: Path) -> None:
    run, said = train("run")
    assert "3 of 12 clips are held out to test with" in said
    words = ("evaluate", "finetune", "--model", run / "last", "--data", clips)
    outcome = command(*words, "--out", tmp_path / "test")
    assert "only the 3 of 12 clips are taken that the model was not trained on" in outcome.err
    found = summary(tmp_path / "test")
    assert (found["videos"], found["trained_on"], found["made_with"]["left_out"]) == (3, 0, 9)
    outcome = command(*words, "--split", "all", "--out", tmp_path / "all")
    assert "the model was trained on 9 of these 12 clips" in outcome.err
    assert summary(tmp_path / "all")["trained_on"] == 9
    assert "trained on 9 of these 12 clips" in (tmp_path / "all/report.html").read_text()


def test_without_a_held_out_part_every_number_is_marked(command: Run, train: Any, clips: Path, tmp_path: Path) -> None:
    run, _ = train("run", "--hold-out", 0)
    moved = tmp_path / "moved"  # the same files under other names
    for path in clips.rglob("*.mp4"):
        (moved / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, moved / path.parent.name / f"copy of {path.name}")
    outcome = command("evaluate", "finetune", "--model", run / "last", "--data", moved, "--out", tmp_path / "test")
    assert "the model was trained on these clips" in outcome.err
    assert summary(tmp_path / "test")["trained_on"] == 12
    assert 'class="alarm"' in (tmp_path / "test/report.html").read_text()
    weight = ("blend", run / "last", run / "last", "--choose-on", moved, "--out", tmp_path / "blended")
    outcome = command(*weight)
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert "was trained on 12 of its 12 clips" in outcome.err


def test_a_run_is_measured_by_its_folder_alone_and_nothing_is_written_over(command: Run, train: Any) -> None:
    run, _ = train("run")
    assert command("evaluate", run).status == 0
    assert command("evaluate", run / "last").status == 0
    first, second = run / "last-test", run / "last-test-2"
    assert summary(first)["top1"] == summary(second)["top1"]
    outcome = command("evaluate", run / "last", "--out", first)
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert "holds an evaluation already; give another folder, or --overwrite" in outcome.err
    assert command("evaluate", run / "last", "--out", first, "--overwrite").status == 0
    assert "name a recipe" in command("evaluate", first.parent / "logs").err


def test_a_checkpoint_names_videos_in_its_own_words(command: Run, train: Any, clips: Path, tmp_path: Path) -> None:
    run, _ = train("run", "--set", "data.template=a video of {}", "--set", "data.sampling=dense")
    model = crossframe.load(run / "last")
    assert model.labels == CLASSES
    video = clips / "waving" / "0.mp4"
    outcome = command("classify", video, "--model", run / "last", "--precision", "float32")
    assert outcome.status == 0
    assert all(label in outcome.out for label in CLASSES)
    assert "trained with 3 labels, template 'a video of {}', dense frames" in outcome.err
    own = crossframe.Recognizer(model).classify(video)
    assert own.labels == CLASSES
    plain = crossframe.load(run / "last")
    plain.taught = type(plain.taught)()
    told = crossframe.Recognizer(plain, template="a video of {}").classify(video, CLASSES)
    assert own.frames.indices.tolist() != told.frames.indices.tolist()  # dense against sparse
    with pytest.raises(ValueError, match="no labels"):
        crossframe.Recognizer(plain).classify(video)
    outcome = command("evaluate", "finetune", "--model", run / "last", "--data", clips, "--out", tmp_path / "test")
    assert "as in the model's training: template 'a video of {}', sampling 'dense'" in outcome.err
    asked = ("--set", "data.template='{}'", "--set", "data.sampling=sparse", "--out", tmp_path / "other")
    command("evaluate", "finetune", "--model", run / "last", "--data", clips, *asked)
    made = [summary(tmp_path / name)["made_with"] for name in ("test", "other")]
    assert [(one["template"], one["sampling"]["rule"]) for one in made] == [
        ("a video of {}", "dense"),
        ("{}", "sparse"),
    ]


def test_a_linear_head_takes_its_own_labels_in_their_order_alone(command: Run, train: Any, clips: Path) -> None:
    run, _ = train("run", "--set", "model.linear_head=true")
    video = clips / "waving" / "0.mp4"
    assert command("classify", video, "--model", run / "last").status == 0
    other = [word for label in reversed(CLASSES) for word in ("-l", label)]
    outcome = command("classify", video, "--model", run / "last", *other)
    assert outcome.status == 2  # nothing could be done
    assert "label 1 is 'waving', and class 1 of the model's linear head is 'clapping'" in outcome.err
    one = ("--set", "data.labels=" + str(run / "labels.txt"), "--split", "all", "--out", run / "test")
    (run / "labels.txt").write_text("\n".join(reversed(CLASSES)))
    assert command("evaluate", "finetune", "--model", run / "last", "--data", clips, *one).status == 0
    rows = [row["label"] for row in summary(run / "test")["per_class"]]
    assert rows == list(CLASSES)


def test_evaluation_blends_with_what_the_run_itself_began_with(
    command: Run, train: Any, tiny_folder: Path, tmp_path: Path
) -> None:
    began = tmp_path / "began"
    shutil.copytree(tiny_folder, began)
    run, _ = train("run", "--init", began)
    assert command("evaluate", run, "--blend", 0.25).status == 0
    made_with = summary(run / "last-test")["made_with"]
    mixed = blend(crossframe.load(run / "last"), crossframe.load(began), 0.25)
    assert (made_with["weights"], made_with["blended_with"]) == (fingerprint(mixed), str(began))
    other = crossframe.load(began)
    other.logit_scale.data.add_(1)
    crossframe.save(other, began)
    outcome = command("evaluate", run, "--blend", 0.25)
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert f"{began} holds other weights than those that {run / 'last'} was trained from" in outcome.err


def test_what_was_taught_outlives_saving_and_further_training(
    train: Any, clips: Path, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    import transformers

    assert tiny_config.prompts is not None

    run, _ = train("run")
    again, _ = train("again", "--init", run / "last", "--set", "data.draw=1")
    whole = marks(read_manifest(clips))
    known = crossframe.load(again / "last").taught
    # the second run held out others than the first, which the weights have seen all the same
    assert int(seen(whole, known.clips).sum()) > 9
    assert known.init_weights == fingerprint(crossframe.load(run / "last"))
    prompts = replace(tiny_config.prompts, mlp_width=4 * tiny_config.embed_dim)  # as transformers has them
    model = XCLIP(replace(tiny_config, prompts=prompts), tokenizer=Tokenizer.clip())
    model.taught = known
    for format in ("crossframe", "transformers"):
        kept = crossframe.load(crossframe.save(model, tmp_path / format, format)).taught
        assert kept.to_dict() == known.to_dict()
        assert kept.clips is not None
        assert known.clips is not None
        assert kept.clips.tolist() == known.clips.tolist()
    assert transformers.XCLIPModel.from_pretrained(tmp_path / "transformers").config.crossframe["labels"] == list(
        CLASSES
    )


def test_lists_without_a_test_are_measured_on_val(command: Run, clips: Path, tiny_folder: Path, tmp_path: Path) -> None:
    rows = [f"{path},{path.parent.name},{'val' if path.stem == '0' else 'train'}" for path in clips.rglob("*.mp4")]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,split", *rows]))
    words = ("evaluate", "finetune", "--model", tiny_folder, "--data", tmp_path / "list.csv")
    outcome = command(*words, "--out", tmp_path / "test")
    assert "has no split 'test'; measured on 'val'" in outcome.err
    assert summary(tmp_path / "test")["videos"] == 3
