"""Push services that do not speak HTTP/2, as many self-hosted ones: the library aiohttp sends to them.

Called by `webpush_wire.py` after `http2` found no HTTP/2 there. Connections are dialled as `http2` dials its own,
so that `resolve` decides where they lead, and results are those of `http2`. Nothing is followed, unpacked or
read beyond a limit.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace
from yarl import URL

from clarion import http2

MOST_TOGETHER: Final = 8
"""Requests at once to one service; each has its own connection."""

MOST_ANSWER_OCTETS: Final = 16_384
_SECONDS: Final = aiohttp.ClientTimeout(total=20, sock_read=10)
_NOT_SENT_OF_ITSELF: Final = ("accept", "accept-encoding", "user-agent")


class Http1:
    """One push service over HTTP/1.1; made inside a running loop. `authority` is its host, and port unless 443."""

    def __init__(self, authority: str, route: http2.Route, limits: http2.Limits) -> None:
        self._authority = authority
        self._room = asyncio.Semaphore(MOST_TOGETHER)
        self._session = aiohttp.ClientSession(
            connector=_Connector(route, limits),
            timeout=_SECONDS,
            skip_auto_headers=_NOT_SENT_OF_ITSELF,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def burst(
        self, headers: Sequence[tuple[str, str]], requests: Sequence[tuple[bytes, bytes]]
    ) -> list[http2.Result]:
        """POST each (path, body); one result per request, in order."""
        return await asyncio.gather(*(self._post(headers, path, body) for path, body in requests))

    async def close(self) -> None:
        """Close the connections; what is in flight becomes unknown."""
        await self._session.close()

    async def _post(self, headers: Sequence[tuple[str, str]], path: bytes, body: bytes) -> http2.Result:
        url = URL(f"https://{self._authority}{path.decode()}", encoded=True)
        async with self._room:
            if self._session.closed:
                return http2.NotProcessed("closed by us")
            try:
                async with self._session.post(
                    url, data=body, headers=headers, allow_redirects=False
                ) as response:
                    return http2.Answer(response.status, _fields(response), await _body(response))
            except http2.ConnectFailed as error:
                return http2.NotProcessed(str(error))
            except TimeoutError:
                return http2.Unknown("no answer in time")
            except aiohttp.ClientError as error:
                return http2.Unknown(type(error).__name__)  # its sentence may repeat the endpoint


class _Connector(aiohttp.BaseConnector):
    """Dials as `http2` does. The method is how aiohttp's own connectors, and those of others, do it."""

    def __init__(self, route: http2.Route, limits: http2.Limits) -> None:
        super().__init__(limit=MOST_TOGETHER)
        self._route = route
        self._limits = limits
        self._turn = 0

    async def _create_connection(
        self, _request: aiohttp.ClientRequest, _traces: list[Trace], _timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        protocol = ResponseHandler(loop=asyncio.get_running_loop())
        turn, self._turn = self._turn, self._turn + 1
        await http2.dial(self._route, lambda: protocol, self._limits, turn)
        return protocol


def _fields(response: aiohttp.ClientResponse) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.lower(), value) for name, value in response.raw_headers)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """What is needed of a body. The status stands even if the rest never comes."""
    try:
        octets = await response.content.read(MOST_ANSWER_OCTETS)
    except (aiohttp.ClientError, TimeoutError):
        octets = b""
    if not response.content.at_eof():
        response.close()
    return octets
