"""How videos are written."""

from __future__ import annotations


def x264_options(quality: int) -> dict[str, str]:
    """FFmpeg's options for libx264 that give the same bytes for the same frames; `quality` is the constant rate factor.

    One thread, since files are encoded in parallel. No macroblock tree: for widths of an odd number of macroblocks it
    reads uninitialized memory, and the same frames gave different bytes from one process to the next.
    """
    return {"crf": str(quality), "preset": "veryfast", "threads": "1", "x264-params": "no-mbtree=1"}
