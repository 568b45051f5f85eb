"""The model as training calls it: one forward from clips and texts to logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torch.func import functional_call

from crossframe.model.xclip import XCLIP


class Learner(nn.Module):
    """The one module that precision and data parallelism wrap."""

    def __init__(self, model: XCLIP) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        video: Tensor,
        tokens: Tensor | None,
        text: Tensor | None,
        weights: Callable[[], Mapping[str, Tensor]] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """float (B, T, 3, S, S) with token ids (K, L), or with text features (K, E) -> logits (B, K), embedding (B, E).

        `weights` gives tensors, by parameter name, to be used in place of the model's own. It is a function because
        Fabric lowers the precision of tensors that it is passed.
        """
        if weights is not None:
            own = {f"model.{name}": weight for name, weight in weights().items()}
            return functional_call(self, own, (video, tokens, text))
        features = self.model.encode_video(video)
        if tokens is not None:
            text = self.model.encode_text(tokens)
        return self.model.score(features, text), features.embedding
