"""Video without an end: frames pushed one by one, and a live source that breaks off."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import crossframe
from crossframe import Prediction, Recognizer, VideoError
from crossframe.text.labels import LabelSet
from crossframe.timeline.live import Live, Lost
from crossframe.timeline.segments import Segment
from crossframe.timeline.stream import HISTORY, SPARE, Ring, Stream
from crossframe.timeline.watch import Watch
from crossframe.timeline.webhook import Webhook
from crossframe.timeline.windows import Grid
from crossframe.video.decode import Frames
from tests.video.clips import Pictures, moving, write_clip

LABELS = ("dark", "red", "green")
GRID = Grid(2.0, 0.5)
RATE = 10


def answer(frames: Frames) -> Prediction:
    """A model of colors: a label is as similar as its channel is bright in the frames."""
    mean = frames.pixels.double().mean(dim=(0, 2, 3)) / 255
    cosines = torch.tensor([0.22, 0.15 + 0.3 * float(mean[0]), 0.15 + 0.3 * float(mean[1])], dtype=torch.float64)
    best = int(cosines.argmax())
    counted = () if best == 0 else (best,)
    return Prediction(frames.source, LABELS, (100 * cosines).softmax(0), cosines, frames.seen(), None, (), counted)


def stream_of(name: str = "<stream>") -> Stream:
    return Stream(answer, LabelSet.of(LABELS), GRID, 8, name=name)


def picture(channel: int | None) -> Pictures:
    shown = np.zeros((48, 64, 3), dtype=np.uint8)
    if channel is not None:
        shown[..., channel] = 250
    return shown


def film(seconds: float, events: Sequence[tuple[int, float, float]]) -> Pictures:
    """Frames that are black but in events (channel, start, end)."""
    frames = np.stack([picture(None)] * round(seconds * RATE))
    for channel, start, end in events:
        frames[round(start * RATE) : round(end * RATE)] = picture(channel)
    return frames


def push_all(stream: Stream, frames: Pictures, begin: float = 0.0) -> list[Segment]:
    return [segment for number, each in enumerate(frames) for segment in stream.push(each, begin + number / RATE)]


def test_a_segment_is_told_once_when_it_is_over_and_soon() -> None:
    stream = stream_of()
    events = [(0, 10.0, 14.0), (1, 20.0, 23.0), (0, 40.0, 48.0)]
    told: list[tuple[float, Segment]] = []
    for number, each in enumerate(film(60, events)):
        told += [(number / RATE, segment) for segment in stream.push(each, number / RATE)]
    assert stream.finish() == []
    assert [segment.label for _, segment in told] == ["red", "green", "red"]
    for (at, segment), (_, start, end) in zip(told, events, strict=True):
        assert segment.start == pytest.approx(start, abs=0.4)
        assert segment.end == pytest.approx(end, abs=0.4)
        assert at - end <= GRID.window + 2 * GRID.stride


def test_an_event_is_told_once_however_little_has_been_seen_before_it() -> None:
    """What a label gets where it is not shown is known ever better; borders that move with it are no new segments."""
    rng = np.random.default_rng(0)
    for number in range(12):
        begins = np.cumsum(rng.uniform(5, 9, 6)) - rng.uniform(4, 8)
        events = [(n % 2, float(max(begin, 0)), float(begin + rng.uniform(2, 4))) for n, begin in enumerate(begins)]
        frames = film(events[-1][2] + 5, events)
        flickering = frames * rng.uniform(0.4, 1.0, len(frames))[:, None, None, None]
        stream = stream_of(str(number))
        told = push_all(stream, flickering.astype(np.uint8)) + stream.finish()
        for label in LABELS:
            own = [segment for segment in told if segment.label == label]
            assert all(after.start - before.end >= GRID.stride for before, after in pairwise(own)), own
        assert len(told) <= len(events)


def test_a_picture_whose_memory_is_used_again_is_kept_as_it_was() -> None:
    """As OpenCV reads into an array that it is given."""
    stream, kept, buffer = stream_of(), stream_of(), picture(None)
    told: list[Segment] = []
    for number, each in enumerate(frames := film(20, [(0, 5.0, 9.0), (1, 12.0, 15.0)])):
        buffer[:] = each
        told += stream.push(buffer, number / RATE)
    assert told == push_all(kept, frames)
    assert [segment.label for segment in told] == ["red", "green"]


def test_times_of_numpy_give_plain_numbers() -> None:
    stream = stream_of()
    times = np.arange(200, dtype=np.float32) / RATE
    frames = film(20, [(0, 5.0, 9.0)])
    told = [segment for each, time in zip(frames, times, strict=True) for segment in stream.push(each, time)]
    assert json.loads(json.dumps(told[0].to_dict()))["label"] == "red"


def test_frames_that_are_less_than_a_window_are_one() -> None:
    stream = stream_of()
    assert push_all(stream, film(1.0, [(0, 0.0, 1.0)])) == []
    (segment,) = stream.finish()
    assert (segment.label, segment.start, segment.end) == ("red", 0.0, pytest.approx(1.0, abs=0.11))
    assert stream.finish() == []
    stream = stream_of()
    for begin in (0.0, 20.0):  # and each time that they break off
        assert push_all(stream, film(1.0, [(1, 0.0, 1.0)]), begin) == []
        (segment,) = stream.interrupt()
        assert (segment.label, segment.start) == ("green", begin)


def test_what_is_open_at_the_end_is_told_then() -> None:
    stream = stream_of()
    assert push_all(stream, film(20, [(1, 15.0, 20.0)])) == []
    (segment,) = stream.finish()
    assert (segment.label, segment.start) == ("green", pytest.approx(15.0, abs=0.4))


def test_memory_is_bounded_by_time_whatever_the_frame_rate() -> None:
    ring = Ring(2.5, 2.0 / (SPARE * 8))
    for number in range(5000):
        ring.add(picture(None), number / 1000)
    assert len(ring) <= SPARE * 8 * 2.5 / 2.0 + 2
    stream = stream_of()
    for second in range(int(HISTORY) + 200):
        stream.push(picture(None), float(second))
    assert len(stream._track.spans) <= HISTORY / GRID.stride + 10


def test_pictures_and_times_are_checked() -> None:
    stream = stream_of()
    stream.push(picture(None), 1.0)
    with pytest.raises(ValueError, match=r"a frame at 0\.5 s comes after one at 1\.0 s"):
        stream.push(picture(None), 0.5)
    with pytest.raises(ValueError, match=r"is float64 \(4, 4\); give uint8"):
        stream.push(np.zeros((4, 4)), 2.0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"is uint8 \(0, 64, 3\); give uint8"):
        stream.push(np.zeros((0, 64, 3), dtype=np.uint8), 2.0)
    with pytest.raises(ValueError, match="the time of the picture is 'soon'; give seconds"):
        stream.push(picture(None), "soon")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="the time of the picture is nan; give seconds"):
        stream.push(picture(None), float("nan"))


def test_segments_that_compete_are_told_one_after_the_other() -> None:
    events = [(n % 2, 10.0 + 3.3 * n, 13.6 + 3.3 * n) for n in range(12)]  # each goes on into the next
    stream = stream_of()
    told = [*push_all(stream, film(60, events)), *stream.finish()]
    assert [segment.label for segment in told] == ["red", "green"] * 6
    assert all(before.end <= after.start for before, after in pairwise(told))


def test_a_recognizer_answers_frames_in_memory_and_streams_of_them(tiny_folder: Path, tmp_path: Path) -> None:
    recognizer = Recognizer(crossframe.load(tiny_folder))
    labels = ["arm wrestling", "shaking hands"]
    frames, times = moving(40), [number / 10 for number in range(40)]
    found = recognizer.classify_frames(frames, times, labels)
    alone = recognizer.classify(frames, labels)
    torch.testing.assert_close(found.scores, alone.scores)
    assert found.frames.times.tolist() == [times[place] for place in found.frames.indices.tolist()]
    assert (found.frames.start, found.frames.end) == (0.0, pytest.approx(4.0))
    wrongs = {"40 frames and 2 times": [0.0, 1.0], "1 is at 3.8 s": times[::-1], "0 is at nan s": [float("nan")] * 40}
    for reason, wrong in wrongs.items():
        with pytest.raises(ValueError, match=f"{reason}; give each a time, rising"):
            recognizer.classify_frames(frames, wrong, labels)
    with pytest.raises(ValueError, match="a stride of 2 seconds leaves out what lies between windows of 1 seconds"):
        recognizer.open_stream(labels, window=1.0, stride=2.0)
    stream = recognizer.open_stream(labels, window=1.0, stride=0.5)
    for each, time in zip(frames, times, strict=True):
        stream.push(each, time)
    assert stream.windows == 6


class Server:
    """Gives one part of a stream to each connection, and refuses all after the last."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        left = list(parts)
        self.posted: list[Any] = []
        posted = self.posted

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not left:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.end_headers()
                self.wfile.write(left.pop(0))

            def do_POST(self) -> None:
                posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/live.ts"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def parts(tmp_path: Path) -> list[bytes]:
    """Four pieces of MPEG-TS, of 15 seconds each, with an event in each of them."""
    found: list[bytes] = []
    for number in range(4):
        frames = film(15, [(number % 2, 5.0, 9.0)])
        found.append(write_clip(tmp_path / f"{number}.ts", frames=frames, rate=RATE, options={"g": "10"}).read_bytes())
    return found


