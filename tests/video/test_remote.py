"""Videos at an address: a server on this machine, and fsspec's file system in memory."""

from __future__ import annotations

import re
import tarfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from crossframe.video import remote
from crossframe.video.decode import decode_many, read_video
from crossframe.video.given import VideoError
from crossframe.video.remote import fetched, listed, listed_within, set_cache_limit
from tests.video.clips import moving, write_clip


class Site:
    """What a server has: content, the length that it claims, and headers; and how many bytes it was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[bytes, int, dict[str, str]]] = {}
        self.address = ""
        self.sent = 0

    def put(self, name: str, content: bytes, length: int | None = None, **headers: str) -> str:
        self.files[f"/{name}"] = (content, len(content) if length is None else length, headers)
        return f"{self.address}/{name}"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    here = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in here.files:
                self.send_error(404)
                return
            content, length, headers = here.files[self.path]
            if headers.get("Needs", self.headers.get("Authorization")) != self.headers.get("Authorization"):
                self.send_error(401)
                return
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if asked and "Accept_Ranges" in headers:
                content = content[int(asked[1]) : int(asked[2]) + 1]
                length = len(content)
            self.send_response(206 if asked and "Accept_Ranges" in headers else 200)
            for name, value in {"Content-Type": "video/mp4", **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            if length >= 0:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            with suppress(ConnectionError):  # a copy that is there already is not asked for
                self.wfile.write(content)
                here.sent += len(content)

        def log_message(self, format: str, *args: object) -> None:
            """Keeps standard error clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield here
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of downloads."""
    monkeypatch.setenv("CROSSFRAME_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    set_cache_limit(remote.MOST)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "a.mp4", frames=moving(8, 48, 40))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_address_gives_the_frames_of_the_file_and_its_name(site: Site, clip: Path, workers: int) -> None:
    address = site.put("a.mp4", clip.read_bytes(), ETag='"1"')
    gone = f"{site.address}/gone.mp4"
    frames, error = decode_many([address, gone], 4, workers=workers)
    assert not isinstance(frames, VideoError)
    assert frames.pixels.equal(read_video(clip, 4).pixels)
    assert frames.source == address
    assert str(error) == f"{gone}: the server says 404 Not Found; check the address"


def test_an_address_is_taken_as_browsers_show_it(site: Site, clip: Path, folder: Path) -> None:
    site.put("a%20%C3%BC.mp4?a=b%2Fc", clip.read_bytes())
    assert len(read_video(f"{site.address}/a ü.mp4?a=b%2Fc", 4)) == 4


def test_a_password_in_an_address_opens_it_and_is_not_told(site: Site, clip: Path, folder: Path) -> None:
    site.put("a.mp4", clip.read_bytes(), Needs="Basic dXNlcjpwQHNz")  # user:p@ss
    host = site.address.removeprefix("http://")
    assert len(read_video(f"http://user:p%40ss@{host}/a.mp4", 4)) == 4
    for name, reason in (("user:wrong", "says 401"), ("user:wrong@elsewhere.invalid:1", "cannot be reached")):
        with pytest.raises(VideoError, match=reason) as caught:
            read_video(f"http://{name}@{host}/a.mp4" if "invalid" not in name else f"http://{name}/a.mp4", 4)
        assert "http://user:***@" in str(caught.value)
        assert "wrong" not in str(caught.value)


def test_a_copy_is_used_until_the_original_changes(site: Site, clip: Path, folder: Path, tmp_path: Path) -> None:
    address = site.put("a.mp4", clip.read_bytes(), ETag='"1"')
    with fetched(address) as first, fetched(address) as again:
        assert first == again
        assert first.read_bytes() == clip.read_bytes()
    other = write_clip(tmp_path / "other.mp4", frames=moving(5, 40, 40)).read_bytes()
    site.put("a.mp4", other, ETag='"2"')
    with fetched(address) as changed:
        assert changed.read_bytes() == other
    site.put("a.mp4", clip.read_bytes())  # nobody says which version it is
    with fetched(address) as unknown:
        assert unknown.read_bytes() == clip.read_bytes()
    assert len([*folder.iterdir()]) == 3


@pytest.mark.parametrize("length", [10_000_000, -1])
def test_a_download_that_breaks_off_leaves_nothing(site: Site, clip: Path, folder: Path, length: int) -> None:
    content = clip.read_bytes()
    headers = {"ETag": '"1"'} | ({"Transfer-Encoding": "chunked"} if length < 0 else {})
    sent = b"%x\r\n%s" % (len(content) + 1, content) if length < 0 else content
    address = site.put("a.mp4", sent, length, **headers)
    with pytest.raises(VideoError, match=r"a\.mp4: (broke off after \d+|is no video|is not a video)"):
        read_video(address)
    if length > 0:
        assert [*folder.iterdir()] == []
    assert read_video(site.put("a.mp4", content, ETag='"1"'), 2).total == 8


def test_downloads_take_no_more_than_allowed(site: Site, folder: Path) -> None:
    addresses = [site.put(f"{number}.mp4", bytes(1000), ETag=f'"{number}"') for number in range(4)]
    set_cache_limit(2500)
    with fetched(addresses[0]) as held:
        for address in addresses[1:]:
            with fetched(address):
                assert held.exists()
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 2500
    large = site.put("large.mp4", bytes(3000))
    unsized = site.put("unsized.mp4", bytes(3000), -1)
    for address in (large, unsized):
        with pytest.raises(VideoError, match=r"has 3,000 bytes, more than the 2,500 for downloads; allow more"):
            read_video(address)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 2500


def test_what_is_no_video_is_said(site: Site) -> None:
    page = site.put("watch", b"<html>", **{"Content-Type": "text/html"})
    with pytest.raises(VideoError, match=r"watch: is a web page; give the address of the video file itself"):
        read_video(page)
    with pytest.raises(VideoError, match=r"cannot be reached \(.*refused\); check the address and the network"):
        read_video("http://127.0.0.1:1/a.mp4")
    with pytest.raises(VideoError, match=r"^rtsp://camera/1: cannot be opened \(.*rtsp"):
        read_video("rtsp://camera/1")
    with pytest.raises(VideoError, match=r"^memory://gone\.mp4: does not exist; check the address$"):
        read_video("memory://gone.mp4")


def test_an_address_of_fsspec_gives_the_frames_of_the_file(clip: Path, folder: Path) -> None:
    with fsspec.open("memory://videos/a.mp4", "wb") as file:
        file.write(clip.read_bytes())
    frames = read_video("memory://videos/a.mp4", 4)
    assert frames.pixels.equal(read_video(clip, 4).pixels)
    assert frames.source == "memory://videos/a.mp4"
    with fsspec.open("memory://videos/a.mp4", "rb") as file:
        assert read_video(file, 4).pixels.equal(frames.pixels)
    assert read_video(clip.as_uri(), 4).pixels.equal(frames.pixels)
    assert len([*folder.iterdir()]) == 1


def test_a_remote_folder_and_a_pattern_stand_for_their_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    memory = fsspec.filesystem("memory")
    for name in ("a.mp4", "deep/b.MKV", "notes.txt"):
        memory.pipe(f"/listed/{name}", b"x")
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert listed("memory://listed/") == ["memory:///listed/a.mp4", "memory:///listed/deep/b.MKV"]
    assert listed("memory://listed/*.mp4") == ["memory:///listed/a.mp4"]
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        assert listed(f"{address}/") == [f"{address}/a.mp4", f"{address}/deep/b.MKV"]
        assert listed(f"{address}/gone/") == []
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(VideoError, match="check the address"):
        listed("nothing://x/")


@pytest.fixture
def packed(clip: Path, tmp_path: Path) -> bytes:
    """A tar archive of two clips and a text."""
    (tmp_path / "b.txt").write_text("b")
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        for name in ("run/a.mp4", "b.txt", "c.mp4"):
            tar.add(tmp_path / name if name == "b.txt" else clip, name)
    return (tmp_path / "s.tar").read_bytes()


def test_of_an_archive_elsewhere_the_videos_are_found_and_fetched_alone(
    clip: Path, packed: bytes, folder: Path
) -> None:
    for name, content in (("s.tar", packed), ("t.tar", b"buy milk" * 99)):
        with fsspec.open(f"memory://shards/{name}", "wb") as file:
            file.write(content)
    assert listed("memory://shards/*.tar") == ["memory:///shards/s.tar", "memory:///shards/t.tar"]
    found, damaged, gone = listed_within([f"memory://shards/{name}.tar" for name in ("s", "t", "gone")])
    assert "t.tar cannot be read as an uncompressed .tar" in str(damaged)
    assert "gone.tar: cannot be looked into" in str(gone)
    assert not isinstance(found, VideoError)
    assert [re.sub(r"\d+\+\d+", "-", place) for place in found] == [
        "memory://shards/s.tar/-/c.mp4",
        "memory://shards/s.tar/-/run/a.mp4",
    ]
    for place in found:
        with fetched(place) as path:
            assert path.read_bytes() == clip.read_bytes()
    assert len([*folder.iterdir()]) == 2
    assert read_video(found[0], 4).pixels.equal(read_video(clip, 4).pixels)
    with pytest.raises(VideoError, match=r"broke off after 100 of 200 bytes"):
        read_video(f"memory://shards/s.tar/{len(packed) - 100}+200/late.mp4")


def test_a_server_of_an_archive_is_asked_for_the_part(site: Site, clip: Path, packed: bytes) -> None:
    with fsspec.open("memory://one.tar", "wb") as file:
        file.write(packed)
    (found,) = listed_within(["memory://one.tar"])
    assert not isinstance(found, VideoError)
    part = found[0].removeprefix("memory://one.tar")
    address = site.put("s.tar", packed, Accept_Ranges="bytes", ETag='"1"') + part
    assert read_video(address, 4).pixels.equal(read_video(clip, 4).pixels)
    assert site.sent == clip.stat().st_size
    address = site.put("whole.tar", packed) + part
    with pytest.raises(VideoError, match=r"whole\.tar: the server gives whole archives alone; fetch it first"):
        read_video(address)
