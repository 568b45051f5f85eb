"""The cleaning that CLIP applies to every text before splitting it into tokens."""

from __future__ import annotations

import html
import re

import ftfy

_WHITESPACE = re.compile(r"\s+")


def clean(text: str) -> str:
    """Repair, unescape, trim and lower-case `text`, in the order CLIP was trained with.

    `ftfy` repairs mojibake, ligatures, full-width letters, curly quotes, lone surrogates and control characters.
    Entities are then unescaped twice, because text from the web is often escaped twice ("&amp;amp;").
    """
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return _WHITESPACE.sub(" ", text.strip()).lower()