@pytest.fixture
def server(parts: list[bytes]) -> Iterator[Server]:
    found = Server(parts)
    yield found
    found.close()


def test_a_stream_that_breaks_off_three_times_loses_nothing_but_what_was_not_sent(server: Server) -> None:
    waits: list[float] = []
    live = Live(server.address, retries=2, waits=True, sleep=waits.append, now=lambda: 0.0)
    watch = Watch(live, stream_of(server.address))
    segments: list[Segment] = []
    lost: list[Lost] = []
    most = 0
    for found in watch:
        most = max(most, len(watch.stream.ring))
        if isinstance(found, Lost):
            lost.append(found)
            continue
        segments.append(found)
        newest = watch.stream.ring.times[-1:] or [found.end]
        assert newest[0] - found.end <= GRID.window + 2 * GRID.stride
    assert [segment.label for segment in segments] == ["red", "green", "red", "green"]
    for number, segment in enumerate(segments):
        assert segment.start == pytest.approx(15 * number + 5, abs=0.8)
        assert segment.end == pytest.approx(15 * number + 9, abs=0.8)
    assert lost[-1].wait is None
    assert len(lost) == 4 + 3  # each part ends, and then there is nothing any more
    assert waits == [0.5, 0.5, 0.5, 0.5, 1.0, 2.0]
    assert most <= SPARE * 8 * 1.25 + 2
    assert watch.dropped == 0


