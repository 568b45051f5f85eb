"""Where shots change, by PySceneDetect (the extra `shots`), in a decoding pass of its own."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from crossframe.extras import install_command
from crossframe.video.given import Video, VideoError, at_hand, limits_here
from crossframe.video.media import check_readable


def detector() -> Any:
    """PySceneDetect. Raises ImportError, in one line with the command that helps, without the extra."""
    try:
        return import_module("scenedetect")
    except ImportError as error:
        raise ImportError(f"PySceneDetect finds where shots change; install it: {install_command('shots')}") from error


def shot_changes(video: Video) -> list[float]:
    """The seconds, after the first frame, at which a new shot begins.

    Raises ImportError as `detector` does, and VideoError where the video cannot be read.
    """
    found = detector()
    with at_hand(video) as given:
        if not isinstance(given.source, Path):
            raise VideoError(f"{given.name}: shots are found in files; save it to one first")
        check_readable(given.source, given.name, limits_here())  # its decoder would follow a playlist
        try:
            stream = found.open_video(str(given.source), backend="pyav", suppress_output=True)
            manager = found.SceneManager()
            manager.add_detector(found.AdaptiveDetector())
            manager.detect_scenes(stream)
        except Exception as error:  # whatever its decoders raise
            raise VideoError(f"{given.name}: shots cannot be found ({error}); leave out --shots") from error
        first = stream.base_timecode.seconds
        return [round(start.seconds - first, 3) for start, _ in manager.get_scene_list()[1:]]
