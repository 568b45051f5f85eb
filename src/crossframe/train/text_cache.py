"""The texts of training tasks, tokenized or encoded once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from crossframe.model.xclip import XCLIP


class TextCache:
    """Token ids where the text encoder is trained, features where it is frozen; each text is computed once.

    Token ids stay on the processor: how long the longest text is would have to be asked of a GPU, and waited for.
    """

    def __init__(self, model: XCLIP) -> None:
        self._model = model
        self._trains_text = model.text is not None and any(p.requires_grad for p in model.text.parameters())
        self._known: dict[str, Tensor] = {}

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor | None, Tensor | None]:
        """Token ids (K, L) or features (K, E), the other being None; neither for a model with a linear head."""
        if self._model.text is None:
            return None, None
        if new := [text for text in dict.fromkeys(texts) if text not in self._known]:
            self._known.update(zip(new, self._compute(new), strict=True))
        rows = torch.stack([self._known[text] for text in texts])
        return (rows, None) if self._trains_text else (None, rows)

    @torch.no_grad()
    def _compute(self, texts: list[str]) -> Tensor:
        tokens = self._model.tokenize(texts)
        return (
            tokens.cpu()
            if self._trains_text
            else torch.cat([self._model.encode_text(part) for part in tokens.split(256)])
        )
