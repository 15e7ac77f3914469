"""A real browser without a window, spoken to through a pair of pipes."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
from contextlib import contextmanager

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FREE = 10  # the browser speaks on descriptors 3 and 4; ours must not be among them


def installed():
    """The browser's program, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class Page:
    """One page; ``problems`` are errors its scripts threw or the browser wrote down, ``asked`` addresses it wanted."""

    def __init__(self, commands, answers):
        self._commands, self._answers = commands, answers
        self._number, self._session, self._events = 0, None, []
        self.problems, self.asked = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """What the browser answers."""
        self._number += 1
        request = {"id": self._number, "method": method, "params": params}
        if self._session:
            request["sessionId"] = self._session
        self._commands.write(json.dumps(request).encode() + b"\0")
        self._commands.flush()
        while True:
            message = self._read()
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]

    def look(self, *, width, height=1800, dark=False, phone=False):
        """Have the page seen on such a screen."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media="screen", features=scheme)

    def open(self, address):
        """Load a page, up to its load event."""
        self._events.clear()
        self.call("Page.navigate", url=address)
        while "Page.loadEventFired" not in self._events:
            self._read()

    def evaluate(self, script):
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self, *, whole=False):
        """The page as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def _read(self):
        message = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser ended"
            message += byte
        event = json.loads(message)
        method, params = event.get("method"), event.get("params", {})
        if method:
            self._events.append(method)
        if method == "Runtime.exceptionThrown":
            self.problems.append(params["exceptionDetails"])
        if method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.problems.append(params["entry"])
        if method == "Runtime.consoleAPICalled" and params["type"] in {"error", "assert"}:
            self.problems.append(params["args"])
        if method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        return event


@contextmanager
def browsing(program, folder):
    """A page of a browser that finds no host; what it keeps lies in the folder. It ends with the block."""
    ours_out, ours_in = os.pipe(), os.pipe()
    theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, _FREE) for fd in (ours_out[0], ours_in[1])]
    os.close(ours_out[0])
    os.close(ours_in[1])
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-pipe", f"--user-data-dir={folder}",
    ]  # fmt: skip
    with (
        open(ours_out[1], "wb") as commands,  # noqa: PTH123 - a descriptor, not a path
        open(ours_in[0], "rb") as answers,  # noqa: PTH123
        subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{theirs[0]} 4>&{theirs[1]}', "bash", program, *options],
            pass_fds=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        for fd in theirs:
            os.close(fd)
        try:
            yield Page(commands, answers)
        finally:
            process.terminate()
