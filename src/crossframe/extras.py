"""Optional packages: the command that installs an extra from wherever crossframe itself was installed."""

from __future__ import annotations

import json
import shlex
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname


def install_command(extra: str) -> str:
    """The command that adds the packages of `extra` to this Python, for instance those of `train`.

    pip notes where a package came from (PEP 610): a clone, a wheel or a git URL, which is what to install again. Where
    that is gone, or crossframe came from an index, the packages are named one by one.
    """
    try:
        what = requirements_of(distribution("crossframe"), extra)
    except PackageNotFoundError:  # on PYTHONPATH, not installed
        what = [f"{Path(__file__).parents[2]}[{extra}]"]
    return shlex.join([sys.executable, "-m", "pip", "install", *what])


def requirements_of(installed: Distribution, extra: str) -> list[str]:
    """The arguments of pip that say what to install."""
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    url = str(origin.get("url", ""))
    if version := origin.get("vcs_info"):
        return [f"{installed.name}[{extra}] @ {version['vcs']}+{url}@{version['commit_id']}"]
    path = Path(url2pathname(urlsplit(url).path)) if url.startswith("file:") else None
    if path and path.exists():
        return [*(["-e"] if origin.get("dir_info", {}).get("editable") else []), f"{path}[{extra}]"]
    required = (line.partition(";") for line in installed.requires or ())
    return [name.strip() for name, _, marker in required if f"extra == '{extra}'" in marker.replace('"', "'")]
