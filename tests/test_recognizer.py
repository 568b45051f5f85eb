"""The API a person uses, on real files and a small model."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from PIL import Image

import crossframe
from crossframe import Embedding, Prediction, Recognizer
from crossframe.inference import Precision
from crossframe.video.given import VideoError
from tests.video.clips import moving, write_clip

LABELS = ["arm wrestling", "shaking hands", "cleaning a pool"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    sizes = [(64, 48, 12), (40, 80, 7), (64, 64, 2)]
    return [
        write_clip(folder / f"clip {i}.mp4", frames=moving(count, width, height))
        for i, (width, height, count) in enumerate(sizes)
    ]


@pytest.fixture(scope="module")
def recognizer(tiny_folder: Path) -> Recognizer:
    return Recognizer(crossframe.load(tiny_folder))


def test_one_video_gives_one_prediction_equal_to_the_model_by_hand(recognizer: Recognizer, clips: list[Path]) -> None:
    prediction = recognizer.classify(clips[0], LABELS)
    assert isinstance(prediction, Prediction)
    model = recognizer.model
    frames = crossframe.read_video(clips[0], num_frames=4, short_side=36)  # 36 = 256/224 of the model's 32
    with torch.inference_mode():
        logits = model(model.prepare(frames.pixels), model.tokenize(LABELS))[0]
        cosines = logits / model.logit_scale.exp()
    torch.testing.assert_close(prediction.scores, logits.softmax(0))
    assert prediction.similarities is not None
    torch.testing.assert_close(prediction.similarities, cosines)
    assert prediction.frames.indices.tolist() == frames.indices.tolist()


def test_large_frames_in_memory_are_seen_as_those_of_their_file_are(recognizer: Recognizer, tmp_path: Path) -> None:
    coarse = (moving(12, 16, 10) // 4 + 96).repeat(36, axis=1).repeat(36, axis=2)
    path = write_clip(tmp_path / "large.mp4", frames=coarse, options={"crf": "10"})
    expected = recognizer.classify(path, LABELS, keep_pixels=True)
    frames = crossframe.read_video(path, num_frames=12)
    assert expected.pixels is not None
    for given in (frames, frames.pixels, frames.pixels.permute(0, 2, 3, 1).numpy()):
        found = recognizer.classify(given, LABELS, keep_pixels=True)
        assert found.pixels is not None
        difference = (found.pixels.float() - expected.pixels.float()).abs()
        assert difference.mean() < 4  # gray levels: a file is scaled before its colors become RGB
        torch.testing.assert_close(found.scores, expected.scores, atol=0.01, rtol=0)
    timed = recognizer.classify_frames(frames.pixels, frames.times.tolist(), LABELS)
    torch.testing.assert_close(timed.scores, expected.scores, atol=0.01, rtol=0)


def test_a_list_of_clips_of_any_size_and_length_gives_a_list_in_order(
    recognizer: Recognizer, clips: list[Path]
) -> None:
    together = recognizer.classify(clips, LABELS)
    alone = [recognizer.classify(clip, LABELS) for clip in clips]
    assert [prediction.video for prediction in together] == [str(clip) for clip in clips]
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a.scores, b.scores)


def test_top_is_sorted_and_keeps_the_order_of_equals() -> None:
    frames = crossframe.read_video(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), num_frames=2)
    prediction = Prediction("x", ("a", "b", "c"), torch.tensor([0.25, 0.5, 0.25]), None, frames)
    assert prediction.top(2) == [("b", 0.5), ("a", 0.25)]
    assert [name for name, _ in prediction.top()] == ["b", "a", "c"]


def test_embeddings_are_unit_vectors_whose_cosines_are_those_of_a_model_without_prompts(
    tiny_folder: Path, clips: list[Path]
) -> None:
    model = crossframe.load(tiny_folder)
    model.prompts = None
    recognizer = Recognizer(model)
    videos, texts = recognizer.embed_videos(clips), recognizer.embed_texts(LABELS)
    torch.testing.assert_close(videos.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(3))
    for prediction, cosines in zip(recognizer.classify(clips, LABELS), videos @ texts.T, strict=True):
        assert prediction.similarities is not None
        torch.testing.assert_close(prediction.similarities, cosines)


def test_label_features_are_computed_once(recognizer: Recognizer, clips: list[Path]) -> None:
    calls = []
    handle = recognizer.model.text.register_forward_hook(lambda *_: calls.append(1))  # type: ignore[union-attr]
    labels = ["juggling balls", "yoga"]
    recognizer.classify(clips[:2], labels)
    recognizer.classify(clips[2], labels)
    handle.remove()
    assert len(calls) == 1


def test_features_follow_what_is_said_and_only_the_last_lists_are_remembered(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognizer = Recognizer(crossframe.load(tiny_folder))
    bare = recognizer.embed_texts(LABELS)
    recognizer.template = "a video of {}"
    spelled = recognizer.embed_texts(LABELS)
    torch.testing.assert_close(spelled, Recognizer(recognizer.model, template="a video of {}").embed_texts(LABELS))
    assert not torch.allclose(spelled, bare)
    monkeypatch.setattr("crossframe.inference.KEPT_LISTS", 2)
    read: list[int] = []
    recognizer.model.text.register_forward_hook(lambda *_: read.append(1))  # type: ignore[union-attr]
    for label in ("yoga", "golf", "yoga", "chess", "yoga", "golf"):
        recognizer.embed_texts([label])
    assert len(read) == 4  # golf was forgotten when chess came


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounded_weights_are_never_reported_as_float32(tiny_folder: Path, dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=r"load the model with dtype=torch\.float32, or ask for bfloat16"):
        Recognizer(crossframe.load(tiny_folder, dtype=dtype))
    assert Recognizer(crossframe.load(tiny_folder, dtype=dtype), precision="auto").precision == "bfloat16"


def test_bfloat16_leaves_the_model_as_it_was_where_nothing_is_packed(
    tiny_folder: Path, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossframe.inference.supports", lambda *_: False)  # as beside a GPU
    model = crossframe.load(tiny_folder)
    exact = Recognizer(model).classify(clips[0], LABELS)
    fast = Recognizer(model, precision="bfloat16").classify(clips[0], LABELS)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    again = Recognizer(model)
    assert again.precision == "float32"
    assert torch.equal(again.classify(clips[0], LABELS).scores, exact.scores)
    assert not torch.equal(fast.scores, exact.scores)


def test_model_and_precision_cannot_be_changed_behind_the_copies(recognizer: Recognizer) -> None:
    for name in ("model", "precision"):
        with pytest.raises(AttributeError):
            setattr(recognizer, name, None)


def test_any_iterable_of_videos_will_do_and_one_video_is_none(recognizer: Recognizer, clips: list[Path]) -> None:
    predictions = recognizer.classify((clip for clip in clips), LABELS)
    assert [prediction.video for prediction in predictions] == [str(clip) for clip in clips]
    assert torch.equal(recognizer.embed_videos(iter(clips)), recognizer.embed_videos(clips))
    for one in (str(clips[0]), clips[0], clips[0].read_bytes(), torch.zeros(4, 3, 8, 8, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="give a list of videos"):
            recognizer.embed_videos(one)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="give a list of videos"):
            list(recognizer.classify_each(one, LABELS))  # type: ignore[arg-type]


def test_what_holds_tensors_can_be_compared(recognizer: Recognizer, clips: list[Path]) -> None:
    prediction = recognizer.classify(clips[0], LABELS)
    assert prediction == prediction
    assert prediction != recognizer.classify(clips[0], LABELS)  # by identity, as tensors have no single truth
    assert prediction.frames in {prediction.frames}


def test_a_template_changes_the_words_that_the_model_reads(tiny_folder: Path, clips: list[Path]) -> None:
    model = crossframe.load(tiny_folder)
    templated = Recognizer(model, template="a video of {}").classify(clips[0], LABELS)
    spelled = Recognizer(model).classify(clips[0], [f"a video of {label}" for label in LABELS])
    torch.testing.assert_close(templated.scores, spelled.scores)
    assert templated.labels == tuple(LABELS)


def test_a_bad_file_costs_itself_only(recognizer: Recognizer, clips: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "notes.mp4"
    broken.write_text("not a video")
    results = list(recognizer.classify_each([clips[0], broken, clips[1]], LABELS))
    assert [type(result) for result in results] == [Prediction, VideoError, Prediction]
    assert "notes.mp4" in str(results[1])
    with pytest.raises(VideoError, match=r"notes\.mp4"):
        recognizer.classify([clips[0], broken], LABELS)


def test_bfloat16_is_close_to_float32(tiny_folder: Path, clips: list[Path]) -> None:
    exact = Recognizer(crossframe.load(tiny_folder)).classify(clips[0], LABELS)
    fast = Recognizer(crossframe.load(tiny_folder), precision="bfloat16").classify(clips[0], LABELS)
    assert exact.similarities is not None
    assert fast.similarities is not None
    spread = exact.similarities.max() - exact.similarities.min()
    assert (exact.similarities - fast.similarities).abs().max() < 0.05 * spread


@pytest.mark.parametrize(
    ("labels", "word"),
    [([], "no labels"), (None, "no labels"), (["yoga", "Yoga"], "same"), (["yoga", " "], "empty"), ("yoga", "list")],
)
def test_labels_that_make_no_sense_are_refused(
    recognizer: Recognizer, clips: list[Path], labels: list[str], word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        recognizer.classify(clips[0], labels)


def test_labels_may_come_one_by_one(recognizer: Recognizer, clips: list[Path]) -> None:
    prediction = recognizer.classify(clips[0], (label for label in ("yoga", "judo")))  # type: ignore[call-overload]
    assert prediction.labels == ("yoga", "judo")


def test_wrong_settings_are_refused(tiny_folder: Path) -> None:
    model = crossframe.load(tiny_folder)
    with pytest.raises(ValueError, match=r"'shapes' is no model; give crossframe\.load\(.*, or use Recognizer\.from"):
        Recognizer("shapes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Frames is no clip; give tensors .* as read_video\(path\)\.pixels"):
        model.prepare(crossframe.read_video(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), 4))
    with pytest.raises(ValueError, match=r"list was given as tokens: use model\.tokenize\(labels\)"):
        model.encode_text(["yoga"])
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="device is 'cuda', and torch reaches no GPU here; give cpu"):
            crossframe.load(tiny_folder, device="cuda")
    with pytest.raises(ValueError, match="0 frames"):
        Recognizer(model, num_frames=0)
    with pytest.raises(ValueError, match="precision is 'int8'"):
        Recognizer(model, precision="int8")  # type: ignore[arg-type]


def test_the_next_clip_is_being_read_while_the_model_works(
    recognizer: Recognizer, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Path] = []
    given_when_the_model_began: list[int] = []
    prepare = recognizer.model.prepare

    def sources() -> Iterator[Path]:
        for clip in clips:
            given.append(clip)
            yield clip

    def watched(frames: object) -> torch.Tensor:
        given_when_the_model_began.append(len(given))
        return prepare(frames)

    monkeypatch.setattr(recognizer.model, "prepare", watched)
    assert len(list(recognizer.classify_each(sources(), LABELS))) == 3
    assert given_when_the_model_began == [2, 3, 3]


def test_a_gpu_does_not_round_convolutions(
    recognizer: Recognizer, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []
    prepare = recognizer.model.prepare

    def watched(frames: object) -> torch.Tensor:
        used.append(torch.backends.cudnn.conv.fp32_precision)
        return prepare(frames)

    monkeypatch.setattr(recognizer.model, "prepare", watched)
    recognizer.classify(clips[0], LABELS)
    assert used == ["ieee"]
    assert torch.backends.cudnn.conv.fp32_precision == "tf32"


@pytest.mark.gpu
def test_a_gpu_gives_the_scores_of_the_processor(tiny_folder: Path, clips: list[Path]) -> None:
    there = Recognizer.from_pretrained(tiny_folder, device="cuda", precision="float32")
    here = Recognizer.from_pretrained(tiny_folder, device="cpu", precision="float32")
    assert there.workers > here.workers
    for a, b in zip(there.classify(clips, LABELS), here.classify(clips, LABELS), strict=True):
        torch.testing.assert_close(a.scores, b.scores, rtol=0, atol=1e-3)


def test_described_labels_are_the_mean_of_their_sentences(tiny_folder: Path, clips: list[Path]) -> None:
    model = crossframe.load(tiny_folder)
    said = {LABELS[0]: ["two people pull", "hands on a table"], **{label: [label] for label in LABELS[1:]}}
    described = Recognizer(model, descriptions=said)
    plain = Recognizer(model)
    both = plain.embed_texts(said[LABELS[0]])
    expected = torch.nn.functional.normalize(both.mean(dim=0), dim=-1)
    torch.testing.assert_close(described.embed_texts(LABELS)[0], expected)
    torch.testing.assert_close(described.embed_texts(LABELS)[1:], plain.embed_texts(LABELS)[1:])
    one_each = Recognizer(model, descriptions={label: [label] for label in LABELS})
    for new, old in zip(one_each.classify(clips, LABELS), plain.classify(clips, LABELS), strict=True):
        torch.testing.assert_close(new.scores, old.scores)
    with pytest.raises(ValueError, match="the label 'golf' has no description"):
        described.embed_texts([*LABELS, "golf"])


def test_an_ensemble_of_templates_is_the_mean_of_their_directions(tiny_folder: Path) -> None:
    templates = ("{}", "a video of {}", "people are {}")
    together = Recognizer(crossframe.load(tiny_folder), template=templates).embed_texts(LABELS)
    each = [Recognizer(crossframe.load(tiny_folder), template=template).embed_texts(LABELS) for template in templates]
    torch.testing.assert_close(together, torch.nn.functional.normalize(torch.stack(each).mean(dim=0), dim=-1))
    assert not torch.allclose(together, each[0])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_recognizer_travels_to_a_process_that_knows_nothing(
    precision: Precision, tiny_folder: Path, clips: list[Path]
) -> None:
    here = Recognizer(crossframe.load(tiny_folder), precision=precision, template="a video of {}")
    expected = here.classify(clips[:2], LABELS)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        scores = pool.submit(scores_there, here, clips[:2]).result()
    for found, known in zip(scores, expected, strict=True):
        torch.testing.assert_close(torch.tensor(found), known.scores, atol=1e-6, rtol=0)


def scores_there(recognizer: Recognizer, clips: list[Path]) -> list[list[float]]:
    torch.set_num_threads(1)
    return [prediction.scores.tolist() for prediction in recognizer.classify(clips, LABELS)]


def test_sixteen_threads_get_the_scores_of_one(recognizer: Recognizer, clips: list[Path]) -> None:
    alone = Recognizer(recognizer.model, workers=0)
    lists = [[*LABELS, f"another of {number}"] for number in range(24)]  # more than are remembered
    expected = [alone.classify(clips[number % 3], labels).scores for number, labels in enumerate(lists)]
    shared = Recognizer(recognizer.model, workers=0)

    def ask(start: int) -> bool:
        numbers = [(start + 7 * step) % 24 for step in range(6)]
        return all(
            torch.equal(shared.classify(clips[number % 3], lists[number]).scores, expected[number])
            for number in numbers
        )

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(ask, range(16)))


def test_a_prediction_shows_itself_and_becomes_plain_values(recognizer: Recognizer, clips: list[Path]) -> None:
    prediction = recognizer.classify(clips[0], LABELS)
    (best, score), *_ = prediction.top(1)
    assert prediction.label == best
    assert repr(prediction).startswith(f"Prediction({str(clips[0])!r}: {best!r} {score:.1%}, ")
    values = prediction.to_dict(2)
    assert json.loads(json.dumps(values)) == values
    assert [entry["label"] for entry in values["predictions"]] == [label for label, _ in prediction.top(2)]
    assert values["frames"]["indices"] == prediction.frames.indices.tolist()
    table = prediction.to_pandas()
    assert list(table.columns) == ["video", "label", "score", "similarity"]
    assert table.score.sum() == pytest.approx(1)
    page = prediction._repr_html_()
    assert page.count("<img ") == 4  # read from the file once more
    assert best in page


def test_pixels_are_kept_only_where_they_are_asked_for(recognizer: Recognizer, clips: list[Path]) -> None:
    array = crossframe.read_video(clips[0], num_frames=4, short_side=36).pixels
    lean = recognizer.classify(array, LABELS)
    assert lean.pixels is None
    assert not hasattr(lean.frames, "pixels")
    assert all(tensor.untyped_storage().nbytes() <= 32 for tensor in (lean.frames.indices, lean.frames.times))
    assert "No pictures: its pixels were not kept; classify with keep_pixels=True" in lean._repr_html_()
    full = recognizer.classify(array, LABELS, keep_pixels=True)
    assert full.pixels is not None
    assert torch.equal(full.pixels, array)
    assert full._repr_html_().count("<img ") == 4
    gone = clips[0].with_name("gone.mp4")
    gone.write_bytes(clips[0].read_bytes())
    prediction = recognizer.classify(gone, LABELS)
    gone.unlink()
    assert "gone.mp4: does not exist" in prediction._repr_html_()


def test_predictions_of_a_video_hold_little_memory(recognizer: Recognizer, clips: list[Path]) -> None:
    array = torch.zeros(4, 3, 480, 640, dtype=torch.uint8)
    predictions = recognizer.classify([array, *clips], LABELS)
    assert all(len(pickle.dumps(prediction)) < 4000 for prediction in predictions)  # pixels alone would be 3.7 MB


def test_pictures_are_one_clip_where_they_are_in_a_list(recognizer: Recognizer, clips: list[Path]) -> None:
    frames = crossframe.read_video(clips[0], num_frames=4).pixels
    pictures = [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in frames]
    expected = recognizer.classify(frames, LABELS).scores
    for clip in (pictures, [*frames], [frame.numpy() for frame in frames]):
        (prediction,) = recognizer.classify([clip], LABELS)
        torch.testing.assert_close(prediction.scores, expected)
        torch.testing.assert_close(recognizer.classify(clip, LABELS).scores, expected)
        with pytest.raises(ValueError, match=r"a list of pictures, which are one clip; put them into a list"):
            recognizer.embed_videos(clip)


def test_embed_each_gives_errors_as_values(recognizer: Recognizer, clips: list[Path], tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("not a video")
    first, bad, last = recognizer.embed_each([clips[0], tmp_path / "notes.mp4", clips[1]])
    assert isinstance(bad, VideoError)
    assert isinstance(first, Embedding)
    assert isinstance(last, Embedding)
    assert torch.equal(torch.stack([first.vector, last.vector]), recognizer.embed_videos(clips[:2]))
    values = first.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert list(values) == ["video", "vector", "frames"]
    assert repr(first) == f"Embedding({str(clips[0])!r}: 32 numbers)"
    with pytest.raises(VideoError, match=r"notes\.mp4"):
        recognizer.embed_videos([tmp_path / "notes.mp4"])


def test_scores_that_are_no_numbers_are_an_error(tiny_folder: Path, clips: list[Path]) -> None:
    model = crossframe.load(tiny_folder)
    torch.nn.init.constant_(model.logit_scale, float("nan"))
    (result,) = Recognizer(model).classify_each([clips[0]], LABELS)
    assert isinstance(result, VideoError)
    assert "scores are not numbers" in str(result)
    for parameter in model.vision.parameters():
        torch.nn.init.constant_(parameter, float("nan"))
    (result,) = Recognizer(model).embed_each([clips[0]])
    assert isinstance(result, VideoError)
    assert "its vector is not of numbers" in str(result)


def test_clips_computed_together_are_as_many_as_asked_for(
    recognizer: Recognizer, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    prepare = recognizer.model.prepare
    monkeypatch.setattr(recognizer.model, "prepare", lambda frames: sizes.append(len(frames)) or prepare(frames))
    together = Recognizer(recognizer.model)
    together.batch_size = 2
    assert len(together.classify(clips, LABELS)) == 3
    assert sizes == [2, 1]
