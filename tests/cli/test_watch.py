"""`crossframe watch` as people use it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.cli.test_classify import one_line
from tests.timeline.test_webhook import failing, serving
from tests.video.clips import moving, write_clip

LABELS = ("-l", "arm wrestling", "-l", "cleaning a pool", "--window", "1")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that stands still, moves, and stands still again: whatever a model likes changes twice."""
    still = np.repeat(moving(1, 48, 40), 75, axis=0)
    frames = np.concatenate([still, moving(75, 48, 40), still])
    return write_clip(tmp_path_factory.mktemp("live") / "live.ts", frames=frames, options={"g": "25"})


def test_each_segment_is_a_line_of_json_with_its_clip(
    command: Run, clip: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    clips = tmp_path / "clips"
    done = command("watch", clip, *LABELS, "--model", tiny_folder, "--idle", 0.1, "--threshold", 0, "--record", clips)
    assert done.status == 0
    assert done.err == ""
    found = [json.loads(line) for line in done.out.splitlines()]
    assert found
    for each in found:
        assert {"video", "label", "start", "end", "score", "clip", "weights"} <= set(each)
        assert each["end"] > each["start"] >= 0
        assert Path(each["clip"]).is_file()
    before = {path: path.read_bytes() for path in clips.iterdir()}
    again = command("watch", clip, *LABELS, "--model", tiny_folder, "--idle", 0.1, "--threshold", 0, "--record", clips)
    assert again.status == 0
    assert {path: path.read_bytes() for path in before} == before
    assert len([*clips.iterdir()]) == 2 * len(before)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_ctrl_c_tells_what_is_open_and_ends_well(clip: Path, tiny_folder: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.ts"
    os.mkfifo(pipe)
    words = ["watch", str(pipe), *LABELS, "--model", str(tiny_folder), "--idle", "600", "--threshold", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "crossframe", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with pipe.open("wb", buffering=0) as writer:  # as soon as it watches
        writer.write(clip.read_bytes())  # returns when all but a little has been read
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert errors == ""
    found = [json.loads(line) for line in out.splitlines()]
    assert found
    assert all(each["video"] == str(pipe) for each in found)


def test_a_stride_that_leaves_out_what_lies_between_windows_is_refused(
    command: Run, clip: Path, tiny_folder: Path
) -> None:
    done = command("watch", clip, "-l", "growing", "--model", tiny_folder, "--window", 1, "--stride", 5)
    assert (done.status, done.out) == (2, "")
    assert one_line(done, "a stride of 5 seconds leaves out what lies between windows of 1 seconds")


def test_what_cannot_be_watched_is_told_in_a_line(command: Run, tiny_folder: Path, tmp_path: Path) -> None:
    for source, words in (
        ("gone.ts", ("gone.ts: does not exist; check the path",)),
        (tmp_path, (f"{tmp_path}: is a folder; give a file that grows",)),
        *([("/dev/video963", ("no camera /dev/video963; connect it",))] if sys.platform == "linux" else []),
    ):
        done = command("watch", source, *LABELS, "--model", "gone too")  # said before a model is looked for
        assert (done.status, one_line(done, *words)) == (2, True)
    (tmp_path / "bad.ts").write_bytes(b"no video" * 1000)
    bad = command("watch", tmp_path / "bad.ts", *LABELS, "--model", tiny_folder, "--idle", 0.1)
    assert (bad.status, one_line(bad, "bad.ts: cannot be watched")) == (2, True)
    hook = command("watch", tmp_path / "bad.ts", *LABELS, "--model", tiny_folder, "--webhook", "me")
    assert (hook.status, one_line(hook, "me: is no address for a webhook")) == (2, True)
    refused = command("watch", "http://127.0.0.1:9/x", *LABELS, "--model", tiny_folder, "--retries", 0)
    assert (refused.status, one_line(refused, "127.0.0.1:9/x", "given up")) == (1, True)


def test_passwords_and_tokens_of_an_address_are_not_told(command: Run, tiny_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    address = f"http://admin:hunter2@127.0.0.1:{port}/cam?channel=1&token=abc123"
    done = command("watch", address, *LABELS, "--model", tiny_folder, "--retries", 0)
    assert done.status == 1
    assert one_line(done, f"http://admin:***@127.0.0.1:{port}/cam?channel=1&token=***: Connection refused; given up")
    assert not any(secret in done.out + done.err for secret in ("hunter2", "abc123"))


def test_an_mp4_whose_index_comes_last_is_told_what_can_be_watched_while_it_grows(
    command: Run, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 96, 96, 3), dtype=np.uint8)  # more than is kept of a pipe
    path = write_clip(tmp_path / "a.mp4", frames=noise)
    growing = tmp_path / "growing.mp4"
    growing.write_bytes(path.read_bytes()[:100_000])
    words = ("index comes last", "MPEG-TS, Matroska", "-movflags frag_keyframe+empty_moov")
    done = command("watch", growing, *LABELS, "--model", tiny_folder)
    assert (done.status, one_line(done, "growing.mp4", *words)) == (2, True)
    with path.open("rb") as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        done = command("watch", "-", *LABELS, "--model", tiny_folder)
    assert (done.status, one_line(done, *words)) == (2, True)
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    whole = write_clip(tmp_path / "fragments.mp4", frames=noise, options={"g": "10"}, muxing=fragments).read_bytes()
    growing.write_bytes(whole[: len(whole) // 2])
    assert command("watch", growing, *LABELS, "--model", tiny_folder, "--idle", 0.1).status == 0


def test_watch_tells_at_its_end_how_many_segments_are_lost(command: Run, clip: Path, tiny_folder: Path) -> None:
    words = ("--model", tiny_folder, "--threshold", 0, "--idle", 0.1)
    with serving(failing) as (address, asked):
        done = command("watch", clip, *LABELS, *words, "--webhook", address)
    assert done.status == 0
    lost = len(done.out.splitlines())
    assert lost == len(asked) > 0
    of = f"{lost} of {lost} segment{'s' * (lost != 1)}"
    assert done.err.splitlines()[-1] == f"crossframe: {address}: {of} could not be delivered"
