"""From a name to TLS: look up, connect to one of the addresses, perhaps through a proxy, and greet. Called for
every new connection; knows nothing of HTTP/2.

Addresses are tried in the order of RFC 8305 (happy eyeballs): both families by turns, the next one a moment after
the one before, and the first that answers is taken; through a proxy too. Each connection begins with another address,
so that several connections spread over several servers.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, zip_longest
from typing import Any, Final

from clarion.http2.errors import ConnectFailed, NoHttp2
from clarion.http2.limits import Limits
from clarion.http2.proxy import Proxy, open_tunnel

STAGGER_SECONDS: Final = 0.25
TUNNEL_STAGGER_SECONDS: Final = 1.0
"""A proxy has a way of its own to go before it answers."""

NO_H2: Final = "the server does not speak HTTP/2 (no h2 by ALPN)"

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a name and a port to the IP addresses to connect to; an `OSError` means that there are none."""


@dataclass(frozen=True, slots=True)
class Route:
    """A server and the way to it. TLS verifies the server as `host`, whatever the addresses are."""

    host: str
    port: int
    tls: ssl.SSLContext
    proxy: Proxy | None = None
    resolve: Resolve | None = None


async def dial(
    route: Route, make_protocol: Callable[[], asyncio.BaseProtocol], limits: Limits, turn: int = 0
) -> None:
    """Connect a protocol to a server over TLS, or raise `ConnectFailed`; `turn` chooses the first address."""
    where = f"{route.host}:{route.port}"
    try:
        async with asyncio.timeout(limits.connect_seconds):
            reached = await _reach(route, turn)
            await asyncio.get_running_loop().create_connection(
                make_protocol,
                sock=reached,
                ssl=route.tls,
                server_hostname=route.host,
                ssl_shutdown_timeout=limits.close_seconds,
            )
    except TimeoutError as error:
        raise ConnectFailed(f"{where}: no connection within {limits.connect_seconds:g} s") from error
    except (OSError, ValueError, ConnectFailed) as error:
        if isinstance(error, ssl.SSLError) and _says_no_h2(error):
            raise NoHttp2(f"{where}: {NO_H2}") from error
        raise ConnectFailed(f"{where}: {error}") from error


def _says_no_h2(error: ssl.SSLError) -> bool:
    """Whether it is the alert of RFC 7301 §3.2; OpenSSL spells it in either way."""
    return "no application protocol" in str(error).lower().replace("_", " ")


async def _reach(route: Route, turn: int) -> socket.socket:
    """Return a socket on which the server's TLS is spoken."""
    if route.proxy is None:
        addresses = await (route.resolve or look_up)(route.host, route.port)
        return await _reach_first(_connect, in_order(addresses, turn), route.port)
    if route.resolve is None:
        return await _reach_through(route.proxy, route.host, route.port)
    addresses = in_order(await route.resolve(route.host, route.port), turn)
    through = partial(_reach_through, route.proxy)
    return await _reach_first(through, addresses, route.port, TUNNEL_STAGGER_SECONDS)


async def _reach_through(proxy: Proxy, host: str, port: int) -> socket.socket:
    addresses = await look_up(proxy.host, proxy.port)
    reached = await _reach_first(_connect, in_order(addresses, 0), proxy.port)
    try:
        await open_tunnel(reached, proxy, host, port)
    except BaseException:
        reached.close()
        raise
    return reached


async def look_up(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def in_order(addresses: Iterable[str], turn: int) -> list[str]:
    """Put addresses in the order in which they are tried; raises `OSError` when one is none.

    The family that came first stays first. What is no address is refused because a name would be looked up again,
    past whoever chose the addresses.
    """
    families: dict[int, list[str]] = {}
    for address in dict.fromkeys(addresses):
        try:
            families.setdefault(ipaddress.ip_address(address).version, []).append(address)
        except ValueError as error:
            raise OSError(f"{address!r} is not an IP address") from error
    turned = [found[turn % len(found) :] + found[: turn % len(found)] for found in families.values()]
    ordered = [address for address in chain.from_iterable(zip_longest(*turned)) if address is not None]
    if not ordered:
        raise OSError("the name has no address")
    return ordered


async def _reach_first(
    reach: Callable[[str, int], Coroutine[Any, Any, socket.socket]],
    addresses: Sequence[str],
    port: int,
    stagger_seconds: float = STAGGER_SECONDS,
) -> socket.socket:
    """Reach whichever address answers first; raise what the last one said when none does."""
    waiting = list(reversed(addresses))
    trying: set[asyncio.Task[socket.socket]] = set()
    ended: set[asyncio.Task[socket.socket]] = set()
    reached: socket.socket | None = None
    try:
        while reached is None:
            if waiting:
                trying.add(asyncio.create_task(reach(waiting.pop(), port)))
            ended, trying = await asyncio.wait(
                trying,
                timeout=stagger_seconds if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            reached = next((task.result() for task in ended if task.exception() is None), None)
            if reached is None and ended and not waiting and not trying:
                raise next(iter(ended)).exception() or OSError("no connection")
        return reached
    finally:
        # Without waiting: whoever is cancelled while it waits here would lose the socket it has.
        for task in trying | ended:
            task.cancel()
            task.add_done_callback(lambda task: _close_unless(task, reached))


def _close_unless(task: asyncio.Task[socket.socket], wanted: socket.socket | None) -> None:
    if not task.cancelled() and task.exception() is None and task.result() is not wanted:
        task.result().close()


async def _connect(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connected = socket.socket(family, socket.SOCK_STREAM)
    try:
        connected.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connected, (address, port))
    except BaseException:
        connected.close()
        raise
    return connected
