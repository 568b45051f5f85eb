"""What a result depends on besides its recipe: versions and the machine."""

from __future__ import annotations

import os
import platform
from typing import Any

import av
import torch

import crossframe

ENVIRONMENT = "environment.json"


def environment(device: torch.device, processes: int) -> dict[str, Any]:
    """The content of `ENVIRONMENT` in every run's folder, for `processes` processes on one device each."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "crossframe": crossframe.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pyav": f"{av.__version__} with FFmpeg {av.ffmpeg_version_info}",
        "system": platform.platform(),
        "device": f"{device.type}: {name}",
        "processes": processes,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
