import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.http2 import Answer, ConnectFailed, Limits, NotProcessed, Pool, Proxy
from clarion.http2.proxy import check_answer, connect_request

from .peer import Certificate, Peer, make_certificate, serving
from .wire import TEMPLATE, answer, holes

OK = Answer(200, (), b"")
SECRET = "Basic dXNlcjpzZWNyZXQ="
LIMITS = Limits(connect_seconds=5, close_seconds=0.2)

Conduct = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def answer_all(peer: Peer) -> None:
    await peer.greet()
    while True:
        request = await peer.request()
        peer.send(answer(request.stream_id))


@asynccontextmanager
async def listening(conduct: Conduct) -> AsyncIterator[int]:
    """A server without TLS that behaves as told."""
    tasks: set[asyncio.Task[None]] = set()

    async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await conduct(reader, writer)
        writer.close()

    server = await asyncio.start_server(follow, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


class Tunnel:
    """A proxy that knows CONNECT, and where it has been asked to connect to."""

    def __init__(
        self, authorization: str | None = None, leads_to: str = "127.0.0.1", never_reached: str | None = None
    ) -> None:
        self.asked_for: list[str] = []
        self._never_reached = never_reached
        self._authorization = authorization
        self._leads_to = leads_to

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        method, where, version = first.split(" ")
        assert (method, version) == ("CONNECT", "HTTP/1.1")
        assert f"Host: {where}" in lines
        self.asked_for.append(where)
        if self._authorization and f"Proxy-Authorization: {self._authorization}" not in lines:
            writer.write(f"HTTP/1.1 407 {SECRET}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        if self._never_reached and self._never_reached in where:
            await reader.read()
            return
        inner_reader, inner_writer = await asyncio.open_connection(self._leads_to, where.rpartition(":")[2])
        writer.write(b"HTTP/1.1 200 Connection established\r\nVia: a proxy\r\n\r\n")
        try:
            await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer))
        finally:
            inner_writer.close()


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while octets := await reader.read(65_536):
        writer.write(octets)
        await writer.drain()
    writer.close()


