"""Every intermediate tensor, gradient and update against the authors' code, where the full data is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from crossframe.model.xclip import XCLIP
from crossframe.weights.convert import their_names, to_ours
from crossframe.weights.infer import Checkpoint, default_preprocess, infer_config
from crossframe.weights.loading import build
from crossframe.weights.tables import OPENAI
from tests.model.training import freeze_text, optimizer, smoothed_loss, soft_loss


@pytest.fixture
def reference(shared: Path) -> dict[str, Tensor]:
    return load_file(shared / "golden" / "model_tiny_a.safetensors")


def model_of(reference: dict[str, Tensor], dtype: torch.dtype) -> XCLIP:
    stored = {name.removeprefix("sd/"): t.clone() for name, t in reference.items() if name.startswith("sd/")}
    tensors = to_ours(stored, OPENAI)
    config = infer_config(tensors, OPENAI)
    return build(Checkpoint(config, tensors, default_preprocess(config), None, OPENAI), dtype)


def outputs_of(model: XCLIP, video: Tensor, tokens: Tensor) -> dict[str, Tensor]:
    """What passes through the model, under the names of the reference file."""
    seen: dict[str, Tensor] = {}

    def record(name: str, module: nn.Module) -> None:
        module.register_forward_hook(lambda _module, _inputs, output: seen.__setitem__(name, output))

    record("visual.conv1_out", model.vision.patch_embed)
    record("visual.ln_pre_out", model.vision.pre_norm)
    for i, block in enumerate(model.vision.blocks):
        record(f"visual.block{i}.out", block)
        record(f"visual.block{i}.message_fc_out", block.message.project)
        record(f"visual.block{i}.message_attn_out", block.message.attention)
        record(f"visual.block{i}.message_token", block.message)
    for i, block in enumerate(model.text.blocks):
        record(f"text.block{i}.out", block)
    record("mit.block0.out", model.mit.blocks[0])
    for i, layer in enumerate(model.prompts.layers):
        record(f"prompts.layer{i}.out", layer)
    record("text_features_prompted", model.prompts)
    with torch.no_grad():
        frames, patches = model.vision(video)
        seen |= {"cls_features": frames, "visual.patch_tokens": patches}
        features, text = model.encode_video(video), model.encode_text(tokens)
        seen |= {"video_features": features.embedding, "img_features_mean": features.patches, "text_features": text}
        seen["logits"] = model.score(features, text)
    seen["prompts.generator_out"] = seen["text_features_prompted"] - text
    return seen


@pytest.mark.parametrize(
    ("dtype", "case", "tolerance"), [(torch.float64, "out64", 1e-10), (torch.float32, "out32", 5e-5)]
)
def test_every_intermediate_tensor(
    reference: dict[str, Tensor], dtype: torch.dtype, case: str, tolerance: float
) -> None:
    expected = {name.removeprefix(case + "/"): t for name, t in reference.items() if name.startswith(case + "/")}
    del expected["img_features"]  # we average before we project
    del expected["text.ln_final_out"]  # we normalize the end token alone
    actual = outputs_of(model_of(reference, dtype), reference["in/video"].to(dtype), reference["in/token_ids"])
    assert expected.keys() <= actual.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(actual[name].reshape(tensor.shape), tensor, rtol=0.0, atol=tolerance, msg=name)


@pytest.mark.parametrize("case", ["fixtext", "full"])
def test_gradients_and_updates_of_every_parameter(shared: Path, reference: dict[str, Tensor], case: str) -> None:
    step = load_file(shared / "golden" / f"train_step_a_{case}.safetensors")
    video, tokens = reference["in/video"].double(), reference["in/token_ids"]

    def fresh() -> XCLIP:
        model = model_of(reference, torch.float64).train()
        if case == "fixtext":
            freeze_text(model)
        return model

    def theirs(values: dict[str, Tensor]) -> dict[str, Tensor]:
        return {their_names(name, OPENAI)[0]: value for name, value in values.items()}

    def expect(kind: str, values: dict[str, Tensor], tolerance: float) -> None:
        expected = {name.removeprefix(f"{kind}/"): t for name, t in step.items() if name.startswith(f"{kind}/")}
        actual = theirs(values)
        assert actual.keys() == expected.keys()
        for name, tensor in expected.items():
            scale = tensor.abs().max().item()
            error = (actual[name].reshape(tensor.shape) - tensor).abs().max().item()
            assert error <= tolerance * scale + 1e-15, f"{kind}/{name}: {error} of {scale}"

    for kind in ("ls", "soft"):
        model = fresh()
        logits = model(video, tokens)
        loss = smoothed_loss(logits, step["in/labels"]) if kind == "ls" else soft_loss(logits, step["in/soft_targets"])
        torch.testing.assert_close(loss.detach(), step[f"loss64/{kind}"].double().reshape(()), rtol=1e-10, atol=0.0)
        loss.backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        expect(f"grad/{kind}", gradients, 2e-7)  # they are stored in float32

    model = fresh()
    before = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    steps = optimizer(model)
    for number in (1, 2, 3):
        steps.zero_grad()
        soft_loss(model(video, tokens), step["in/soft_targets"]).backward()
        steps.step()
        if number in (1, 3):
            moved = {name: p.detach() - before[name] for name, p in model.named_parameters() if p.requires_grad}
            expect(f"delta{number}", moved, 5e-7)
