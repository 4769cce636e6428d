"""A server that follows a script, frame by frame, over TLS: for all that a good one would never do."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hpack import Decoder

from clarion.http2 import Connection, Limits
from clarion.http2 import frames as f

from .wire import ACK, Frame, answer


@dataclass(frozen=True)
class Certificate:
    chain: Path
    key: Path

    def server_tls(self, alpn: str = "h2") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        context.set_alpn_protocols([alpn])
        return context


def make_certificate(folder: Path, host: str = "localhost") -> Certificate:
    """Make a certificate for a name and for loopback that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    addresses = [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(folder / "chain.pem", folder / "key.pem")
    made.chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made


class Request(NamedTuple):
    stream_id: int
    path: bytes
    body: bytes


class Peer:
    """One connection, seen from the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._decoder = Decoder()
        self._paths: dict[int, bytes] = {}

    def send(self, octets: bytes) -> None:
        if self.writer.is_closing():
            raise ConnectionResetError("the client has left")
        self.writer.write(octets)

    async def greet(self, settings: dict[int, int] | None = None, *, acknowledge: bool = True) -> None:
        """Read the client's preface and send our SETTINGS, and usually the acknowledgement of its."""
        assert await self.reader.readexactly(len(f.PREFACE)) == f.PREFACE
        self.send(f.settings(settings or {}) + (ACK if acknowledge else b""))

    async def frame(self) -> Frame:
        word, flags, stream_id = f.HEAD.unpack(await self.reader.readexactly(9))
        return Frame(word & 0xFF, flags, stream_id, await self.reader.readexactly(word >> 8))

    async def next(self, kind: int) -> Frame:
        """Skip frames until one of this type comes."""
        while (frame := await self.frame()).kind != kind:
            self._note(frame)
        return frame

    async def request(self) -> Request:
        """Return the next request whose body ends in one frame."""
        while (frame := await self.frame()).kind != f.DATA or not frame.flags & f.END_STREAM:
            self._note(frame)
        return Request(frame.stream_id, self._paths.pop(frame.stream_id), frame.payload)

    async def requests(self, count: int) -> list[Request]:
        return [await self.request() for _ in range(count)]

    async def until_closed(self) -> list[Frame]:
        """Read until the client closes, and return what it said."""
        said = []
        with suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                said.append(await self.frame())
        return said

    def _note(self, frame: Frame) -> None:
        if frame.kind == f.HEADERS:
            fields = dict(self._decoder.decode(frame.payload, raw=True))
            self._paths[frame.stream_id] = bytes(fields[b":path"])


Script = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def serving(certificate: Certificate, *scripts: Script, alpn: str = "h2") -> AsyncIterator[int]:
    """Serve on a free port; the first connection follows the first script, the last script all later ones.

    A script that fails fails the test, unless the client left before it was done.
    """
    failures: list[BaseException] = []
    tasks: set[asyncio.Task[None]] = set()
    connections = 0

    async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        script = scripts[min(connections, len(scripts) - 1)]
        connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await script(Peer(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, asyncio.CancelledError):
            pass
        except Exception as error:
            failures.append(error)
            raise
        finally:
            writer.close()
            with suppress(Exception):
                await writer.wait_closed()

    server = await asyncio.start_server(
        follow, "127.0.0.1", 0, ssl=certificate.server_tls(alpn), ssl_shutdown_timeout=0.5
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
    assert not failures, failures


@asynccontextmanager
async def connected(
    certificate: Certificate, tls: ssl.SSLContext, script: Script, limits: Limits | None = None
) -> AsyncIterator[Connection]:
    async with serving(certificate, script) as port:
        connection = await Connection.open(
            "localhost", port, tls=tls, limits=limits or Limits(close_seconds=0.2)
        )
        try:
            yield connection
        finally:
            await connection.close()


async def answer_all(peer: Peer) -> None:
    await peer.greet()
    while True:
        request = await peer.request()
        peer.send(answer(request.stream_id))


async def stay_silent(peer: Peer) -> None:
    await peer.greet()
    await peer.until_closed()
