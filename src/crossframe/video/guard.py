"""The places that a video is read from, the reasons to refuse it before FFmpeg does, and the limits of its cost.

It is bytes, a file, or a part of a tar archive, read where it lies: a path such as
`shards/00000.tar/1536+48213/run/a.mp4` means the 48213 bytes from byte 1536 of `shards/00000.tar` on. It says all that
a reader needs: no index has to be read or kept, however many videos there are and in whatever order they are asked
for. The rest of the path is the video's name.

FFmpeg goes where a file's content sends it: playlists, scripts and descriptions of sessions open other files and
sockets. Only formats that hold their pictures themselves are read, whatever the file is called.
"""

from __future__ import annotations

import re
import stat
import struct
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from crossframe.pace import figure

# FFmpeg's own names. Left out, beside sound and subtitles: concat, dash, hls, imf, sdp, rtsp, rtp, sap, mlv,
# webm_dash_manifest and vobsub, which open other files or sockets; image2, which takes a name for a pattern; lavfi and
# devices; tty, which draws text.
FORMATS = ",".join(
    (
        "4xm,amv,anm,apng,asf,av1,avi,avs,avs2,avs3,bethsoftvid,bfi,bink,bmv,c93,cavsvideo,cdxl,cine",
        "dcstr,dfa,dhav,dirac,dnxhd,dv,dxa,ea,film_cpk,flic,flv,gdv,gif,gxf,h261,h263,h264,hevc,hnm,idcin,iff,ifv,ipu",
        "iv8,ivf,jpegxl_anim,jv,kux,live_flv,lmlm4,lvf,lxf,m4v,matroska,mgsts,mjpeg,mjpeg_2000,mm,mods,moflex,mov",
        "mpeg,mpegts,mpegvideo,mtv,mv,mvi,mxf,mxg,nsv,nut,nuv,obu,ogg,paf,pmp,psxstr,pva,r3d,rl2,rm,roq,rpl,ser,siff",
        "smjpeg,smk,smush,swf,thp,tiertexseq,tmv,ty,usm,vc1,vc1test,vividas,vivo,vmd,vvc,wc3movie,webm,wsvqa,wtv,xmv",
        "yop,yuv4mpegpipe,bmp_pipe,dpx_pipe,exr_pipe,gif_pipe,j2k_pipe,jpeg_pipe,jpegxl_pipe,png_pipe,ppm_pipe,tiff_pipe",
        "webp_pipe",
    )
)
# A file of the disk, or a part of one; bytes need no protocol.
PROTOCOLS = "file,subfile"
PLAYLISTS = (b"ffconcat", b"#EXTM3U", b"<?xml", b"<MPD", b"v=0", b"[playlist]", b"RTSPtext", b"[Reference]")
WEBP_MOVES = 0x02  # the flag of an animation, in a WebP's extended header
MOV_BOXES = {b"ftyp", b"moov", b"moof", b"mfra", b"mdat", b"free", b"skip", b"wide", b"styp", b"sidx", b"emsg"}
MOV_MORE = {b"pnot", b"prft", b"udta", b"uuid", b"meta", b"pdin", b"ssix", b"PICT"}
DEEPEST = 8  # five are usual
ENTRY = 64  # bytes that FFmpeg takes for each frame of such a table while it opens a file: 4.4 GB for 2^26 of them
PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}
MEMBER = re.compile(r"(?P<archive>.+\.tar)/(?P<offset>\d+)\+(?P<size>\d+)/.+", flags=re.DOTALL)
PACKED = (".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".zip", ".7z", ".rar")


class VideoError(ValueError):
    """A video that cannot be used. The message is one line that names the video and the remedy."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of reading one file: seconds, bytes of memory, and frames.

    Seconds and frames are kept to in any process; memory by the size of what is decoded, and in processes of their own
    (`isolate`) by the system.
    """

    seconds: float = 60.0
    memory: int = 2 << 30
    frames: int = 4 << 20  # 46 hours at 25 frames a second

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.memory > 0 and self.frames > 0):
            raise ValueError(
                f"limits of {self.seconds} seconds, {self.memory} bytes and {self.frames} frames: use numbers above 0"
            )

    def out_of_time(self, name: str) -> VideoError:
        return VideoError(
            f"{name}: was not read within {figure(self.seconds, 6)} seconds; leave it out, or allow more time"
        )

    def check_memory(self, name: str, size: int) -> None:
        """Raise VideoError where frames take more than is allowed."""
        if size > self.memory:
            most = f"more than {self.memory >> 20}; ask for fewer or smaller ones"
            raise VideoError(f"{name}: needs {size >> 20} MB for its frames, {most}")


