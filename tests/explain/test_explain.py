"""Reasons for an answer, through the recognizer, on clips whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import crossframe
from crossframe import Recognizer
from crossframe.explain.explain import Explanation, view_of
from crossframe.explain.pictures import SIDE, overlays, page, write_pictures
from crossframe.explain.relevance import carried, look
from crossframe.model.config import ModelConfig
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.shapes.caption import all_sentences, sentence
from crossframe.shapes.splits import draw
from crossframe.shapes.write import write_clip
from crossframe.text.labels import Group, LabelSet
from tests.video.clips import moving

SCENE = draw("test", 0, 24)
LABELS = ["arm wrestling", "shaking hands"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(SCENE, tmp_path_factory.mktemp("clips") / "clip.mp4")


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(crossframe.load("shapes", device="cpu"))


@pytest.fixture(scope="module")
def explanation(recognizer: Recognizer, clip: Path) -> Explanation:
    return recognizer.explain(clip, list(all_sentences(SCENE).values()), label=sentence(SCENE))


def test_it_explains_the_answer_that_classify_gives(
    explanation: Explanation, recognizer: Recognizer, clip: Path
) -> None:
    plain = recognizer.classify(clip, list(explanation.prediction.labels))
    assert torch.equal(plain.scores, explanation.prediction.scores)
    assert explanation.score == pytest.approx(dict(plain.top(99))[explanation.label], abs=1e-5)
    assert explanation.places.shape == (8, 6, 6)
    assert float(explanation.places.sum()) == pytest.approx(1, abs=1e-5)
    assert explanation.places.min() >= 0
    found = explanation.to_dict(2)
    assert len(found["predictions"]) == 2
    frames = found["explained"]["frames"]
    assert [frame["index"] for frame in frames] == plain.frames.indices.tolist()
    assert sum(frame["share"] for frame in frames) == pytest.approx(1, abs=1e-4)
    assert sum(frame["attention"] for frame in frames) == pytest.approx(1, abs=1e-4)
    messages = found["explained"]["messages"]
    assert sum(map(sum, messages["heard"])) == pytest.approx(1, abs=1e-4)
    assert [sum(row) for row in messages["attention"]] == pytest.approx([1] * 8, abs=1e-4)


def test_without_a_frame_is_what_the_model_says_of_its_neighbor(
    explanation: Explanation, recognizer: Recognizer
) -> None:
    pixels = explanation.prediction.pixels
    assert pixels is not None
    place = explanation.prediction.labels.index(explanation.label)
    for t, other in ((0, 1), (5, 4)):
        without = pixels.clone()
        without[t] = pixels[other]
        scores = recognizer.classify(without, list(explanation.prediction.labels)).scores
        assert explanation.without is not None
        assert float(explanation.without[t]) == pytest.approx(float(scores[place]), abs=1e-5)


def test_the_places_that_it_names_matter_more_than_others(explanation: Explanation, recognizer: Recognizer) -> None:
    pixels, labels = explanation.prediction.pixels, list(explanation.prediction.labels)
    assert pixels is not None
    video = recognizer.model.prepare(pixels)
    tokens = recognizer.model.tokenize(labels)
    place = labels.index(explanation.label)
    order = explanation.places.flatten().argsort(descending=True)

    def score_without(patches: torch.Tensor) -> float:
        gone = torch.zeros(8 * 36, dtype=torch.bool)
        gone[patches] = True
        mask = gone.view(8, 6, 6).repeat_interleave(8, 1).repeat_interleave(8, 2)[None, :, None]
        with torch.inference_mode():
            without = torch.where(mask, video.mean((-1, -2), keepdim=True), video)
            return float(recognizer.model(without, tokens)[0].softmax(0)[place])

    assert score_without(order[:24]) < 0.2 < 0.8 < score_without(order[-24:])


def test_places_are_those_of_the_label_that_was_asked_for(explanation: Explanation, recognizer: Recognizer) -> None:
    pixels, labels = explanation.prediction.pixels, explanation.prediction.labels
    assert pixels is not None
    model = recognizer.model
    text = model.encode_text(model.tokenize(labels)).detach()
    for label, shown in (
        (explanation.label, explanation),
        (labels[3], recognizer.explain(pixels, labels, label=labels[3])),
    ):
        place = labels.index(label)
        relevance, _ = carried(
            model, look(model, model.prepare(pixels), text, lambda row, k=place: row[k]).relevant, place
        )
        torch.testing.assert_close(shown.places.flatten(1), relevance / relevance.sum(), atol=1e-5, rtol=1e-3)


def test_of_one_label_alone_its_own_logit_is_explained(recognizer: Recognizer, clip: Path) -> None:
    explanation = recognizer.explain(clip, [sentence(SCENE)])
    assert explanation.score == 1
    assert explanation.evidence is not None
    assert explanation.evidence.abs().max() > 0


def test_evidence_is_of_the_score_among_what_the_label_competes_with(recognizer: Recognizer, clip: Path) -> None:
    chosen = LabelSet((Group("what", ("a circle", "a square")), Group("how", ("moving", "growing"), independent=True)))
    explanation = recognizer.explain(clip, chosen, label="moving")
    assert explanation.without is not None
    fall = torch.tensor(explanation.score).logit() - explanation.without.logit()
    torch.testing.assert_close(explanation.evidence, fall, atol=1e-3, rtol=1e-3)


def test_models_without_messages_frames_to_compare_or_text(tiny_config: ModelConfig) -> None:
    plain = replace(tiny_config, vision=replace(tiny_config.vision, mixing="none"), mit=None, prompts=None)
    config = replace(plain, text=None, num_classes=2)
    model = XCLIP(config, preprocess=Preprocess.clip(32))
    explanation = Recognizer(model, num_frames=1).explain(torch.from_numpy(moving(3, 40, 48)), LABELS)
    assert explanation.messages is None
    assert explanation.attention is None
    assert explanation.without is None
    assert explanation.to_dict()["explained"]["frames"][0]["evidence"] is None
    assert "What messages carry" not in page(explanation)


def test_rounded_weights_are_explained_in_float32(tiny_folder: Path) -> None:
    frames = torch.from_numpy(moving(4, 40, 48))
    rounded = Recognizer(crossframe.load(tiny_folder, dtype=torch.bfloat16), precision="bfloat16")
    exact = Recognizer(crossframe.load(tiny_folder, dtype=torch.bfloat16).float())
    first, second = (each.explain(frames, LABELS, label=LABELS[0]) for each in (rounded, exact))
    assert (first.places - second.places).abs().sum() < 0.1  # the text alone was rounded
    assert rounded.model.dtype == torch.bfloat16


def test_an_unknown_label_is_told(recognizer: Recognizer, clip: Path) -> None:
    with pytest.raises(ValueError, match=r"^'dancing' is not among the labels: choose 'a circle', or add it$"):
        recognizer.explain(clip, ["a circle"], label="dancing")


@pytest.mark.parametrize(
    ("preprocess", "view"),
    [
        (Preprocess.xclip(224), (58 / 340, 16 / 256, 282 / 340, 240 / 256)),
        (Preprocess(224, None), (0, 0, 1, 1)),
    ],
)
def test_the_view_is_what_the_model_cuts_from_a_frame(preprocess: Preprocess, view: tuple[float, ...]) -> None:
    assert view_of(preprocess, 680, 512) == pytest.approx(view)


def test_pictures_show_relevance_where_it_is(explanation: Explanation, tmp_path: Path) -> None:
    places = torch.zeros(8, 6, 6)
    places[3, 5, 0] = 1
    shown = replace(explanation, places=places)
    pictures = overlays(shown)
    assert min(pictures.shape[-2:]) >= SIDE
    colored = (pictures.max(dim=1).values.int() - pictures.min(dim=1).values.int()) > 60
    assert colored.flatten(1).any(dim=1).tolist() == [t == 3 for t in range(8)]
    rows, columns = colored[3].nonzero().float().mean(dim=0).tolist()
    left, top, right, bottom = shown.view
    height, width = pictures.shape[-2:]
    assert rows / height == pytest.approx(top + (bottom - top) * 5.5 / 6, abs=0.05)
    assert columns / width == pytest.approx(left + (right - left) * 0.5 / 6, abs=0.05)
    paths = write_pictures(shown, tmp_path / "png")
    assert [path.name for path in paths] == [f"frame-{i:06d}.png" for i in shown.prediction.frames.indices.tolist()]
    with av.open(str(paths[3])) as file:
        read = next(file.decode(video=0)).to_ndarray(format="rgb24")
    assert np.array_equal(read, pictures[3].permute(1, 2, 0).numpy())


def test_the_page_escapes_what_people_type(explanation: Explanation) -> None:
    written = page(replace(explanation, label="<script>alert(1)</script>"), {"model": "<b>"})
    assert "<script>" not in written
    assert "<b>&" not in written
    assert written.count("data:image/jpeg") == 16
    assert "http" not in written
    assert "the log-odds of the answer fall" in written
    prediction = replace(explanation.prediction, labels=("x",), scores=torch.ones(1), similarities=torch.ones(1))
    alone = page(replace(explanation, prediction=prediction))
    assert "the logit of the answer falls" in alone
    assert "log-odds" not in alone
