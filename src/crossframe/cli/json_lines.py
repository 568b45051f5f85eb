"""The output of `--json`: one object on each line, readable for programs and for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def json_line(values: Mapping[str, Any], encoding: str) -> str:
    """An object in one line; characters are escaped where the encoding lacks one of them."""
    line = json.dumps(values, ensure_ascii=False)
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(values)
    return line
