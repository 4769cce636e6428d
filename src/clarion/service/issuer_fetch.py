"""Fetching what an issuer publishes, over HTTPS alone: no redirects, no cookies, at most 256 KiB.

Made by `bootstrap.py` for `service/issuer_keys.py`. The issuer is set by the operator's command line, so its address
may be anywhere, on private networks too.
"""

import asyncio
import ssl
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import aiohttp

from clarion.service.issuer_keys import IssuerTrouble

MOST_OCTETS: Final = 262_144
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "Clarion"}


@dataclass(frozen=True, slots=True)
class Way:
    """How issuers are reached. `ca_file` is trusted besides the system's; `proxy` is http://host:port, to which
    `proxy_authorization` is shown and to nobody else."""

    ca_file: str | None = None
    proxy: str | None = None
    proxy_authorization: str | None = field(default=None, repr=False)


class Fetcher:
    """GETs documents; raises IssuerTrouble. Call it with a URL, and bound how long that may take."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._tls = ssl.create_default_context()
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        if way.ca_file is not None:
            self._tls.load_verify_locations(way.ca_file)

    async def __call__(self, url: str) -> bytes:
        """The body of a 200, whole."""
        session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None),
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        getting = asyncio.create_task(self._get(session, url))
        try:
            return await asyncio.shield(getting)
        except aiohttp.ClientConnectorCertificateError:
            raise IssuerTrouble(f"the certificate of {url} is not trusted; see push.ca_file") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise IssuerTrouble(f"{url} cannot be reached: {_reason(error)}") from None
        finally:
            await session.close()  # at once: a peer that is silent would otherwise be waited for
            getting.cancel()
            await asyncio.gather(getting, return_exceptions=True)

    async def _get(self, session: aiohttp.ClientSession, url: str) -> bytes:
        way = self._way
        answer = await session.get(
            url,
            ssl=self._tls,
            allow_redirects=False,
            proxy=way.proxy,
            proxy_headers={"Proxy-Authorization": way.proxy_authorization}
            if way.proxy_authorization
            else None,
        )
        try:
            return await _read(answer, url)
        finally:
            await session.close()
            answer.close()


async def _read(answer: aiohttp.ClientResponse, url: str) -> bytes:
    if answer.status != HTTPStatus.OK:
        hint = "; redirects are not followed" if 300 <= answer.status < 400 else ""
        raise IssuerTrouble(f"{url} answered {answer.status}{hint}")
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise IssuerTrouble(f"{url} is compressed, which was not asked for")
    body = b""
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > MOST_OCTETS:
            raise IssuerTrouble(f"{url} is larger than {MOST_OCTETS:,} octets")
    return body


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "no connection"
    return type(error).__name__
