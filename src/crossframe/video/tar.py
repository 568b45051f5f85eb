"""Videos inside tar archives, read where they lie.

A path such as `shards/00000.tar/1536+48213/run/a.mp4` means the 48213 bytes from byte 1536 of `shards/00000.tar` on. It
says all that a reader needs: no index has to be read or kept, however many videos there are and in whatever order they
are asked for. The rest of the path is the video's name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MEMBER = re.compile(r"(?P<archive>.+\.tar)/(?P<offset>\d+)\+(?P<size>\d+)/.+", flags=re.DOTALL)


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


def member(path: Path) -> Member | None:
    """The part of an archive that a path means, None where it means a file.

    >>> member(Path("s/0.tar/512+7/run/a.mp4"))
    Member(archive=PosixPath('s/0.tar'), offset=512, size=7)
    """
    found = MEMBER.fullmatch(path.as_posix())
    return Member(Path(found["archive"]), int(found["offset"]), int(found["size"])) if found else None


def file_of(path: Path) -> Path:
    """The file on the disk: the archive, where the path leads into one."""
    inside = member(path)
    return path if inside is None else inside.archive
