"""Texts to token ids as families other than CLIP do: how they clean, what they put around a text, how they pad."""

from __future__ import annotations

import html
import json
import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import ftfy
import tokenizers
from torch import Tensor

from crossframe.text.tokenizer import FILE_NAME, Tokenizer, shown

Cleaning = Literal["canonicalize", "whitespace", "lower"]

_WHITESPACE = re.compile(r"\s+")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
# Vocabularies that `tokenizers` cannot read by themselves; transformers makes a `tokenizer.json` of each.
_SENTENCEPIECE = ("spiece.model", "tokenizer.model", "sentencepiece.bpe.model")


def _whitespace(text: str) -> str:
    return _WHITESPACE.sub(" ", html.unescape(html.unescape(ftfy.fix_text(text)))).strip()


def _canonicalize(text: str) -> str:
    plain = _whitespace(text).replace("_", " ").translate(_NO_PUNCTUATION)
    return _WHITESPACE.sub(" ", plain.lower()).strip()


CLEANING: dict[Cleaning, Callable[[str], str]] = {
    "canonicalize": _canonicalize,  # SigLIP and SigLIP 2
    "whitespace": _whitespace,  # MetaCLIP 2
    "lower": str.lower,  # TIPSv2
}


@dataclass(frozen=True, slots=True)
class Conventions:
    """How a text becomes a row of ids: it is cleaned, `start` and `end` are put around it (None: nothing), and `pad`
    fills the rest of the context, on the right."""

    cleaning: Cleaning
    start: int | None
    end: int | None
    pad: int

    def __post_init__(self) -> None:
        if self.cleaning not in CLEANING:
            raise ValueError(f"the cleaning {self.cleaning!r} of texts is unknown; known are {', '.join(CLEANING)}")


class FamilyTokenizer(Tokenizer):
    """The tokenizer of a family other than CLIP, from the `tokenizer.json` of its folder."""

    def __init__(self, backend: tokenizers.Tokenizer, context_length: int, conventions: Conventions) -> None:
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        self.context_length = context_length
        self.conventions = conventions
        self.pad = conventions.pad

    @classmethod
    def read(cls, folder: Path, context_length: int, conventions: Conventions) -> FamilyTokenizer | None:
        """The tokenizer of a checkpoint's folder; None where it has none. Raises `ValueError` for one without the file
        that is read, or with a damaged one."""
        path = folder / FILE_NAME
        if not path.is_file():
            if found := [name for name in _SENTENCEPIECE if (folder / name).is_file()]:
                raise ValueError(
                    f"{folder} has {found[0]} and no {FILE_NAME}, which alone is read: make it with transformers' "
                    "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
                )
            return None
        try:
            backend = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing more specific
            raise ValueError(f"cannot read a tokenizer from {path}: {error}") from error
        return cls(backend, context_length, conventions)

    def decode(self, ids: Any) -> str:
        """The cleaned text of one row of ids, without padding."""
        row = cast("list[int]", ids.tolist() if isinstance(ids, Tensor) else list(ids))
        if self.conventions.end in row:
            row = row[: row.index(self.conventions.end)]
        return self._backend.decode([i for i in row if i not in (self.conventions.start, self.pad)]).strip()

    def _encode(self, text: str) -> list[int]:
        start, end = ([] if i is None else [i] for i in (self.conventions.start, self.conventions.end))
        body = self._backend.encode(CLEANING[self.conventions.cleaning](text), add_special_tokens=False).ids
        ids = [*start, *body, *end]
        if not body:
            raise ValueError(f"nothing of the label {shown(text)} is left when it is cleaned: reword it")
        if len(ids) > self.context_length:
            raise ValueError(
                f"the label {shown(text)} has {len(ids)} tokens, those around it included, and the model reads at most "
                f"{self.context_length}: shorten it"
            )
        return ids


def pad_id(folder: Path, usual: int) -> int:
    """The id of the padding token that a folder's `tokenizer_config.json` names; `usual` where it names none."""
    settings = folder / "tokenizer_config.json"
    if not (settings.is_file() and (folder / FILE_NAME).is_file()):
        return usual
    token = json.loads(settings.read_text(encoding="utf-8")).get("pad_token")
    token = token.get("content") if isinstance(token, dict) else token
    found = tokenizers.Tokenizer.from_file(str(folder / FILE_NAME)).token_to_id(token) if token else None
    return usual if found is None else found