def test_windows_are_dropped_where_the_model_is_slower_than_a_stream(server: Server) -> None:
    """The reader is 15 seconds ahead before the first window is answered: of those due, the newest is."""
    live = Live(server.address, retries=0, sleep=lambda _: None, now=lambda: 0.0)
    watch = Watch(live, stream_of())
    reader = threading.Thread(target=watch._read, daemon=True)
    reader.start()
    with watch._changed:
        watch._changed.wait_for(lambda: bool(watch._lost), timeout=60)
    frames = watch._next()
    assert isinstance(frames, Frames)
    assert watch._latest is not None
    assert frames.end is not None
    assert watch._latest - frames.end < GRID.stride
    assert watch.behind < GRID.stride
    assert watch.dropped >= 10
    live.stop()
    with watch._changed:
        watch._changed.notify_all()
    reader.join()


def test_a_file_that_grows_is_followed_until_it_has_not_grown_for_a_while(tmp_path: Path, parts: list[bytes]) -> None:
    path = tmp_path / "growing.ts"
    half = len(parts[0]) // 2
    path.write_bytes(parts[0][:half])
    left = [parts[0][half:]]

    def grow(_: float) -> None:
        if left:
            with path.open("ab") as file:
                file.write(left.pop())

    live = Live(str(path), idle=0.2, sleep=grow)
    watch = Watch(live, stream_of())
    (segment,) = watch
    assert isinstance(segment, Segment)
    assert (segment.label, segment.start, segment.end) == ("red", pytest.approx(5, abs=0.8), pytest.approx(9, abs=0.8))
    assert left == []
    assert watch.dropped == 0


