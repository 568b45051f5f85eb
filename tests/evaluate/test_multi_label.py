"""Clips with several labels, and clips of labels that are no candidates: evaluated from files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

import crossframe
from crossframe.data.manifest import Manifest, read_manifest
from crossframe.data.reader import Sampling
from crossframe.evaluate.evaluate import Setting, evaluate_manifest
from crossframe.evaluate.result import MultiLabelEvaluation
from crossframe.recipes.load import load_recipe
from crossframe.text import GENERIC
from crossframe.train.run import train
from tests.data.dataset import write_dataset
from tests.evaluate.world import small_model

ROWS = (
    "clapping/0.mp4,clapping|loud",
    "clapping/1.mp4,clapping",
    "jumping/0.mp4,loud | jumping",
    "jumping/1.mp4,jumping",
    "waving/0.mp4,waving",
    "waving/1.mp4,waving|jumping",
)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_dataset(tmp_path_factory.mktemp("several") / "set", per_class=2)
    (folder / "list.csv").write_text("\n".join(["path,label", *ROWS]))
    return folder / "list.csv"


def test_a_list_may_give_several_labels_to_a_clip(listed: Path) -> None:
    manifest = read_manifest(listed)
    assert manifest.labels == ("clapping", "jumping", "loud", "waving")
    assert manifest.all_targets()[:3] == [(0, 2), (0,), (2, 1)]
    assert (manifest.several, manifest.targets()[2], manifest.counts()["jumping"]) == (True, 2, 3)
    (listed.parent / "list.json").write_text(json.dumps([{"path": "waving/0.mp4", "label": ["waving", "loud"]}]))
    assert read_manifest(listed.parent / "list.json").clips[0].labels == ("waving", "loud")


def test_average_precision_is_that_of_scikit_learn_and_a_broken_clip_comes_last(listed: Path) -> None:
    manifest = read_manifest(listed)
    model = small_model()
    found = evaluate_manifest(model, manifest, Setting(Sampling(4)))
    assert isinstance(found, MultiLabelEvaluation)
    rows = np.array([result.row or (-1.0,) * 4 for result in found.results])
    true = np.zeros((6, 4), dtype=bool)
    for row, places in zip(true, manifest.all_targets(), strict=True):
        row[list(places)] = True
    theirs = average_precision_score(true, rows, average=None)
    assert found.precisions == pytest.approx(theirs)
    summary = found.summary()
    assert summary["mean_ap"] == pytest.approx(theirs.mean())
    assert [part["videos"] for part in summary["per_label"]] == [2, 3, 2, 2]
    assert found.rows()[0]["label"] == "clapping|loud"
    best = [result.top[0] if result.top else None for result in found.results]
    assert summary["top1"] * 6 == sum(b in t for b, t in zip(best, manifest.all_targets(), strict=True))
    # scores of a model without a bias: each label against the background alone
    clip = crossframe.read_video(manifest.locate(manifest.clips[0]), num_frames=4, short_side=36)
    with torch.inference_mode():
        logits = model.eval()(model.prepare(clip.pixels), model.tokenize([*manifest.labels, *GENERIC]))[0].double()
    alone = (logits[:4] - logits[4:].logsumexp(0)).sigmoid()
    assert rows[0] == pytest.approx(alone.numpy(), abs=1e-5)


def test_training_needs_the_sigmoid_and_learns_a_bias(listed: Path, tmp_path: Path) -> None:
    settings = ("data.hold_out=0", "train.precision=float32")
    train(load_recipe("shapes", tiny=True), tmp_path / "first")
    with pytest.raises(ValueError, match=r"clapping/0.mp4 has 'clapping\|loud', and a softmax knows one; train with"):
        train(load_recipe("finetune", settings, tiny=True), tmp_path / "no", init=tmp_path / "first/last", data=listed)
    recipe = load_recipe("finetune", (*settings, "train.loss=sigmoid"), tiny=True)
    train(recipe, tmp_path / "run", init=tmp_path / "first/last", data=listed)
    model = crossframe.load(tmp_path / "run/last")
    assert model.config.logit_bias
    assert model.logit_bias is not None
    prediction = crossframe.Recognizer(model).classify(listed.parent / "waving/0.mp4")
    assert float(prediction.scores.sum()) > 0


def test_clips_of_other_labels_are_unknown(listed: Path) -> None:
    plain = read_manifest(listed.parent)  # a folder for each class
    known = plain.only(["Waving", "clapping", "sleeping"])
    assert (known.labels, known.outside) == (("waving", "clapping", "sleeping"), ("jumping",))
    assert known.targets() == [1, 1, -1, -1, 0, 0]
    with pytest.raises(ValueError, match="not one clip has a label among the candidates: sleeping"):
        plain.only(["sleeping"])
    found = evaluate_manifest(small_model(), known, Setting(Sampling(4), background=("else",)))
    summary = found.summary()
    assert (summary["videos"], summary["open_set"]["unknown"], summary["unreadable"]) == (4, 1, 1)
    assert 0 <= summary["auroc"] <= 1
    assert [row["label"] for row in found.rows()][2:4] == ["jumping", "jumping"]
    assert sum(found.results[0].scores) < 1  # the background has its share


def test_several_labels_and_unknown_ones_do_not_go_together(listed: Path) -> None:
    manifest: Manifest = read_manifest(listed)
    with pytest.raises(ValueError, match="clips have several labels"):
        manifest.only(["waving"])
    assert replace(manifest, root=manifest.root).several
