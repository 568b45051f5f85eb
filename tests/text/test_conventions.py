"""Texts become the ids that families other than CLIP were trained with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers

from crossframe.text.conventions import CLEANING, Conventions, FamilyTokenizer, pad_id

WORDS = ["<pad>", "</s>", "<unk>", "playing", "guitar", "Playing", "_", "Guitar!", "guitar!"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    backend = Backend(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.enable_padding(direction="left", length=9)  # a folder may say so; rows are padded on the right all the same
    backend.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.mark.parametrize(
    ("cleaning", "text", "cleaned"),
    [
        ("canonicalize", "  Playing_Guitar!\n&amp;amp; more ", "playing guitar more"),
        ("canonicalize", "It's (a) T-shirt", "its a tshirt"),
        ("whitespace", "  Playing_Guitar!\n&amp;amp; more ", "Playing_Guitar! & more"),
        ("lower", "Playing  Guitar!", "playing  guitar!"),
    ],
)
def test_texts_are_cleaned_as_each_family_does(cleaning: str, text: str, cleaned: str) -> None:
    assert CLEANING[cleaning](text) == cleaned


@pytest.mark.parametrize(
    ("conventions", "row"),
    [
        (Conventions("canonicalize", None, 1, 1), [3, 4, 1, 1, 1, 1]),  # SigLIP
        (Conventions("canonicalize", None, 1, 0), [3, 4, 1, 0, 0, 0]),  # SigLIP 2
        (Conventions("whitespace", 0, 2, 1), [0, 5, 7, 2, 1, 1]),  # MetaCLIP 2
        (Conventions("lower", None, None, 0), [3, 8, 0, 0, 0, 0]),  # TIPSv2
    ],
)
def test_rows_are_padded_on_the_right_with_the_familys_own_ids(
    folder: Path, conventions: Conventions, row: list[int]
) -> None:
    tokenizer = FamilyTokenizer.read(folder, 6, conventions)
    assert tokenizer is not None
    assert tokenizer("Playing Guitar!").tolist() == [row]
    assert tokenizer.decode(torch.tensor(row)).lower().replace("!", "") == "playing guitar"
    with pytest.raises(ValueError, match="and the model reads at most 6: shorten it"):
        tokenizer("guitar " * 7)


def test_a_label_of_punctuation_alone_is_refused(folder: Path) -> None:
    tokenizer = FamilyTokenizer.read(folder, 6, Conventions("canonicalize", None, 1, 1))
    assert tokenizer is not None
    with pytest.raises(ValueError, match=r"nothing of the label '\?!' is left"):
        tokenizer("?!")


def test_the_folder_says_how_it_pads(folder: Path) -> None:
    assert pad_id(folder, 5) == 5
    (folder / "tokenizer_config.json").write_text('{"pad_token": "<pad>"}')
    assert pad_id(folder, 5) == 0
    (folder / "tokenizer_config.json").write_text('{"pad_token": {"content": "</s>"}}')
    assert pad_id(folder, 5) == 1


def test_a_vocabulary_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert FamilyTokenizer.read(tmp_path, 6, Conventions("lower", None, None, 0)) is None
    (tmp_path / "spiece.model").write_bytes(b"")
    with pytest.raises(ValueError, match=r"spiece\.model and no tokenizer\.json, which alone is read"):
        FamilyTokenizer.read(tmp_path, 6, Conventions("lower", None, None, 0))
