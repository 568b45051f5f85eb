"""Views, precision, cached texts, threads, and leaving the model as it was."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from crossframe.engine import supports
from crossframe.inference import (
    KEPT_LISTS,
    Inference,
    Precision,
    TextFeatures,
    check_precision,
    choose_precision,
    evaluating,
    exact_convolutions,
    label_features,
)
from tests.evaluate.world import small_model

LABELS = ["clapping", "jumping", "waving"]


@pytest.fixture
def clips() -> list[Tensor]:
    return [torch.randint(256, (8, 3, *size), dtype=torch.uint8) for size in ((36, 50), (48, 32), (36, 50))]


@pytest.mark.parametrize("fast", [True, False])
def test_the_softmax_of_every_view_is_averaged(fast: bool, clips: list[Tensor]) -> None:
    model = small_model().eval()
    text = label_features(model, LABELS)
    found = Inference(model, fast=fast).probabilities(clips, text, views=2, crops=3)

    tokens = model.tokenize(LABELS)
    for clip, row in zip(clips, found, strict=True):
        views: list[Tensor] = []
        for part in (clip[:4], clip[4:]):
            for crop in model.preprocess.three_crops(part).unbind(dim=1):  # pyright: ignore
                with torch.inference_mode():
                    views.append(model(crop, tokens)[0].softmax(dim=0))
        torch.testing.assert_close(row.float(), torch.stack(views).mean(dim=0))
    torch.testing.assert_close(found.sum(dim=1), torch.ones(3, dtype=torch.float64))


def test_one_center_view_is_what_the_model_says(clips: list[Tensor]) -> None:
    model = small_model().eval()
    found = Inference(model).probabilities(clips, label_features(model, LABELS))
    with torch.inference_mode():
        expected = model(model.prepare(clips), model.tokenize(LABELS)).softmax(dim=1)
    torch.testing.assert_close(found.float(), expected)


def test_labels_far_behind_still_have_an_order(clips: list[Tensor]) -> None:
    model = small_model().eval()
    model.logit_scale.data.fill_(7.0)  # differences of a thousand: float32 would give zeros for all but one
    scores = Inference(model).probabilities(clips, label_features(model, LABELS))
    with torch.inference_mode():
        logits = model(model.prepare(clips), model.tokenize(LABELS))
    near = logits.max(dim=1).values - logits.min(dim=1).values < 700
    assert near.any()
    assert torch.equal(scores.argsort(dim=1)[near], logits.argsort(dim=1)[near])


def test_bfloat16_is_close_and_lowers_the_encoder_only(clips: list[Tensor]) -> None:
    model = small_model().eval()
    text = label_features(model, LABELS)
    exact = Inference(model).probabilities(clips, text)
    rough = Inference(model, "bfloat16").probabilities(clips, text)
    assert not torch.equal(exact, rough)
    torch.testing.assert_close(exact, rough, atol=0.05, rtol=0)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def test_frames_must_divide_into_views(clips: list[Tensor]) -> None:
    model = small_model().eval()
    with pytest.raises(ValueError, match="8 frames are not 3 views"):
        Inference(model).probabilities(clips, label_features(model, LABELS), views=3)


def test_the_model_and_the_precision_are_put_back() -> None:
    model = small_model().train()
    model.vision.eval()  # a frozen part may be in another mode than the rest
    modes = [module.training for module in model.modules()]
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == modes


def _in_the_old_way() -> None:
    torch.set_float32_matmul_precision("high")


def _in_the_new_way() -> None:
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    torch.backends.cudnn.conv.fp32_precision = "tf32"


def _asked_for_exactness() -> None:
    torch.backends.cudnn.conv.fp32_precision = "ieee"


@pytest.mark.parametrize("ask", [_in_the_old_way, _in_the_new_way, _asked_for_exactness])
def test_products_and_convolutions_are_exact_whatever_a_program_asked_torch_for(ask: Callable[[], None]) -> None:
    def asked() -> tuple[str, ...]:
        places = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul, torch.backends.cudnn.conv)
        return tuple(place.fp32_precision for place in places)

    matmul, mkldnn, conv = asked()
    try:
        ask()
        before = asked()
        with exact_convolutions():
            assert asked() == (*before[:2], "ieee")
        with evaluating(small_model()):
            assert asked() == ("ieee",) * 3
        assert asked() == before
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cuda.matmul.fp32_precision = matmul
        torch.backends.mkldnn.matmul.fp32_precision = mkldnn
        torch.backends.cudnn.conv.fp32_precision = conv


def test_float32_is_not_claimed_for_rounded_weights() -> None:
    model = small_model()
    check_precision(model, "float32")
    model.vision.to(torch.bfloat16)
    with pytest.raises(ValueError, match=r"the weights are torch\.bfloat16; load the model with dtype"):
        check_precision(model, "float32")
    with pytest.raises(ValueError, match="'auto' is unknown"):
        check_precision(model, "auto")  # pyright: ignore[reportArgumentType]


def test_a_linear_head_has_its_own_classes() -> None:
    model = small_model(num_classes=3)
    assert label_features(model, LABELS) is None
    with pytest.raises(ValueError, match="2 labels were given, and the model's linear head has 3 classes"):
        label_features(model, LABELS[:2])


def test_several_wordings_are_averaged_as_directions() -> None:
    model = small_model().eval()
    words = ["somebody claps", "somebody jumps", "somebody waves"]
    one, other = (model.encode_text(model.tokenize(texts)) for texts in (LABELS, words))
    directions = (F.normalize(one, dim=-1) + F.normalize(other, dim=-1)) / 2
    lengths = (one.norm(dim=-1, keepdim=True) + other.norm(dim=-1, keepdim=True)) / 2
    both = label_features(model, list(zip(LABELS, words, strict=True)))
    torch.testing.assert_close(both, directions * lengths)
    mixed = label_features(model, [LABELS[0], *zip(LABELS[1:], words[1:], strict=True)])
    torch.testing.assert_close(mixed, torch.cat([one[:1], both[1:]]))


def test_evaluation_in_float32_is_the_arithmetic_of_the_model_itself(clips: list[Tensor]) -> None:
    model = small_model().eval()
    text = label_features(model, LABELS)
    with torch.inference_mode():
        expected = model(model.prepare(clips), model.tokenize(LABELS)).double().softmax(dim=1)
    assert torch.equal(Inference(model, fast=False).probabilities(clips, text), expected)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_lower_precision_means_the_same_for_recognizing_and_evaluating(
    precision: Precision, clips: list[Tensor]
) -> None:
    model = small_model().eval()
    text = label_features(model, LABELS)
    rows = [Inference(model, precision, fast=fast).probabilities(clips, text) for fast in (True, False)]
    assert torch.equal(*rows)
    torch.testing.assert_close(rows[0], Inference(model).probabilities(clips, text), atol=0.05, rtol=0)


@pytest.mark.parametrize("how", ["a part of one's own", "a hook"])
def test_an_engine_that_is_off_says_so_and_why(how: str, caplog: pytest.LogCaptureFixture) -> None:
    model = small_model().eval()
    if not supports(model, torch.float32):
        pytest.skip("PyTorch was built without oneDNN for this processor")
    Inference(model)
    assert not caplog.records
    message = model.vision.blocks[1].message
    if how == "a hook":
        message.register_forward_hook(lambda *_: None)
        said = "the hooks of vision.blocks.1.message"
    else:
        message.__class__ = type("Mine", (type(message),), {})
        said = "vision.blocks.1.message, a Mine"
    found = Inference(model)
    assert not found.packed
    assert [record.message for record in caplog.records] == [
        f"the fast engine is off, for it does not know {said}; results are the same, but take longer"
    ]
    Inference(model, fast=False)  # which asks for no engine
    assert len(caplog.records) == 1


def test_more_lists_than_are_kept_are_computed_again_and_no_thread_trips() -> None:
    model = small_model().eval()
    texts = TextFeatures(model)
    lists = [[f"label {number}", "another"] for number in range(KEPT_LISTS + 8)]
    expected = [label_features(model, labels) for labels in lists]

    def ask(start: int) -> bool:
        order = [(start + 5 * step) % len(lists) for step in range(40)]
        return all(torch.equal(texts.of_labels(lists[number]), expected[number]) for number in order)

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(ask, range(16)))
    assert len(texts._lists) == KEPT_LISTS


def test_each_text_is_computed_once() -> None:
    model, read = small_model().eval(), []
    assert model.text is not None
    model.text.register_forward_pre_hook(lambda _, given: read.append(len(given[0])))
    texts = TextFeatures(model)
    first = texts.of_texts(["b", "a", "b"])
    both = texts.of_texts(["a", "c", "b"])
    assert read == [2, 1]
    assert torch.equal(first[[1, 0]], both[[0, 2]])


def test_flags_come_back_when_the_last_thread_has_left() -> None:
    before = torch.backends.cudnn.conv.fp32_precision
    barrier, seen = Barrier(2), []

    def enter(first: bool) -> None:
        with exact_convolutions():
            barrier.wait()  # both are inside
            if first:
                barrier.wait()  # until the other has left
                seen.append(torch.backends.cudnn.conv.fp32_precision)
        if not first:
            barrier.wait()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(enter, (True, False)))
    assert seen == ["ieee"]
    assert torch.backends.cudnn.conv.fp32_precision == before


def test_auto_is_bfloat16_where_it_is_multiplied_at_full_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True})
    assert choose_precision("auto", cpu) == "bfloat16"
    assert choose_precision("float32", cpu) == "float32"
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    assert choose_precision("auto", cpu) == "float32"
    assert choose_precision("bfloat16", cpu) == "bfloat16"
    assert choose_precision("auto", torch.device("mps")) == "float32"
    for fast, expected in ((True, "bfloat16"), (False, "float16")):
        monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation, fast=fast: fast)
        assert choose_precision("auto", gpu) == expected
    with pytest.raises(ValueError, match="precision is 'int8'; choose auto, float32, bfloat16 or float16"):
        choose_precision("int8", cpu)  # pyright: ignore[reportArgumentType]
