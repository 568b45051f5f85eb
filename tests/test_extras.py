"""The command for a missing extra: pip installs a package, and the command names what it came from."""

from __future__ import annotations

import base64
import hashlib
import shlex
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

import pytest

from crossframe.extras import install_command, requirements_of


def wheel(folder: Path) -> Path:
    """A wheel of nothing, with an extra `more`."""
    path = folder / "nothing-1.0-py3-none-any.whl"
    metadata = "Metadata-Version: 2.1\nName: nothing\nVersion: 1.0\nProvides-Extra: more\n"
    files = {
        "nothing.py": "",
        "nothing-1.0.dist-info/METADATA": metadata + 'Requires-Dist: numpy>=1.26; extra == "more"\n',
        "nothing-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any",
    }
    record = "nothing-1.0.dist-info/RECORD"
    hashes = {
        name: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        for name, text in files.items()
    }
    lines = [f"{name},sha256={hashes[name]},{len(text)}\n" for name, text in files.items()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, record: "".join([*lines, f"{record},,\n"])}.items():
            archive.writestr(name, text)
    return path


@pytest.fixture
def from_wheel(tmp_path: Path) -> tuple[Path, Distribution]:
    """The wheel, and what pip installed of it."""
    path = wheel(tmp_path)
    target = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", target, path]
    subprocess.run(command, check=True)
    (installed,) = distributions(name="nothing", path=[str(target)])
    return path, installed


def test_of_a_wheel_the_command_names_the_wheel(from_wheel: tuple[Path, Distribution]) -> None:
    path, installed = from_wheel
    assert requirements_of(installed, "more") == [f"{path}[more]"]


def test_of_a_wheel_that_is_gone_the_command_names_the_packages(from_wheel: tuple[Path, Distribution]) -> None:
    path, installed = from_wheel
    path.unlink()
    assert requirements_of(installed, "more") == ["numpy>=1.26"]
    assert requirements_of(installed, "less") == []


def test_the_command_is_one_that_pip_can_follow(from_wheel: tuple[Path, Distribution]) -> None:
    _, installed = from_wheel
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", *requirements_of(installed, "more")]
    outcome = subprocess.run(command, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    assert "Would install nothing-1.0" in outcome.stdout  # numpy is there already


def test_the_command_for_training_names_this_python_and_a_place_that_exists() -> None:
    words = shlex.split(install_command("train"))
    assert words[:4] == [sys.executable, "-m", "pip", "install"]
    place = Path(words[-1].removesuffix("[train]"))
    assert (place / "pyproject.toml").is_file() or place.suffix == ".whl" or "lightning-fabric" in words[-1]


def test_the_extra_has_the_packages_whose_absence_is_told() -> None:
    required = [line for line in distribution("crossframe").requires or () if "extra == 'train'" in line]
    assert any(line.startswith("pyarrow") for line in required), required
