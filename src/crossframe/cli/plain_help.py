"""How `--help` shows options: a flag has no type, and types are words of the terminal, not of Python."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

_OF_PYTHON = re.compile(r"<list\[(\w+)\]>|<(\w+) range>")  # which says that it repeats, or its limits, in its own words


def _in_plain_words(params: list[Any], ctx: Any) -> list[Any]:
    for param in params:
        flag = isinstance(param, TyperOption) and param.is_bool_flag
        shown = "" if flag else _OF_PYTHON.sub(lambda found: f"<{found[1] or found[2]}>", param.display_type(ctx) or "")
        param.display_type = partial(_same, shown)
    return params


def _same(shown: str, ctx: Any) -> str:
    return shown


class PlainCommand(TyperCommand):
    """A command whose help is in plain words."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options and arguments, ready to be shown."""
        return _in_plain_words(super().get_params(ctx), ctx)


class PlainGroup(TyperGroup):
    """A group of commands whose help is in plain words."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options, ready to be shown."""
        return _in_plain_words(super().get_params(ctx), ctx)


class PlainTyper(typer.Typer):
    """Commands and groups whose help is in plain words."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=PlainGroup, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Any:
        """As of `typer.Typer`."""
        return super().command(name, cls=PlainCommand, **settings)
