"""A stand-in for Apple that answers as a test tells it to, and notes what it was asked, and over which connection."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded
from h2.settings import SettingCodes

from clarion.sandbox.certificates import Certificates, ensure_certificates


@dataclass(frozen=True)
class Asked:
    """A request, the number of its connection, and the subject of the certificate that the client showed."""

    headers: dict[str, str]
    connection: int
    subject: str

    @property
    def token(self) -> str:
        return self.headers["authorization"].removeprefix("bearer ")


Said = tuple[int, dict[str, Any] | None]
OK: Said = (200, None)


@dataclass
class AppleService:
    """What it says, and what it was asked. `streams` is what each connection allows."""

    certificates: Certificates
    answering: Callable[[Asked], Said] = lambda _: OK
    streams: int = 100
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    most_open: int = 0


@asynccontextmanager
async def serving(folder: Path, client_ca: str | None = None) -> AsyncIterator[AppleService]:
    """Run it; with `client_ca`, a PEM, clients must show a certificate that it signed."""
    service = AppleService(ensure_certificates(folder))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(service.certificates.server, service.certificates.key)
    tls.set_alpn_protocols(["h2"])
    if client_ca is not None:
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(cadata=client_ca)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(service), "127.0.0.1", 0, ssl=tls)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()


class _Connection(asyncio.Protocol):
    def __init__(self, service: AppleService) -> None:
        self._service = service
        self._http2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._requests: dict[int, Asked] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._service.connections += 1
        self._number = self._service.connections
        shown = transport.get_extra_info("peercert") or {}
        self._subject = dict(pair for group in shown.get("subject", ()) for pair in group).get("userId", "")
        self._http2.initiate_connection()
        self._http2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: self._service.streams})
        self._transport.write(self._http2.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self._http2.receive_data(data):
            if isinstance(event, RequestReceived) and event.stream_id is not None:
                headers = cast("dict[str, str]", dict(event.headers or ()))
                self._requests[event.stream_id] = Asked(headers, self._number, self._subject)
                self._service.most_open = max(self._service.most_open, len(self._requests))
            elif isinstance(event, StreamEnded) and event.stream_id is not None:
                self._answer(event.stream_id)
        self._transport.write(self._http2.data_to_send())

    def _answer(self, stream_id: int) -> None:
        asked = self._requests.pop(stream_id)
        self._service.asked.append(asked)
        status, details = self._service.answering(asked)
        self._http2.send_headers(stream_id, [(":status", str(status))], end_stream=details is None)
        if details is not None:
            self._http2.send_data(stream_id, json.dumps(details).encode(), end_stream=True)
