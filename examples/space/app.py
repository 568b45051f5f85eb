"""A Hugging Face Space: drop a video, type labels, see what fits and where it shows.

    pip install gradio
    python examples/space/app.py

The variable MODEL names another model, for instance microsoft/xclip-base-patch32; the bundled one knows drawn shapes.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import crossframe
from crossframe.explain.pictures import overlays
from crossframe.shapes.caption import all_sentences
from crossframe.shapes.splits import draw
from crossframe.shapes.write import write_clip

MODEL = os.environ.get("MODEL", "shapes")
recognizer = crossframe.Recognizer.from_pretrained(MODEL)


def recognize(video: str, labels: str) -> tuple[dict[str, float], list[Any]]:
    """The best labels, of one a line, with their scores, and the frames, colored where the best one shows."""
    names = [line.strip() for line in labels.splitlines() if line.strip()]
    explanation = recognizer.explain(video, names or None)
    return dict(explanation.prediction.top(5)), list(overlays(explanation).permute(0, 2, 3, 1).numpy())


def example() -> list[str]:
    """A drawn clip, and all that its object could do."""
    scene = draw("test", 0, 24)
    clip = write_clip(scene, Path(tempfile.mkdtemp()) / "example.mp4")
    return [str(clip), "\n".join(all_sentences(scene).values())]


def page() -> Any:
    """The page, of Gradio's parts."""
    import gradio

    def answer(video: str | None, labels: str) -> tuple[dict[str, float], list[Any]]:
        if video is None:
            raise gradio.Error("give a video, or pick the example below")
        try:
            return recognize(video, labels)
        except ValueError as error:  # a mistake, said in one line
            raise gradio.Error(str(error)) from None

    return gradio.Interface(
        answer,
        [gradio.Video(label="Video"), gradio.Textbox(label="Labels, one a line", lines=6)],
        [gradio.Label(label="What fits best"), gradio.Gallery(label="Where it shows", columns=4)],
        title="What happens in this video?",
        description=f"Model: {MODEL}. Scores say which of your labels fits best.",
        examples=[example()] if MODEL == "shapes" else None,
        cache_examples=False,
        flagging_mode="never",
    )


if __name__ == "__main__":
    page().launch()
