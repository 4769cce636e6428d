"""The way out of a browser: a proxy that leads nowhere, and notes what was asked for. Nothing leaves the machine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Outside:
    """Where browsers go for all that is not on this machine."""

    port: int = 0
    asked: list[str] = field(default_factory=list)


@asynccontextmanager
async def outside() -> AsyncIterator[Outside]:
    """Listen on a free port."""
    way = Outside()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            way.asked.append((await reader.readuntil(b"\n")).decode(errors="replace").strip())
        writer.transport.abort()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    way.port = server.sockets[0].getsockname()[1]
    try:
        yield way
    finally:
        server.close()
        await server.wait_closed()
