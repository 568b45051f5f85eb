"""Text for the model: label files and their checks, prompt templates, and the tokenizer.

What a command needs to check labels before a model loads is exported here and imports in milliseconds. `Tokenizer`
returns tensors, so it is in `crossframe.text.tokenizer`, which imports torch.
"""

from __future__ import annotations

from crossframe.text.label_files import read_label_set, read_labels
from crossframe.text.labels import ENSEMBLE, GENERIC, Group, LabelSet, check_labels, fill, humanize, read_descriptions

__all__ = [
    "ENSEMBLE",
    "GENERIC",
    "Group",
    "LabelSet",
    "check_labels",
    "fill",
    "humanize",
    "read_descriptions",
    "read_label_set",
    "read_labels",
]
