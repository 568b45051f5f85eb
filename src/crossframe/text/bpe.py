"""Byte-pair encoding with CLIP's conventions, on the `tokenizers` library.

A cleaned text is split into words, single digits and runs of punctuation; each of them becomes bytes, spelled as
printable characters, of which the last carries the end-of-word mark; then pairs merge in the order of a list of merges.
The ids are, in this order: 256 bytes, 256 bytes that end a word, one token for each merge, the start token, the end
token. So a list of merges is the whole vocabulary, and the end token always has the largest id.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

START = "<|startoftext|>"
END = "<|endoftext|>"

Merge = tuple[str, str]

_END_OF_WORD = "</w>"
# Contractions, words, single digits, runs of anything else that is visible.
_PIECES = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
# Code-point order of the printable spelling of bytes is the order of CLIP's ids.
_BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
_ENDING_BYTES = [byte + _END_OF_WORD for byte in _BYTES]

SMALLEST_VOCABULARY = len(_BYTES) + len(_ENDING_BYTES) + len((START, END))


def from_merges(merges: Sequence[Merge]) -> Tokenizer:
    """The tokenizer of a list of merges, with ids in the order given above."""
    tokens = [*_BYTES, *_ENDING_BYTES, *(first + second for first, second in merges), START, END]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return _assemble(models.BPE(vocabulary, list(merges), end_of_word_suffix=_END_OF_WORD, unk_token=END))


def from_files(vocabulary: Path, merges: Path) -> Tokenizer:
    """The tokenizer of `vocab.json` and `merges.txt`, the older of the two layouts on the hub."""
    return _assemble(models.BPE.from_file(str(vocabulary), str(merges), end_of_word_suffix=_END_OF_WORD, unk_token=END))


def clip_merges() -> list[Merge]:
    """CLIP's 48,894 merges, which `scripts/build_clip_tokenizer.py` put beside this file."""
    packed = files("crossframe.text").joinpath("clip_merges.txt.gz").read_bytes()
    return [_pair(line) for line in gzip.decompress(packed).decode("utf-8").split("\n")]


def learn_merges(texts: Iterable[str], count: int) -> list[Merge]:
    """At most `count` merges, most frequent pairs first; fewer when the texts hold no more.

    The order of the texts does not matter and ties break the same way everywhere: the trainer numbers unseen symbols
    in an order that changes from run to run, so every symbol is numbered for it in advance.
    """
    tokenizer = _assemble(models.BPE(end_of_word_suffix=_END_OF_WORD))
    trainer = trainers.BpeTrainer(
        vocab_size=len(_BYTES) + len(_ENDING_BYTES) + count,
        special_tokens=[AddedToken(byte, special=True) for byte in _ENDING_BYTES],
        initial_alphabet=_BYTES,
        end_of_word_suffix=_END_OF_WORD,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    learned: list[list[str]] = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(first, second) for first, second in learned]


def _assemble(model: models.BPE) -> Tokenizer:
    """Everything around the merges. The normalizer only serves other readers of a file: `labels.clean` does more."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace(_END_OF_WORD, " ")])
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
    if start is not None and end is not None:
        tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in (START, END)])
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{START} $A {END}", special_tokens=[(START, start), (END, end)]
        )
    return tokenizer


def _pair(line: str) -> Merge:
    first, second = line.split(" ")
    return first, second
