"""The step: small batches do what a large one does, averages average, and a loss that is no number stops it."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from lightning_fabric import Fabric
from torch.nn import functional as F
from torch.optim import SGD

from crossframe.data.batch import Batch, Failure, TrainBatch, classification
from crossframe.distributed import Processes
from crossframe.model.config import ModelConfig
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.recipes.load import load_recipe
from crossframe.recipes.schema import Course
from crossframe.text.tokenizer import Tokenizer
from crossframe.train.build import build_loop
from crossframe.train.launch import launch
from crossframe.train.loop import DivergedError, Learner, Loop, StepReport, TextCache
from crossframe.train.objective import Objective
from crossframe.train.optimizer import AveragedWeights, LossScale, freeze
from crossframe.train.progress import Meter
from crossframe.train.schedule import Schedule
from crossframe.train.transform import TrainTransform

LABELS = ("walking", "running", "jumping")


@pytest.fixture
def model(tiny_config: ModelConfig) -> XCLIP:
    return XCLIP(tiny_config, tokenizer=Tokenizer.clip(), preprocess=Preprocess(32, 32))


def batches(sizes: list[int], failures: int = 0) -> Iterator[TrainBatch]:
    """The same clips in batches of these sizes."""
    generator = torch.Generator().manual_seed(7)
    total = sum(sizes)
    videos = torch.randint(0, 256, (total, 4, 3, 32, 32), dtype=torch.uint8, generator=generator)
    start = 0
    lost = tuple(Failure(100 + i, 0, "unreadable") for i in range(failures))
    for size in sizes:
        rows = torch.arange(start, start + size)
        yield classification(Batch(videos[rows], rows % len(LABELS), rows, lost), LABELS)
        start += size


def make_loop(
    model: XCLIP,
    schedule: Schedule,
    *,
    text: bool = True,
    average: float | None = None,
    fabric: Fabric | None = None,
) -> Loop:
    freeze(model, vision=True, text=text)
    fabric = fabric or Fabric(accelerator="cpu", devices=1)
    optimizer = SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for group in optimizer.param_groups:
        group.update(base=0.1, minimum=0.1)
    learner, wrapped = fabric.setup(Learner(model), optimizer)
    objective = Objective(model, learner, 0.1, fabric.autocast)
    averaged = None if average is None else AveragedWeights(model, average)
    transform, texts = TrainTransform(model), TextCache(model)
    return Loop(fabric, model, objective, [wrapped], schedule, transform, texts, averaged, None, seed=0)


def weights(model: XCLIP) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_small_batches_do_what_a_large_one_does(model: XCLIP) -> None:
    before = weights(model)
    (whole,) = make_loop(model, Schedule(1, 1)).run(batches([7]))
    large = weights(model)
    model.load_state_dict(before)
    (parts,) = make_loop(model, Schedule(1, 3, accumulate=3)).run(batches([3, 3, 1]))
    assert parts.clips == whole.clips == 7
    torch.testing.assert_close(parts.loss, whole.loss)
    for name, weight in weights(model).items():
        torch.testing.assert_close(weight, large[name], atol=1e-6, rtol=1e-5)
        assert name.endswith("k.bias") or not torch.equal(weight, before[name])


def test_the_step_is_plain_gradient_descent_on_the_mean_loss(model: XCLIP) -> None:
    (batch,) = batches([4])
    before = weights(model)
    logits = model(model.prepare(batch.clips.videos), model.tokenize(LABELS))
    loss = F.cross_entropy(logits, batch.clips.targets, label_smoothing=0.1)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    (report,) = make_loop(model, Schedule(1, 1)).run(batches([4]))
    torch.testing.assert_close(report.loss, loss.detach())
    for name, gradient in gradients.items():
        torch.testing.assert_close(weights(model)[name], before[name] - 0.1 * gradient, atol=1e-6, rtol=1e-5)


def test_frozen_text_keeps_its_weights_and_is_encoded_once(model: XCLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    encode = model.encode_text
    monkeypatch.setattr(model, "encode_text", lambda tokens: calls.append(len(tokens)) or encode(tokens))
    before = weights(model)
    list(make_loop(model, Schedule(1, 3), text=False).run(batches([2, 2, 2])))
    assert calls == [len(LABELS)]
    for name, weight in weights(model).items():
        frozen = name.startswith("text.") or name == "logit_scale"
        assert not frozen or torch.equal(weight, before[name])
    assert not torch.equal(model.vision.projection, before["vision.projection"])


def test_each_step_draws_random_numbers_of_its_own_and_draws_them_again(model: XCLIP) -> None:
    def drawn() -> list[float]:
        loop = make_loop(model, Schedule(1, 3))
        return [float(torch.rand(())) for _ in loop.run(batches([2, 2, 2]))]

    first = drawn()
    assert len(set(first)) == 3
    torch.manual_seed(7)
    assert drawn() == first


def test_unreadable_clips_are_counted_and_do_not_dilute_the_step(model: XCLIP) -> None:
    (report,) = make_loop(model, Schedule(1, 1)).run(batches([4], failures=2))
    assert (report.clips, report.unreadable) == (4, 2)


def test_averaged_weights_lie_between_the_first_and_the_last(model: XCLIP) -> None:
    before = weights(model)["vision.projection"]
    loop = make_loop(model, Schedule(1, 4), average=0.5)
    list(loop.run(batches([2, 2, 2, 2])))
    last = weights(model)["vision.projection"]
    assert loop.average is not None
    with loop.average.applied():
        mean = weights(model)["vision.projection"]
    assert torch.equal(weights(model)["vision.projection"], last)
    assert 0 < (mean - last).norm() < (before - last).norm()


def test_a_loss_or_gradient_that_is_no_number_is_reported() -> None:
    fine, bad = torch.tensor(1.0), torch.tensor(float("nan"))
    for loss, gradient, what in ((bad, fine, "loss"), (fine, bad, "gradient")):
        meter = Meter()
        meter.add(StepReport(0, loss, gradient, 4, 0, 1.0, 0.0))
        with pytest.raises(DivergedError, match=f"the {what} is not a finite number"):
            meter.read()


@pytest.mark.parametrize(("course", "clips"), [("authors", [4, 4]), ("timm", [4, 1, 4, 1]), ("smooth", [4, 1, 4, 1])])
def test_only_the_authors_schedule_drops_what_is_left_of_an_epoch(
    course: Course, clips: list[int], model: XCLIP
) -> None:
    loop = make_loop(model, Schedule(2, 3, accumulate=2, course=course))
    assert [report.clips for report in loop.run(batches([2, 2, 1, 2, 2, 1]))] == clips


def test_gradients_above_the_limit_are_scaled_down_to_it_and_others_left_alone(model: XCLIP) -> None:
    before = weights(model)
    free = make_loop(model, Schedule(1, 1))
    (report,) = free.run(batches([4]))
    moved = {name: weight - before[name] for name, weight in weights(model).items()}
    norm = float(report.gradient)
    assert torch.stack([step.norm() for step in moved.values()]).norm() == pytest.approx(0.1 * norm, rel=1e-3)
    for limit in (norm / 3, 3 * norm):
        model.load_state_dict(before)
        loop = make_loop(model, Schedule(1, 1))
        loop.clip_norm = limit
        (clipped,) = loop.run(batches([4]))
        assert float(clipped.gradient) == pytest.approx(norm, rel=1e-5)  # as it was before
        share = min(1.0, limit / norm)
        for name, weight in weights(model).items():
            torch.testing.assert_close(weight - before[name], share * moved[name], atol=1e-6, rtol=1e-3)


def test_the_limit_of_the_recipe_reaches_the_loop(model: XCLIP) -> None:
    for limit in (None, 0.25):
        setting = f"train.clip_norm={'null' if limit is None else limit}"
        recipe = load_recipe("shapes", [setting], tiny=True)
        loop = build_loop(recipe, model, 4, Fabric(accelerator="cpu", devices=1), Processes())
        assert loop.clip_norm == limit


def test_scaled_losses_train_the_same_weights(model: XCLIP) -> None:
    other = copy.deepcopy(model)
    loops = [make_loop(each, Schedule(1, 3)) for each in (model, other)]
    loops[1].scale = LossScale()
    reports = [list(loop.run(batches([2, 3, 1]))) for loop in loops]
    for plain, scaled in zip(*reports, strict=True):
        torch.testing.assert_close(scaled.gradient, plain.gradient)
        assert not scaled.left_out
    for name, weight in weights(model).items():
        torch.testing.assert_close(weights(other)[name], weight, rtol=1e-4, atol=1e-6)


def test_a_step_whose_gradients_overflow_is_left_out_and_the_next_is_scaled_less(model: XCLIP) -> None:
    loop = make_loop(model, Schedule(1, 2), average=0.5)
    loop.scale = LossScale()
    loop.scale.factor = 2.0**127
    meter = Meter()
    (first, *_) = (report for report in loop.run(batches([2, 2])))
    assert first.left_out
    assert loop.scale.factor < 2.0**127
    meter.add(first)
    with pytest.raises(DivergedError, match="the gradient is not a finite number"):
        meter.read()
    loop = make_loop(model, Schedule(1, 1))
    loop.scale = LossScale()
    loop.scale.factor = 2.0**127
    before = weights(model)
    list(loop.run(batches([2])))
    assert all(torch.equal(weight, before[name]) for name, weight in weights(model).items())
    state = loop.state()
    loop.scale = LossScale()
    loop.restore(state)
    assert loop.scale.factor == 2.0**126


def test_the_scale_grows_again() -> None:
    scale = LossScale()
    assert not scale.fits(torch.tensor(float("inf")))
    assert all(scale.fits(torch.tensor(1.0)) for _ in range(scale.GROWS_AFTER - 1))
    assert scale.factor == 2.0**15
    assert scale.fits(torch.tensor(1.0))
    assert scale.factor == 2.0**16


def test_float16_computes_in_float16_and_learns_as_float32_does(model: XCLIP) -> None:
    recipe = load_recipe("finetune", ["train.precision=float16"], tiny=True)
    other, seen = copy.deepcopy(model), []
    half = make_loop(other, Schedule(1, 4), fabric=launch(recipe.train, []))
    half.scale = LossScale()
    half.scale.factor = 64.0  # the first gradients, of norm 84, would overflow with more
    other.vision.blocks[0].register_forward_hook(lambda *_: seen.append(torch.get_autocast_dtype("cpu")))
    full = make_loop(model, Schedule(1, 4))
    ours, theirs = ([float(report.loss) for report in loop.run(batches([2, 2, 2, 2]))] for loop in (half, full))
    assert set(seen) == {torch.float16}
    assert ours == pytest.approx(theirs, rel=0.02)
    assert {weight.dtype for weight in weights(other).values()} == {torch.float32}
