"""Firefox, driven over WebDriver BiDi. Its push service is the stand-in of `mozilla.py`."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.browsers.awaiting import until
from tests.browsers.browser import Browser, Page
from tests.browsers.programs import Program, find, home, need_library, running
from tests.browsers.remote import Remote, RemoteError, remote

LISTENING = re.compile(r"WebDriver BiDi listening on (ws://127\.0\.0\.1:\d+)")

PUSH: dict[str, Any] = {
    "dom.push.connection.enabled": True,  # a remote control switches it off unless the profile says this
    "dom.push.testing.allowInsecureServerURL": True,
    "dom.push.retryBaseInterval": 200,
    "permissions.default.desktop-notification": 1,
}
QUIET: dict[str, Any] = {
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.startup.page": 0,
    "datareporting.healthreport.uploadEnabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.forceResolve": "127.0.0.1",
    "network.trr.mode": 5,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.enabled": False,
}
"""Nothing is asked outside; what these forget ends at the proxy of `outside.py`, and fails a test."""


class Tab(Page):
    """A browsing context."""

    def __init__(self, control: Remote, context: str) -> None:
        self._control = control
        self._context = context

    async def go(self, url: str) -> None:
        await self._control.command(
            "browsingContext.navigate", {"context": self._context, "url": url, "wait": "complete"}
        )

    async def _evaluate(self, source: str) -> str:
        told = await self._control.command(
            "script.evaluate",
            {"expression": source, "target": {"context": self._context}, "awaitPromise": True},
        )
        if told["type"] == "exception":
            raise RemoteError(told["exceptionDetails"]["text"])
        text: str = told["result"]["value"]
        return text


class Firefox(Browser):
    """A running Firefox."""

    def __init__(self, control: Remote) -> None:
        self._control = control

    async def pages(self) -> dict[str, Page]:
        tree = await self._control.command("browsingContext.getTree", {"maxDepth": 0})
        return {one["url"]: Tab(self._control, one["context"]) for one in tree["contexts"]}

    async def new_page(self) -> Page:
        made = await self._control.command("browsingContext.create", {"type": "tab"})
        return Tab(self._control, made["context"])


@asynccontextmanager
async def firefox(folder: Path, bus: str, outside: int, push: str) -> AsyncIterator[Firefox]:
    """Run Firefox with the profile in a folder; `outside` is the port of the way out, `push` its push service."""
    need_library("libnotify.so.4", "libnotify4")  # by which it reaches the desktop
    _write_profile(folder, outside, push)
    command = [
        find("firefox-esr"), "--headless", "--no-remote", "--profile", str(folder), "--remote-debugging-port", "0",
    ]  # fmt: skip
    environment = home(folder, bus) | {
        "MOZ_CRASHREPORTER_DISABLE": "1",
        "MOZ_DISABLE_AUTO_SAFE_MODE": "1",
        "MOZ_REMOTE_SETTINGS_DEVTOOLS": "1",  # else another server of settings than Mozilla's is not taken
    }
    async with (
        running(command, folder, environment, told_to_end=True) as program,
        remote(f"{await _address(program)}/session") as control,
    ):
        await control.command("session.new", {"capabilities": {}})
        try:
            yield Firefox(control)
        finally:
            await control.command("browser.close")


def _write_profile(folder: Path, outside: int, push: str) -> None:
    way_out = {
        "network.proxy.type": 1,
        "network.proxy.http": "127.0.0.1", "network.proxy.http_port": outside,
        "network.proxy.ssl": "127.0.0.1", "network.proxy.ssl_port": outside,
    }  # fmt: skip
    values = QUIET | way_out | PUSH | {"dom.push.serverURL": push}
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in values.items())
    (folder / "user.js").write_text("".join(lines))


async def _address(program: Program) -> str:
    found = await until(program.said, "Firefox listens", LISTENING.search)
    announced = LISTENING.search(found)
    assert announced is not None
    return announced[1]
