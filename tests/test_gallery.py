"""The page about one's own results."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossframe import gallery
from crossframe.gallery import Gallery

LABELS = ["arm wrestling", "cleaning a pool"]
MADE_WITH = {"model": "shapes", "labels": LABELS, "num_frames": 4}


def named(video: str, label: str = LABELS[0]) -> dict[str, object]:
    best = [{"label": label, "score": 0.75, "similarity": 0.2}]
    return {"video": video, "predictions": best, "frames": {"indices": [0, 1, 2, 3], "times": [], "total": 4}}


def test_many_clips_are_counted_and_the_first_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "SHOWN", 5)
    records = [named(f"<b>{number}.mp4", LABELS[number % 3 == 0]) for number in range(3000)]
    made = Gallery.of([*records, *({"video": "x.mp4", "error": f"bad {number}"} for number in range(7))])
    made.write(tmp_path / "page.html", MADE_WITH)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "3,000 of 3,007 videos were named" in text
    assert "The first 5 are shown." in text
    assert text.count('class="clip"') == 5
    assert "7 files could not be read. The first 5 are listed." in text
    assert "2,000" in text
    assert "No pictures: &lt;b&gt;0.mp4: does not exist" in text
    assert "<b>0" not in text


def test_a_page_without_a_named_clip_is_a_page(tmp_path: Path) -> None:
    Gallery.of([{"video": "x.mp4", "error": "x.mp4: is empty"}]).write(tmp_path / "page.html", MADE_WITH)
    assert "0 of 1 videos were named" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_what_counts_is_said_where_it_is_not_the_best_label_alone(tmp_path: Path) -> None:
    several = named("several.mp4") | {"start": 1.5, "end": None}
    several["predictions"] = [{"label": label, "score": 0.7, "group": "home"} for label in LABELS]
    records = [named("one.mp4") | {"accepted": LABELS[:1]}, several | {"accepted": LABELS[1:]}]
    Gallery.of([*records, named("none.mp4") | {"accepted": []}]).write(tmp_path / "page.html", MADE_WITH)
    one, part, none = (tmp_path / "page.html").read_text(encoding="utf-8").split('class="clip"')[1:]
    assert "counts" not in one + none
    assert "none of these" in none
    assert "none of these" not in one + part
    assert "several.mp4, 1.5 s to the end" in part
    assert part.index("home: arm wrestling") < part.index("home: cleaning a pool <small>counts")
    assert part.count("counts") == 1
