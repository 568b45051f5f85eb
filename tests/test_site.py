"""`make docs`: the pages as a site, built strictly, whose links lead somewhere, and which needs no network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.browser import CHROMIUM, opened
from tests.pages import PAGES, ROOT


class _Page(HTMLParser):
    """The anchors of a page, and what it links to and fetches."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                (self.links if tag == "a" else self.fetched).append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    outcome = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert (outcome.returncode, outcome.stderr) == (0, "")  # not even a warning
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, _Page]:
    return {path: _Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_page_is_in_it_and_its_commands_too(site: Path) -> None:
    assert all((site / Path(page).with_suffix(".html").name).exists() for page in PAGES if page != "README.md")
    front = (site / "index.html").read_text(encoding="utf-8")
    assert "crossframe demo" in front
    assert (site / "files/examples/recognize.ipynb").is_file()


def test_every_link_leads_somewhere_and_nothing_is_fetched_from_elsewhere(pages: dict[Path, _Page]) -> None:
    broken, seen = [], 0
    for path, page in pages.items():
        assert not [address for address in page.fetched if re.match(r"\w+:|//", address)], path
        for address in [*page.links, *page.fetched]:
            if re.match(r"\w+:", address):
                continue
            name, _, anchor = address.partition("#")
            target = (path.parent / unquote(name)).resolve() if name else path
            seen += 1
            if not target.exists() or (anchor and target in pages and unquote(anchor) not in pages[target].anchors):
                broken.append(f"{path.name}: {address}")
    assert broken == []
    assert seen > 1000


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
def test_it_opens_from_its_folder_without_a_network_and_can_be_searched(site: Path, tmp_path: Path) -> None:
    with opened(site / "index.html", tmp_path / "profile", width=1280) as page:
        found = page.ask(
            """(async () => {
                const box = document.querySelector(".md-search__input")
                box.focus()
                box.value = "calibration"
                box.dispatchEvent(new Event("keyup"))
                box.dispatchEvent(new Event("input"))
                for (let tries = 0; tries < 200; tries++) {
                    const count = document.querySelectorAll(".md-search-result__item").length
                    if (count) return count
                    await new Promise(resolve => setTimeout(resolve, 50))
                }
                return 0
            })()"""
        )
        assert found
        assert page.errors == []
        assert not [address for address in page.requests if not address.startswith(("file:", "data:"))]
