"""Name what happens in any video, in your own words; teach it new actions with a handful of clips.

Every public name is imported on first use, so that `import crossframe` costs milliseconds and does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossframe.model.xclip import XCLIP
    from crossframe.prediction import Embedding, Prediction
    from crossframe.recognizer import Recognizer
    from crossframe.video.decode import Frames, read_video
    from crossframe.video.given import Video, VideoError
    from crossframe.weights import WeightsError, expand, list_models, load, save

__version__ = "0.1.0"
DEFAULT_MODEL = "microsoft/xclip-base-patch32"  # of the command line, and of `Recognizer.from_pretrained`
__all__ = [
    "XCLIP",
    "Embedding",
    "Frames",
    "Prediction",
    "Recognizer",
    "Video",
    "VideoError",
    "WeightsError",
    "__version__",
    "expand",
    "list_models",
    "load",
    "read_video",
    "save",
]

_HOME = {
    "XCLIP": "crossframe.model.xclip",
    "Embedding": "crossframe.prediction",
    "Frames": "crossframe.video.decode",
    "Prediction": "crossframe.prediction",
    "Recognizer": "crossframe.recognizer",
    "Video": "crossframe.video.given",
    "VideoError": "crossframe.video.given",
    "WeightsError": "crossframe.weights",
    "expand": "crossframe.weights",
    "list_models": "crossframe.weights",
    "load": "crossframe.weights",
    "read_video": "crossframe.video.decode",
    "save": "crossframe.weights",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'crossframe' has no attribute '{name}'")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
