"""The page that takes a web developer from nothing to a received push: every command and every file of it."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from docs.generate import DOCS, ROOT

from tests.browsers.awaiting import until
from tests.browsers.browser import Browser
from tests.browsers.rig import Rig
from tests.http2.peer import Certificate
from tests.process.installation import eventually, free_port

_STEP = re.compile(
    r"(?:^`(?P<file>[\w./-]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Reader:
    """Does what the page says, with other ports, in a folder of its own beside the sources."""

    def __init__(self, folder: Path, certificate: Certificate) -> None:
        self.api_port, self.app_port = free_port(), free_port()
        self._folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CLARION_")}
        self._environment = kept | {
            "PATH": path,
            "CLARION_SERVER_PORT": str(self.api_port),
            "CLARION_PUSH_CA_FILE": str(certificate.chain),
            "CLARION_PUSH_TRUSTED_HOSTS": "localhost",
        }
        for name in ("src", "scripts"):
            (folder / name).symlink_to(ROOT / name)

    def adapt(self, text: str) -> str:
        """The page's text with this reader's ports; the environment is there already."""
        text = text.replace("localhost:8080", f"localhost:{self.api_port}")
        text = text.replace("localhost:8000", f"localhost:{self.app_port}")
        text = text.replace("http.server 8000", f"http.server {self.app_port}")
        return text.replace("source scripts/environment\n", "")

    def save(self, name: str, text: str) -> None:
        """Write a file of the page."""
        (self._folder / name).write_text(self.adapt(text), encoding="utf-8")

    def run(self, script: str) -> None:
        """Run commands; the variables that they set are there in the next ones."""
        keep = "\ndeclare -p ORGANIZATION TOKEN PERSON 2>/dev/null >variables || true\n"
        recall = "test ! -f variables || source ./variables\n"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", recall + self.adapt(script) + keep],
            cwd=self._folder, env=self._environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout

    @contextmanager
    def running(self, command: str) -> Iterator[None]:
        """Keep a command of another terminal running."""
        with subprocess.Popen(
            shlex.split(self.adapt(command)), cwd=self._folder, env=self._environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            try:
                port = self.api_port if "clarion" in command else self.app_port
                eventually(lambda: is_listening(port), "it listens")
                yield
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=30)


@pytest.mark.parametrize("a_rig", ["firefox"], indirect=True)
async def test_a_reader_of_the_page_gets_a_push(a_rig: Rig, certificate: Certificate, tmp_path: Path) -> None:
    reader = Reader(tmp_path, certificate)
    *steps, send = _STEP.finditer((DOCS / "first-web-push.md").read_text(encoding="utf-8"))
    with ExitStack() as stack:
        for step in steps:
            if step["file"]:
                reader.save(step["file"], step["text"])
            elif step["kind"] == "sh":
                stack.enter_context(reader.running(step["text"]))
            else:
                assert step["kind"] == "bash"
                reader.run(step["text"])
        async with a_rig.browser() as browser:
            await press_the_button(browser, f"http://localhost:{reader.app_port}/")
            reader.run(send["text"])
            shown = await a_rig.desktop.shown("It works")
            assert shown.body.endswith("Tap me")
            await a_rig.desktop.click(shown)
            assert await text_of(browser, "opened") == 'first {"price":34}'
            assert await text_of(browser, "inbox") == "Tap me"


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def press_the_button(browser: Browser, address: str) -> None:
    page = await browser.new_page()
    await page.go(address)
    bell = "document.querySelector('#bell')"

    async def told() -> str:
        await page.evaluate(f"void {bell}.onclick?.()")
        return str(await page.evaluate(f"{bell}.textContent"))

    await until(told, "the page is registered", "You will be told".__eq__)


async def text_of(browser: Browser, name: str) -> str:
    async def look() -> str:
        expression = f"document.querySelector('#{name}')?.textContent"
        found = [await page.evaluate(expression) for page in (await browser.pages()).values()]
        return next((text for text in found if text), "")

    return await until(look, f"#{name} says something", bool)
