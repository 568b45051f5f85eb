"""The page of a server beside the same form made with Gradio: what is installed, sent and waited for.

    GRADIO_PYTHON=/path/to/python python -m benchmarks.page --save

GRADIO_PYTHON is a Python of an environment that has Gradio and nothing else; without it, Gradio is not measured. Both
pages come over loopback and have a place for a video, one for labels and a button. Seconds are those of Chromium, from
the start of the navigation to the first contentful paint, in a fresh profile each time.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from packaging.requirements import Requirement
from playwright.sync_api import sync_playwright

from benchmarks.harness import Bar, Options, Result, run
from tests.browser import CHROMIUM

GRADIO = """
import gradio
name = lambda video, labels: {}
form = gradio.Interface(name, [gradio.Video(), gradio.Textbox(lines=5)], gradio.Label(), analytics_enabled=False)
form.launch(quiet=True, prevent_thread_lock=True)
print("listening on", form.local_url, flush=True)
form.block_thread()
"""
# Megabytes of the files of a package and of all that it requires, those of `without` aside.
WEIGHED = """
import json, sys
from importlib.metadata import PackageNotFoundError, distribution
from packaging.requirements import Requirement

def tree(names, seen):
    for name in names:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        if found.name in seen:
            continue
        seen[found.name] = found
        needed = [Requirement(line) for line in found.requires or ()]
        tree([each.name for each in needed if not each.marker or each.marker.evaluate({"extra": ""})], seen)
    return seen

names, without = json.loads(sys.argv[1])
found = tree(names, {})
for name in tree(without, {}):
    found.pop(name, None)
print(sum(file.size or 0 for each in found.values() for file in each.files or ()) / 1e6)
"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
CORE = ("torch", "numpy", "av", "safetensors", "huggingface_hub", "tokenizers", "ftfy", "typer", "rich", "jinja2")


def measure(options: Options) -> Result:
    extra = [Requirement(line) for line in distribution("crossframe").requires or ()]
    own = [each.name for each in extra if each.marker and "serve" in str(each.marker)]
    serve = [sys.executable, "-m", "crossframe", "serve", "--model", "shapes", "--port", "0"]
    rows = [{"page": "crossframe", **_weight(sys.executable, own), **_opened(serve, options.repeats)}]
    other = os.environ.get("GRADIO_PYTHON")
    if other:
        gradio = _opened([other, "-c", GRADIO], options.repeats)
        rows.append({"page": "Gradio", **_weight(other, ["gradio"]), **gradio})
    ratio = rows[1]["first paint"] / rows[0]["first paint"] if other else None
    bars = [
        Bar("seconds to the first paint", rows[0]["first paint"], 1.0, at_most=True),
        Bar("requests of the page to others", rows[0]["to others"], 0, at_most=True),
        Bar("Gradio / crossframe, seconds to the first paint", ratio, 1.0),
    ]
    return Result(bars, rows, ["megabytes beside the packages that recognition needs anyway"])


def _weight(python: str, packages: Sequence[str]) -> dict[str, float]:
    asked = json.dumps([list(packages), list(CORE)])
    done = subprocess.run([python, "-c", WEIGHED, asked], check=True, capture_output=True, text=True)
    return {"installed MB": float(done.stdout)}


def _opened(command: Sequence[str], times: int) -> dict[str, Any]:
    with _serving(command) as address, sync_playwright() as playwright:
        paints: list[float] = []
        sent = others = 0
        for _ in range(times + 1):  # the first one is not counted
            flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
            page = browser.new_page()
            urls: list[str] = []
            page.on("request", lambda request, urls=urls: urls.append(request.url))
            page.goto(address, wait_until="load")
            while (paint := page.evaluate(PAINT)) is None:
                page.wait_for_timeout(50)
            paints.append(paint / 1000)
            page.wait_for_timeout(1000)
            entries = "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
            sent = page.evaluate(f"{entries}.reduce((sum, entry) => sum + entry.transferSize, 0)")
            others = sum(not url.startswith((address.rstrip("/"), "data:", "blob:")) for url in urls)
            browser.close()
        return {"sent kB": sent / 1000, "first paint": median(paints[1:]), "requests": len(urls), "to others": others}


@contextmanager
def _serving(command: Sequence[str]) -> Generator[str]:
    """The address of a server, once it says it."""
    with TemporaryDirectory() as folder, (Path(folder) / "log").open("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, text=True)
        try:
            while not (found := re.search(r"listening on (http\S+)", (Path(folder) / "log").read_text())):
                if process.poll() is not None:
                    raise RuntimeError((Path(folder) / "log").read_text())
                try:
                    process.wait(0.2)
                except subprocess.TimeoutExpired:
                    continue
            yield found[1]
        finally:
            process.terminate()
            process.wait(timeout=60)


if __name__ == "__main__":
    run("page", measure)
