"""The table of vectors: what it finds, how it grows, and what is left of it when a process dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from crossframe.archive import store as module
from crossframe.archive.store import Row, Store

WIDTH = 16
RUN = {"weights": "a" * 64, "model": "x", "precision": "float32", "num_frames": 4, "width": WIDTH, "features": 0}

# Adds groups of 50 rows without an end, and says so after each.
ENDLESS = """
import sys
from itertools import count
from tests.archive.test_store import rows
from crossframe.archive.store import Store
store = Store.open(__import__("pathlib").Path(sys.argv[1]))
for group in count():
    store.add(rows(50, first=50 * group))
    print(group, flush=True)
"""

# Adds groups of 50 rows, takes the one before last away, and tidies up now and then; closes its output when done.
GROWING = """
import sys
from pathlib import Path
from tests.archive.test_store import rows
from crossframe.archive.store import Store
store = Store.open(Path(sys.argv[1]))
for group in range(12):
    store.add(rows(50, first=50 * group))
    store.remove_clips([row["source"] for row in rows(50, first=50 * (group - 2))] if group > 1 else [])
    if group % 4 == 3:
        store.finish()
"""


def rows(count: int, first: int = 0) -> list[Row]:
    """Unit vectors around a few middles, as those of videos are."""
    random = np.random.default_rng(first)
    middles = np.random.default_rng(7).standard_normal((20, WIDTH))
    vectors = middles[random.integers(0, 20, count)] + 0.5 * random.standard_normal((count, WIDTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"/clips/{number}.mp4" for number in range(first, first + count)]
    times = [None if number % 3 else (1.0, 2.0) for number in range(count)]
    return [
        {
            "video": name,
            "source": name,
            "start": at and at[0],
            "end": at and at[1],
            "label": "ab"[at is None],
            "vector": v,
        }
        for name, at, v in zip(names, times, vectors.astype(np.float32), strict=True)
    ]


def at_work(code: str, folder: Path) -> subprocess.Popen[bytes]:
    """A process of its own that changes an index."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, env=environment)


def test_the_nearest_are_those_of_numpy_with_their_cosines(tmp_path: Path) -> None:
    store, given = Store.create(tmp_path / "index", RUN), rows(300)
    assert store.add(given) == len(store) == 300
    question = given[17]["vector"] + 0.1
    cosines = np.stack([row["vector"] for row in given]) @ question / np.linalg.norm(question)
    best = np.argsort(-cosines)[:5]
    found = store.nearest(question, 5)
    assert [row["source"] for row in found] == [given[place]["source"] for place in best]
    assert np.allclose([row["cosine"] for row in found], cosines[best], atol=1e-6)
    where = store.nearest(question, 300, where="label = 'a' AND \"end\" < 3")
    assert [row["source"] for row in where] == [
        given[place]["source"] for place in np.argsort(-cosines) if given[place]["start"] is not None
    ]
    listed, vectors = store.vectors("video = '/clips/3.mp4'")
    assert (listed[0]["start"], listed[0]["label"]) == (1.0, "a")
    assert np.array_equal(vectors[0], given[3]["vector"])


def test_what_is_removed_is_not_found_and_a_reader_sees_what_others_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRESH", timedelta(0))
    store, given = Store.create(tmp_path / "index", RUN), rows(20)
    store.add(given[:10])
    reader = Store.open(tmp_path / "index")
    assert len(reader) == 10
    store.add(given[10:])
    assert store.remove("source = '/clips/2.mp4'") == 1
    store.finish()
    assert len(reader) == 19
    assert ("/clips/2.mp4", None, None) not in reader.known()
    assert ("/clips/3.mp4", 1.0, 2.0) in reader.known()
    assert reader.nearest(given[2]["vector"], 1)[0]["source"] != "/clips/2.mp4"


