"""A real browser without a window, driven over its DevTools protocol, to test what a page shows."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.sync.client import ClientConnection, connect

HOST = "127.0.0.1"
START_S, ANSWER_S = 60.0, 60.0
READABLE = 4.5
"""Least contrast of a text with its background that WCAG asks for."""
DIM_TEXTS = """
(least => {
  const pixel = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const rgba = color => {
    pixel.clearRect(0, 0, 1, 1); pixel.fillStyle = color; pixel.fillRect(0, 0, 1, 1);
    return [...pixel.getImageData(0, 0, 1, 1).data].map(part => part / 255);
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((part, i) => part * a + below[i] * (1 - a));
  const background = element => element
    ? over(rgba(getComputedStyle(element).backgroundColor), background(element.parentElement)) : [1, 1, 1];
  const linear = part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), dim = {};
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement, text = texts.currentNode.data.trim();
    if (!text || !element.checkVisibility() || element.closest('svg')) continue;
    const below = background(element), own = over(rgba(getComputedStyle(element).color), below);
    const [dark, bright] = [light(below), light(own)].sort((a, b) => a - b);
    const contrast = (bright + 0.05) / (dark + 0.05);
    if (contrast < least) dim[text] = contrast;
  }
  return dim;
})
"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def browser() -> str | None:
    """Return the command of an installed browser, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@dataclass(kw_only=True)
class Tab:
    """Open page."""

    socket: ClientConnection
    complaints: list[str] = field(default_factory=list)
    """Entries of the browser's log: refused or failed loads, errors."""
    calls: int = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.calls += 1
        self.socket.send(json.dumps({"id": self.calls, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=ANSWER_S))
            if message.get("method") == "Log.entryAdded":
                self.complaints.append(message["params"]["entry"]["text"])
            if message.get("id") == self.calls:
                assert "error" not in message, message["error"]
                return message["result"]

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, or the one that its promise resolves to."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def show(self, width: int, theme: str) -> None:
        """Make the window so wide, and the reader's preferred theme `light` or `dark`."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        return self.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def dim_texts(self) -> dict[str, float]:
        """Return the texts whose contrast with their background is less than READABLE, with that contrast."""
        return self.evaluate(f"{DIM_TEXTS}({READABLE})")

    def photograph_all(self, path: Path) -> None:
        """Take a picture of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def photograph(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


@contextmanager
def opened(page: Path, *, width: int = 1200, height: int = 900) -> Iterator[Tab]:
    command = browser()
    assert command
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "about:blank"]
        process = subprocess.Popen(
            [command, *options, f"--user-data-dir={profile}", f"--window-size={width},{height}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with connect(_address(Path(profile)), max_size=None, open_timeout=START_S) as socket:
                tab = Tab(socket=socket)
                tab.call("Log.enable")
                tab.call("Page.navigate", url=page.as_uri())
                _wait(lambda: tab.evaluate("document.readyState == 'complete' && location.protocol == 'file:'"))
                yield tab
        finally:
            process.terminate()
            process.wait(timeout=30)


def _address(profile: Path) -> str:
    """Wait until the browser listens; return the WebSocket address of its first tab."""
    ready = profile / "DevToolsActivePort"
    _wait(lambda: ready.exists() and ready.read_text().strip())
    connection = HTTPConnection(HOST, int(ready.read_text().splitlines()[0]), timeout=ANSWER_S)
    connection.request("GET", "/json")
    tabs = json.loads(connection.getresponse().read())
    return next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")


def _wait(ready: Any) -> None:
    deadline = time.monotonic() + START_S
    while not ready():
        assert time.monotonic() < deadline, f"the browser was not ready in {START_S:g} s"
        time.sleep(0.05)
