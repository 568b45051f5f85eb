"""A reader that hangs on one clip. The processes of a loader import this, so it imports little."""

from __future__ import annotations

import time
from typing import Any

from crossframe.data.reader import Job, read_clip
from crossframe.video.exact import Decoded

HANGS = 0


def read_or_hang(job: Job, *how: Any) -> Decoded:
    if job.index == HANGS:
        time.sleep(600)
    return read_clip(job, *how)
