"""An HTTP proxy and the tunnel through it (RFC 9110 §9.3.6). Called while a connection is dialled; knows
nothing of HTTP/2.

The credential is sent to the proxy and told to nobody else: it is in no error and no `repr`.
"""

import asyncio
import ipaddress
import re
import socket
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from clarion.http2.errors import ConnectFailed

MAX_ANSWER_OCTETS: Final = 16_384
END: Final = b"\r\n\r\n"

_read_status = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n").match
_is_host = re.compile(r"[A-Za-z0-9._%:-]+").fullmatch
_is_unfit = re.compile(r"[^\x20-\x7e]").search


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy, itself spoken to without TLS. `authorization` is a whole `Proxy-Authorization`, such as
    `Basic bmFtZTpzZWNyZXQ=`."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.authorization is not None and _is_unfit(self.authorization):
            raise ValueError("the proxy's authorization holds an octet that a header field must not hold")


async def open_tunnel(reached: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    """Let a proxy, to which `reached` is connected, pass all that follows to a host; raises `ConnectFailed`."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(reached, connect_request(proxy, host, port))
    answer = b""
    while END not in answer and len(answer) < MAX_ANSWER_OCTETS:
        if not (piece := await loop.sock_recv(reached, MAX_ANSWER_OCTETS)):
            raise ConnectFailed("the proxy closed the connection before it answered")
        answer += piece
    check_answer(answer)


def connect_request(proxy: Proxy, host: str, port: int) -> bytes:
    """Build the request for a tunnel to a name or an address."""
    if not _is_host(host):
        raise ConnectFailed(f"{host!r} is not a host name")
    where = f"{_bracketed(host)}:{port}"
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    return "\r\n".join(lines).encode("ascii") + END


def check_answer(answer: bytes) -> None:
    """Raise `ConnectFailed` unless the proxy has opened the tunnel."""
    head, end, rest = answer.partition(END)
    status = _read_status(head + b"\r\n")
    if not end or status is None:
        raise ConnectFailed("the proxy does not answer as an HTTP proxy does")
    code = int(status[1])
    if code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        raise ConnectFailed("the proxy wants other credentials (407)")
    if not 200 <= code <= 299:
        raise ConnectFailed(f"the proxy refused the tunnel ({code}{_phrase(code)})")
    if rest:
        raise ConnectFailed("the proxy sent octets that are not the server's")


def _phrase(code: int) -> str:
    """Our own words: what a proxy says may repeat what it was told."""
    try:
        return f" {HTTPStatus(code).phrase}"
    except ValueError:
        return ""


def _bracketed(host: str) -> str:
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host
