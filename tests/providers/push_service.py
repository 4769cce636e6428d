"""A push service without HTTP/2, over TLS: says what a test tells it to, and notes what it was asked."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.http2.peer import Certificate


@dataclass(frozen=True)
class Asked:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Said:
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


Answering = Callable[[Asked], Said | None]
"""None: never answer."""


@dataclass
class PushService:
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.port}"


def created(_: Asked) -> Said:
    return Said(201)


@asynccontextmanager
async def serving(certificate: Certificate, answering: Answering = created) -> AsyncIterator[PushService]:
    service = PushService()
    writers: set[asyncio.StreamWriter] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        service.connections += 1
        writers.add(writer)
        try:
            while asked := await _read(reader):
                service.asked.append(asked)
                if (said := answering(asked)) is not None:
                    writer.write(_octets(said))
        except (ConnectionError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            writers.discard(writer)
            writer.transport.abort()

    server = await asyncio.start_server(
        converse, "127.0.0.1", 0, ssl=certificate.server_tls("http/1.1"), ssl_shutdown_timeout=1
    )
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()
        for writer in list(writers):
            writer.transport.abort()
        await server.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ")
    assert method == "POST"
    pairs = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in pairs}
    assert len(headers) == len(lines)
    return Asked(path, headers, await reader.readexactly(int(headers["content-length"])))


def _octets(said: Said) -> bytes:
    fields = (("content-length", str(len(said.body))), *said.headers)
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"HTTP/1.1 {said.status} Whatever\r\n{lines}\r\n".encode() + said.body
