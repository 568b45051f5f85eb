"""Takes the pictures of the docs anew: the page of the demo, one about reasons, the report of an evaluation on Shapes.

    python scripts/screenshots.py

needs Chromium (`apt-get install chromium`). Look at the pictures before you commit them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

from crossframe.cli import app
from crossframe.shapes.caption import all_sentences
from crossframe.shapes.splits import draw
from crossframe.shapes.write import write_clip

DOCS = Path(__file__).parents[1] / "docs"
EXPLAINED = 24  # which drawn clip
CLIPS = 440  # of the report: 20 of each action
PICTURES = (  # page, name, size of the window, and pixels of the picture to one of the window
    ("demo/index.html", "demo", 900, 690, 1.0),
    ("why.html", "explain", 1000, 1010, 0.8),
    ("test/report.html", "report", 1000, 3160, 0.8),
    ("test/report.html", "report-phone", 390, 1960, 1.0),
)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars"
)


def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("there is no chromium; install it, for instance with apt-get install chromium")
    with TemporaryDirectory() as folder:
        here = Path(folder)
        app(["demo", "--out", f"{here}/demo"], standalone_mode=False)
        scene = draw("test", 0, EXPLAINED)
        labels = (word for label in all_sentences(scene).values() for word in ("-l", label))
        write_clip(scene, here / "clip.mp4")
        with chdir(here):  # for the name on the page
            app(["explain", "clip.mp4", "--model", "shapes", *labels, "--html", "why.html"], standalone_mode=False)
        evaluate = ["evaluate", "shapes", "--model", "shapes", "--videos", str(CLIPS), "--out", f"{here}/test"]
        app(evaluate, standalone_mode=False)
        for page, name, width, height, scale in PICTURES:
            picture = DOCS / f"{name}.png"
            size = [f"--window-size={width},{height}", f"--force-device-scale-factor={scale}"]
            command = [
                chromium,
                *FLAGS.split(),
                *size,
                f"--user-data-dir={here / name}",
                f"--screenshot={picture}",
                (here / page).as_uri(),
            ]
            subprocess.run(command, check=True, timeout=60, stderr=subprocess.DEVNULL)
            print(f"{picture}: {picture.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
