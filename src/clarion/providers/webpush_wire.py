"""The way to one push service: HTTP/2 where it is spoken, else HTTP/1.1, and never to a forbidden address.

Called by `webpush_service.py`; knows nothing of push but where it goes.
"""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Final

from clarion import http2
from clarion.providers.around import Surroundings
from clarion.providers.webpush_endpoints import ForbiddenAddress, Origin, make_resolver
from clarion.providers.webpush_http1 import Http1

LIMITS: Final = http2.Limits(connect_seconds=5.0, settings_seconds=5.0)

HTTP1_MS: Final = 3_600_000
"""How long it is remembered that a service speaks no HTTP/2."""

Headers = Sequence[tuple[str, str]]
Request = tuple[bytes, bytes]
"""Path and body of a POST."""

Post = Callable[[Sequence[Request]], Awaitable[list[http2.Result]]]


@lru_cache(maxsize=1)
def _http1_tls(ca_file: str | None) -> ssl.SSLContext:
    """Reading the system's authorities takes tens of milliseconds: once is enough."""
    tls = http2.client_tls(ca_file)
    tls.set_alpn_protocols(["http/1.1"])
    return tls


class Wire:
    """The connections to one push service, made when they are needed.

    `is_forbidden` says whether its name led to an address that is not public when it was last looked up.
    """

    def __init__(self, origin: Origin, around: Surroundings, resolve: http2.Resolve) -> None:
        self.is_forbidden = False
        self._origin = origin
        self._around = around
        self._resolve = make_resolver(origin, around.trusted_hosts, resolve)
        self._pool = http2.Pool(
            origin.bare_host,
            origin.port,
            tls=around.tls,
            limits=LIMITS,
            proxy=around.proxy,
            resolve=self._look_up,
        )
        self._http1: Http1 | None = None
        self._http1_until = 0

    async def connect(self) -> None:
        """Make sure that the service can be reached, as far as its protocol lets one know; raises ConnectFailed."""
        if self._speaks_http1():
            return
        try:
            await self._pool.connect()
        except http2.NoHttp2:
            self._http1_until = self._around.clock() + HTTP1_MS
            if self._http1 is None:
                self._http1 = Http1(self._origin.authority, self._http1_route(), LIMITS)

    def post(self, headers: Headers) -> Post:
        """Prepare requests that share these headers; what is returned sends some, and tells one result for each."""
        template = http2.Template(method="POST", authority=self._origin.authority, headers=headers)

        async def send(requests: Sequence[Request]) -> list[http2.Result]:
            if self._http1 is not None:
                with suppress(http2.ConnectFailed):
                    await self.connect()  # it may speak HTTP/2 by now
                if self._speaks_http1():
                    return await self._http1.burst(headers, requests)
            holes = [(http2.literal(b":path", path), body) for path, body in requests]
            return await self._pool.burst(template, holes)

        return send

    async def close(self) -> None:
        """Close the connections; what is in flight becomes unknown."""
        await self._pool.close()
        if self._http1 is not None:
            await self._http1.close()

    def _http1_route(self) -> http2.Route:
        tls = _http1_tls(self._around.ca_file)
        return http2.Route(self._origin.bare_host, self._origin.port, tls, self._around.proxy, self._look_up)

    def _speaks_http1(self) -> bool:
        return self._around.clock() < self._http1_until

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        self.is_forbidden = False
        try:
            return await self._resolve(host, port)
        except ForbiddenAddress:
            self.is_forbidden = True
            raise
