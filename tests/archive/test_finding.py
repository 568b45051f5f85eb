"""Questions to an index of drawn clips: scores are those of `classify`, and the answers show themselves."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import crossframe
from crossframe import pages
from crossframe.archive.duplicates import duplicates, without
from crossframe.archive.finding import Finder
from crossframe.archive.hits import write_list, write_page
from crossframe.data.manifest import read_manifest
from crossframe.recognizer import Recognizer
from tests.archive.conftest import make_index

WORDS = "a square moving to the left"


@pytest.mark.parametrize("kind", ["indexed", "plain"])
def test_scores_of_the_second_stage_are_those_of_classify_to_the_last_bit(
    kind: str, clips: list[Path], shapes: Recognizer, request: pytest.FixtureRequest
) -> None:
    finder = Finder(request.getfixturevalue(kind), shapes)
    hits = finder.find(WORDS, top=4, rerank=12)
    expected = {str(path): float(shapes.classify(path, [WORDS]).similarities[0]) for path in clips}
    best = sorted(expected, key=lambda name: -expected[name])[:4]
    assert [hit.source for hit in hits] == best
    assert [hit.similarity for hit in hits] == [expected[name] for name in best]
    assert all(hit.reranked for hit in hits)
    first = finder.find(WORDS, top=12, rerank=0)
    assert not any(hit.reranked for hit in first)
    vectors = shapes.embed_videos(clips) @ shapes.embed_texts([WORDS])[0]
    assert [hit.source for hit in first] == [str(clips[place]) for place in vectors.argsort(descending=True)]
    assert np.allclose([hit.similarity for hit in first], vectors.sort(descending=True).values, atol=1e-5)


def test_where_summaries_are_kept_no_video_is_read_again(
    indexed: Path, plain: Path, shapes: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recognizer, "classify_each", lambda *given: pytest.fail("a video is read"))
    assert all(hit.reranked for hit in Finder(indexed, shapes).find(WORDS))
    assert not any(hit.reranked for hit in Finder(plain, shapes).find(WORDS))


def test_an_example_finds_itself_and_joins_words(clips: list[Path], indexed: Path, shapes: Recognizer) -> None:
    finder = Finder(indexed, shapes)
    (best, *_) = finder.find(like=clips[5], top=3)
    assert (best.source, best.reranked) == (str(clips[5]), False)
    assert best.similarity == pytest.approx(1, abs=1e-5)
    likeness = shapes.embed_videos(clips) @ shapes.embed_videos([clips[5]])[0]
    words = torch.stack([shapes.classify(path, [WORDS]).similarities[0] for path in clips])
    both = {hit.source: hit.similarity for hit in finder.find(WORDS, like=clips[5], top=12)}
    assert np.allclose([both[str(path)] for path in clips], (likeness + words) / 2, atol=1e-5)
    vectors = shapes.embed_videos(clips) @ shapes.embed_texts([WORDS])[0]
    first = {hit.source: hit.similarity for hit in finder.find(WORDS, like=clips[5], top=12, rerank=0)}
    assert np.allclose([first[str(path)] for path in clips], (likeness + vectors) / 2, atol=1e-5)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_picture_is_a_clip_in_which_nothing_moves(
    as_bytes: bool, clips: list[Path], indexed: Path, shapes: Recognizer, tmp_path: Path
) -> None:
    (tmp_path / "still 1.jpg").write_bytes(pages.jpeg(crossframe.read_video(clips[2]).pixels[4]))
    image = (tmp_path / "still 1.jpg").read_bytes() if as_bytes else tmp_path / "still 1.jpg"
    still = crossframe.read_video((tmp_path / "still 1.jpg").read_bytes(), 1).pixels.repeat(8, 1, 1, 1)
    expected = shapes.embed_videos(clips) @ shapes.embed_videos([still])[0]
    hits = Finder(indexed, shapes).find(image=image, top=2)
    assert [hit.source for hit in hits] == [str(clips[place]) for place in expected.argsort(descending=True)[:2]]


def test_an_index_of_other_weights_is_refused_in_one_line(indexed: Path, tiny_folder: Path) -> None:
    with pytest.raises(ValueError, match=r"was made with weights \w{12} of shapes, and these are \w{12}; ") as told:
        Finder(indexed, Recognizer.from_pretrained(tiny_folder))
    assert "\n" not in str(told.value)


def test_no_question_and_an_example_that_is_not_there(indexed: Path, shapes: Recognizer) -> None:
    finder = Finder(indexed, shapes)
    with pytest.raises(ValueError, match="there is no question"):
        finder.find(" ")
    for question in ({"like": "gone.mp4"}, {"image": "gone.jpg"}):
        with pytest.raises(crossframe.VideoError, match="gone"):
            finder.find(**question)


def test_a_clip_that_has_gone_is_named_behind_the_others(clips: list[Path], shapes: Recognizer, tmp_path: Path) -> None:
    copies = [shutil.copy(path, tmp_path / path.name) for path in clips[:4]]
    make_index(tmp_path / "index", copies, shapes, summary=False)
    copies[1].unlink()
    hits = Finder(tmp_path / "index", shapes).find(WORDS, rerank=4)
    assert [hit.error is None for hit in hits] == [True, True, True, False]
    assert hits[-1].to_dict()["error"] == f"{copies[1]}: does not exist; check the path"
    write_page(tmp_path / "page.html", hits, "<b>", {"rows": 4, "model": "shapes"})
    page = (tmp_path / "page.html").read_text()
    assert page.count("<img") == 24
    assert page.count("No pictures:") == 1
    assert "<b>" not in page


def test_copies_are_found_and_left_out(clips: list[Path], shapes: Recognizer, tmp_path: Path) -> None:
    given = [*clips[:5], *(shutil.copy(clips[place], tmp_path / f"copy-{place}.mp4") for place in (1, 3, 3))]
    given[-1] = shutil.copy(clips[3], tmp_path / "again.mp4")
    store = make_index(tmp_path / "index", given, shapes, summary=False)
    groups = duplicates(store, 0.9999)
    names = [[Path(hit.source).name for hit in group] for group in groups]
    assert names == [["3.mp4", "copy-3.mp4", "again.mp4"], ["1.mp4", "copy-1.mp4"]]
    assert all(hit.similarity == pytest.approx(1, abs=1e-5) for group in groups for hit in group)
    assert [hit.source for hit in without(store, groups)] == [str(path) for path in clips[:5]]
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patched:  # through the index, as of many rows
        patched.setattr("crossframe.archive.duplicates.ALL_PAIRS", 2)
        assert [[Path(hit.source).name for hit in group] for group in duplicates(store, 0.9999)] == names


def test_a_list_of_answers_is_one_that_training_reads(clips: list[Path], plain: Path, shapes: Recognizer) -> None:
    out = clips[0].parent / "found.csv"
    hits = Finder(plain, shapes).find(WORDS, top=3)
    assert write_list(out, hits, WORDS) == 3
    manifest = read_manifest(out)
    assert manifest.labels == (WORDS,)
    assert [str(manifest.locate(clip)) for clip in manifest.clips] == [hit.source for hit in hits]
