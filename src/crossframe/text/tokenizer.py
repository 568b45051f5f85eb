"""Texts to token ids: CLIP's tokenizer, that of a checkpoint's folder, or a small one trained on a corpus."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import tokenizers
import torch
from torch import Tensor

from crossframe.text import bpe
from crossframe.text.labels import clean

FILE_NAME = "tokenizer.json"

# An error shows the whole label unless it is longer than this many characters.
_SHOWN = 1000


class Tokenizer:
    """Turns texts into rows of token ids: start, the text, end, zeros up to the context length.

    The end token is the largest id that a row can hold; models pool the text at the position of the largest id.

    Texts go through `clean` first, as CLIP's did, and the ids equal those of OpenAI's own tokenizer, except for

    - a literal start or end token glued to punctuation ("!<|endoftext|>"): one token here, spelled out there;
    - characters whose class depends on the Unicode version (those assigned recently) or on case folding (U+0345).
    """

    pad = 0  # the id that fills a row up to the context length

    def __init__(self, backend: tokenizers.Tokenizer, context_length: int) -> None:
        """Wrap a tokenizer of the `tokenizers` library that knows the start and the end token.

        Raises:
            ValueError: the start or the end token is missing, or the context has no room for both.
        """
        start, end = backend.token_to_id(bpe.START), backend.token_to_id(bpe.END)
        if start is None or end is None:
            missing = bpe.START if start is None else bpe.END
            raise ValueError(f"the vocabulary has no token {missing}: only CLIP's family is supported")
        if context_length < 3:
            raise ValueError(f"context_length is {context_length}, which leaves no room for text: use 3 or more")
        _check_normalizer(backend)
        # A file may carry settings that cut or pad silently; both are done here, and in the open.
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        self._start: int = start
        self._end: int = end
        self.context_length = context_length

    @classmethod
    def clip(cls, context_length: int = 77) -> Tokenizer:
        """CLIP's tokenizer with its 49,408 tokens."""
        return cls(bpe.from_merges(bpe.clip_merges()), context_length)

    @classmethod
    def from_file(cls, path: str | Path, context_length: int) -> Tokenizer:
        """A `tokenizer.json`: what `save` writes, or that of a Hugging Face CLIP folder.

        Raises:
            ValueError: the file cannot be read, or is not a tokenizer of CLIP's family.
        """
        try:
            backend = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing more specific
            raise ValueError(f"cannot read a tokenizer from {path}: {error}") from error
        return cls._of_file(backend, context_length, Path(path))

    @classmethod
    def from_folder(cls, folder: str | Path, context_length: int) -> Tokenizer | None:
        """The tokenizer of a checkpoint's folder: `tokenizer.json`, or else `vocab.json` with `merges.txt`.

        Returns None when the folder has neither.

        Raises:
            ValueError: the files are there but cannot be read, or are not a tokenizer of CLIP's family.
        """
        folder = Path(folder)
        if (folder / FILE_NAME).is_file():
            return cls.from_file(folder / FILE_NAME, context_length)
        vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
        if not (vocabulary.is_file() and merges.is_file()):
            return None
        try:
            backend = bpe.from_files(vocabulary, merges)
        except Exception as error:  # the library raises nothing more specific
            raise ValueError(f"cannot read a tokenizer from {vocabulary} and {merges}: {error}") from error
        return cls._of_file(backend, context_length, vocabulary)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, context_length: int) -> Tokenizer:
        """Learn a vocabulary of at most `vocab_size` tokens from a corpus, with CLIP's conventions.

        Any text can be encoded afterwards, since every byte is a token. The same texts, in any order, give the same
        vocabulary; it is smaller than asked for when the corpus has no more pairs to merge.

        Raises:
            ValueError: `vocab_size` is too small for the bytes and the two special tokens.
        """
        room = vocab_size - bpe.SMALLEST_VOCABULARY
        if room < 0:
            raise ValueError(
                f"vocab_size is {vocab_size}: bytes and special tokens alone need {bpe.SMALLEST_VOCABULARY}"
            )
        merges = bpe.learn_merges(map(clean, _checked(texts)), room)
        return cls(bpe.from_merges(merges), context_length)

    @classmethod
    def _of_file(cls, backend: tokenizers.Tokenizer, context_length: int, path: Path) -> Tokenizer:
        try:
            return cls(backend, context_length)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @property
    def vocab_size(self) -> int:
        """The number of token ids, and so of rows that a text tower's embedding needs."""
        return self._backend.get_vocab_size()

    def __call__(self, texts: str | Sequence[str]) -> Tensor:
        """Encode one text or several: int64 (K, L) with L = `context_length`, padded with zeros.

        An empty text is encoded as start and end, as CLIP does; `check_labels` refuses empty labels.

        Raises:
            ValueError: a text has more tokens than the context holds, something is no str, or there are no texts.
        """
        texts = _checked(texts)
        if not texts:
            raise ValueError("there are no texts to encode: give at least one")
        tokens = torch.full((len(texts), self.context_length), self.pad, dtype=torch.int64)
        for row, text in zip(tokens, texts, strict=True):
            ids = self._encode(text)
            row[: len(ids)] = torch.tensor(ids)
        return tokens

    def decode(self, ids: Tensor | Sequence[int]) -> str:
        """The cleaned text of one row of ids, up to its end token, with one space between pieces."""
        row = cast("list[int]", ids.tolist()) if isinstance(ids, Tensor) else list(ids)
        if self._end in row:
            row = row[: row.index(self._end)]
        return self._backend.decode(row).strip()

    def save(self, folder: str | Path) -> Path:
        """Write `tokenizer.json` into `folder`, which is made if needed, and return its path."""
        path = Path(folder) / FILE_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._backend.to_str(pretty=False), encoding="utf-8")  # whose own errors are no OSError
        return path

    def _encode(self, text: str) -> list[int]:
        # One at a time: encoding in batches starts threads, which do not survive the fork of a loader's workers.
        body = self._backend.encode(clean(text), add_special_tokens=False).ids
        ids = [self._start, *body, self._end]
        if len(ids) > self.context_length:
            raise ValueError(
                f"the label {shown(text)} has {len(ids)} tokens, start and end included, and the model reads at most "
                f"{self.context_length}: shorten it"
            )
        if max(ids) > self._end:
            raise ValueError(
                f"the label {shown(text)} holds the token {self._backend.id_to_token(max(ids))!r}, whose id is above "
                f"that of the end token: reword it"
            )
        return ids


def _check_normalizer(backend: tokenizers.Tokenizer) -> None:
    """Raise ValueError for steps that make texts longer: nine of them in a row fill any memory."""
    steps: list[Any] = [json.loads(backend.normalizer.__getstate__())] if backend.normalizer else []
    while steps:
        step = steps.pop()
        steps += step.get("normalizers", ())
        if len(step.get("content", step.get("prepend", ""))) > 1:
            raise ValueError(
                f"its normalizer {step.get('type')} makes texts longer, which no tokenizer of CLIP's family does"
            )


def _checked(texts: object) -> list[str]:
    """The texts as a list of str, whatever the caller gave; one text counts as a list of one."""
    if isinstance(texts, str):
        return [texts]
    if isinstance(texts, bytes) or not isinstance(texts, Iterable):
        raise ValueError(f"texts must be a str or a sequence of str, not {type(texts).__name__}")
    checked: list[str] = []
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"text {position} is {text!r}, of type {type(text).__name__}: texts must be str")
        checked.append(text)
    return checked


def shown(text: str) -> str:
    """A label as an error quotes it."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
