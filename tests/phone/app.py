"""The reference app in a tab, as a person uses it: keys, fingers, and what can be seen. Used by `test_app_….py`."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.browsers.awaiting import until
from tests.browsers.chromium import Tab
from tests.phone.conftest import Phone, Service

STILL = {"name": "prefers-reduced-motion", "value": "reduce"}
"""Nothing moves, so a click lands where it is aimed."""

CODES = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowUp": 38, "ArrowDown": 40, "Delete": 46}
TEXTS = {"Enter": "\r"}

ROWS = """[...document.querySelectorAll(".row")].map((row) => ({
  id: row.dataset.id, state: row.dataset.state, title: row.querySelector(".row-title").textContent,
  text: row.querySelector(".row-text")?.textContent ?? null }))"""

MIDDLE = """(() => { const box = document.querySelector(%s).getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2]; })()"""

Json = dict[str, Any]


@dataclass(frozen=True)
class App:
    """A tab with the app in it."""

    tab: Tab
    service: Service
    site: str

    @classmethod
    async def open(cls, phone: Phone, site: str | None = None) -> "App":
        """A new tab, empty until it is led somewhere."""
        tab = await phone.browser.new_page()
        assert isinstance(tab, Tab)
        await tab.command("Emulation.setFocusEmulationEnabled", {"enabled": True})
        await tab.command("Emulation.setEmulatedMedia", {"features": [STILL]})
        app = cls(tab, phone.service, site or f"http://127.0.0.1:{phone.service.port}")
        await app.resize(1280)
        return app

    @classmethod
    async def signed_in(cls, phone: Phone, site: str | None = None) -> "App":
        """A new tab, signed in as the member by a link, and live."""
        app = await cls.open(phone, site)
        await app.go(app.link(phone.token))
        await app.is_live()
        return app

    def link(self, token: str, **more: str) -> str:
        """The address that signs in."""
        told = {"session": token, "organization": self.service.organization, "user": self.service.member}
        return f"/phone/#{urlencode(told | more)}"

    async def go(self, path: str) -> None:
        """Load a page anew."""
        await self.tab.go("about:blank")
        await self.tab.go(f"{self.site}{path}")

    async def do(self, expression: str) -> Any:
        """What an expression, or a promise, comes to."""
        return await self.tab.evaluate(expression)

    # ── What can be seen ─────────────────────────────────────────────────────────────────────────────────

    async def is_live(self) -> None:
        """Wait until the app says that it is live."""
        await self.reads("#link-text", "live")

    async def text(self, selector: str) -> str | None:
        """The text that somebody sees at a place; None when nobody sees it."""
        found = f"document.querySelector({json.dumps(selector)})"
        told: str | None = await self.do(
            f"{found}?.checkVisibility({{ visibilityProperty: true }}) ? {found}.innerText.trim() : null"
        )
        return told

    async def reads(self, selector: str, *words: str) -> str:
        """Wait until a place shows these words."""

        def shows(text: str | None) -> bool:
            return text is not None and all(word in text for word in words)

        return str(await until(lambda: self.text(selector), f"{selector} shows {words}", shows))

    async def is_gone(self, selector: str) -> None:
        """Wait until nobody sees a place any more."""
        await until(lambda: self.text(selector), f"{selector} is gone", lambda text: not text)

    async def rows(self) -> list[Json]:
        """The list: id, state, title and text of each row."""
        told: list[Json] = await self.do(ROWS)
        return told

    async def lists(self, *titles: str) -> list[Json]:
        """Wait until the list shows these titles."""
        return await until(
            self.rows,
            f"the list is {titles}",
            lambda rows: [row["title"] for row in rows] == list(titles),
        )

    async def states(self, *states: str) -> None:
        """Wait until the rows have these states."""
        await until(
            self.rows, f"the states are {states}", lambda rows: [row["state"] for row in rows] == list(states)
        )

    async def focused(self) -> str:
        """The id of what has the focus; of its row when it has none."""
        told: str = await self.do(
            "document.activeElement.id || document.activeElement.closest('.row')?.id || document.activeElement.tagName"
        )
        return told

    async def focuses(self, name: str) -> None:
        """Wait until the focus is there."""
        await until(self.focused, f"the focus is at {name}", lambda focused: focused == name)

    # ── What a person does ───────────────────────────────────────────────────────────────────────────────

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            text = TEXTS.get(key, key if len(key) == 1 else "")
            about: Json = {"key": key, "windowsVirtualKeyCode": CODES.get(key, ord(key[0].upper()))}
            await self.tab.command("Input.dispatchKeyEvent", {"type": "keyDown", **about, "text": text})
            await self.tab.command("Input.dispatchKeyEvent", {"type": "keyUp", **about})

    async def click(self, selector: str) -> None:
        """Click in the middle of what is there, as soon as somebody sees it."""
        await until(lambda: self.text(selector), f"{selector} is there", lambda text: text is not None)
        x, y = await self.do(MIDDLE % json.dumps(selector))
        for kind in ("mousePressed", "mouseReleased"):
            about = {"x": x, "y": y, "button": "left", "clickCount": 1}
            await self.tab.command("Input.dispatchMouseEvent", {"type": kind, **about})

    async def swipe(self, selector: str, across: int, down: int = 0) -> None:
        """Lead a finger from the middle of what is there."""
        x, y = await self.do(MIDDLE % json.dumps(selector))
        await self.tab.command("Emulation.setTouchEmulationEnabled", {"enabled": True})
        await self._touch("touchStart", [{"x": x, "y": y}])
        for step in range(1, 11):
            await self._touch("touchMove", [{"x": x + across * step / 10, "y": y + down * step / 10}])
        await self._touch("touchEnd", [])

    async def resize(self, width: int, height: int = 800) -> None:
        """Give the window a size."""
        about = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.tab.command("Emulation.setDeviceMetricsOverride", about)

    async def fill(self, selector: str, text: str) -> None:
        """Write into a field."""
        await self.do(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.tab.command("Input.insertText", {"text": text})

    async def _touch(self, kind: str, points: list[Json]) -> None:
        await self.tab.command("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


class Relay:
    """A way to the service that can be taken away."""

    def __init__(self, port: int) -> None:
        self._service_port = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def open(self) -> None:
        """Let everything through; at the same port as before."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Cut everything off."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            inner, outer = await asyncio.open_connection("127.0.0.1", self._service_port)
            await asyncio.gather(_pour(reader, outer), _pour(inner, writer))
        except asyncio.CancelledError:
            return
        finally:
            writer.close()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError):
            while octets := await reader.read(65_536):
                writer.write(octets)
                await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def relay(port: int) -> AsyncIterator[Relay]:
    """Carry connections to a port while the block lasts."""
    made = Relay(port)
    await made.open()
    try:
        yield made
    finally:
        await made.close()
