"""Lists of captions, published annotations, and retrieval in both directions."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from crossframe.data.captions import import_captions, read_captions
from crossframe.evaluate.ranking import ranks
from crossframe.evaluate.retrieval import both_ways, retrieve
from crossframe.video.decode import read_video
from tests.data.dataset import write_dataset, write_numbered
from tests.evaluate.world import small_model
from tests.video.clips import write_clip

TEXTS = ("hands clap", "somebody jumps", "a wave")


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_dataset(tmp_path_factory.mktemp("captions") / "set", per_class=2)
    for number, path in enumerate(sorted(folder.rglob("*.mp4"))):  # clips that no score ties
        if path.stem != "1" or path.parent.name != "jumping":
            noise = np.random.default_rng(number).integers(256, size=(8, 8, 8, 3), dtype=np.uint8)
            write_clip(path, frames=noise.repeat(4, axis=1).repeat(4, axis=2))
    rows = [
        f"{name}/{n}.mp4,{text}"
        for name, text in zip(("clapping", "jumping", "waving"), TEXTS, strict=True)
        for n in range(2)
    ]
    (folder / "list.csv").write_text("\n".join(["path,caption", *rows, "waving/0.mp4,good bye"]))
    return folder / "list.csv"


def test_a_clip_may_have_several_captions_and_a_caption_several_clips(listed: Path) -> None:
    given = read_captions(listed)
    assert (len(given.clips), given.texts) == (6, (*TEXTS, "good bye"))
    assert given.pairs[-2:] == ((5, 2), (4, 3))
    with pytest.raises(ValueError, match="has no split 'test'; it has no splits"):
        read_captions(listed, "test")


def test_scores_are_those_of_the_model_and_a_broken_clip_comes_last(listed: Path) -> None:
    given, model = read_captions(listed), small_model()
    found = retrieve(model, given)
    assert [failure["path"] for failure in found["failures"]] == ["jumping/1.mp4"]
    frames = [
        read_video(given.clips.locate(clip), num_frames=4, short_side=36).pixels
        for clip in given.clips.clips
        if clip.path != "jumping/1.mp4"
    ]
    with torch.inference_mode():
        logits = [model.eval()(model.prepare(clip), model.tokenize(given.texts))[0] for clip in frames]
    scores = np.full((6, 4), -1e30)
    scores[[0, 1, 2, 4, 5]] = torch.stack(logits).double().numpy()
    right = np.zeros((6, 4), dtype=bool)
    right[tuple(np.array(given.pairs).T)] = True
    ours = both_ways(scores, right)
    for way in ("text_to_video", "video_to_text"):
        assert found[way] == pytest.approx(ours[way], abs=1e-6)
    assert ours["text_to_video"]["recall_at_1"] == (ranks(scores.T, right.T) == 1).mean()


def test_msr_vtt_has_the_test_of_a_thousand_clips(tmp_path: Path) -> None:
    for number in range(3):
        write_numbered(tmp_path / f"video{number}.mp4")
    (tmp_path / "MSRVTT_data.json").write_text(
        json.dumps(
            {
                "videos": [
                    {"video_id": f"video{n}", "split": split} for n, split in enumerate(("train", "test", "test"))
                ],
                "sentences": [{"video_id": f"video{n}", "caption": f"text {n}{k}"} for n in range(4) for k in range(2)],
            }
        )
    )
    out = tmp_path / "list.csv"
    assert import_captions("msrvtt", tmp_path, None, out) == (3, 6, ["video3"])
    assert len(read_captions(out, "test").pairs) == 4
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text('key,vid_key,video_id,sentence\nret0,msr1,video1,"one, two"\n')
    assert import_captions("msrvtt", tmp_path, None, out) == (3, 5, ["video3"])
    assert read_captions(out, "test").texts == ("one, two",)
    assert len(read_captions(out, "train").pairs) == 4


def test_the_sentences_of_charades_sta_have_their_times(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "videos").mkdir()
    write_numbered(tmp_path / "videos" / "AO8RW.mp4")
    lines = ["AO8RW 0.0 1.5##a person sits.", "AO8RW 0.5 1.9##a person, seated, reads.", "ZZZZZ 0.0 6.9##gone"]
    (tmp_path / "charades_sta_test.txt").write_text("\n".join([*lines, "AO8RW 1.9 0.5##backward"]))
    out = tmp_path / "list.csv"
    assert import_captions("charades-sta", tmp_path / "videos", tmp_path, out) == (1, 2, ["ZZZZZ"])
    assert "1 lines end before they begin" in caplog.text
    with out.open(newline="") as file:
        assert list(csv.DictReader(file))[1] == {
            **{"path": "videos/AO8RW.mp4", "start": "0.5", "end": "1.9"},
            **{"caption": "a person, seated, reads.", "split": "test"},
        }
    captioned = read_captions(out, "test")
    assert [(clip.start, clip.end) for clip in captioned.clips.clips] == [(0.0, 1.5), (0.5, 1.9)]
    assert captioned.pairs == ((0, 0), (1, 1))
    (tmp_path / "charades_sta_test.txt").write_text("AO8RW 0.0##no end")
    with pytest.raises(ValueError, match=r"test\.txt, line 1: .* is not 'VIDEO START END##SENTENCE'"):
        import_captions("charades-sta", tmp_path / "videos", tmp_path, out)


def test_the_sentences_of_a_video_of_didemo_are_one_paragraph(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    write_numbered(tmp_path / "videos" / "a_1.mp4")
    entries = [{"video": "a_1.mov", "description": said, "times": [[0, 0]]} for said in ("a dog runs", "it sits ")]
    (tmp_path / "test_data.json").write_text(json.dumps(entries))
    out = tmp_path / "list.csv"
    assert import_captions("didemo", tmp_path / "videos", tmp_path, out) == (1, 1, [])
    with out.open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"path": "videos/a_1.mp4", "caption": "a dog runs it sits", "split": "test"}
        ]
    (tmp_path / "test_data.json").write_text('{"a": 1}')
    with pytest.raises(ValueError, match="holds a dict, not a list; get the file again"):
        import_captions("didemo", tmp_path / "videos", tmp_path, out)
    with pytest.raises(ValueError, match=r"MSRVTT_data\.json is not below"):
        import_captions("msrvtt", tmp_path / "videos", None, out)
