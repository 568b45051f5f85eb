"""An offline demo in one call: clips of drawn shapes are written, read back and classified, and shown on a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from crossframe import pages
from crossframe.files import check_page, write_text
from crossframe.prediction import Prediction
from crossframe.recognizer import Recognizer
from crossframe.shapes.caption import all_sentences, sentence
from crossframe.shapes.scene import Scene
from crossframe.shapes.splits import Split, draw
from crossframe.shapes.write import write_clip

# Seeds of a few clips that no training, validation or test run uses (those count up from 0).
DEMO_SEED = 2022


@dataclass(frozen=True, slots=True)
class Shown:
    """One clip of the demo: what it shows, and the prediction."""

    path: Path
    truth: str
    prediction: Prediction

    @property
    def right(self) -> bool:
        """True if the best label is the true one."""
        return self.prediction.top(1)[0][0] == self.truth


def run_demo(out: Path, *, source: str = "shapes", clips: int = 8, on_clip: Callable[[Shown], None]) -> Path:
    """Write `clips` clips of unseen seeds to `out`, classify each among everything its object could do, pass each
    result to `on_clip`, and return the path of an HTML page with all of them.

    Raises `ValueError` when the model cannot be loaded or `out` has files of somebody else, `OSError` when it cannot be
    written.
    """
    page = out / "index.html"
    check_page(page)
    if not page.exists() and (foreign := sorted(out.glob("clip-*.mp4"))):
        raise ValueError(f"{foreign[0]} is there, and not from a demo; choose another folder")
    recognizer = Recognizer.from_pretrained(source)
    out.mkdir(parents=True, exist_ok=True)
    shown: list[Shown] = []
    for index, scene in enumerate(_varied_scenes(clips)):
        path = write_clip(scene, out / f"clip-{index + 1}.mp4")
        candidates = list(all_sentences(scene).values())
        result = Shown(path, sentence(scene), recognizer.classify(path, candidates))
        on_clip(result)
        shown.append(result)
    write_text(page, _page(shown, source))
    return page


def _varied_scenes(count: int) -> list[Scene]:
    """Test scenes of `count` different actions, spread over all of them, plainly drawn."""
    stride = 5  # the split's actions take turns, opposites side by side; 5 steps on is always another kind
    return [draw(Split.TEST, DEMO_SEED, index * stride, nuisance=0) for index in range(count)]


def _page(shown: list[Shown], source: str) -> str:
    right = sum(clip.right for clip in shown)
    return pages.render(
        "clips",
        title="What happens in these clips?",
        lead=f"{right} of {len(shown)} clips named right, each among the sentences about its object. "
        "The model saw eight frames of each file.",
        clips=[replace(clip.prediction.on_page(3, clip.truth), name=clip.path.name) for clip in shown],
        foot=f"crossframe, model '{source}'. The clips were drawn from seeds that training never used.",
    )
