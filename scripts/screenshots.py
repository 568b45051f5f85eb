"""Takes the pictures of the docs anew: the page of the demo, one about reasons, the report of an evaluation on Shapes,
what a search found, the page of a server, and the page about a long video.

    python scripts/screenshots.py [FILM.mp4]

With a film, that page is taken of it too; the one in the docs is one-by-one-person-detection.mp4 of Intel's
sample-videos (CC-BY-4.0). It needs Chromium (`apt-get install chromium`). Look at the pictures
before you commit them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from contextlib import chdir, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from playwright.sync_api import sync_playwright

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
    ("found.html", "search", 1000, 850, 0.8),
    ("found.html", "search-phone", 390, 975, 1.0),
    ("long.html", "timeline", 1000, 1120, 0.8),
    ("long.html", "timeline-phone", 390, 1000, 1.0),
)
OF_A_FILM = (
    ("film.html", "timeline-film", 1000, 730, 0.8),
    ("film.html", "timeline-film-phone", 390, 690, 1.0),
)
SERVED: tuple[tuple[str, int, Literal["light", "dark"], str], ...] = (  # picture, width, by day or night, example
    ("serve", 900, "light", "A long one"),
    ("serve-phone", 390, "dark", "Example 2"),
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
        index = here / "index"
        with chdir(here), suppress(SystemExit):  # for names on the pages
            render = ["shapes", "render", "drawn", "--split", "test", "--videos", "24", "--workers", "1"]
            app(render, standalone_mode=False)
            app(["index", "drawn", "--out", str(index), "--model", "shapes", "--summary"], standalone_mode=False)
        with chdir(here), suppress(SystemExit):
            words = ["a red circle moving left", "--top", "3", "--html", "found.html"]
            app(["search", str(index), *words], standalone_mode=False)
        with chdir(here), suppress(SystemExit):
            drawn = ["shapes", "render", "long", "--split", "test", "--long", "180", "--videos", "1"]
            app(drawn, standalone_mode=False)
        with chdir(here), suppress(SystemExit):
            words = ["long/test/long-000.mp4", "--labels", "long/labels.txt", "--model", "shapes", "--stride", "1"]
            app(["timeline", *words, "--out", "long.html"], standalone_mode=False)
        film = Path(sys.argv[1]).resolve() if sys.argv[1:] else None
        with chdir(here), suppress(SystemExit):
            words = ["-l", "people walking through a room", "-l", "cars driving", "--model", "shapes", "--stride", "1"]
            if film:
                shutil.copy(film, here)
                app(["timeline", film.name, *words, "--out", "film.html"], standalone_mode=False)
        for page, name, width, height, scale in (*PICTURES, *(OF_A_FILM if film else ())):
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
        of_server(chromium, index)


def of_server(chromium: str, index: Path) -> None:
    """The page of a server: a clip that it has named, by night; a long one over time, and a search, by day."""
    command = [sys.executable, "-m", "crossframe", "serve", "--model", "shapes", "--index", str(index), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        lines = iter(server.stderr or ())
        address = next(found[1] for line in lines if (found := re.search("listening on (http.*)", line)))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            for name, width, scheme, asked in SERVED:
                page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
                page.goto(address)
                page.click(f"text={asked}")
                page.click("#when" if asked == "A long one" else "#go")
                page.wait_for_selector("#timeline:not([hidden]), #result:not([hidden])", timeout=60_000)
                if scheme == "light":
                    page.fill("#words", "a red circle moving left")
                    page.click("#find")
                    page.wait_for_selector("#found li")
                page.evaluate("for (const hit of [...document.querySelectorAll('#found li')].slice(1)) hit.remove()")
                picture = DOCS / f"{name}.png"
                page.screenshot(path=picture, full_page=True)
                print(f"{picture}: {picture.stat().st_size / 1000:.0f} kB")
    finally:
        server.terminate()
        server.wait(timeout=60)


if __name__ == "__main__":
    main()
