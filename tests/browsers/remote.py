"""A browser's remote control: one websocket, on which commands are answered by number and events come between.

WebDriver BiDi (Firefox) and the DevTools protocol (Chromium) are alike so far. Called by the drivers alone.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

Json = dict[str, Any]

COMMAND_SECONDS = 20
MOST_OCTETS = 1 << 24


class RemoteError(Exception):
    """The browser refuses a command."""


class Remote:
    """The commands' side of the websocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.on_event: Callable[[Json], None] = lambda _: None
        self._socket = socket
        self._answers: dict[int, asyncio.Future[Json]] = {}
        self._number = 0

    async def command(self, method: str, params: Json | None = None, **beside: str) -> Json:
        """Give a command and wait for its answer; raises RemoteError."""
        self._number += 1
        number = self._number
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params or {}, **beside})
        async with asyncio.timeout(COMMAND_SECONDS):
            told = await answer
        if "error" in told:
            raise RemoteError(f"{method}: {told.get('message') or told['error']}")
        result: Json = told["result"]
        return result

    async def listen(self) -> None:
        """Hand out what comes, until the browser closes."""
        async for message in self._socket:
            told: Json = json.loads(message.data)
            answer = self._answers.pop(told.get("id", 0), None)
            if answer is None:
                self.on_event(told)
            elif not answer.done():
                answer.set_result(told)
        for answer in self._answers.values():
            answer.cancel()


@asynccontextmanager
async def remote(url: str) -> AsyncIterator[Remote]:
    """Connect to a browser's remote control."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, max_msg_size=MOST_OCTETS) as socket,
    ):
        control = Remote(socket)
        listening = asyncio.create_task(control.listen())
        try:
            yield control
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
