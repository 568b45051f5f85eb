"""What tests of files of weights share: a file changed, and a file refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

import crossframe
from crossframe.weights import WeightsError


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    weights = path.with_name("model.safetensors")
    if weights.is_file():  # that they were saved with another config is not what is wrong here
        save_file(load_file(weights), weights)


def refused(path: Path, message: str) -> None:
    """`load` says it in one line that names the file."""
    with pytest.raises(WeightsError, match=message) as caught:
        crossframe.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
