"""A page in a real browser, asked through its debugging pipe: no driver and no port is needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 60  # a browser that takes longer is ended
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --remote-debugging-pipe"
)


@dataclass
class Page:
    """What was seen while a page was opened, and a way to ask it for more."""

    browser: _Pipe
    session: str
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def ask(self, expression: str) -> Any:
        """The value of an expression of JavaScript; of a promise, what it brings."""
        how = {"returnByValue": True, "awaitPromise": True}
        answer = self.browser.call("Runtime.evaluate", self, expression=expression, **how)
        return answer["result"]["value"]

    def note(self, event: dict[str, Any]) -> None:
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(event["params"]["request"]["url"])
            case "Runtime.exceptionThrown" | "Runtime.consoleAPICalled":
                self.errors.append(str(event["params"]))
            case "Log.entryAdded":
                self.errors.append(event["params"]["entry"]["text"])
            case _:
                pass


@contextmanager
def opened(path: Path, profile: Path, *, width: int, height: int = 800) -> Iterator[Page]:
    """The file `path`, loaded in a window of this many pixels; `profile` is a folder for the browser's own files."""
    assert CHROMIUM is not None
    to_browser, from_us = os.pipe()
    from_browser, to_us = os.pipe()
    # the browser reads from descriptor 3 and writes to 4
    command = f'exec "$0" "$@" 3<&{to_browser} 4>&{to_us}'
    words = ["bash", "-c", command, CHROMIUM, *QUIET.split(), f"--user-data-dir={profile}"]
    process = subprocess.Popen(words, pass_fds=(to_browser, to_us), stderr=subprocess.DEVNULL)
    os.close(to_browser)
    os.close(to_us)
    patience = Timer(SECONDS, process.kill)
    patience.start()
    try:
        with open(from_us, "wb", buffering=0) as to, open(from_browser, "rb") as back:
            pipe = _Pipe(to, back)
            target = pipe.call("Target.createTarget", url="about:blank")["targetId"]
            session = pipe.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            page = Page(pipe, session)
            for domain in ("Page", "Network", "Runtime", "Log"):
                pipe.call(f"{domain}.enable", page)
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
            pipe.call("Emulation.setDeviceMetricsOverride", page, **size)
            pipe.call("Page.navigate", page, url=path.absolute().as_uri())
            pipe.wait_for("Page.loadEventFired", page)
            yield page
    finally:
        patience.cancel()
        process.terminate()
        process.wait(timeout=30)


class _Pipe:
    """Messages are JSON, each ended by a zero byte."""

    def __init__(self, to: Any, back: Any) -> None:
        self.to, self.back, self.count = to, back, 0

    def call(self, method: str, page: Page | None = None, **parameters: Any) -> dict[str, Any]:
        self.count += 1
        message: dict[str, Any] = {"id": self.count, "method": method, "params": parameters}
        if page is not None:
            message["sessionId"] = page.session
        self.to.write(json.dumps(message).encode() + b"\0")
        while (answer := self._read(page)).get("id") != self.count:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def wait_for(self, method: str, page: Page) -> None:
        while self._read(page).get("method") != method:
            pass

    def _read(self, page: Page | None) -> dict[str, Any]:
        parts = bytearray()
        while (byte := self.back.read(1)) != b"\0":
            assert byte, "the browser has gone"
            parts += byte
        message = json.loads(parts)
        if page is not None:
            page.note(message)
        return message
