"""Interpolated training: the exact gradient of both losses, fractions by batch alone, epochs averaged."""

from __future__ import annotations

import pytest
import torch

from crossframe.model.config import ModelConfig
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.text.tokenizer import Tokenizer
from crossframe.train.average import AveragedWeights
from crossframe.train.interpolation import Interpolation, pretrained_values
from crossframe.train.losses import batch_loss
from crossframe.train.optimizer import freeze
from crossframe.train.schedule import Schedule
from crossframe.weights import expand
from tests.train.test_loop import batches, make_loop, weights


@pytest.fixture
def model(tiny_config: ModelConfig) -> XCLIP:
    return XCLIP(tiny_config, tokenizer=Tokenizer.clip(), preprocess=Preprocess(32, 32))


@pytest.fixture
def pretrained(model: XCLIP) -> XCLIP:
    """A language-image model that differs from the model's own image encoder."""
    clip = expand(model, 1, mixing="none", mit_layers=0, prompt_layers=0)
    with torch.no_grad():
        for parameter in clip.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    return clip


def test_fractions_depend_on_seed_and_batch_alone_and_fill_the_range() -> None:
    one, other = Interpolation({}, seed=1), Interpolation({}, seed=2)
    drawn = [one.fraction(number) for number in range(200)]
    assert drawn == [Interpolation({}, seed=1).fraction(number) for number in range(200)]
    assert drawn != [other.fraction(number) for number in range(200)]
    assert 0.0 <= min(drawn) < 0.05
    assert 0.55 < max(drawn) <= 0.6


def test_only_what_learns_and_has_a_twin_is_moved(model: XCLIP, pretrained: XCLIP) -> None:
    freeze(model, vision=True, text=False)
    values = pretrained_values(model, pretrained)
    assert "vision.projection" in values
    assert not any(name.startswith(("text.", "mit.", "prompts.")) or ".message." in name for name in values)
    moved = Interpolation(values, seed=3).moved(model, 5)
    fraction = Interpolation(values, seed=3).fraction(5)
    expected = (1 - fraction) * model.vision.projection + fraction * pretrained.vision.projection
    torch.testing.assert_close(moved["vision.projection"], expected)


def test_a_step_descends_both_losses_by_the_chain_rule(model: XCLIP, pretrained: XCLIP) -> None:
    loop = make_loop(model, Schedule(1, 1))
    loop.objective.interpolation = Interpolation(pretrained_values(model, pretrained), weight=0.5, seed=7)
    (batch,) = batches([4])
    video, before = model.prepare(batch.clips.videos), weights(model)
    fraction = loop.objective.interpolation.fraction(0)

    def loss_and_gradients() -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        model.zero_grad()
        tokens = model.tokenize(batch.tasks[0].texts)
        loss = batch_loss(model(video, tokens), batch.tasks, 0.1).mean()
        loss.backward()
        return loss.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    plain, gradients = loss_and_gradients()
    values = loop.objective.interpolation.pretrained
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in values:
                parameter.copy_((1 - fraction) * before[name] + fraction * values[name])
    second, other = loss_and_gradients()
    model.load_state_dict(before)
    model.zero_grad()

    (report,) = loop.run(batches([4]))
    torch.testing.assert_close(report.loss, plain + 0.5 * second)
    for name, weight in weights(model).items():
        factor = 0.5 * (1 - fraction if name in values else 1.0)
        expected = before[name] - 0.1 * (gradients[name] + factor * other[name])
        torch.testing.assert_close(weight, expected, atol=1e-6, rtol=1e-4)


def test_epochs_are_averaged_plainly(model: XCLIP) -> None:
    average = AveragedWeights(model, None, every=3)
    weight = model.vision.projection
    taken: list[torch.Tensor] = []
    for step in range(8):
        with torch.no_grad():
            weight.add_(1.0)
        average.update()
        if step % 3 == 2:
            taken.append(weight.detach().clone())
        with average.applied():
            expected = torch.stack(taken).mean(dim=0) if taken else weight
            torch.testing.assert_close(model.vision.projection.detach(), expected.detach())
    assert len(taken) == 2
