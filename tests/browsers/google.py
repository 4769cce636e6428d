"""A stand-in for what Chromium talks to at Google, and the door for senders: check-in, registration, messages.

A browser checks in (HTTP), registers each subscription (HTTP), and keeps a connection on which messages come (MCS:
protocol buffers over TLS). The numbers are those of Chromium's `google_apis/gcm/protocol`.
"""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256

from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate

from tests.browsers import protobuf
from tests.browsers.judging import Fault, octets
from tests.browsers.push_service import Clock, Message, PushService, listening, taking_messages
from tests.http2.peer import Certificate

OTHER_KEY = (
    "the VAPID credentials in the authorization header do not correspond to the credentials used to create the "
    "subscriptions."
)
FAULTS = {
    Fault.NO_SUCH: (404, "NotRegistered"),
    Fault.GONE: (410, "NotRegistered"),
    Fault.TOO_LARGE: (413, Fault.TOO_LARGE.value),
    Fault.NO_TOKEN: (401, "authorization header must be specified."),
    Fault.BAD_TOKEN: (403, "invalid JWT provided"),
    Fault.OTHER_KEY: (403, OTHER_KEY),
}

PING, PING_ANSWER, LOGIN, LOGIN_ANSWER, DATA = 0, 1, 2, 3, 8
ANDROID_ID, SECURITY_TOKEN = 4_500_000_000_000_000_001, 4_500_000_000_000_000_002


@dataclass
class App:
    """What a browser registered: a service worker's subscription."""

    app: str
    subtype: str
    sender: str


@dataclass
class Line:
    """A browser's connection, and what was written on it."""

    writer: asyncio.StreamWriter
    written: set[str] = field(default_factory=set)

    def write(self, tag: int, octets: bytes) -> None:
        """Write one message."""
        self.writer.write(bytes([tag]) + protobuf.varint(len(octets)) + octets)


class Google(PushService):
    """The service, for one browser."""

    path = "/fcm/send/"

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._apps: dict[str, App] = {}
        self._line: Line | None = None

    def spell(self, fault: Fault) -> tuple[int, str]:
        return FAULTS.get(fault, (400, fault.value))

    async def deliver(self, token: str) -> bool:
        if self._line is None:
            return False
        for message in self.waiting(token):
            if message.id not in self._line.written:
                self._line.written.add(message.id)
                self._line.write(DATA, _stanza(self._apps[token], message))
        return True

    async def check_in(self, _: web.Request) -> web.Response:
        """A browser becomes a device (AndroidCheckinResponse)."""
        ids = protobuf.fixed64(7, ANDROID_ID) + protobuf.fixed64(8, SECURITY_TOKEN)
        return web.Response(body=protobuf.message((1, 1), (3, int(self._clock() * 1000))) + ids)

    async def register(self, request: web.Request) -> web.Response:
        """A service worker subscribes or ends its subscription (`delete`); the browser's own affairs lead nowhere."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        app = App(form["app"], form.get("X-subtype", ""), form["sender"])
        if not app.subtype.startswith("wp:"):
            return web.Response(text="token=none")
        for token, known in self._apps.items():
            if known.subtype == app.subtype:
                self.end(token)
        if form.get("delete") == "true":
            return web.Response(text=f"token={app.app}")
        token = self.subscribe(octets(app.sender))
        self._apps[token] = app
        return web.Response(text=f"token={token}")

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A browser's connection."""
        line = Line(writer)
        try:
            writer.write(await reader.readexactly(1))  # the version, which is ours too
            while True:
                tag = (await reader.readexactly(1))[0]
                said = list(protobuf.read(await reader.readexactly(await _size(reader))))
                if tag == LOGIN:
                    await self._greet(line, said)
                elif tag == PING:
                    line.write(PING_ANSWER, b"")
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            self._line = None if self._line is line else self._line
            writer.transport.abort()

    async def _greet(self, line: Line, said: list[tuple[int, protobuf.Value]]) -> None:
        """A browser tells at its login which messages it got before; it gets the others."""
        got = {value.decode() for number, value in said if number == 10 and isinstance(value, bytes)}
        line.write(LOGIN_ANSWER, protobuf.message((1, "1"), (8, int(self._clock() * 1000))))
        self._line = line
        for token, subscription in self.subscriptions.items():
            for message_id in got & subscription.waiting.keys():
                del subscription.waiting[message_id]
            await self.deliver(token)


def _stanza(app: App, message: Message) -> bytes:
    """A message as the browser gets it (DataMessageStanza)."""
    data = {"subtype": app.subtype, "content-encoding": "aes128gcm"}
    pairs = [(7, protobuf.message((1, key), (2, value))) for key, value in data.items()]
    return protobuf.message(
        (2, message.id), (3, app.sender), (5, app.app), *pairs, (9, message.id), (21, message.body)
    )


async def _size(reader: asyncio.StreamReader) -> int:
    size = shift = 0
    while True:
        octet = (await reader.readexactly(1))[0]
        size |= (octet & 0x7F) << shift
        if octet < 0x80:
            return size
        shift += 7


@dataclass(frozen=True)
class Doors:
    """Where Chromium's ways to its push service lead, and the key of the certificate there (SHA-256, base64)."""

    http: int
    mcs: int
    key: str
    endpoints: str


@asynccontextmanager
async def google(certificate: Certificate, clock: Clock) -> AsyncIterator[tuple[Google, Doors]]:
    """Run it; yields it with what Chromium has to be told."""
    tls = certificate.server_tls("http/1.1")
    service = Google(clock)
    app = web.Application()
    app.router.add_post("/checkin", service.check_in)
    app.router.add_post("/register", service.register)
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        with suppress(asyncio.CancelledError):
            await service.converse(reader, writer)

    async with taking_messages(service, tls), listening(app) as port:
        server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
        try:
            mcs = server.sockets[0].getsockname()[1]
            yield service, Doors(port, mcs, _key_of(certificate), service.origin)
        finally:
            server.close()
            for task in talks:
                task.cancel()
            await asyncio.gather(*talks)
            await server.wait_closed()


def _key_of(certificate: Certificate) -> str:
    key = load_pem_x509_certificate(certificate.chain.read_bytes()).public_key()
    return b64encode(
        sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    ).decode()
