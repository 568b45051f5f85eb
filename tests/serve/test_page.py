"""The page in a real browser: with a mouse, with keys alone, on a phone; and what others write stays text."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser import CHROMIUM
from tests.serve.conftest import Running, running

EVIL = "<img src=x onerror=alert(1)>"
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Browser, server: Running) -> Iterator[Open]:
    """Opens the page; in the end it must have asked no one else, and have had no errors of its own."""
    contexts: list[Any] = []
    asked: list[str] = []
    errors: list[str] = []

    def start(width: int = 1000, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.goto(server.address)
        return page

    yield start
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith((server.address, "data:"))] == []
    assert [line for line in errors if "Failed to load resource" not in line] == []  # which the browser says of a 422


def answered(page: Page) -> str:
    """The verdict, once it is there."""
    page.wait_for_selector("#result:not([hidden])", timeout=60_000)
    return page.inner_text("#verdict")


def test_an_upload_is_named_and_labels_stay_in_the_address(opened: Open, clips: Path) -> None:
    page = opened()
    page.set_input_files("#video", clips / "0.mp4")
    assert page.inner_text("#status") == "0.mp4 is chosen."
    page.fill("#labels", f"a circle\n\n  {EVIL}  \na square")
    page.click("#go")
    assert answered(page).startswith("It shows: ")
    assert page.inner_text("#result-title") == "0.mp4"
    rows = page.locator("#scores tr th").all_inner_texts()
    assert sorted(rows) == sorted(["a circle", EVIL, "a square"])
    assert page.title() == "What happens in this video?"
    assert page.locator("#strip img").count() == 8
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert page.get_attribute("#strip img >> nth=1", "alt").startswith("frame at ")  # pyright: ignore[reportOptionalMemberAccess]
    assert page.evaluate("document.activeElement.id") == "result-title"
    page.reload()
    assert page.input_value("#labels") == f"a circle\n{EVIL}\na square"
    assert page.is_hidden("#result")


def test_a_timeline_is_drawn_and_told(opened: Open) -> None:
    page = opened(390)
    page.click(".example >> nth=0")
    page.click("#when")
    page.wait_for_selector("#timeline:not([hidden])", timeout=60_000)
    assert page.inner_text("#timeline-title") == "example-1.mp4 over time"
    assert page.locator("#curves path").count() == 5
    assert page.locator("#curves-legend li").count() == 5
    assert page.inner_text("#segments tr >> nth=0 >> th") == "an orange star moving right"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.activeElement.id") == "timeline-title"
    page.click("#go")
    assert answered(page) == "It shows: an orange star moving right"
    assert page.is_hidden("#timeline")


def test_where_nothing_stands_out_there_is_no_table(opened: Open) -> None:
    page = opened()
    page.click(".example >> nth=0")
    page.fill("#labels", "a cat that plays the piano")
    page.click("#when")
    page.wait_for_selector("#timeline:not([hidden])", timeout=60_000)
    assert page.inner_text("#timeline-notes").startswith("Nothing stands out in it.")
    assert page.is_hidden("text=Segments")
    page.click(".example >> nth=0")
    page.click("#when")
    page.wait_for_selector("#segments tr", timeout=60_000)
    assert page.is_visible("text=Segments")


def test_the_index_is_searched_in_words_and_by_the_video_above(opened: Open, clips: Path) -> None:
    page = opened()
    page.click("#find")
    assert page.inner_text("#found-problem").startswith("There are no words yet")
    page.fill("#words", "a circle that is pulsing")
    page.keyboard.press("Enter")
    page.wait_for_selector("#found li")
    assert page.locator("#found li").count() == 3
    assert page.inner_text("#found-status") == "3 clips, best first."
    assert page.locator("#found li >> nth=0 >> img").count() == 8
    page.set_input_files("#video", clips / "1.mp4")
    page.click("#alike")
    page.wait_for_selector("#found h3:has-text('1.mp4 · 1.000')")


def test_a_label_is_explained(opened: Open) -> None:
    page = opened(390)
    page.click(".example >> nth=0")
    page.click("#go")
    answered(page)
    page.click("#scores button >> nth=1")
    page.wait_for_selector("#why:not([hidden])", timeout=60_000)
    assert page.inner_text("#why-title") == f"Why “{page.inner_text('#scores th >> nth=1')}”?"
    assert page.locator("#maps img").count() == page.locator("#reasons tr").count() == 8
    assert page.is_visible("#result")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_it_works_with_keys_alone_and_the_answer_may_be_none(opened: Open) -> None:
    page = opened()

    def tab_to(selector: str) -> None:
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("given => document.activeElement.matches(given)", selector):
                return
        raise AssertionError(selector)

    tab_to(".example")
    page.keyboard.press("Enter")
    assert page.get_attribute(".example >> nth=0", "aria-pressed") == "true"
    tab_to("#labels")
    page.keyboard.press("Control+A")
    page.keyboard.type("a cat that plays the piano\na train in the snow")
    tab_to("#generic")
    page.keyboard.press("Space")
    tab_to("#go")
    page.keyboard.press("Enter")
    assert answered(page) == "None of these."
    page.reload()
    assert page.is_checked("#generic")
    assert page.get_attribute(".example >> nth=0", "aria-pressed") == "true"


def test_what_goes_wrong_is_said_in_plain_words(opened: Open, tmp_path: Path) -> None:
    page = opened()
    page.click("#go")
    assert page.inner_text("#problem") == "There is no video yet: drop one, choose one, or take an example."
    page.click(".example >> nth=1")
    page.fill("#labels", "")
    page.click("#go")
    assert page.inner_text("#problem").startswith("There are no labels yet")
    broken = tmp_path / f"{EVIL}.mp4"
    broken.write_bytes(b"no video")
    page.set_input_files("#video", broken)
    page.fill("#labels", "a\nb")
    page.click("#go")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.inner_text("#problem").startswith(f"{broken.name}: is not a video")
    assert page.is_enabled("#go")
    page.context.set_offline(True)
    page.click("#go")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.inner_text("#problem") == "The server cannot be reached; is it still running?"


@pytest.mark.parametrize("width", [320, 390])
def test_it_fits_a_phone_in_the_dark(opened: Open, width: int) -> None:
    page = opened(width, color_scheme="dark", has_touch=True)
    page.tap(".example >> nth=0")
    page.fill("#labels", "a_label_of_somebody_who_never_uses_spaces_" * 4 + "\nb")
    page.tap("#go")
    page.wait_for_selector("#problem:not([hidden]), #result:not([hidden])")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark == "rgb(22, 25, 29)"
    small = "[...document.querySelectorAll('button')].filter(b => b.offsetParent && b.offsetHeight < 44).length"
    assert page.evaluate(small) == 0


def test_in_print_the_answer_is_left_without_the_form(opened: Open) -> None:
    page = opened()
    page.click(".example >> nth=0")
    page.click("#go")
    answered(page)
    page.emulate_media(media="print")
    assert page.is_hidden("#ask")
    assert page.is_visible("#scores")


def test_where_there_is_a_token_the_page_asks_for_it(browser: Browser) -> None:
    with running(CROSSFRAME_TOKEN="open sesame") as server:
        page = browser.new_page()
        page.goto(server.address)
        page.click(".example >> nth=0")
        page.click("#go")
        page.wait_for_selector("#problem:not([hidden])")
        assert "a token is needed" in page.inner_text("#problem")
        page.fill("#token", "open sesame")
        page.click("#go")
        assert answered(page).startswith("It shows: ")
        assert "sesame" not in page.url
        page.close()


@pytest.mark.slow
def test_axe_finds_nothing_serious(opened: Open, tmp_path: Path) -> None:
    command = ["npm", "install", "--prefix", str(tmp_path), "--no-audit", "--no-fund", "axe-core"]
    try:
        fetched = subprocess.run(command, capture_output=True, text=True, timeout=120).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        fetched = False
    if not fetched:
        pytest.skip("axe-core cannot be fetched: that needs npm and a registry")
    axe = (tmp_path / "node_modules" / "axe-core" / "axe.min.js").read_text()
    for scheme in ("light", "dark"):
        page = opened(bypass_csp=True, color_scheme=scheme)
        page.click(".example >> nth=0")
        page.click("#go")
        answered(page)
        page.evaluate(axe)
        found = page.evaluate("axe.run().then(found => found.violations.map(each => [each.impact, each.id]))")
        assert [each for each in found if each[0] in ("serious", "critical")] == []
