"""A real Chromium without a window, as a test sees a page with it: load, ask, photograph, end.

Speaks the browser's own DevTools protocol over two pipes, JSON texts that end in a NUL byte, so nothing but
Debian's package `chromium` is needed. What the pages should look like is the tests' business.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.interop.daemon import require_programs, wait_until

ANSWER_TIMEOUT_S = 30.0
"""How long one answer of the browser may take: its start on a busy machine is the longest."""

FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # root in a container has no user namespaces to build one from
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
)


class Browser:
    """One Chromium with one page; `async`-free, as tests are."""

    def __init__(self) -> None:
        require_programs("chromium")
        self._home = tempfile.mkdtemp(prefix="chromium-")
        commands, self._commands = os.pipe()
        self._events, events = os.pipe()
        # The browser reads from descriptor 3 and writes to descriptor 4. bash puts the pipes there: dash
        # knows no descriptor above 9.
        self._process = subprocess.Popen(
            [
                *("bash", "-c", f'exec "$@" 3<&{commands} 4>&{events}', "bash", "chromium", *FLAGS),
                f"--user-data-dir={self._home}",
                "about:blank",
            ],
            pass_fds=(commands, events),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "HOME": self._home, "XDG_RUNTIME_DIR": self._home},
        )
        os.close(commands)
        os.close(events)
        self._buffer = b""
        self._number = 0
        self._session = ""
        pages = self._call("Target.getTargets")["targetInfos"]
        target = next(page["targetId"] for page in pages if page["type"] == "page")
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self._call("Page.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and all its processes."""
        os.close(self._commands)
        os.close(self._events)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)

    # -- the page

    def show(self, url: str, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        """Load a page, seen through a window of that size."""
        self.resize(width, height, dark=dark)
        self._call("Page.navigate", url=url)
        self.wait_for("document.readyState == 'complete' && location.href != 'about:blank'")

    def resize(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Another window: 390 wide is a phone."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str, timeout: float = ANSWER_TIMEOUT_S) -> None:
        """Until the expression is true."""
        wait_until(lambda: self.ask(expression), timeout, lambda: f"{expression} in {self.text()}")

    def text(self, selector: str = "body") -> str:
        """What a reader sees of an element."""
        found = self.ask(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        assert isinstance(found, str)
        return found

    def style(self, selector: str, name: str) -> str:
        """One computed style of an element."""
        found = self.ask(
            f"getComputedStyle(document.querySelector({json.dumps(selector)}))[{json.dumps(name)}]"
        )
        assert isinstance(found, str)
        return found

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        found = self.ask("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert isinstance(found, int)
        return found

    def photograph(self, path: Path) -> None:
        """The whole page as PNG."""
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    # -- the protocol

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while True:
            answer = json.loads(self._read(deadline, method))
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result

    def _read(self, deadline: float, method: str) -> bytes:
        """The next message, which may be an event that nobody asked for."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._events], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"chromium does not answer {method}"
            data = os.read(self._events, 1 << 16)
            assert data, f"chromium ended at {method}"
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return message
