import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from clarion.http2 import Answer, ConnectFailed, Limits, NotProcessed, Origin, Unknown
from clarion.http2 import frames as f
from clarion.http2.frames import Code

from .peer import Certificate, Peer, Script, serving
from .wire import KEEPING, STATUS_400, TEMPLATE, answer, answer_with, holes

OK = Answer(200, (), b"")
LIMITS = Limits(deadline_seconds=2, close_seconds=0.2)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def origin_of(
    certificate: Certificate, tls: ssl.SSLContext, *scripts: Script, clock: Clock | None = None
) -> AsyncIterator[Origin]:
    async with serving(certificate, *scripts) as port:
        origin = Origin("localhost", port, tls=tls, limits=LIMITS, clock=clock or Clock(), jitter=lambda: 1.0)
        try:
            yield origin
        finally:
            await origin.close()


async def answer_all(peer: Peer) -> None:
    await peer.greet()
    while True:
        request = await peer.request()
        peer.send(answer_with(request.stream_id, b"\x88", request.path))


async def test_bursts_share_one_connection(certificate: Certificate, tls: ssl.SSLContext) -> None:
    connections = 0

    async def script(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await answer_all(peer)

    async with origin_of(certificate, tls, script) as origin:
        results = await asyncio.gather(*(origin.burst(TEMPLATE, holes(20)) for _ in range(5)))
        assert results == [[OK] * 20] * 5
        await origin.connect()
    assert connections == 1


async def test_what_goaway_left_unprocessed_moves_to_a_fresh_connection(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def leaves(peer: Peer) -> None:
        await peer.greet()
        requests = await peer.requests(10)
        peer.send(f.goaway(requests[3].stream_id, Code.NO_ERROR))
        for request in requests[:4]:
            peer.send(answer_with(request.stream_id, STATUS_400, request.path))
        await peer.until_closed()

    async with origin_of(certificate, tls, leaves, answer_all) as origin:
        results = await origin.burst(KEEPING, holes(10))
    assert results == [Answer(400 if n < 4 else 200, (), b"/%d" % n) for n in range(10)]


async def test_refused_streams_are_sent_again(certificate: Certificate, tls: ssl.SSLContext) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        first, second = await peer.requests(2)
        peer.send(f.rst_stream(first.stream_id, Code.REFUSED_STREAM) + answer(second.stream_id))
        again = await peer.request()
        assert again.path == first.path
        peer.send(answer(again.stream_id))
        await peer.until_closed()

    async with origin_of(certificate, tls, script) as origin:
        assert await origin.burst(TEMPLATE, holes(2)) == [OK, OK]


async def test_unknown_is_never_sent_again(certificate: Certificate, tls: ssl.SSLContext) -> None:
    seen: list[bytes] = []

    async def breaks(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 2})
        seen.extend([request.path for request in await peer.requests(2)])
        peer.writer.transport.abort()

    async def answers(peer: Peer) -> None:
        await peer.greet()
        while True:
            request = await peer.request()
            seen.append(request.path)
            peer.send(answer(request.stream_id))

    async with origin_of(certificate, tls, breaks, answers) as origin:
        results = await origin.burst(TEMPLATE, holes(5))
    assert [type(result) for result in results] == [Unknown, Unknown, Answer, Answer, Answer]
    assert sorted(seen) == [b"/0", b"/1", b"/2", b"/3", b"/4"]


async def test_three_connections_without_progress_are_enough(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    connections = 0

    async def turns_away(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.greet()
        await peer.request()
        peer.send(f.goaway(0, Code.NO_ERROR, b"full"))
        await peer.until_closed()

    async with origin_of(certificate, tls, turns_away) as origin:
        assert await origin.burst(TEMPLATE, holes(3)) == [NotProcessed("GOAWAY: NO_ERROR: full")] * 3
        assert connections == 3
        with pytest.raises(ConnectFailed, match="full"):
            await origin.connect()
    assert connections == 3


async def test_a_failed_attempt_is_followed_by_a_pause_that_doubles(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    attempts, clock = 0, Clock()

    async def fails(peer: Peer) -> None:
        nonlocal attempts
        attempts += 1
        peer.writer.transport.abort()

    async with origin_of(certificate, tls, fails, fails, answer_all, clock=clock) as origin:
        with pytest.raises(ConnectFailed):
            await origin.connect()
        clock.now += 0.49
        with pytest.raises(ConnectFailed):
            await origin.connect()
        (result,) = await origin.burst(TEMPLATE, holes(1))
        assert isinstance(result, NotProcessed)
        assert attempts == 1, "within the pause nobody knocks"
        clock.now += 0.02
        with pytest.raises(ConnectFailed):
            await origin.connect()
        assert attempts == 2
        clock.now += 0.99
        with pytest.raises(ConnectFailed):
            await origin.connect()
        assert attempts == 2
        clock.now += 0.02
        assert await origin.burst(TEMPLATE, holes(1)) == [OK]


async def test_a_connection_lost_while_idle_is_replaced(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def leaves(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        peer.send(answer(request.stream_id) + f.goaway(request.stream_id, Code.NO_ERROR))
        await peer.until_closed()

    async with origin_of(certificate, tls, leaves, answer_all) as origin:
        assert await origin.burst(TEMPLATE, holes(1)) == [OK]
        await asyncio.sleep(0.05)
        assert await origin.burst(TEMPLATE, holes(1)) == [OK]


async def test_a_closed_origin_takes_nothing(certificate: Certificate, tls: ssl.SSLContext) -> None:
    async with origin_of(certificate, tls, answer_all) as origin:
        assert await origin.burst(TEMPLATE, holes(1)) == [OK]
        await origin.close()
        assert await origin.burst(TEMPLATE, holes(1)) == [NotProcessed("closed by us")]
        with pytest.raises(ConnectFailed, match="closed by us"):
            await origin.connect()
