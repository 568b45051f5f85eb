"""Adapters put around the model's linear layers by other libraries have a say wherever these layers compute."""

from __future__ import annotations

import torch
from peft import LoraConfig, get_peft_model

from tests.model.test_traced import labels, tiny


def test_lora_computes_the_same_beside_the_weights_and_merged_into_them() -> None:
    model = tiny().double()
    video, tokens = torch.randn(2, 4, 3, 16, 16, dtype=torch.float64), labels(3, 5)
    with torch.no_grad():
        before = model(video, tokens)
        config = LoraConfig(r=2, target_modules=r".*\.(qkv|q|k|v|out|fc1|fc2)", init_lora_weights=False)
        adapted = get_peft_model(model, config).eval()
        beside = adapted(video, tokens)
        merged = adapted.merge_and_unload()(video, tokens)
    assert (beside - before).abs().max() > 1e-3
    torch.testing.assert_close(beside, merged, rtol=1e-10, atol=1e-10)


def test_only_the_adapters_learn() -> None:
    adapted = get_peft_model(tiny(), LoraConfig(r=2, target_modules=r"vision\..*\.qkv"))
    adapted(torch.randn(2, 4, 3, 16, 16), labels(3, 5)).sum().backward()
    learns = {name for name, parameter in adapted.named_parameters() if parameter.grad is not None}
    assert learns
    assert all("lora_" in name for name in learns)