def test_of_many_rows_most_are_left_out_as_the_measured_recall_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EXACT", 1000)
    store, given = Store.create(tmp_path / "index", RUN), rows(3000)
    store.add(given[:900])
    store.finish()
    assert store.recall() is None
    store.add(given[900:])
    store.finish()
    told = store.recall()
    assert told is not None
    assert told["recall"] >= module.RECALL
    assert told["cells"] < 54  # the square root of the rows
    hits = 0
    for row in given[:50]:
        exact = [found["source"] for found in store.nearest(row["vector"], 10, exact=True)]
        hits += len({found["source"] for found in store.nearest(row["vector"], 10)} & {*exact})
    assert hits / 500 > 0.95
    more = rows(1, first=5000)  # which came after the tree of cells was made
    store.add(more)
    assert store.nearest(more[0]["vector"], 1)[0]["source"] == "/clips/5000.mp4"


def test_rows_before_an_interruption_are_kept(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "index", RUN)

    def interrupted():
        yield from rows(7)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.add(interrupted())
    assert len(Store.open(tmp_path / "index")) == 7


def test_a_killed_process_leaves_whole_steps_that_are_gone_on_with(tmp_path: Path) -> None:
    Store.create(tmp_path / "index", RUN)
    told = 0
    for _ in range(2):
        with at_work(ENDLESS, tmp_path / "index") as process:
            assert process.stdout is not None
            for _ in range(3):
                process.stdout.readline()
                told += 50
            process.send_signal(signal.SIGKILL)
        store = Store.open(tmp_path / "index")
        assert len(store) >= told
        assert len(store) % 50 == 0
        told = len(store)
    question = rows(50)[0]["vector"]
    assert store.nearest(question, 1)[0]["cosine"] == pytest.approx(1, abs=1e-5)
    store.finish()
    assert len(store) == told


def test_readers_see_whole_steps_while_another_process_adds_and_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRESH", timedelta(0))
    Store.create(tmp_path / "index", RUN).add(rows(50, first=5000))
    reader = Store.open(tmp_path / "index")
    question = rows(50, first=5000)[0]["vector"]
    seen: set[tuple[int, ...]] = set()
    with at_work(GROWING, tmp_path / "index") as process:
        while process.poll() is None:
            groups = Counter(int(Path(row["source"]).stem) // 50 for row in reader.rows())
            assert set(groups.values()) == {50}
            seen.add(tuple(sorted(groups)))
            assert reader.nearest(question, 1)[0]["source"] == "/clips/5000.mp4"
            assert len({row["source"] for row in reader.nearest(question, 60)}) >= 50
    assert process.returncode == 0
    assert len(seen) > 2
    assert sorted(Counter(int(Path(row["source"]).stem) // 50 for row in reader.rows())) == [10, 11, 100]


HALF = ("score > 9 AN video = 'x'", "score > 9; DROP TABLE clips", "score > 9, label", "score > 9) AN (score > 8")


@pytest.mark.parametrize("where", ["labl = 'a'", "label = '", "label > 3 AND", *HALF])
def test_a_condition_that_is_none_is_told_in_one_line(tmp_path: Path, where: str) -> None:
    store = Store.create(tmp_path / "index", RUN)
    store.add(rows(3))
    for ask in (lambda: store.nearest(rows(1)[0]["vector"], 1, where=where), lambda: store.remove(where)):
        with pytest.raises(ValueError, match="is no condition") as told:
            ask()
        assert str(told.value).count("\n") == 0
    assert len(store) == 3


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no index; make one with crossframe index"):
        Store.open(tmp_path)
    (tmp_path / "part-00000.parquet").touch()
    with pytest.raises(
        ValueError, match=r"is annotated, and no index yet; make one with crossframe index .* --out .*-index"
    ):
        Store.open(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match="is there already"):
        Store.create(tmp_path, RUN)
    (tmp_path / "bad" / "clips.lance").mkdir(parents=True)
    with pytest.raises(ValueError, match="cannot be read"):
        Store.open(tmp_path / "bad")
