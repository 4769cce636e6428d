"""Chromium, driven over the DevTools protocol. Its push service is the stand-in of `google.py`."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.browsers.awaiting import until
from tests.browsers.browser import Browser, Page
from tests.browsers.google import Doors
from tests.browsers.programs import find, home, running
from tests.browsers.remote import Json, Remote, RemoteError, remote

ENDPOINTS = "https://jmt17.google.com"
"""Where Debian's Chromium says that its subscriptions are."""

NOWHERE = "http://127.0.0.1:9/"

SWITCHES = [
    "--headless=new",
    "--no-sandbox",  # as root it does not run with one
    "--no-first-run",
    "--password-store=basic",
    "--remote-debugging-port=0",
    "--disable-background-networking",
    "--disable-extensions",
    "--disable-features=AutofillServerCommunication,MediaRouter,NetworkTimeServiceQuerying,OptimizationHints",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
    f"--component-updater=url-source={NOWHERE}",
    f"--gaia-url={NOWHERE}",
]
"""No name is looked up and nothing is asked outside; what these forget ends at the proxy of `outside.py`."""

LOADED = """document.readyState === "complete"
    || new Promise((resolve) => addEventListener("load", () => resolve(true)))"""
GRANTED = {"profile": {"default_content_setting_values": {"notifications": 1}}}


class Tab(Page):
    """A target with a session of its own."""

    def __init__(self, control: Remote, session: str) -> None:
        self._control = control
        self._session = session

    async def go(self, url: str) -> None:
        told = await self.command("Page.navigate", {"url": url})
        if "errorText" in told:
            raise RemoteError(f"{url}: {told['errorText']}")
        await self.evaluate(LOADED)

    async def command(self, method: str, params: Json | None = None) -> Json:
        """Give a command to this tab."""
        return await self._control.command(method, params, sessionId=self._session)

    async def _evaluate(self, source: str) -> str:
        told = await self.command(
            "Runtime.evaluate", {"expression": source, "awaitPromise": True, "returnByValue": True}
        )
        if "exceptionDetails" in told:
            fault = told["exceptionDetails"]
            raise RemoteError(fault.get("exception", {}).get("description", fault["text"]))
        text: str = told["result"]["value"]
        return text


class Chromium(Browser):
    """A running Chromium."""

    def __init__(self, control: Remote, endpoints: str) -> None:
        self._control = control
        self._endpoints = endpoints
        self._tabs: dict[str, Tab] = {}
        self._tasks: set[asyncio.Task[Json]] = set()
        control.on_event = self._note

    async def pages(self) -> dict[str, Page]:
        return await self._found("page")

    async def workers(self) -> dict[str, Page]:
        """Its service workers that are awake, by their addresses."""
        return await self._found("service_worker")

    async def _found(self, kind: str) -> dict[str, Page]:
        told = await self._control.command("Target.getTargets")
        found = [one for one in told["targetInfos"] if one["type"] == kind]
        return {one["url"]: await self._tab(one["targetId"]) for one in found}

    async def new_page(self) -> Page:
        made = await self._control.command("Target.createTarget", {"url": "about:blank"})
        return await self._tab(made["targetId"])

    async def _tab(self, target: str) -> Tab:
        if target not in self._tabs:
            attached = await self._control.command(
                "Target.attachToTarget", {"targetId": target, "flatten": True}
            )
            tab = self._tabs[target] = Tab(self._control, attached["sessionId"])
            patterns = [{"urlPattern": "*/devices*", "requestStage": "Request"}]
            await tab.command("Fetch.enable", {"patterns": patterns})
        return self._tabs[target]

    def _note(self, event: Json) -> None:
        """Lead what a page tells of its subscription to the stand-in, since no name may be looked up."""
        if event["method"] == "Fetch.requestPaused":
            request = event["params"]["request"]
            changed = {"requestId": event["params"]["requestId"]}
            if ENDPOINTS in request.get("postData", ""):
                text = request["postData"].replace(ENDPOINTS, self._endpoints)
                changed["postData"] = b64encode(text.encode()).decode()
            command = self._control.command("Fetch.continueRequest", changed, sessionId=event["sessionId"])
            task = asyncio.create_task(command)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


@asynccontextmanager
async def chromium(folder: Path, bus: str, outside: int, push: Doors) -> AsyncIterator[Chromium]:
    """Run Chromium with the profile in a folder; `outside` is the port of the way out, `push` its push service."""
    _write_profile(folder)
    announced = folder / "DevToolsActivePort"
    announced.unlink(missing_ok=True)
    command = [find("chromium"), *SWITCHES, f"--user-data-dir={folder}", *_ways(outside, push), "about:blank"]

    async def address() -> list[str]:
        await program.said()
        return announced.read_text().split() if announced.exists() else []

    async with running(command, folder, home(folder, bus), told_to_end=True) as program:
        port, path = await until(address, "Chromium listens", lambda told: len(told) == 2)
        async with remote(f"ws://127.0.0.1:{port}{path}") as control:
            try:
                yield Chromium(control, push.endpoints)
            finally:
                await control.command("Browser.close")


def _write_profile(folder: Path) -> None:
    """Grant notifications, once: afterwards the browser keeps its own account of its settings."""
    preferences = folder / "Default" / "Preferences"
    if not preferences.exists():
        preferences.parent.mkdir()
        preferences.write_text(json.dumps(GRANTED))


def _ways(outside: int, push: Doors) -> list[str]:
    return [
        f"--proxy-server=http://127.0.0.1:{outside}",
        "--proxy-bypass-list=localhost;127.0.0.1",
        f"--gcm-checkin-url=http://localhost:{push.http}/checkin",
        f"--gcm-registration-url=http://localhost:{push.http}/register",
        f"--gcm-mcs-endpoint=https://localhost:{push.mcs}",
        f"--ignore-certificate-errors-spki-list={push.key}",
    ]
