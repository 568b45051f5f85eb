"""A file is only that file: nothing in it leads FFmpeg to other files or to the network; and what a file may cost."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import av
import numpy as np
import pytest

from crossframe.video import given, media
from crossframe.video.decode import Frames, VideoError, decode_many, read_video
from crossframe.video.exact import open_video, read_arrays
from crossframe.video.given import Limits
from crossframe.video.media import FORMATS
from crossframe.video.sample import Wanted
from tests.video.clips import moving, write_clip

Clip = Callable[[str], Path]


class Listener:
    """Counts who comes by TCP or UDP on a port of this machine."""

    def __init__(self) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.calls = 0
        for wait in (self._accept, self._receive):
            Thread(target=wait, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                caller = self.tcp.accept()[0]
            except OSError:
                return
            self.calls += 1
            caller.close()

    def _receive(self) -> None:
        while True:
            try:
                self.udp.recv(1)
            except OSError:
                return
            self.calls += 1

    def close(self) -> None:
        self.tcp.close()
        self.udp.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


def attacks(secret: Path, port: int) -> dict[str, bytes]:
    """Texts by which demuxers of FFmpeg open `secret`, or the port."""
    address, file = f"http://127.0.0.1:{port}/a.ts", f"file:{secret}"
    texts = {
        "concat": f"ffconcat version 1.0\nfile {secret.name}\n",
        "concat_after_a_comment": f"# a comment\nffconcat version 1.0\nfile {secret.name}\n",
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{file}\n#EXT-X-ENDLIST\n",
        "hls_http": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{address}\n#EXT-X-ENDLIST\n",
        "hls_key": f'#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXT-X-KEY:METHOD=AES-128,URI="{address}"\n#EXTINF:5,\n{file}\n',
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" profiles="x" '
        'mediaPresentationDuration="PT2S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
        f'bandwidth="1"><BaseURL>{address}</BaseURL></Representation></AdaptationSet></Period></MPD>',
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=video {port + 2} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "rtsp_redirect": f"RTSPtext\nrtsp://127.0.0.1:{port}/a\n",
        "asx": f'<asx version="3"><entry><ref href="{address}"/></entry></asx>',
        "asf_redirect": f"[Reference]\nRef1={address}\n",
        "pls": f"[playlist]\nFile1={address}\n",
        "imf": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">'
        f"<Id>urn:uuid:{file}</Id></CompositionPlaylist>",
        "webm_dash": f"<?xml version='1.0'?><MPD><BaseURL>{address}</BaseURL></MPD>",
        "vobsub": f"# VobSub index file, v7\nid: en, index: 0\n{secret.name}\n",
        "address": f"{address}\n",
        "lavfi": f"movie={secret}",
    }
    return {name: text.encode() for name, text in texts.items()}


@pytest.mark.parametrize("name", attacks(Path("a"), 0))
def test_no_content_opens_another_file_or_a_socket(tmp_path: Path, listener: Listener, name: str) -> None:
    secret = write_clip(tmp_path / "secret.ts")
    (tmp_path / "attack.sub").write_bytes(secret.read_bytes())
    os.utime(secret, ns=(0, 0))  # read before it was last written to, so that the next reading shows
    before = os.stat(secret).st_atime_ns
    data = attacks(secret, listener.port)[name]
    begun = time.monotonic()
    sources: list[Path | bytes] = [data]
    for suffix in ("mp4", "m3u8", "mpd", "sdp", "ts", "idx", "txt", "asx"):
        path = tmp_path / f"attack.{suffix}"
        path.write_bytes(data)
        sources.append(path)
    for source in sources:
        with pytest.raises(VideoError) as caught:
            read_video(source, 1)
        assert "\n" not in str(caught.value)
    assert time.monotonic() - begun < 10
    assert listener.calls == 0
    assert os.stat(secret).st_atime_ns == before


def test_the_attacks_work_where_nobody_looks(tmp_path: Path, listener: Listener) -> None:
    secret = write_clip(tmp_path / "secret.ts")
    texts = attacks(secret, listener.port)
    path = tmp_path / "attack.mp4"
    path.write_bytes(texts["concat"])
    with av.open(str(path)) as container:
        assert len(list(container.decode(video=0))) == 30  # of the secret
    with pytest.raises(av.error.FFmpegError):
        av.open(texts["address"].decode().strip(), timeout=5)
    assert listener.calls


def demuxers() -> list[str]:
    """The demuxers of this FFmpeg, by their own names."""
    found: set[str] = set()
    for name in av.formats_available:
        form = av.ContainerFormat(name)
        if form.is_input:
            found.add(form.name)
    return sorted(found)


@pytest.mark.parametrize(
    "name", ["concat", "hls", "dash", "sdp", "rtsp", "rtp", "sap", "image2", "lavfi", "vobsub", "tty"]
)
def test_demuxers_that_open_other_things_are_not_on_the_list(name: str) -> None:
    assert name not in FORMATS.split(",")


def test_every_demuxer_is_refused_or_opens_nothing_but_the_file(tmp_path: Path, listener: Listener) -> None:
    """Each demuxer is made to read each attack; with our lists it opens no second file."""
    secret = write_clip(tmp_path / "secret.ts")
    os.utime(secret, ns=(0, 0))
    before = os.stat(secret).st_atime_ns
    allowed = set(FORMATS.split(","))
    texts = attacks(secret, listener.port)
    refused = tried = 0
    for name in demuxers():
        if "image2pipe" in name or av.ContainerFormat(name).flags & 1:  # devices, which need no file
            assert not allowed & set(name.split(","))
            continue
        is_allowed = bool(allowed & set(name.split(",")))
        for attack, data in texts.items() if is_allowed else list(texts.items())[:1]:
            path = tmp_path / f"{attack}.mp4"
            path.write_bytes(data)
            tried += 1
            try:
                container = av.open(
                    f"file:{path}",
                    format=name.split(",")[0],
                    container_options={"format_whitelist": FORMATS, "protocol_whitelist": media.PROTOCOLS},
                    metadata_errors="replace",
                    timeout=5,
                )
            except (av.error.FFmpegError, ValueError):
                refused += 1
                continue
            with container:
                assert is_allowed
    assert listener.calls == 0
    assert os.stat(secret).st_atime_ns == before
    assert 0 < refused <= tried


@pytest.mark.parametrize("name", ["img%03d.png", "img*.png", "img001.png"])
def test_a_name_is_no_pattern(tmp_path: Path, name: str) -> None:
    for number in range(5):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * number, np.uint8), format="rgb24")
        frame.save(str(tmp_path / f"img{number:03d}.png"))
    path = tmp_path / name
    if not path.exists():
        path.write_bytes((tmp_path / "img003.png").read_bytes())
    (result,) = decode_many([path], 1, workers=0)
    assert result.total == 1 if isinstance(result, Frames) else str(result).startswith(f"{path}: ")


def test_videos_keep_being_read_whatever_they_are_called(tmp_path: Path, clip: Clip) -> None:
    for name in ("h264.ts", "vp9.webm", "mpeg4.avi"):
        path = tmp_path / "list.m3u8"
        path.write_bytes(clip(name).read_bytes())
        assert read_video(path, 2).total > 2


def with_count(data: bytes, kind: bytes, count: int, sizes: int = 1) -> bytes:
    """An .mp4 whose table of this kind claims `count` entries."""
    changed = bytearray(data)
    at = data.index(kind) + 8
    if kind == b"stsz":
        changed[at : at + 8] = struct.pack(">II", sizes, count)
    else:
        changed[at : at + 4] = struct.pack(">I", count)
    return bytes(changed)


@pytest.mark.parametrize(
    ("name", "kind"), [("h264.mp4", b"stsz"), ("h264.mov", b"stsz"), ("h264_fragments.mp4", b"trun")]
)
def test_a_table_that_claims_millions_of_frames_is_refused_at_once(
    clip: Clip, tmp_path: Path, name: str, kind: bytes
) -> None:
    data = with_count(clip(name).read_bytes(), kind, 1 << 26)
    path = tmp_path / "claims.mp4"
    path.write_bytes(data)
    for source in (path, data):
        with pytest.raises(VideoError, match=r"claims \d{8} frames, and 4194304 are the most that are read"):
            read_video(source)
        more = Limits(frames=1 << 27)  # whoever allows so many is told of the memory, not that there is no frame
        with pytest.raises(
            VideoError, match=r"claims \d{8} frames, whose table takes 409\d MB, more than 2048; .*damaged"
        ):
            read_arrays(source, limits=more)


def test_boxes_within_boxes_end(tmp_path: Path) -> None:
    data = b"\0\0\0\x08free"
    for _ in range(2000):
        data = struct.pack(">I4s", len(data) + 8, b"moov") + data
    for source in (data, struct.pack(">I4s", 0, b"moov") * 100, struct.pack(">I4sQ", 1, b"moov", 3) * 9):
        with pytest.raises(VideoError):
            read_video(source)


def test_limits_are_told(clip: Clip) -> None:
    path = clip("h264.mp4")
    for limits, message in [
        (Limits(seconds=1e-9), "was not read within 0.000000001 seconds; leave it out, or allow more time"),
        (Limits(memory=10_000), "needs 0 MB for its frames, more than 0; ask for fewer or smaller ones"),
        (Limits(frames=29), "claims 30 frames, and 29 are the most"),
    ]:
        with pytest.raises(VideoError, match=message):
            read_arrays(path, limits=limits)
    with pytest.raises(VideoError, match="has more than 29 frames; cut it, or allow more"):
        read_arrays(clip("h264.ts"), limits=Limits(frames=29))
    assert read_arrays(path, limits=Limits(frames=30)).total == 30
    with pytest.raises(ValueError, match="use numbers above 0"):
        Limits(seconds=0)


def test_limits_of_a_process_hold_for_all_that_it_reads(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given, "_limits", Limits())  # put back afterwards
    given.set_limits(Limits(frames=3))
    with pytest.raises(VideoError, match="claims 30 frames"):
        read_video(clip("h264.mp4"))


def test_each_read_of_an_open_video_has_the_time_of_its_own(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("crossframe.video.media.monotonic", lambda: now[0])
    monkeypatch.setattr("crossframe.video.exact.monotonic", lambda: now[0])
    with open_video(clip("h264.mp4"), limits=Limits(seconds=10)) as video:
        for _ in range(3):
            assert video.read(Wanted("", 2, "sparse")).total == 30
            now[0] += 9
        monkeypatch.setattr("crossframe.video.exact.monotonic", lambda: now[0] - 11)
        with pytest.raises(VideoError, match="was not read within 10 seconds"):
            video.read(Wanted("", 2, "sparse"))


def test_a_sparse_giant_holds_nobody_for_long(tmp_path: Path, clip: Clip) -> None:
    path = tmp_path / "giant.ts"
    path.write_bytes(clip("h264.ts").read_bytes())
    with path.open("r+b") as file:
        file.truncate(20 << 30)
    begun = time.monotonic()
    (result,) = decode_many([path], 2, workers=0, timeout=1)
    assert result.total == 50 if isinstance(result, Frames) else "was not read within 1 seconds" in str(result)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("error", [UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), MemoryError(), OverflowError("big")])
def test_whatever_is_raised_within_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    path = write_clip(tmp_path / "turned.mp4", rotation=90)

    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    for place, name in ((av, "open"), (np, "rot90"), (media, "resized")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, fail)
            with pytest.raises(VideoError) as caught:
                read_video(path, short_side=24)
            assert str(caught.value).startswith(f"{path}: ")
            assert "\n" not in str(caught.value)


def test_memory_that_a_damaged_table_asks_for_is_told_as_that(shared: Path) -> None:
    with pytest.raises(VideoError, match="asks for more memory than there is, as a damaged table does"):
        read_video(shared / "field" / "hostile" / "frag_mp4.tail003.mp4")


def test_big_frames_beyond_the_memory_are_refused_before_they_are_converted(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "big.mp4", frames=moving(4, 640, 480))
    with pytest.raises(VideoError, match="needs 3 MB for its frames, more than 2"):
        read_arrays(path, 4, limits=Limits(memory=3_000_000))
    assert read_arrays(path, 4, limits=Limits(memory=3_000_000), short_side=48).pixels.shape == (4, 48, 64, 3)
