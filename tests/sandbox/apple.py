"""A client of the stand-in for Apple, with `h2` over asyncio streams, and what a sender has: a key."""

from __future__ import annotations

import asyncio
import json
import ssl
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hyperframe.frame import Frame, GoAwayFrame

from clarion.sandbox.registry import Key

TEAM = "TEAM123456"
KEY_ID = "KEY1234567"
TOPIC = "com.example.field"
TOKEN = "ab" * 32
PATIENCE = 10.0


def b64(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


class Signer:
    """A private key of a team."""

    def __init__(self, team: str = TEAM, key_id: str = KEY_ID) -> None:
        self.team, self.key_id = team, key_id
        self.key = ec.generate_private_key(ec.SECP256R1())

    def public(self, *topics: str) -> Key:
        pem = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return Key(self.team, self.key_id, pem.decode(), topics or (TOPIC,))

    def der(self, message: str) -> bytes:
        return self.key.sign(message.encode(), ec.ECDSA(hashes.SHA256()))

    def token(self, iat: object, *, raw: bool = True, **header: object) -> str:
        head = {"alg": "ES256", "kid": self.key_id, **header}
        signed = (
            f"{b64(json.dumps(head).encode())}.{b64(json.dumps({'iss': self.team, 'iat': iat}).encode())}"
        )
        der = self.der(signed)
        r, s = decode_dss_signature(der)
        return f"{signed}.{b64(r.to_bytes(32) + s.to_bytes(32) if raw else der)}"


@dataclass
class Answer:
    """What came back on one stream."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    reset: int | None = None
    ended: bool = False

    @property
    def reason(self) -> str:
        return str(json.loads(self.body)["reason"]) if self.body else ""


def _str(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


class Client:
    """One connection. `answers` fills as events arrive; `until` reads until a condition holds."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.answers: dict[int, Answer] = {}
        self.goaway: GoAwayFrame | None = None
        self._partial = b""
        self.closed = False
        self.settings_seen: list[int] = []
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def begin(self, headers: list[tuple[str, str]], *, ended: bool = False) -> int:
        stream = int(self.h2.get_next_available_stream_id())
        self.answers[stream] = Answer()
        self.h2.send_headers(stream, headers, end_stream=ended)
        self.flush()
        return stream

    def finish(self, stream: int, body: bytes) -> None:
        self.h2.send_data(stream, body, end_stream=True)
        self.flush()

    def send(self, headers: list[tuple[str, str]], body: bytes) -> int:
        stream = self.begin(headers, ended=not body)
        if body:
            self.finish(stream, body)
        return stream

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition() and not self.closed:
                try:
                    data = await self.reader.read(65536)
                except ConnectionError:
                    data = b""
                self.closed = not data
                for event in self.h2.receive_data(self._without_goaway(data)):
                    self._note(event)
                if not self.closed:
                    self.flush()

    def _without_goaway(self, data: bytes) -> bytes:
        """Return the whole frames; GOAWAY is noted and kept from h2, which would read nothing after it."""
        data, kept = self._partial + data, b""
        while len(data) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(data[:9]))
            if len(data) < 9 + length:
                break
            if isinstance(frame, GoAwayFrame):
                frame.parse_body(memoryview(data[9 : 9 + length]))
                self.goaway = frame
            else:
                kept += data[: 9 + length]
            data = data[9 + length :]
        self._partial = data
        return kept

    def _note(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                answer = self.answers[event.stream_id or 0]
                answer.headers = {_str(name): _str(value) for name, value in event.headers or ()}
                answer.status = int(answer.headers.pop(":status"))
            case h2.events.DataReceived():
                self.answers[event.stream_id or 0].body += event.data or b""
            case h2.events.StreamEnded():
                self.answers[event.stream_id or 0].ended = True
            case h2.events.StreamReset():
                self.answers[event.stream_id or 0].reset = int(event.error_code or 0)
            case h2.events.RemoteSettingsChanged():
                for code, changed in event.changed_settings.items():
                    if int(code) == 3:
                        self.settings_seen.append(changed.new_value)

    async def answer(self, stream: int) -> Answer:
        answer = self.answers[stream]
        await self.until(lambda: answer.ended or answer.reset is not None)
        return answer

    async def push(self, provider_token: str, token: str = TOKEN, **more: Any) -> Answer:
        return await self.answer(self.send(*request(provider_token, token, **more)))


def request(
    provider_token: str, token: str = TOKEN, payload: Any = None, **headers: str
) -> tuple[list[tuple[str, str]], bytes]:
    """Return headers and body of a push; keyword arguments are header names with underscores."""
    body = json.dumps({"aps": {"alert": {"title": "Hello"}}} if payload is None else payload).encode()
    given = {"apns_topic": TOPIC, "apns_push_type": "alert", **headers}
    pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost")]
    pseudo.append((":path", f"/3/device/{token}"))
    extra = [(name.replace("_", "-"), value) for name, value in given.items()]
    return [*pseudo, ("authorization", f"bearer {provider_token}"), *extra], body


@asynccontextmanager
async def connect(port: int, ca: Path, alpn: str = "h2") -> AsyncIterator[Client]:
    tls = ssl.create_default_context(cafile=str(ca))
    tls.set_alpn_protocols([alpn])
    reader, writer = await asyncio.open_connection("localhost", port, ssl=tls)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
