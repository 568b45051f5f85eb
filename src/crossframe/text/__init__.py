"""Words for the model: label files and their hygiene, prompt templates, and the tokenizer.

What a command needs to check labels before any model loads is exported here and costs milliseconds. `Tokenizer`
returns tensors, so it lives in `crossframe.text.tokenizer` and brings torch with it.
"""

from __future__ import annotations

from crossframe.text.descriptions import read_descriptions
from crossframe.text.labels import check_labels, humanize, read_labels
from crossframe.text.templates import ENSEMBLE, fill

__all__ = ["ENSEMBLE", "check_labels", "fill", "humanize", "read_descriptions", "read_labels"]
