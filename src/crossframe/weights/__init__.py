"""Loading, expanding and saving weights, in every layout that they are published in. No file can run code.

`load`, `expand` and `save` are all that most people need. Inside: `tables` holds the parameter names of every layout
and `convert` applies them; `pickles` and `archive` read files, `search` finds the state dict in them; `folder`, `hub`
find folders; `loading` makes a model of all that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossframe.weights.errors import WeightsError
    from crossframe.weights.expansion import expand, replace_vision
    from crossframe.weights.hub import Access
    from crossframe.weights.loading import load
    from crossframe.weights.saving import save
    from crossframe.weights.sources import Source, list_models

__all__ = ["Access", "Source", "WeightsError", "expand", "list_models", "load", "replace_vision", "save"]

# Imported on first use: listing the known models must not wait for torch.
_HOME = {
    "Access": "hub",
    "Source": "sources",
    "WeightsError": "errors",
    "expand": "expansion",
    "list_models": "sources",
    "load": "loading",
    "replace_vision": "expansion",
    "save": "saving",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'crossframe.weights' has no attribute '{name}'")
    value = getattr(import_module(f"crossframe.weights.{_HOME[name]}"), name)
    globals()[name] = value
    return value
