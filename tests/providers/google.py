"""What the tests of FCM share: a service account, and a server that answers as a test says.

It stands in for Google's token endpoint and for FCM, and speaks HTTP/2 by the h2 library.
"""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, WindowUpdated
from h2.settings import SettingCodes

from tests.http2.peer import Certificate

TOKEN_PATH = "/token"
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
STREAMS = 100

PROJECT, EMAIL, KEY_ID = "field-app-1f2e3", "clarion@field-app-1f2e3.iam.example.com", "0123456789abcdef"
KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def pem(key: Any) -> str:
    octets: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return octets.decode()


def service_account(**change: Any) -> str:
    """A service account's file; what is changed to None is left out."""
    usual = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": KEY_ID,
        "private_key": pem(KEY),
        "client_email": EMAIL,
        "client_id": "117",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return json.dumps({name: value for name, value in {**usual, **change}.items() if value is not None})


class Ask(NamedTuple):
    """A request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["message"]
        return found

    @property
    def token(self) -> str:
        """The access token that it came with."""
        return self.headers["authorization"].removeprefix("Bearer ")

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


class Reply(NamedTuple):
    status: int = 200
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[[Ask], Reply | Awaitable[Reply]]


class Google:
    """What arrived, and who answers it. By default every token is granted and every message taken."""

    def __init__(self) -> None:
        self.port = 0
        self.grants: list[Ask] = []
        self.messages: list[Ask] = []
        self.on_grant: Handler = lambda _: grant(f"ya29.{len(self.grants)}")
        self.on_message: Handler = lambda _: accepted()

    def take(self, ask: Ask) -> Reply | Awaitable[Reply]:
        if ask.path == TOKEN_PATH:
            self.grants.append(ask)
            return self.on_grant(ask)
        self.messages.append(ask)
        return self.on_message(ask)


def grant(token: object, **change: Any) -> Reply:
    said = {"access_token": token, "expires_in": 3599, "token_type": "Bearer", **change}
    return Reply(200, json.dumps(said).encode())


def accepted() -> Reply:
    return Reply(200, b'{"name":"projects/p/messages/1"}')


def refusal(status: int, rpc: str, code: str = "", message: str = "", *details: dict[str, Any]) -> bytes:
    """An error as Google's APIs shape it."""
    fcm = [{"@type": FCM_ERROR, "errorCode": code}] if code else []
    error = {"code": status, "message": message, "status": rpc, "details": [*details, *fcm]}
    return json.dumps({"error": error}).encode()


@asynccontextmanager
async def serving(certificate: Certificate) -> AsyncIterator[Google]:
    """Serve on a free port of loopback."""
    google = Google()
    tasks: set[asyncio.Task[None]] = set()

    async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await _Conversation(google, reader, writer).hold()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(
        follow, "127.0.0.1", 0, ssl=certificate.server_tls(), ssl_shutdown_timeout=0.5
    )
    google.port = server.sockets[0].getsockname()[1]
    try:
        yield google
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Conversation:
    """One connection."""

    def __init__(self, google: Google, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._google = google
        self._reader = reader
        self._writer = writer
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._asks: dict[int, tuple[dict[str, str], bytearray]] = {}

    async def hold(self) -> None:
        async with asyncio.TaskGroup() as answering:
            self._h2.local_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = STREAMS
            self._h2.initiate_connection()
            self._flush()
            while octets := await self._reader.read(65_536):
                for event in self._h2.receive_data(octets):
                    match event:
                        case RequestReceived(stream_id=int(stream), headers=fields):
                            self._asks[stream] = (dict(fields or ()), bytearray())  # type: ignore[arg-type]
                        case DataReceived(stream_id=int(stream), data=data, flow_controlled_length=length):
                            self._asks[stream][1].extend(data or b"")
                            self._h2.acknowledge_received_data(length or 0, stream)
                        case StreamEnded(stream_id=int(stream)):
                            answering.create_task(self._answer(stream))
                        case WindowUpdated():
                            pass
                self._flush()

    async def _answer(self, stream: int) -> None:
        fields, body = self._asks.pop(stream)
        reply = self._google.take(Ask(fields[":path"], fields, bytes(body)))
        status, content, headers = await reply if inspect.isawaitable(reply) else reply
        self._h2.send_headers(stream, [(":status", str(status)), *headers])
        for start in range(0, len(content), self._h2.max_outbound_frame_size):
            self._h2.send_data(stream, content[start : start + self._h2.max_outbound_frame_size])
        self._h2.end_stream(stream)
        self._flush()

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())
