"""A stand-in for Apple that notes the moment at which a request arrives; in the process that measures.

Being in the same process it shares the clock of the caller. It is written with the `h2` library.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded

from clarion.sandbox.certificates import Certificates, ensure_certificates


class PhoneService:
    """Where pushes arrive."""

    def __init__(self, certificates: Certificates) -> None:
        self.certificates = certificates
        self.port = 0
        self._arrivals: asyncio.Queue[float] = asyncio.Queue()

    def arrived(self) -> None:
        """Note this moment."""
        self._arrivals.put_nowait(time.perf_counter())

    async def next_arrival(self, seconds: float) -> float:
        """The moment of the next arrival, which must come within so many seconds."""
        async with asyncio.timeout(seconds):
            return await self._arrivals.get()


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[PhoneService]:
    """Listen on a free port."""
    service = PhoneService(ensure_certificates(folder / "phones"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(service.certificates.server, service.certificates.key)
    context.set_alpn_protocols(["h2"])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(service), "127.0.0.1", 0, ssl=context)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()


class _Connection(asyncio.Protocol):
    """Answers every request with 200."""

    def __init__(self, service: PhoneService) -> None:
        self._service = service
        self._http2 = H2Connection(H2Configuration(client_side=False))
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._http2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        for event in self._http2.receive_data(data):
            if isinstance(event, RequestReceived):
                self._service.arrived()
            elif isinstance(event, StreamEnded) and event.stream_id is not None:
                self._http2.send_headers(event.stream_id, [(":status", "200")], end_stream=True)
        self._flush()

    def _flush(self) -> None:
        assert self._transport is not None
        self._transport.write(self._http2.data_to_send())
