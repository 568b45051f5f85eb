"""The page: written once, when the server starts, with a policy that lets it do what it does and nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping

import crossframe
from crossframe import pages
from crossframe.pace import figure
from crossframe.serve.clips import Example
from crossframe.serve.settings import Settings
from crossframe.text.labels import LabelSet, some


def page(settings: Settings, examples: Mapping[str, Example]) -> tuple[bytes, str]:
    """The HTML, and its Content-Security-Policy.

    Its own script and style are named by their hashes: what a name or a label might smuggle in is not among them.
    """
    model = str(settings.made_by.get("model", ""))
    own = settings.labels
    labels = list(own.labels if isinstance(own, LabelSet) else own or ())
    lead = "Drop a video, say in your own words what it may show, and see which of them it is."
    if model == "shapes":
        lead += " The model “shapes” knows drawn shapes alone."
    html = pages.render(
        "serve",
        title="What happens in this video?",
        lead=lead,
        foot=f"crossframe {crossframe.__version__}, model {model}. The API is described in /openapi.json.",
        size=figure(settings.size / (1 << 20)),
        length=_length(settings.length),
        labels=some(labels),
        token=bool(settings.token),
        index=settings.index is not None,
        examples=examples,
    )
    policy = {
        "default-src": "'none'",
        "script-src": _hashes(html, "script"),
        "style-src": _hashes(html, "style"),
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return html.encode(), "; ".join(f"{name} {allowed}" for name, allowed in policy.items())


def _hashes(html: str, tag: str) -> str:
    found = re.findall(f"<{tag}>(.*?)</{tag}>", html, flags=re.DOTALL)
    digests = (hashlib.sha256(text.encode()).digest() for text in found)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def _length(seconds: float) -> str:
    return f"{figure(seconds / 60)} minutes" if seconds >= 120 else f"{figure(seconds)} seconds"
