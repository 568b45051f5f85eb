"""Takes the pictures of the docs anew: the page of the demo, and the report of an evaluation on Shapes.

    python scripts/screenshots.py

needs Chromium (`apt-get install chromium`). Look at the pictures before you commit them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from crossframe.demo import run_demo
from crossframe.evaluate.report import write_report
from crossframe.evaluate.shapes import ask
from crossframe.weights import load

DOCS = Path(__file__).parents[1] / "docs"
CLIPS = 440  # of the report: 20 of each action
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
        demo = run_demo(here / "demo", told=lambda clip: print(clip.path.name, clip.prediction.top(1)))
        ask(load("shapes", device="cpu"), clips=CLIPS).save(here / "shapes-test")
        report = write_report(here / "shapes-test")
        for page, name, width, height in (
            (demo, "demo", 900, 690),
            (report, "report", 1000, 1640),
            (report, "report-phone", 390, 1640),
        ):
            picture = DOCS / f"{name}.png"
            flags = [*FLAGS.split(), f"--user-data-dir={here / name}", f"--window-size={width},{height}"]
            command = [chromium, *flags, f"--screenshot={picture}", page.as_uri()]
            subprocess.run(command, check=True, timeout=60, stderr=subprocess.DEVNULL)
            print(f"{picture}: {picture.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