def test_a_pause_in_a_file_is_passed_and_its_windows_are_kept(tmp_path: Path) -> None:
    """For twenty seconds no frame is shown; the windows before it have those that came."""
    frames = film(20, [(0, 8.0, 10.0), (1, 10.0, 14.0)])
    times = [number if number < 100 else number + 200 for number in range(200)]
    path = write_clip(tmp_path / "pause.ts", frames=frames, rate=RATE, times=times, options={"g": "10", "bf": "0"})
    watch = Watch(Live(str(path), idle=0.1, sleep=lambda _: None), stream_of())
    first, second = watch
    assert isinstance(first, Segment)
    assert isinstance(second, Segment)
    assert (first.label, second.label) == ("red", "green")
    assert first.end <= 12.0
    assert second.start == pytest.approx(30.0, abs=GRID.window)  # where the first window with a frame begins


def test_a_file_that_is_complete_is_watched_to_its_end(tmp_path: Path) -> None:
    """Its index is at its end, where one that grows has none yet."""
    path = write_clip(tmp_path / "a.mp4", frames=film(15, [(0, 5.0, 9.0)]), rate=RATE)
    (segment,) = Watch(Live(str(path)), stream_of())
    assert isinstance(segment, Segment)
    assert segment.label == "red"


def test_a_file_shorter_than_a_window_is_one_window(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=film(1, [(0, 0.0, 1.0)]), rate=RATE)
    (segment,) = Watch(Live(str(path)), stream_of())
    assert isinstance(segment, Segment)
    assert (segment.label, segment.start, segment.end) == ("red", 0.0, pytest.approx(0.9, abs=0.01))


def test_frames_without_times_are_told(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.h264", frames=film(5, []), rate=RATE)
    with pytest.raises(VideoError, match=r"a\.h264: its frames have no times; give MPEG-TS"):
        list(Watch(Live(str(path), idle=0.1, sleep=lambda _: None), stream_of()))


def test_damage_that_seems_to_be_other_streams_is_passed(tmp_path: Path) -> None:
    """Of MPEG-TS, damage can change which stream a packet says that it is of; PyAV has none for it."""
    path = write_clip(tmp_path / "a.ts", frames=film(15, [(0, 11.0, 14.0)]), rate=RATE, options={"g": "10"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 188 * 188
    for packet in range(middle, middle + 20 * 188, 188):
        data[packet + 1 : packet + 3] = bytes([0x40, packet // 188 % 200 + 40])  # another one in each, as it begins
        data[packet + 4 : packet + 13] = bytes([0, 0, 1, 0xE0, 0, 0, 0x80, 0, 0])
    path.write_bytes(data)
    found = list(Watch(Live(str(path), idle=0.1, sleep=lambda _: None), stream_of()))
    assert [segment.label for segment in found if isinstance(segment, Segment)] == ["red"]
    frames = crossframe.read_video(path, 8)
    assert frames.times[-1] > 10


def test_what_is_no_video_ends_the_watch_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_bytes(b"no video at all" * 100)
    with pytest.raises(VideoError, match=r"a\.ts: cannot be watched"):
        list(Watch(Live(str(tmp_path / "a.ts"), idle=0.1), stream_of()))


def test_a_webhook_gets_each_segment_and_one_that_is_gone_costs_nothing(server: Server) -> None:
    with Webhook(server.address) as hook:
        for number in range(3):
            hook.send({"label": "red", "number": number})
    assert [each["number"] for each in server.posted] == [0, 1, 2]
    assert hook.failed == 0
    with Webhook("http://127.0.0.1:9/nobody") as hook:
        hook.send({"label": "red"})
    assert hook.failed == 1
    for address in ("file:///etc/passwd", "http://", "http://localhost:abc/", "http://[::1/", "http://a b/"):
        with pytest.raises(ValueError, match="is no address for a webhook"):
            Webhook(address)


def test_an_answer_that_is_none_costs_a_webhook_that_segment_alone() -> None:
    posted: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer_two() -> None:
            for words in (b"HELLO THERE\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"):
                with listening.accept()[0] as connection:
                    posted.append(connection.recv(1 << 16))
                    connection.sendall(words)

        threading.Thread(target=answer_two, daemon=True).start()
        with Webhook(f"http://127.0.0.1:{listening.getsockname()[1]}/") as hook:
            hook.send({"number": 0})
            hook.send({"number": 1})
    assert (len(posted), hook.failed) == (2, 1)
