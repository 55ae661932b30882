"""Firefox, driven over its own Marionette protocol: JSON over a socket, so nothing need be installed for it.

Source: https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html. A script sees the page as a
person does: elements and their texts, and nothing of the page's own names.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = ("firefox-esr", "firefox")
START_SECONDS = 90  # 3 on a quiet machine
ANSWER_SECONDS = 60
WATCH = """
window.complaints = [];
for (const kind of ["error", "securitypolicyviolation"]) {
  window.addEventListener(kind, (event) => window.complaints.push(event.message || event.blockedURI));
}
"""


def find_firefox() -> str | None:
    """The path of Firefox; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Firefox:
    """One window without a screen; `close` ends it.

    Args:
        path: of the program.
        profile: an empty folder for what it writes.
    """

    def __init__(self, path: str, profile: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        prefs = {
            "marionette.port": port,
            "general.smoothScroll": "false",
        }  # else a click does not wait for it
        lines = [f'user_pref("{name}", {value});\n' for name, value in prefs.items()]
        (profile / "user.js").write_text("".join(lines))
        command = [path, "--headless", "--marionette", "--no-remote", "--profile", profile]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.number = 0
        try:
            self.socket = self._connect(port)
            self._read()  # it introduces itself
            self.command("WebDriver:NewSession", capabilities={})
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def open(self, path: Path, state: str = "") -> None:
        """Show a file; what goes wrong from then on is kept."""
        self.command("WebDriver:Navigate", url="about:blank")  # else another state would not load it anew
        self.command("WebDriver:Navigate", url=path.as_uri() + state)
        self.run(WATCH)

    def complaints(self) -> list[str]:
        """What the page complained of since it was opened."""
        return self.run("return window.complaints;")

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self.command("WebDriver:ExecuteScript", script=script, args=arguments)["value"]

    def text(self, selector: str) -> str:
        """The text of the first visible element that a selector finds."""
        script = (
            "return [...document.querySelectorAll(arguments[0])].find((one) => one.offsetParent).innerText"
        )
        return self.run(script, selector)

    def click(self, selector: str) -> None:
        """A click of the mouse on the first element that a selector finds."""
        self.command("WebDriver:ElementClick", id=self._find(selector))

    def press(self, selector: str, keys: str) -> None:
        """Keys while an element has the focus."""
        self.command("WebDriver:ElementSendKeys", id=self._find(selector), text=keys)

    def wait_for(self, script: str) -> None:
        """Wait until a script returns something true."""
        until(lambda: self.run(script), ANSWER_SECONDS, script)

    def close(self) -> None:
        """End it, whatever state it is in."""
        self.socket.close()
        self.process.terminate()
        try:
            self.process.wait(ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def command(self, name: str, **parameters: Any) -> Any:
        """Answer of a command; an error of the protocol or of a script is raised."""
        self.number += 1
        content = json.dumps([0, self.number, name, parameters]).encode()
        self.socket.sendall(b"%d:%b" % (len(content), content))
        _, _, error, result = self._read()
        if error:
            raise RuntimeError(f"{name}: {error['message']}")
        return result

    def _find(self, selector: str) -> str:
        found = self.command("WebDriver:FindElement", using="css selector", value=selector)
        return next(iter(found["value"].values()))

    def _connect(self, port: int) -> socket.socket:
        found: list[socket.socket] = []

        def connects() -> bool:
            try:
                found.append(socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS))
            except OSError:
                return False
            return True

        until(connects, START_SECONDS, "Firefox to listen")
        return found[0]

    def _read(self) -> Any:
        """One message: its length, a colon, JSON."""
        length = b""
        while not length.endswith(b":"):
            length += self._receive(1)
        content = b""
        while len(content) < int(length[:-1]):
            content += self._receive(int(length[:-1]) - len(content))
        return json.loads(content)

    def _receive(self, count: int) -> bytes:
        received = self.socket.recv(count)
        if not received:
            raise ConnectionError("Firefox has ended")
        return received


def until(holds: Callable[[], object], seconds: float, what: str) -> None:
    """Ask until it holds."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.05)