def failure(name: str, error: Exception) -> VideoError:
    """The VideoError for whatever PyAV, FFmpeg or NumPy raised while a file was read."""
    if isinstance(error, VideoError):
        return error
    if isinstance(error, MemoryError):
        reason = "asks for more memory than there is, as a damaged table does"
        return VideoError(f"{name}: {reason}; leave it out, or allow more memory")
    text = " ".join((getattr(error, "strerror", None) or str(error) or "").split())
    return VideoError(f"{name}: cannot be read ({text or type(error).__name__}); give a video file that plays")


@dataclass(frozen=True, slots=True)
class Member:
    """`size` bytes of an archive, from `offset` on."""

    archive: Path
    offset: int
    size: int

    @property
    def address(self) -> str:
        """The name that FFmpeg opens."""
        return f"subfile,,start,{self.offset},end,{self.offset + self.size},,:file:{self.archive}"


def is_archive(path: Path) -> bool:
    """True for the name of a .tar, or of several by a pattern."""
    return path.suffix.lower() == ".tar" and not path.is_dir()


def check_unpacked(path: Path) -> None:
    """Raise ValueError for the name of a compressed file."""
    if path.suffix.lower() in PACKED and not path.is_dir():
        raise ValueError(f"{path} is compressed, and files are read where they lie: unpack it, to a folder or a .tar")


def member(path: Path) -> Member | None:
    """The part of an archive that a path means, None where it means a file, or nothing that is there.

    People write `shards/00000.tar/run/a.mp4`, for which the archive is looked through.

    >>> member(Path("s/0.tar/512+7/run/a.mp4"))
    Member(archive=PosixPath('s/0.tar'), offset=512, size=7)
    """
    text = path.as_posix()
    if ".tar/" not in text:
        return None
    if found := MEMBER.fullmatch(text):
        return Member(Path(found["archive"]), int(found["offset"]), int(found["size"]))
    return _named(path)


def places(archive: Path | str, file: IO[bytes] | None = None) -> dict[str, tuple[int, int]]:
    """The files in an archive by their names: where each begins and how long it is, in bytes.

    Of one that lies elsewhere, `file` is the open archive, and `archive` its address. Raises ValueError, in one line,
    where it is no archive that can be read where it lies, or names lead out of it.
    """
    found: dict[str, tuple[int, int]] = {}
    try:
        with tarfile.open(None if file else archive, "r:", fileobj=file) as tar:
            for entry in tar:
                name = PurePosixPath(entry.name)
                if name.is_absolute() or ".." in name.parts:
                    raise ValueError(f"{archive}: {entry.name!r} leads out of the archive; pack it anew")
                if entry.isreg() and not entry.issparse():
                    found[name.as_posix()] = (entry.offset_data, entry.size)
    except (tarfile.TarError, OSError) as error:
        raise ValueError(f"{archive} cannot be read as an uncompressed .tar ({error}); pack it anew") from error
    return found


def _named(path: Path) -> Member | None:
    for archive in path.parents:
        if archive.suffix == ".tar" and archive.is_file():
            status = archive.stat()
            try:
                inside = _known_places(archive, status.st_size, status.st_mtime_ns)
            except ValueError:  # it does not exist, then
                return None
            place = inside.get(path.relative_to(archive).as_posix())
            return Member(archive, *place) if place else None
    return None


@lru_cache(8)
def _known_places(archive: Path, _size: int, _changed: int) -> dict[str, tuple[int, int]]:
    return places(archive)


def file_of(path: Path) -> Path:
    """The file on the disk: the archive, where the path leads into one."""
    inside = member(path)
    return path if inside is None else inside.archive


def address(path: Path) -> str:
    """The name that FFmpeg opens. The prefix keeps it from taking a name with a colon for an address."""
    inside = member(path)
    return f"file:{path}" if inside is None else inside.address


