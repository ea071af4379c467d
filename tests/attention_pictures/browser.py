"""A browser without a window, spoken to in the words of the WebDriver standard."""

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


class Browser:
    """One page in Chromium."""

    def __init__(self, port, session):
        self._at = f"http://127.0.0.1:{port}/session/{session}"

    def _call(self, path, **values):
        return _post(self._at + path, values)

    def open(self, path):
        """Opens a file."""
        self._call("/url", url=path.resolve().as_uri())

    def run(self, script, *arguments):
        """Returns what a script returns, which runs in the page."""
        return self._call("/execute/sync", script=script, args=list(arguments))

    def errors(self):
        """Returns the messages of the page's errors."""
        found = self._call("/se/log", type="browser")
        return [each["message"] for each in found if each["level"] == "SEVERE"]

    def find(self, selector):
        """Returns the first element that a CSS selector means."""
        (element,) = self._call(
            "/element", using="css selector", value=selector
        ).values()
        return element

    def click(self, selector):
        """Clicks where a user would."""
        self._call(f"/element/{self.find(selector)}/click")

    def keys(self, text):
        """Types on the keyboard."""
        actions = [
            {"type": kind, "value": letter}
            for letter in text
            for kind in ("keyDown", "keyUp")
        ]
        self._call(
            "/actions", actions=[{"type": "key", "id": "keys", "actions": actions}]
        )

    def resize(self, width, height):
        """Sets the size of the window."""
        self._call("/window/rect", width=width, height=height)

    def set_dark(self, dark):
        """Chooses the colours that the page is told its user prefers."""
        value = "dark" if dark else "light"
        self._call(
            "/goog/cdp/execute",
            cmd="Emulation.setEmulatedMedia",
            params={"features": [{"name": "prefers-color-scheme", "value": value}]},
        )

    def screenshot(self):
        """Returns a PNG of the window."""
        request = urllib.request.urlopen(self._at + "/screenshot", timeout=60)
        with request as reply:
            return base64.b64decode(json.load(reply)["value"])


def _post(address, values):
    request = urllib.request.Request(
        address, json.dumps(values).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(json.load(error)["value"]["message"]) from None


@contextlib.contextmanager
def open_browser():
    """Starts a browser, and ends it after the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(
        [DRIVER, f"--port={port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.1)
        options = {
            "binary": CHROMIUM,
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu"],
        }
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        capabilities = {"capabilities": {"alwaysMatch": wanted}}
        session = _post(f"http://127.0.0.1:{port}/session", capabilities)["sessionId"]
        yield Browser(port, session)
        delete = urllib.request.Request(
            f"http://127.0.0.1:{port}/session/{session}", method="DELETE"
        )
        urllib.request.urlopen(delete, timeout=60).close()
    finally:
        driver.terminate()
        driver.wait()
