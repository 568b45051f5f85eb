"""Live sources from servers that others wrote: RTSP, and playlists of HLS."""

from __future__ import annotations

import mmap
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from crossframe import VideoError
from crossframe.timeline.live import BACK_OFF, Live, Lost, Shown, _Clock, _says_its_end
from crossframe.timeline.segments import Segment
from crossframe.timeline.watch import Watch
from tests.timeline.test_stream import RATE, film, stream_of
from tests.video.clips import write_clip

PAGE = mmap.PAGESIZE
SERVER = Path(__file__).with_name("rtsp_server.py")
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
PYTHONS = (sys.executable, "/usr/bin/python3")  # that of the system has the bindings, where they are installed
IMPORTS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


class Rtsp:
    """A server of one file, which can be killed and started again."""

    def __init__(self, python: str, path: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"rtsp://127.0.0.1:{self.port}/live"
        self.started = 0
        self._words = [python, str(SERVER), str(self.port), str(path)]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, if it does not run; it is ready then."""
        if self._process is None:
            self._process = subprocess.Popen(self._words, stdout=subprocess.PIPE, text=True)
            assert self._process.stdout is not None
            assert self._process.stdout.readline() == "ready\n"
            self.started += 1

    def kill(self) -> None:
        """End it as a loss of power would."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture
def rtsp(tmp_path: Path) -> Iterator[Rtsp]:
    """A server of a film of nine seconds, with something red from second 2 to 4."""
    able = (
        python
        for python in PYTHONS
        if Path(python).exists() and subprocess.run([python, "-c", IMPORTS], capture_output=True).returncode == 0
    )
    python = next(able, None)
    if python is None:
        pytest.skip(f"no RTSP server of GStreamer here: apt-get install {PACKAGES}")
    path = write_clip(tmp_path / "a.mp4", frames=film(9, [(0, 2.0, 4.0)]), rate=RATE, options={"g": "10", "bf": "0"})
    found = Rtsp(python, path)
    yield found
    found.kill()


@pytest.mark.slow
def test_an_rtsp_server_that_is_killed_three_times_is_watched_on(rtsp: Rtsp) -> None:
    def wait(_: float) -> None:
        if rtsp.started < 4:
            rtsp.start()

    rtsp.start()
    segments: list[Segment] = []
    lost: list[Lost] = []
    watch = Watch(Live(rtsp.address, retries=1, sleep=wait), stream_of())
    for found in watch:
        if isinstance(found, Lost):
            lost.append(found)
        else:
            segments.append(found)
            rtsp.kill()
    assert rtsp.started == 4
    assert [segment.label for segment in segments] == ["red"] * 4
    assert all(segment.end - segment.start == pytest.approx(2.0, abs=0.8) for segment in segments)
    assert all(before.end < after.start for before, after in pairwise(segments))
    assert lost[-1].wait is None


@contextmanager
def served(folder: Path, cuts: int | list[int | None] | None = None) -> Iterator[str]:
    """The address of a folder; of each file, all or so many bytes are sent, or of one after the other so many."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def copyfile(self, source: Any, outputfile: Any) -> None:
            cut = cuts.pop(0) if isinstance(cuts, list) else cuts
            if cut is None:
                super().copyfile(source, outputfile)
            else:
                outputfile.write(source.read(cut))

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def copied(path: Path, out: Path, form: str, times: int = 1, **options: str) -> None:
    """The packets of a film so many times, one after the other, in another container."""
    with av.open(str(out), "w", format=form, options=options) as written:
        copy, ended = None, 0
        for _ in range(times):
            with av.open(str(path)) as container:
                stream = container.streams.video[0]
                copy = copy or written.add_stream_from_template(stream)
                begun = ended
                for packet in container.demux(stream):
                    if packet.pts is None or packet.dts is None:
                        continue
                    packet.pts, packet.dts, packet.stream = packet.pts + begun, packet.dts + begun, copy
                    ended = max(ended, packet.pts + (packet.duration or 0))
                    written.mux(packet)


def test_a_complete_playlist_is_told_once_and_whole(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=film(15, [(0, 5.0, 9.0)]), rate=RATE, options={"g": "10", "bf": "0"})
    copied(path, tmp_path / "a.m3u8", "hls", hls_time="2", hls_list_size="0")
    with served(tmp_path) as address:
        watch = Watch(Live(f"{address}/a.m3u8", retries=0, sleep=lambda _: None), stream_of())
        (segment,) = watch
    assert isinstance(segment, Segment)
    assert (segment.label, segment.start, segment.end) == ("red", pytest.approx(5, abs=0.4), pytest.approx(9, abs=0.4))
    assert watch.dropped == 0
    assert watch.stream.windows >= 25


def test_a_complete_file_that_says_no_length_in_seconds_is_told_once_and_whole(tmp_path: Path) -> None:
    """Of MPEG-TS from a server without byte ranges, the number of bytes is all that is known."""
    path = write_clip(tmp_path / "a.mp4", frames=film(15, [(0, 5.0, 9.0)]), rate=RATE, options={"g": "10", "bf": "0"})
    copied(path, tmp_path / "a.ts", "mpegts")
    with served(tmp_path) as address:
        live = Live(f"{address}/a.ts", sleep=lambda _: live.stop())  # or it would be told again and again
        watch = Watch(live, stream_of())
        (segment,) = watch
    assert isinstance(segment, Segment)
    assert (segment.label, segment.start, segment.end) == ("red", pytest.approx(5, abs=0.4), pytest.approx(9, abs=0.4))
    assert watch.dropped == 0


def test_a_file_that_is_cut_off_on_the_way_and_a_playlist_that_goes_on_are_tried_again(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=film(6, []), rate=RATE, options={"g": "10", "bf": "0"})
    copied(path, tmp_path / "a.ts", "mpegts")
    copied(path, tmp_path / "a.m3u8", "hls", hls_time="2", hls_list_size="0")
    playlist = (tmp_path / "a.m3u8").read_text()

    def lost(address: str) -> Lost:
        live = Live(address, sleep=lambda _: live.stop())
        (found,) = (each for each in live.frames(lambda _: False) if isinstance(each, Lost))
        return found

    with served(tmp_path, 25_000) as address:
        assert lost(f"{address}/a.ts").wait == BACK_OFF[0]
    (tmp_path / "a.m3u8").write_text(playlist.replace("#EXT-X-ENDLIST", ""))
    with served(tmp_path) as address, av.open(f"{address}/a.m3u8") as container:
        assert container.size > 0
        assert not _says_its_end(container)


def test_a_complete_file_that_breaks_off_is_taken_up_where_it_was(tmp_path: Path) -> None:
    events = [(0, 2.0, 4.0), (1, 9.0, 12.0)]
    path = write_clip(tmp_path / "a.mp4", frames=film(15, events), rate=RATE, options={"g": "10", "bf": "0"})
    copied(path, tmp_path / "a.ts", "mpegts")
    size = (tmp_path / "a.ts").stat().st_size
    cuts = [size * 6 // 10, size * 6 // 10, None]  # it breaks off twice at the same place
    with served(tmp_path, cuts) as address:
        found = list(Watch(Live(f"{address}/a.ts", sleep=lambda _: None), stream_of()))
    segments = [each for each in found if isinstance(each, Segment)]
    assert [each.wait for each in found if isinstance(each, Lost)] == [BACK_OFF[0], BACK_OFF[1]]
    assert [(each.label, pytest.approx(each.start, abs=0.8)) for each in segments] == [("red", 2.0), ("green", 9.0)]
    assert segments[-1].end == pytest.approx(12, abs=0.6)
    with served(tmp_path, size * 6 // 10) as address:
        found = list(Watch(Live(f"{address}/a.ts", retries=1, sleep=lambda _: None), stream_of()))
    assert [each.wait for each in found if isinstance(each, Lost)] == [BACK_OFF[0], BACK_OFF[1], None]
    assert [each.label for each in found if isinstance(each, Segment)] == ["red"]


def test_what_is_taken_up_where_it_was_may_have_several_clocks(tmp_path: Path) -> None:
    """Of two films one behind the other, each of which begins at 0."""
    for number in range(2):
        path = write_clip(tmp_path / "a.mp4", frames=film(6, [(number, 2.0, 4.0)]), rate=RATE, options={"bf": "0"})
        copied(path, tmp_path / f"{number}.ts", "mpegts")
    (tmp_path / "a.ts").write_bytes(b"".join((tmp_path / f"{number}.ts").read_bytes() for number in range(2)))
    cuts = [(tmp_path / "a.ts").stat().st_size * 8 // 10, None]
    with served(tmp_path, cuts) as address:
        live = Live(f"{address}/a.ts", sleep=lambda _: None)
        shown = [each.time for each in live.frames(lambda _: False) if isinstance(each, Shown)]
    assert len(shown) == 2 * 6 * RATE
    assert shown == sorted(shown)
    assert len(set(shown)) >= len(shown) - 1  # where the second film begins, its time is that of the frame before


def test_a_playlist_that_was_live_and_has_ended_is_not_told_again(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=film(15, [(0, 5.0, 9.0)]), rate=RATE, options={"g": "10", "bf": "0"})
    copied(path, tmp_path / "a.m3u8", "hls", hls_time="1", hls_list_size="0")
    ended = (tmp_path / "a.m3u8").read_text()
    (tmp_path / "a.m3u8").write_text(ended.replace("#EXT-X-ENDLIST", ""))
    found: list[Shown | Lost] = []
    with served(tmp_path) as address:
        for each in Live(f"{address}/a.m3u8", retries=3, sleep=lambda _: None).frames(lambda _: False):
            found.append(each)
            (tmp_path / "a.m3u8").write_text(ended)
    shown = [each.time for each in found if isinstance(each, Shown)]
    assert 2 * RATE <= len(shown) <= 4 * RATE  # what FFmpeg reads of a list that goes on: its last three
    assert shown == sorted(set(shown))
    assert [each.wait for each in found if isinstance(each, Lost)] == [BACK_OFF[0]]


def test_what_a_live_playlist_names_again_is_known_by_its_clock() -> None:
    live = Live("http://127.0.0.1/a.m3u8")
    live._is_listed, live._clock = True, _Clock(1.4, 0.0)
    again = live._clock_for(21.4, since=33.0, latest=30.0)
    assert [again.time(seconds) > again.shown for seconds in (21.4, 31.4, 31.5)] == [False, False, True]
    assert again.time(35.0) == pytest.approx(33.6)
    another = live._clock_for(0.0, since=33.0, latest=30.0)
    assert (another.time(0.0), another.time(1.0)) == (33.0, 34.0)
    live._is_listed = False
    assert live._clock_for(21.4, since=33.0, latest=30.0).time(21.4) == 33.0


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("htp://127.0.0.1/a", "is no address that can be watched; give one of http, https, rtmp"),
        ("file:///a.ts", "is no address that can be watched"),
        ("http://127.0.0.1/a.mpd?x=1", "is a manifest of DASH, which is not read; give HLS"),
        ("htp://u:secret@127.0.0.1/a", r"^htp://u:\*\*\*@127\.0\.0\.1/a: is no address"),
    ],
)
def test_an_address_that_cannot_be_watched_is_refused_at_once(address: str, reason: str) -> None:
    with pytest.raises(VideoError, match=reason):
        Live(address).check()


def test_a_server_that_never_answers_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossframe.timeline.live.READ", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/live.ts"
        (lost,) = Live(address, retries=0).frames(lambda _: False)
    assert lost == Lost("no data for 0.3 s", None)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux how much memory there is")
def test_an_hour_of_a_stream_takes_no_more_memory_than_its_first_ten_minutes(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=film(30, [(0, 5.0, 9.0)]), rate=RATE, options={"g": "10", "bf": "0"})
    copied(path, tmp_path / "hour.ts", "mpegts", 120)
    stream = stream_of()
    ended: list[float] = []
    memory: dict[int, int] = {}  # bytes, by the minute
    with served(tmp_path) as address:
        for found in Watch(Live(f"{address}/hour.ts", waits=True, retries=0), stream):
            if isinstance(found, Lost):
                break
            ended.append(found.end)
            memory[int(found.end / 60)] = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    assert len(ended) == 120
    assert ended[-1] == pytest.approx(3600 - 21, abs=1)
    assert memory[59] - memory[9] < 4 << 20, f"{memory[9] >> 20} MB after ten minutes, {memory[59] >> 20} after an hour"
