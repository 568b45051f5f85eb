"""Writes docs/api.md, the reference of the public Python names, from signatures and docstrings.

.venv/bin/python scripts/api_reference.py
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

from torch import nn

import crossframe

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
HEAD = """# API reference

What `import crossframe` offers. This page is written by `python scripts/api_reference.py` from the docstrings; edit
those. Shape letters: B clips, T frames, N patches, E joint width, K labels, L tokens, S the model's image size, H and W
the video's own.

"""
INHERITED = frozenset(dir(nn.Module)) - {"forward"}


def reference() -> str:
    """The whole page."""
    names = sorted((name for name in crossframe.__all__ if not name.startswith("__")), key=str.lower)
    index = " · ".join(f"[`{name}`](#{name.lower()})" for name in names)
    return HEAD + index + "\n\n" + "\n".join(_entry(name, getattr(crossframe, name)) for name in names)


def _entry(name: str, value: object) -> str:
    """The section of a public name: its call, its words, and for a class its public members."""
    if not inspect.isclass(value):
        return f"## {name}\n\n{_signature(name, value)}\n{_prose(value)}\n"
    if issubclass(value, Exception):
        return f"## {name}\n\n```python\nclass {name}({value.__mro__[1].__name__})\n```\n\n{_prose(value)}\n"
    parts = [f"## {name}", _signature(f"class {name}", value), _prose(value)]
    ours = [base for base in value.__mro__ if base.__module__.startswith("crossframe.")]
    for member, found in {name: found for base in ours[::-1] for name, found in vars(base).items()}.items():
        if member.startswith("_") or member in INHERITED:
            continue
        if isinstance(found, property):
            parts += [f"### {name}.{member}", _prose(found)]
        elif callable(function := getattr(value, member)) and inspect.getdoc(function):
            parts += [f"### {name}.{member}", _signature(f"{name}.{member}", function), _prose(function)]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _signature(name: str, value: object) -> str:
    """The call in a block, one parameter a line where it is long. `self` is left out."""
    signature = inspect.signature(value)  # pyright: ignore[reportArgumentType]
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name != "self"]
    call = re.sub(r"""(: |-> )(['"])(.*?)\2""", r"\1\3", str(signature.replace(parameters=parameters)))
    call = call.removesuffix(" -> None")
    if len(name + call) > 100:
        inside, _, returned = call.rpartition(")")
        inside = re.sub(r", (?=\w+(:|=|,|$)|\*,)", ",\n    ", inside.removeprefix("("))
        call = f"(\n    {inside},\n){returned}"
    return f"```python\n{name}{call}\n```\n"


def _prose(value: object) -> str:
    """The docstring as Markdown: its own words, and the fields of a dataclass."""
    text = inspect.getdoc(value) or ""
    if inspect.isclass(value) and dataclasses.is_dataclass(value):
        known = [field for field in dataclasses.fields(value) if not field.name.startswith("_")]
        text += "\n\nFields: " + ", ".join(f"`{field.name}: {field.type}`" for field in known) + "."
    return text


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
