"""A whole archive through Ray: every video once, answers as those of `classify`, however often it is killed."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import psutil
import pyarrow.parquet as parquet
import pytest

import crossframe
from crossframe.archive.decoding import Cutter, Decoder, Job, Reading
from crossframe.archive.pipeline import _without_own_kills
from crossframe.recognizer import Recognizer
from crossframe.shapes.splits import draw
from crossframe.shapes.write import write_clip
from crossframe.video.exact import open_video
from crossframe.video.given import Limits, Video
from tests.cli.conftest import Run, command  # noqa: F401 - a fixture

LABELS = ["moving to the left", "growing"]
WORDS = [word for label in LABELS for word in ("-l", label)]
SECONDS = 600  # a command that takes longer is ended
DRAWN = 200  # clips; more are the same by other names


def rows(out: Path) -> list[dict[str, object]]:
    return [row for part in sorted(out.glob("part-*.parquet")) for row in parquet.read_table(part).to_pylist()]


def test_readers_give_each_window_its_frames_and_each_file_its_error(clips: list[Path], tmp_path: Path) -> None:
    import pickle

    (tmp_path / "bad.mp4").write_bytes(b"no video")
    videos = [Video(clips[0]), Video(tmp_path / "bad.mp4"), Video(clips[1], 0.2, 0.8)]
    view = {"sampling": "sparse", "stream": None, "short_side": 54}
    reading = Reading(4, view, Limits(), window=0.5, stride=0.25)
    cut = Cutter(reading)({"job": [pickle.dumps(Job(video)) for video in videos]})["job"]
    jobs = [pickle.loads(job) for job in cut]
    assert [job.video for job in jobs] == videos
    assert jobs[1].spans == ()
    assert jobs[2].spans[0] == (0.2, 0.7)
    assert (jobs[2].spans[-1][1], jobs[2].windows) == (0.8, len(jobs[2].spans))
    batch = Decoder(reading)({"job": cut})
    frames = [pickle.loads(one) for one in batch["frames"]]
    parts = [pickle.loads(job) for job in batch["job"]]
    assert len(frames) == len(parts) == len(jobs[0].spans) + 1 + len(jobs[2].spans)
    bad = len(jobs[0].spans)
    assert "is not a video" in str(frames[bad])
    for part, found in zip(parts, frames, strict=True):
        if part.video.source != tmp_path / "bad.mp4":
            alone = crossframe.read_video(part.video, 4, short_side=54)
            assert found.indices.tolist() == alone.indices.tolist()
            assert (found.pixels == alone.pixels.permute(0, 2, 3, 1).numpy()).all()
    again = Cutter(reading)({"job": [pickle.dumps(Job(videos[2], frozenset(jobs[2].spans[:1])))]})["job"]
    assert pickle.loads(again[0]).spans == jobs[2].spans[1:]


def test_annotate_gives_each_video_a_row_and_search_takes_them(
    command: Run,  # noqa: F811
    clips: list[Path],
    tmp_path: Path,
) -> None:
    folder, out = tmp_path / "clips", tmp_path / "out"
    folder.mkdir()
    for clip in clips[:5]:
        (folder / clip.name).symlink_to(clip)
    (folder / "bad.mp4").write_bytes(b"no video")
    words = ["annotate", folder, "--out", out, *WORDS, "--model", "shapes", "--precision", "float32", "--summary"]
    outcome = command(*words)
    assert outcome.status == 1
    assert outcome.out == f"{out}: 5 results, 1 error; --retry tries again what ended in an error\n"
    assert "bad.mp4: is not a video" in outcome.err
    recognizer = Recognizer.from_pretrained("shapes", precision="float32")
    found = {str(row["video"]): row for row in rows(out)}
    assert sorted(found) == sorted(map(str, folder.iterdir()))
    for name, row in found.items():
        if name.endswith("bad.mp4"):
            assert "is not a video" in str(row["error"])
            continue
        expected = recognizer.classify(name, LABELS)
        assert row["predictions"] == [{"group": None, **entry} for entry in expected.to_dict()["predictions"]]
        assert (row["label"], row["accepted"]) == (expected.label, list(expected.accepted))
        assert row["frames"] == expected.to_dict()["frames"]
        with open_video(name) as video:
            assert row["duration"] == video.duration
    outcome = command(*words)  # nothing is missing, and so Ray is not started
    assert outcome.status == 1
    assert outcome.out == f"{out}: 5 results, 1 error; --retry tries again what ended in an error\n"
    outcome = command("index", out, "--out", tmp_path / "index")
    assert outcome.out == f"{tmp_path / 'index'}: 5 clips added, 5 in the index\n"
    outcome = command("search", tmp_path / "index", "a circle", "--where", f"label = '{LABELS[0]}'", "--json")
    assert outcome.out.count('"reranked": true') == sum(row["label"] == LABELS[0] for row in found.values())


@pytest.mark.parametrize("kind", [Exception, ConnectionError])
def test_ray_that_does_not_start_is_told_in_one_line(
    kind: type[Exception],
    command: Run,  # noqa: F811
    clips: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def late(*_: object, **__: object) -> None:
        raise kind("The current node timed out during startup.\nThis could happen because")

    monkeypatch.setattr("ray.init", late)
    outcome = command("annotate", clips[0], "--out", tmp_path / "out", *WORDS, "--model", "shapes")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "Ray cannot be reached or started (The current node timed out during startup.)" in outcome.err


def test_messages_of_workers_that_are_ended_here_do_not_come(capsys: pytest.CaptureFixture[str]) -> None:
    from ray._private import worker

    def tell(line: str) -> str:
        worker.print_to_stdstream({"lines": [line], "pid": "raylet", "is_err": False}, ignore_prefix=False)
        return capsys.readouterr().out

    ended = "Task MapWorker failed. There are infinite retries remaining. It was killed by `ray.kill`."
    assert ended in tell(ended)
    with _without_own_kills():
        assert tell(ended.replace("MapWorker", "Another")) == ""
        assert "memory runs low" in tell("memory runs low")


@contextmanager
def two_nodes() -> Iterator[str]:
    """The address of a cluster of two nodes of one core on this machine, whose token only this process knows."""
    folder = Path(mkdtemp(prefix="ray"))  # names of sockets must be short
    port = 20000 + os.getpid() % 20000
    ray = str(Path(sys.executable).with_name("ray"))
    size = ["--num-cpus=1", "--object-store-memory=200000000", "--block"]
    head = [ray, "start", "--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}", *size]
    nodes = [subprocess.Popen(head, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
    try:
        wait_for(lambda: bool([*folder.glob("session_latest/sockets/raylet*")]))
        address = f"127.0.0.1:{port}"
        nodes.append(
            subprocess.Popen(
                [ray, "start", f"--address={address}", *size], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
        yield address
    finally:
        for node in reversed(nodes):
            below = psutil.Process(node.pid).children(recursive=True) if node.poll() is None else []
            for process in [*below, node]:
                if process.pid != os.getpid():
                    process.kill()
            node.wait()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(ready) -> None:
    for _ in range(10 * SECONDS):
        if ready():
            return
        time.sleep(0.1)
    pytest.fail("nothing came")


def wait_for_a_part(out: Path, driver: subprocess.Popen[bytes]) -> None:
    """Until there is one more; the command must still be at work then."""
    before = len([*out.glob("part-*")])
    wait_for(lambda: len([*out.glob("part-*")]) > before or driver.poll() is not None)
    assert driver.poll() is None


@pytest.mark.slow
@pytest.mark.parametrize(("sound", "broken", "kills"), [(1960, 40, 10)])
def test_an_archive_on_two_nodes_is_whole_after_kills_of_driver_and_workers(
    sound: int, broken: int, kills: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    folder, out = tmp_path / "clips", tmp_path / "out"
    folder.mkdir()
    for number in range(sound):
        if number < DRAWN:
            write_clip(draw("test", 9, number), folder / f"{number}.mp4")
        else:
            os.link(folder / f"{number % DRAWN}.mp4", folder / f"{number}.mp4")
    for number in range(broken):
        (folder / f"bad-{number}.mp4").write_bytes((folder / f"{number}.mp4").read_bytes()[:2000])
    with two_nodes() as address:
        words = [sys.executable, "-m", "crossframe", "annotate", str(folder), "--out", str(out), *WORDS]
        words += ["--model", "shapes", "--precision", "float32", "--address", address]
        for kill in range(kills):
            # parts as small as a batch, so that each kill leaves some work done
            code = f"import crossframe.archive.results as p; p.ROWS = {max(1, sound // (4 * kills))}; "
            code += "import sys; from crossframe.cli import main; main(sys.argv[1:])"
            driver = subprocess.Popen([sys.executable, "-c", code, *words[3:]], stderr=subprocess.DEVNULL)
            wait_for_a_part(out, driver)
            workers = [p for p in psutil.process_iter(["cmdline"]) if "MapWorker" in " ".join(p.info["cmdline"] or [])]
            if kill % 2 and workers:
                workers[kill % len(workers)].kill()
                wait_for_a_part(out, driver)
            driver.send_signal(signal.SIGKILL)
            driver.wait()
        outcome = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS)
    assert outcome.returncode == 1
    assert f"{sound:,} results, {broken:,} errors" in outcome.stdout
    found = rows(out)
    assert len(found) == len({row["source"] for row in found}) == sound + broken
    assert sum(row["error"] is not None for row in found) == broken
    recognizer = Recognizer.from_pretrained("shapes", precision="float32")
    expected = [dict(recognizer.classify(str(folder / f"{number}.mp4"), LABELS).top()) for number in range(DRAWN)]
    for row in found:
        if row["error"] is None:
            scores = {entry["label"]: entry["score"] for entry in row["predictions"]}
            assert scores == pytest.approx(expected[int(Path(str(row["source"])).stem) % DRAWN], abs=1e-6)
