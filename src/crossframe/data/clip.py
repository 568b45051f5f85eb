"""One labelled clip: a video file or a stretch of one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip of a data set.

    `path` is relative to the manifest's root, or absolute. `start` and `end` are seconds after the first frame; None
    means those of the file. Clips of one `group` were cut from one recording and must not be divided between training
    and testing.
    """

    path: str
    label: str
    split: str = ""
    start: float | None = None
    end: float | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        if not self.path.isascii():  # few are not
            try:
                self.path.encode()
            except UnicodeEncodeError:
                raise ValueError(f"{self.path}: the name is not UTF-8, which lists need; rename the file") from None
        begin = 0.0 if self.start is None else self.start
        if not begin >= 0.0 or not (self.end is None or self.end > begin):
            raise ValueError(
                f"{self.path}: no clip can last from {self.start} to {self.end} s; start at 0 or later, end after it"
            )

    @property
    def recording(self) -> str:
        """The recording it was cut from: its group, or else its file."""
        return self.group or self.path

    @property
    def name(self) -> str:
        """Its name in messages and tables: the path, with the times as a media fragment (`a.mp4#t=2.0,4.5`)."""
        if self.start is None and self.end is None:
            return self.path
        begin = "" if self.start is None else str(self.start)
        return f"{self.path}#t={begin}" if self.end is None else f"{self.path}#t={begin},{self.end}"