def check_readable(source: Path | bytes, name: str, limits: Limits) -> None:
    """Raise VideoError for the mistakes for which we have better words than FFmpeg."""
    if isinstance(source, bytes):
        if not source:
            raise VideoError(f"{name}: is empty; give the bytes of a video file")
        _check_content(BytesIO(source), 0, len(source), name, limits)
        return
    try:
        status = file_of(source).stat()
    except FileNotFoundError as error:
        raise VideoError(f"{name}: does not exist; check the path") from error
    except (OSError, ValueError) as error:  # a ValueError is a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise VideoError(f"{name}: cannot be opened ({reason}); check the path") from error
    if stat.S_ISDIR(status.st_mode):
        raise VideoError(f"{name}: is a folder; give the video files in it")
    if not stat.S_ISREG(status.st_mode):  # nobody may ever write to a pipe, and what was read is gone
        raise VideoError(f"{name}: is a pipe or a device; write the video to a file first")
    inside = member(source)
    if inside is not None and inside.offset + inside.size > status.st_size:
        raise VideoError(f"{name}: {inside.archive} ends before this video does; pack it again")
    if status.st_size == 0:
        raise VideoError(f"{name}: is empty; give a video file that plays")
    try:
        with file_of(source).open("rb") as file:
            begin, end = (0, status.st_size) if inside is None else (inside.offset, inside.offset + inside.size)
            _check_content(file, begin, end, name, limits)
    except PermissionError as error:
        raise VideoError(f"{name}: may not be read; check the path") from error
    except OSError as error:
        raise VideoError(f"{name}: cannot be opened ({error.strerror}); check the path") from error


def _check_content(file: BinaryIO, begin: int, end: int, name: str, limits: Limits) -> None:
    """Refuse playlists, and files of QuickTime's family whose tables claim more frames than anybody has.

    The file's bytes are those from `begin` until before `end`. FFmpeg makes an entry of its own for each frame that a
    table claims, even if that takes no byte in the file.
    """
    file.seek(begin)
    start = file.read(min(64, end - begin)).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(PLAYLISTS):
        raise VideoError(f"{name}: is a playlist or a script that names other files; give the video itself")
    if start[8:16] == b"WEBPVP8X" and len(start) > 20 and start[20] & WEBP_MOVES:
        raise VideoError(f"{name}: is an animated WebP, which FFmpeg does not read; convert it to .gif or .mp4")
    claimed, sound, by_tick = 0, False, False
    for kind, body, stop in _boxes(file, begin, end):
        file.seek(body)
        head = file.read(min(16, stop - body)).ljust(16, b"\0")
        if kind == b"hdlr":
            sound = head[8:12] == b"soun"
        elif kind == b"stts":  # one entry of one tick each: sound whose samples nobody lists
            by_tick = struct.unpack(">4xI4xI", head) == (1, 1)
        elif kind == b"stsz":
            claimed += 0 if sound and by_tick else struct.unpack(">8xI4x", head)[0]
        elif kind == b"trun":
            claimed += struct.unpack(">4xI8x", head)[0]
        if claimed > limits.frames:
            raise VideoError(
                f"{name}: claims {claimed} frames, and {limits.frames} are the most that are read; it may be damaged"
            )
        if claimed * ENTRY > limits.memory:  # FFmpeg would end its table where memory ends, and show no frame at all
            raise VideoError(
                f"{name}: claims {claimed} frames, whose table takes {claimed * ENTRY >> 20} MB, more than "
                f"{limits.memory >> 20}; it may be damaged, or allow more memory"
            )


def _boxes(file: BinaryIO, start: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """The boxes that hold no others, depth first: their kinds, and where what is in them begins and ends."""
    while start + 8 <= end and depth < DEEPEST:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        if depth == 0 and kind not in MOV_BOXES | MOV_MORE:
            return
        body = start + 8
        if size == 1 and start + 16 <= end:
            size, body = struct.unpack(">Q", file.read(8))[0], start + 16
        stop = min(start + size, end) if size else end
        if stop < body:
            return
        if kind in PARENTS:
            yield from _boxes(file, body, stop, depth + 1)
        else:
            yield kind, body, stop
        start = stop
