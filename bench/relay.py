"""A relay that makes a way long: what goes in comes out a moment later, in both directions.

It delays octets without holding any back: TLS goes through it, and it never looks inside.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast


@asynccontextmanager
async def delaying(port: int, seconds: float) -> AsyncIterator[int]:
    """Relay to a port on this machine, each way delayed; yields the port to connect to."""
    loop = asyncio.get_running_loop()
    ends: set[_End] = set()
    server = await loop.create_server(partial(_Entrance, port, seconds, ends), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for end in tuple(ends):
            end.transport.abort()


class _End(asyncio.Protocol):
    """One end of a connection; hands what it reads to the other end."""

    transport: asyncio.Transport

    def __init__(self, seconds: float, ends: set["_End"]) -> None:
        self.other: _End | None = None
        self._seconds = seconds
        self._ends = ends
        self._loop = asyncio.get_running_loop()
        self._on_the_way: deque[tuple[float, bytes | None]] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._ends.add(self)

    def data_received(self, data: bytes) -> None:
        self._send_off(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._ends.discard(self)
        self._send_off(None)

    def _send_off(self, data: bytes | None) -> None:
        """None is the end."""
        self._on_the_way.append((self._loop.time() + self._seconds, data))
        if len(self._on_the_way) == 1:
            self._loop.call_later(self._seconds, self.arrive)

    def arrive(self) -> None:
        """Hand over what has been on its way for long enough."""
        if self.other is None:
            return
        now = self._loop.time()
        while self._on_the_way and self._on_the_way[0][0] <= now + 0.0005:
            _, data = self._on_the_way.popleft()
            if data is None:
                self.other.transport.close()
            else:
                self.other.transport.write(data)
        if self._on_the_way:
            self._loop.call_later(self._on_the_way[0][0] - now, self.arrive)


class _Entrance(_End):
    """The end that a client connects to; it opens the other one."""

    def __init__(self, port: int, seconds: float, ends: set[_End]) -> None:
        super().__init__(seconds, ends)
        self._port = port
        self._reaching: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._reaching = self._loop.create_task(self._reach())

    async def _reach(self) -> None:
        exit_ = _End(self._seconds, self._ends)
        exit_.other = self
        await self._loop.create_connection(lambda: exit_, "127.0.0.1", self._port)
        self.other = exit_
        self.arrive()