async def saying(octets: bytes) -> str:
    """What is said of a proxy that answers with these octets."""

    async def conduct(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(octets)

    async with listening(conduct) as port:
        tls = ssl.create_default_context()
        proxy = Proxy("127.0.0.1", port, SECRET)
        pool = Pool("push.example", 443, tls=tls, limits=LIMITS, proxy=proxy)
        with pytest.raises(ConnectFailed) as caught:
            await pool.connect()
        await pool.close()
    return str(caught.value)


async def test_a_pool_sends_through_a_tunnel(certificate: Certificate, tls: ssl.SSLContext) -> None:
    tunnel = Tunnel()
    async with serving(certificate, answer_all) as port, listening(tunnel) as proxy_port:
        pool = Pool("localhost", port, tls=tls, limits=LIMITS, proxy=Proxy("127.0.0.1", proxy_port))
        assert await pool.burst(TEMPLATE, holes(500)) == [OK] * 500
        await pool.close()
    assert tunnel.asked_for == [f"localhost:{port}"]


async def test_the_server_is_verified_by_its_name_through_a_tunnel(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async with serving(certificate, answer_all) as port, listening(Tunnel()) as proxy_port:
        proxy = Proxy("127.0.0.1", proxy_port)
        pool = Pool("push.invalid", port, tls=tls, limits=LIMITS, proxy=proxy)
        with pytest.raises(ConnectFailed, match="CERTIFICATE_VERIFY_FAILED"):
            await pool.connect()
        await pool.close()


async def test_an_address_that_the_proxy_cannot_reach_holds_up_no_other(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    """It may take its time to find out: an IPv6 address in a network without a way there, say."""
    tunnel = Tunnel(never_reached="2001:db8::1")

    async def resolve(host: str, port: int) -> list[str]:
        return ["2001:db8::1", "127.0.0.1"]

    async with serving(certificate, answer_all) as port, listening(tunnel) as proxy_port:
        proxy = Proxy("127.0.0.1", proxy_port)
        pool = Pool("localhost", port, tls=tls, limits=LIMITS, proxy=proxy, resolve=resolve)
        assert await pool.burst(TEMPLATE, holes(1)) == [OK]
        await pool.close()


async def test_the_proxy_looks_the_name_up_unless_the_address_is_given(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    certificate = make_certificate(tmp_path_factory.mktemp("invalid"), "push.invalid")
    tls = ssl.create_default_context(cafile=str(certificate.chain))
    tls.set_alpn_protocols(["h2"])

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    tunnel = Tunnel()
    async with serving(certificate, answer_all) as port, listening(tunnel) as proxy_port:
        proxy = Proxy("127.0.0.1", proxy_port)
        for chosen in (None, resolve):
            pool = Pool("push.invalid", port, tls=tls, limits=LIMITS, proxy=proxy, resolve=chosen)
            assert await pool.burst(TEMPLATE, holes(1)) == [OK]
            await pool.close()
    assert tunnel.asked_for == [f"push.invalid:{port}", f"127.0.0.1:{port}"]


async def test_a_proxy_gets_its_credential(certificate: Certificate, tls: ssl.SSLContext) -> None:
    async with serving(certificate, answer_all) as port, listening(Tunnel(SECRET)) as proxy_port:
        proxy = Proxy("127.0.0.1", proxy_port, SECRET)
        pool = Pool("localhost", port, tls=tls, limits=LIMITS, proxy=proxy)
        assert await pool.burst(TEMPLATE, holes(1)) == [OK]
        await pool.close()


async def test_a_wrong_credential_is_said_and_not_shown(tls: ssl.SSLContext) -> None:
    async with listening(Tunnel(SECRET)) as proxy_port:
        proxy = Proxy("127.0.0.1", proxy_port, "Basic d3Jvbmc=")
        pool = Pool("localhost", 443, tls=tls, limits=LIMITS, proxy=proxy)
        (result,) = await pool.burst(TEMPLATE, holes(1))
        await pool.close()
    assert result == NotProcessed("localhost:443: the proxy wants other credentials (407)")
    assert "d3Jvbmc" not in repr(proxy)


async def test_a_proxy_that_refuses_is_told_from_one_that_is_none() -> None:
    assert "refused the tunnel (403 Forbidden)" in await saying(b"HTTP/1.1 403 no\r\n\r\n")
    assert "refused the tunnel (599)" in await saying(b"HTTP/1.1 599 no\r\n\r\n")
    assert "not answer as an HTTP proxy" in await saying(b"SSH-2.0-OpenSSH\r\n\r\n")
    assert "not answer as an HTTP proxy" in await saying(b"HTTP/1.1 200 OK\r\n" + b"x" * 100_000)
    assert "closed the connection before" in await saying(b"HTTP/1.1 200 OK\r\n")
    assert "closed the connection before" in await saying(b"")
    assert "octets that are not the server's" in await saying(b"HTTP/1.1 200 OK\r\n\r\nhello")


async def test_a_proxy_that_never_answers_is_given_up(tls: ssl.SSLContext) -> None:
    async def conduct(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(conduct) as proxy_port:
        proxy, limits = Proxy("127.0.0.1", proxy_port), Limits(connect_seconds=0.2)
        pool = Pool("localhost", 443, tls=tls, limits=limits, proxy=proxy)
        with pytest.raises(ConnectFailed, match=r"no connection within 0\.2 s"):
            await pool.connect()
        await pool.close()


async def test_a_proxy_that_is_not_there_is_no_connection(tls: ssl.SSLContext) -> None:
    async with listening(Tunnel()) as proxy_port:
        pass
    pool = Pool("localhost", 443, tls=tls, limits=LIMITS, proxy=Proxy("127.0.0.1", proxy_port))
    with pytest.raises(ConnectFailed):
        await pool.connect()
    await pool.close()


def test_a_request_for_a_tunnel_spells_addresses_as_they_are_spelt_in_urls() -> None:
    assert connect_request(Proxy("p", 1), "2001:db8::1", 443) == (
        b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n"
    )


@pytest.mark.parametrize("host", ["a b", "a\r\nX: y", "a\0", "ü.example", ""])
def test_a_name_that_is_none_never_reaches_a_proxy(host: str) -> None:
    with pytest.raises(ConnectFailed, match="not a host name"):
        connect_request(Proxy("p", 1), host, 443)


@pytest.mark.parametrize("credential", ["a\r\nb", "a\0", "ü"])
def test_a_credential_that_is_no_header_field_is_refused_unseen(credential: str) -> None:
    with pytest.raises(ValueError, match="authorization") as caught:
        Proxy("p", 1, credential)
    assert credential not in str(caught.value)


@given(st.binary(max_size=200))
def test_any_octets_of_a_proxy_are_a_tunnel_or_a_clean_error(octets: bytes) -> None:
    with suppress(ConnectFailed):
        check_answer(octets)
        assert octets.startswith(b"HTTP/1.")
