"""Graphs that compilers record of the model: whole, for any labels, and with the same numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from crossframe.model.config import ModelConfig, MultiFrameConfig, PromptConfig, TextConfig, VisionConfig
from crossframe.model.xclip import XCLIP


class Text(torch.nn.Module):
    """The text encoder as a module of its own, as exporters want it."""

    def __init__(self, model: XCLIP) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model.encode_text(tokens)


def tiny(learned_vectors: int = 0) -> XCLIP:
    torch.manual_seed(0)
    config = ModelConfig(
        vision=VisionConfig(image_size=16, patch_size=8, width=24, layers=2, heads=3, mlp_width=40),
        text=TextConfig(
            vocab_size=64,
            context_length=12,
            width=16,
            layers=2,
            heads=2,
            mlp_width=32,
            learned_vectors=learned_vectors,
        ),
        embed_dim=20,
        num_frames=4,
        mit=MultiFrameConfig(layers=1, heads=2, mlp_width=40),
        prompts=PromptConfig(layers=1, heads=4, mlp_width=40),
    )
    return XCLIP(config).eval()


def labels(*lengths: int) -> Tensor:
    """Labels of these lengths, start and end included, among 12 places."""
    return torch.tensor([[62, *range(1, length - 1), 63] + [0] * (12 - length) for length in lengths])


def exported(model: XCLIP) -> Callable[[Tensor], Tensor]:
    shapes = ({0: torch.export.Dim("labels", min=1, max=1000)},)
    return torch.export.export(Text(model), (labels(3, 5),), dynamic_shapes=shapes).module()


def compiled(model: XCLIP) -> Callable[[Tensor], Tensor]:
    return torch.compile(model.encode_text, fullgraph=True, backend="eager")


@torch.no_grad()
@pytest.mark.parametrize("learned_vectors", [0, 3])
@pytest.mark.parametrize("record", [exported, compiled])
def test_one_graph_of_the_text_encoder_serves_labels_of_any_length(
    record: Callable[[XCLIP], Callable[[Tensor], Tensor]], learned_vectors: int
) -> None:
    model = tiny(learned_vectors)
    graph = record(model)
    for tokens in (labels(3, 5), labels(9, 4, 2)):
        torch.testing.assert_close(graph(tokens), model.encode_text(tokens), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_one_graph_of_the_whole_model_serves_any_number_of_clips_and_labels() -> None:
    model = tiny()
    shapes = ({0: torch.export.Dim("clips")}, {0: torch.export.Dim("labels")})
    graph = torch.export.export(model, (torch.randn(2, 4, 3, 16, 16), labels(3, 5)), dynamic_shapes=shapes).module()
    video, tokens = torch.randn(5, 4, 3, 16, 16), labels(9, 4, 2)
    torch.testing.assert_close(graph(video, tokens), model(video, tokens), rtol=1e-5, atol=1e-5)


def test_a_label_that_is_too_long_is_still_refused() -> None:
    with pytest.raises(ValueError, match="a label of 11 tokens does not fit into 9"):
        tiny(learned_vectors=3).encode_text(labels(11))
