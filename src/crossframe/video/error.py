"""Errors about a video."""

from __future__ import annotations


class VideoError(ValueError):
    """A video that cannot be used. The message is one line that names the video and the remedy."""
