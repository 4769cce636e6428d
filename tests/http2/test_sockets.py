"""Connections that end badly below HTTP/2, on both loops: what was answered counts, what was in flight is
unknown, what never left was not processed."""

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from clarion.http2 import Answer, ConnectFailed, Connection, Limits, NotProcessed, Result, Unknown, literal
from clarion.http2 import frames as f

from .peer import Certificate, Peer, Script, connected, serving
from .wire import ACK, STATUS_400, TEMPLATE, answer, answer_with, holes

OK = Answer(200, (), b"")
REASON = b'{"reason":"BadDeviceToken"}'
LIMITS = Limits(connect_seconds=15, settings_seconds=15, deadline_seconds=60, close_seconds=0.2)
PATIENCE_SECONDS = 15
"""Less than a deadline: a loss must be noticed when it happens."""
RECORD = b"\x17\x03\x03\x00\x40"
"""The head of a TLS record of 64 octets."""


def twin(peer: Peer) -> socket.socket:
    """Return a socket on the same connection, below TLS."""
    return socket.socket(fileno=os.dup(peer.writer.get_extra_info("socket").fileno()))


def shut_our_side(peer: Peer) -> None:
    with twin(peer) as below:
        below.shutdown(socket.SHUT_WR)


def cut_amid_a_record(peer: Peer) -> None:
    with twin(peer) as below:
        below.send(RECORD + b"half of it")
        below.shutdown(socket.SHUT_RDWR)


def send_no_tls(peer: Peer) -> None:
    with twin(peer) as below:
        below.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def send_a_forged_record(peer: Peer) -> None:
    with twin(peer) as below:
        below.send(RECORD + bytes(64))


def reset_the_connection(peer: Peer) -> None:
    with twin(peer) as below:
        below.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.writer.transport.abort()


def drop(peer: Peer) -> None:
    peer.writer.transport.abort()


def take_leave(peer: Peer) -> None:
    peer.writer.close()


ENDS = [
    shut_our_side,
    cut_amid_a_record,
    send_no_tls,
    send_a_forged_record,
    reset_the_connection,
    drop,
    take_leave,
]


async def burst(connection: Connection, count: int) -> list[Result]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await connection.burst(TEMPLATE, holes(count))


@pytest.mark.parametrize("end", ENDS)
def test_a_connection_that_ends_badly_leaves_no_request_without_its_result(
    end: Callable[[Peer], None], certificate: Certificate, tls: ssl.SSLContext, run: Any
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 3})
        first, *_ = await peer.requests(3)
        peer.send(answer(first.stream_id))
        await peer.request()
        end(peer)
        await peer.until_closed()

    async def scene() -> None:
        async with connected(certificate, tls, script, LIMITS) as connection:
            results = await burst(connection, 10)
            assert not connection.usable
        assert results[0] == OK
        assert [type(result) for result in results[1:]] == [Unknown] * 3 + [NotProcessed] * 6

    run(scene())


@pytest.mark.parametrize("end", ENDS)
def test_a_connection_that_ends_before_its_settings_is_none(
    end: Callable[[Peer], None], certificate: Certificate, tls: ssl.SSLContext, run: Any
) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readexactly(len(f.PREFACE))
        end(peer)
        await peer.until_closed()

    async def scene() -> None:
        async with serving(certificate, script) as port:
            with pytest.raises(ConnectFailed):
                await Connection.open("localhost", port, tls=tls, limits=LIMITS)

    run(scene())


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x03\x00\x05\x02", bytes(300)]
)
def test_a_server_that_fails_the_handshake_is_no_connection(
    said: bytes, tls: ssl.SSLContext, run: Any
) -> None:
    @asynccontextmanager
    async def plain() -> AsyncIterator[int]:
        async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(said)
            writer.close()

        server = await asyncio.start_server(follow, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def scene() -> None:
        async with plain() as port:
            with pytest.raises(ConnectFailed):
                await Connection.open("localhost", port, tls=tls, limits=LIMITS)

    run(scene())


def dribbling(script: Script, octets_at_a_time: int) -> Script:
    """Let a script send everything in small TLS records of their own."""

    async def follow(peer: Peer) -> None:
        written: list[bytes] = []
        vars(peer)["send"] = written.append

        async def trickle() -> None:
            while True:
                octets, written[:] = b"".join(written), []
                for start in range(0, len(octets), octets_at_a_time):
                    peer.writer.write(octets[start : start + octets_at_a_time])
                    await peer.writer.drain()
                await asyncio.sleep(0)

        trickling = asyncio.create_task(trickle())
        try:
            await script(peer)
        finally:
            trickling.cancel()

    return follow


@pytest.mark.parametrize("octets_at_a_time", [1, 2, 7])
def test_octets_may_dribble_in(
    octets_at_a_time: int, certificate: Certificate, tls: ssl.SSLContext, run: Any
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 20})
        for number in range(60):
            stream_id = (await peer.request()).stream_id
            refusal = answer_with(stream_id, STATUS_400 + literal(b"content-length", b"27"), REASON)
            peer.send(f.frame(f.PING, 0, 0, bytes(8)) + (refusal if number % 3 else answer(stream_id)))
        await peer.until_closed()

    async def scene() -> None:
        async with connected(certificate, tls, dribbling(script, octets_at_a_time), LIMITS) as connection:
            results = await burst(connection, 60)
        refused = Answer(400, ((b"content-length", b"27"),), REASON)
        assert results == [refused if number % 3 else OK for number in range(60)]

    run(scene())


def test_what_was_answered_in_the_last_breath_counts(
    certificate: Certificate, tls: ssl.SSLContext, run: Any
) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readexactly(len(f.PREFACE))
        peer.send(f.settings({}) + ACK)
        for request in await peer.requests(50):
            peer.send(answer(request.stream_id))
        peer.writer.close()

    async def scene() -> None:
        async with connected(certificate, tls, script, LIMITS) as connection:
            assert await burst(connection, 50) == [OK] * 50

    run(scene())
