"""The model as training sees it: one forward from clips and sentences to logits, and the sentences' features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from crossframe.model.xclip import XCLIP


class Learner(nn.Module):
    """One forward, which is what precision and data parallelism are wrapped around."""

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

        `weights` gives values, by the model's names, that stand in for its own; they are asked for in here because
        Fabric lowers the precision of tensors that it hands on.
        """
        if weights is not None:
            own = {f"model.{name}": weight for name, weight in weights().items()}
            return functional_call(self, own, (video, tokens, text))
        features = self.model.encode_video(video)
        if tokens is not None:
            text = self.model.encode_text(tokens)
        return self.model.score(features, text), features.embedding


class Sentences:
    """What the learner needs of sentences: their tokens where the text encoder learns, else their features.

    Both are computed once for each sentence: frozen weights always give the same features.
    """

    def __init__(self, model: XCLIP) -> None:
        self._model = model
        self._learns = model.text is not None and any(p.requires_grad for p in model.text.parameters())
        self._known: dict[str, Tensor] = {}

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor | None, Tensor | None]:
        """Tokens (K, L) or features (K, E); neither for a model with a linear head."""
        if self._model.text is None:
            return None, None
        if new := [text for text in dict.fromkeys(texts) if text not in self._known]:
            self._known.update(zip(new, self._look_up(new), strict=True))
        rows = torch.stack([self._known[text] for text in texts])
        return (rows, None) if self._learns else (None, rows)

    @torch.no_grad()
    def _look_up(self, texts: list[str]) -> Tensor:
        tokens = self._model.tokenize(texts)
        return tokens if self._learns else torch.cat([self._model.encode_text(part) for part in tokens.split(256)])
