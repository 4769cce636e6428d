"""Many apps at once that follow their members' live streams: plain sockets, no parsing beyond what must be known."""

import asyncio
import re
import resource
import time
from collections.abc import Callable, Sequence
from typing import Final, cast
from uuid import UUID

from bench.figure import MeasureError

OPENED_TOGETHER: Final = 100
_WATERMARK: Final = re.compile(rb"\nid: ([\w-]+)\n")


class Listener(asyncio.Protocol):
    """One app. `on_event` is called with every event but the first one, whose watermark is `watermark`."""

    def __init__(self, number: int, request: bytes, on_event: Callable[["Listener", bytes], None]) -> None:
        self.number = number
        self._request = request
        self._on_event = on_event
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self.watermark = ""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._fail("the server closed a stream")

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\n\n")) >= 0:
            event, self._received = self._received[: end + 2], self._received[end + 2 :]
            if self.opened.done():
                self._on_event(self, event)
            elif event.startswith(b"HTTP/1.1 200 "):
                found = _WATERMARK.search(event)
                assert found is not None
                self.watermark = found[1].decode()
                self.opened.set_result(None)
            else:
                self._fail(f"a stream was not opened:\n{event[:500].decode(errors='replace')}")

    def close(self) -> None:
        """Hang up."""
        assert self._transport is not None
        self._transport.close()

    def _fail(self, reason: str) -> None:
        if not self.opened.done():
            self.opened.set_exception(MeasureError(reason))


class Crowd:
    """Apps that listen, and who of them has heard of a notification."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._left = 0
        self._heard = asyncio.Event()
        self.listeners: list[Listener] = []
        self.hinted: list[int] = []

    async def gather(self, requests: Sequence[bytes]) -> float:
        """Open a stream with each of these requests; returns how many seconds that took."""
        started, loop = time.perf_counter(), asyncio.get_running_loop()
        numbered = list(enumerate(requests))
        for start in range(0, len(requests), OPENED_TOGETHER):
            some = [
                Listener(number, request, self._hear)
                for number, request in numbered[start : start + OPENED_TOGETHER]
            ]
            for listener in some:
                await loop.create_connection(lambda it=listener: it, "127.0.0.1", self._port)  # type: ignore[misc]
            await asyncio.gather(*(listener.opened for listener in some))
            self.listeners += some
        return time.perf_counter() - started

    def expect(self) -> None:
        """From now on everybody is to hear of one thing."""
        self.hinted.clear()
        self._left = len(self.listeners)
        self._heard.clear()

    async def all_heard(self, seconds: float) -> None:
        """Wait until everybody has heard it."""
        try:
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        except TimeoutError:
            raise MeasureError(f"{self._left} streams heard nothing within {seconds:g} s") from None

    def close(self) -> None:
        """Hang up."""
        for listener in self.listeners:
            listener.close()

    def _hear(self, listener: Listener, event: bytes) -> None:
        is_hint = b"event: hint\n" in event
        if is_hint:
            self.hinted.append(listener.number)
        if is_hint or b"event: changes\n" in event:
            self._left -= 1
            if not self._left:
                self._heard.set()


def raise_limit(files: int) -> None:
    """Let this process, and those that it starts, open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < files:
        raise MeasureError(
            f"needs {files:,} open files, and {hard:,} are allowed: raise the hard limit (ulimit -Hn)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, files), hard))


def get(path: str, token: str, **headers: str) -> bytes:
    """The octets of a GET."""
    lines = {"host": "127.0.0.1", "authorization": f"Bearer {token}"} | headers
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()


def inbox(organization: UUID, user: UUID) -> str:
    """The path of an inbox."""
    return f"/v2.0/tool/organizations/{organization}/members/{user}/notifications"
