"""What `import crossframe` promises: it is quick, and every public name leads to where it says."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import crossframe

HEAVY = ("torch", "numpy", "av", "transformers", "tokenizers", "huggingface_hub", "typer", "rich")
LAZY = sorted(set(crossframe.__all__) - {"__version__"})


def run_python(code: str) -> str:
    """The standard output of `code` in a fresh interpreter: this one has imported torch already."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def names_for_type_checkers() -> dict[str, str]:
    """Public name -> module, as the `if TYPE_CHECKING:` block of the package states it."""
    tree = ast.parse(Path(crossframe.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_import_loads_no_heavy_package():
    output = run_python(f"import sys, crossframe; print([name for name in {HEAVY} if name in sys.modules])")
    assert output.strip() == "[]"


def test_version_is_that_of_the_installed_package():
    assert crossframe.__version__ == version("crossframe")


def test_type_checkers_see_the_same_names_as_the_interpreter():
    assert names_for_type_checkers() == crossframe._HOME
    assert sorted(crossframe._HOME) == LAZY


@pytest.mark.parametrize("name", LAZY)
def test_lazy_name_is_the_one_in_its_module(name: str):
    assert getattr(crossframe, name) is getattr(import_module(crossframe._HOME[name]), name)


def test_dir_lists_names_that_are_not_imported_yet():
    output = run_python("import sys, crossframe; print(*dir(crossframe)); assert 'torch' not in sys.modules")
    assert set(crossframe.__all__) <= set(output.split())


def test_unknown_name_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="'crossframe' has no attribute 'clasify'"):
        _ = crossframe.clasify
