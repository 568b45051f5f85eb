"""Weight-space averaging: the mean of what both models have, nothing on what is new, and no mismatched pairs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import crossframe
from crossframe.model.xclip import XCLIP
from crossframe.weights import WeightsError
from crossframe.weights.blending import CANDIDATES, blend, choose_weight, shared_values
from tests.weights.small import CLIP_CONFIG, XCLIP_CONFIG, make, same_weights


@pytest.fixture
def clip() -> XCLIP:
    return make(CLIP_CONFIG)


@pytest.fixture
def tuned() -> XCLIP:
    return make(XCLIP_CONFIG)


def test_what_both_have_is_averaged_and_the_rest_stays(tuned: XCLIP, clip: XCLIP) -> None:
    before = {name: tensor.clone() for name, tensor in tuned.state_dict().items()}
    mixed = blend(tuned, clip, 0.3).state_dict()
    pretrained = clip.state_dict()
    new = {name for name in mixed if name.startswith(("mit.", "prompts.")) or ".message." in name}
    assert mixed.keys() == before.keys()
    assert mixed.keys() - new == pretrained.keys()
    for name, tensor in mixed.items():
        expected = before[name] if name in new else 0.7 * pretrained[name] + 0.3 * before[name]
        torch.testing.assert_close(tensor, expected)
    assert all(torch.equal(tensor, before[name]) for name, tensor in tuned.state_dict().items())


def test_the_ends_are_the_models_themselves(tuned: XCLIP, clip: XCLIP) -> None:
    assert same_weights(blend(tuned, clip, 1.0), tuned)
    assert all(torch.equal(blend(tuned, clip, 0.0).state_dict()[n], t) for n, t in clip.state_dict().items())


def test_positions_are_interpolated_to_those_of_the_tuned_model(tuned: XCLIP) -> None:
    longer = crossframe.expand(make(XCLIP_CONFIG), 8)
    assert shared_values(longer, tuned)["mit.position"].shape == (8, 128)
    shallow = crossframe.expand(tuned, 4, prompt_layers=1)
    assert shared_values(shallow, tuned).keys() < dict(tuned.named_parameters()).keys()


def test_a_new_head_has_no_pretrained_value_and_needs_no_words(clip: XCLIP) -> None:
    seven, five = (crossframe.expand(clip, 4, num_classes=count) for count in (7, 5))
    assert not shared_values(seven, five).keys() & {"head.weight", "head.bias"}
    assert torch.equal(blend(seven, clip, 0.5).head.weight, seven.head.weight)


def test_other_models_and_impossible_weights_are_refused(tuned: XCLIP, clip: XCLIP) -> None:
    deeper = make(replace(CLIP_CONFIG, vision=replace(CLIP_CONFIG.vision, layers=3)))
    with pytest.raises(WeightsError, match=r"differ in vision\.blocks\.2.* and 9 more: give the pretrained model that"):
        blend(tuned, deeper, 0.5)
    without_words = make(replace(CLIP_CONFIG, text=None, num_classes=3))
    with pytest.raises(WeightsError, match=r"differ in text\."):
        blend(tuned, without_words, 0.5)
    with pytest.raises(WeightsError, match=r"the weight is 1\.5; give one from 0 \(pretrained\) to 1 \(tuned\)"):
        blend(tuned, clip, 1.5)


def test_the_best_weight_is_the_one_that_scores_best(tuned: XCLIP, clip: XCLIP) -> None:
    with torch.no_grad():
        tuned.logit_scale.fill_(clip.logit_scale.item() + 1.0)
    wanted = clip.logit_scale.item() + 0.4
    weight, scores = choose_weight(tuned, clip, lambda model: -abs(model.logit_scale.item() - wanted))
    assert weight == 0.4
    assert tuple(scores) == CANDIDATES
    assert choose_weight(tuned, clip, lambda model: 0.0)[0] == 1.0
