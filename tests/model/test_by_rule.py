"""Forward, gradients and training steps against the authors' code, on weights that a rule regenerates."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from crossframe.model.xclip import XCLIP
from crossframe.weights.convert import their_names
from crossframe.weights.tables import OPENAI
from tests.model.by_rule import ByRule, read_by_rule
from tests.model.training import freeze_text, optimizer, smoothed_loss, soft_loss


@pytest.fixture(scope="module")
def case() -> ByRule:
    return read_by_rule(Path(__file__).parents[1] / "golden")


def close(actual: Tensor, expected: object, tolerance: float) -> None:
    torch.testing.assert_close(actual, torch.as_tensor(expected, dtype=actual.dtype), rtol=0.0, atol=tolerance)


def test_logits_and_features_equal_the_authors(case: ByRule) -> None:
    model = case.model()
    with torch.no_grad():
        video = model.encode_video(case.video)
        text = model.encode_text(case.tokens)
        close(model(case.video, case.tokens), case.expected["logits"], 1e-10)
    close(video.embedding, case.expected["video_features"], 1e-10)
    close(text, case.expected["text_features"], 1e-10)
    assert video.patches is not None
    close(video.patches[:, 0], case.expected["patch_features_mean_first_row"], 1e-10)


@pytest.mark.parametrize("frozen", [True, False], ids=["text frozen", "all trained"])
class TestTraining:
    def expected(self, case: ByRule, frozen: bool) -> dict:
        return case.expected["text_frozen" if frozen else "all_trained"]

    def model(self, case: ByRule, frozen: bool) -> XCLIP:
        model = case.model().train()
        if frozen:
            freeze_text(model)
        return model

    def test_losses_and_gradients(self, case: ByRule, frozen: bool) -> None:
        model, expected = self.model(case, frozen), self.expected(case, frozen)
        logits = model(case.video, case.tokens)
        smoothed = smoothed_loss(logits, torch.tensor(case.expected["training"]["hard_labels"]))
        assert smoothed.item() == pytest.approx(expected["loss_label_smoothing_0.1"], rel=1e-7)
        soft_loss(logits, soft_targets(case)).backward()
        gradients = {their_names(n, OPENAI)[0]: p.grad for n, p in model.named_parameters() if p.grad is not None}
        assert gradients.keys() == expected["grad_norm_and_first_element"].keys()
        for name, (norm, first) in expected["grad_norm_and_first_element"].items():
            assert gradients[name].norm().item() == pytest.approx(norm, rel=1e-7), name
            assert gradients[name].flatten()[0].item() == pytest.approx(first, rel=1e-7, abs=1e-9 * norm), name

    def test_three_steps_of_adamw(self, case: ByRule, frozen: bool) -> None:
        model, expected = self.model(case, frozen), self.expected(case, frozen)
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        steps, losses = optimizer(model), []
        for _ in range(3):
            loss = soft_loss(model(case.video, case.tokens), soft_targets(case))
            losses.append(loss.item())
            steps.zero_grad()
            loss.backward()
            steps.step()
        losses.append(soft_loss(model(case.video, case.tokens), soft_targets(case)).item())
        assert losses == pytest.approx(expected["loss_soft_steps_0_to_3"], rel=1e-7)
        for name, parameter in model.named_parameters():
            norm = expected["update_norm_after_3_steps"].get(their_names(name, OPENAI)[0], 0.0)
            assert (parameter - before[name]).norm().item() == pytest.approx(norm, rel=1e-7), name


def soft_targets(case: ByRule) -> Tensor:
    return torch.tensor(case.expected["training"]["soft_targets"], dtype=torch.float64)
