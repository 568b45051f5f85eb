"""Views, precision, and leaving the model as it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from crossframe.evaluate.scoring import check_precision, evaluating, exact_convolutions, label_features, probabilities
from tests.evaluate.world import small_model

LABELS = ["clapping", "jumping", "waving"]


@pytest.fixture
def clips() -> list[Tensor]:
    return [torch.randint(256, (8, 3, *size), dtype=torch.uint8) for size in ((36, 50), (48, 32), (36, 50))]


def test_the_softmax_of_every_view_is_averaged(clips: list[Tensor]) -> None:
    model = small_model().eval()
    text = label_features(model, LABELS)
    found = probabilities(model, clips, text, views=2, crops=3, precision="float32")

    tokens = model.tokenize(LABELS)
    for clip, row in zip(clips, found, strict=True):
        views: list[Tensor] = []
        for part in (clip[:4], clip[4:]):
            for crop in model.preprocess.three_crops(part).unbind(dim=1):  # pyright: ignore
                with torch.inference_mode():
                    views.append(model(crop, tokens)[0].softmax(dim=0))
        torch.testing.assert_close(row.float(), torch.stack(views).mean(dim=0))
    torch.testing.assert_close(found.sum(dim=1), torch.ones(3, dtype=torch.float64))


def test_one_centre_view_is_what_the_model_says(clips: list[Tensor]) -> None:
    model = small_model().eval()
    found = probabilities(model, clips, label_features(model, LABELS), views=1, crops=1, precision="float32")
    with torch.inference_mode():
        expected = model(model.prepare(clips), model.tokenize(LABELS)).softmax(dim=1)
    torch.testing.assert_close(found.float(), expected)


def test_labels_far_behind_still_have_an_order(clips: list[Tensor]) -> None:
    model = small_model().eval()
    model.logit_scale.data.fill_(7.0)  # differences of a thousand: float32 would give zeros for all but one
    scores = probabilities(model, clips, label_features(model, LABELS), views=1, crops=1, precision="float32")
    with torch.inference_mode():
        logits = model(model.prepare(clips), model.tokenize(LABELS))
    near = logits.max(dim=1).values - logits.min(dim=1).values < 700
    assert near.any()
    assert torch.equal(scores.argsort(dim=1)[near], logits.argsort(dim=1)[near])


def test_bfloat16_is_close_and_lowers_the_encoder_only(clips: list[Tensor]) -> None:
    model = small_model().eval()
    text = label_features(model, LABELS)
    exact = probabilities(model, clips, text, views=1, crops=1, precision="float32")
    rough = probabilities(model, clips, text, views=1, crops=1, precision="bfloat16")
    assert not torch.equal(exact, rough)
    torch.testing.assert_close(exact, rough, atol=0.05, rtol=0)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def test_frames_must_divide_into_views(clips: list[Tensor]) -> None:
    model = small_model().eval()
    with pytest.raises(ValueError, match="8 frames are not 3 views"):
        probabilities(model, clips, label_features(model, LABELS), views=3, crops=1, precision="float32")


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
