"""How many connections a pool opens, and when it closes them again."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from clarion.http2 import Answer, ConnectFailed, Limits, Pool, PoolLimits, Unknown
from clarion.http2 import frames as f
from clarion.http2.backoff import Backoff
from clarion.http2.frames import Code

from .peer import Certificate, Peer, Script, serving
from .wire import TEMPLATE, answer, holes

OK = Answer(200, (), b"")
LIMITS = Limits(deadline_seconds=5, silence_seconds=0.2, close_seconds=0.2)
QUICK = PoolLimits(most_connections=4, patience_seconds=0.01)


@asynccontextmanager
async def pool_of(
    certificate: Certificate, tls: ssl.SSLContext, *scripts: Script, pool_limits: PoolLimits = QUICK
) -> AsyncIterator[Pool]:
    async with serving(certificate, *scripts) as port:
        pool = Pool("localhost", port, tls=tls, limits=LIMITS, pool_limits=pool_limits, jitter=lambda: 1.0)
        try:
            yield pool
        finally:
            await pool.close()


async def answer_all(peer: Peer) -> None:
    await peer.greet()
    while True:
        request = await peer.request()
        peer.send(answer(request.stream_id))


class Crowd:
    """A server that answers one request per connection, and all others once enough connections are there."""

    def __init__(self, enough: int, streams: int = 5) -> None:
        self.enough = enough
        self.streams = streams
        self.connections = self.closed = 0
        self.is_full = asyncio.Event()
        self.all_but_one_closed = asyncio.Event()

    async def __call__(self, peer: Peer) -> None:
        self.connections += 1
        await peer.greet({f.MAX_CONCURRENT_STREAMS: self.streams})
        try:
            request = await peer.request()
            peer.send(answer(request.stream_id))
            held = await peer.requests(self.streams)
            if self.connections == self.enough:
                # A PING means that for a while nothing else happened.
                await peer.next(f.PING)
                self.is_full.set()
            await self.is_full.wait()
            for request in held:
                peer.send(answer(request.stream_id))
            while True:
                request = await peer.request()
                peer.send(answer(request.stream_id))
        finally:
            self.closed += 1
            if self.closed == self.connections - 1:
                self.all_but_one_closed.set()


async def test_connections_double_up_to_the_cap_while_streams_are_the_limit(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    crowd = Crowd(enough=4)
    async with pool_of(certificate, tls, crowd) as pool:
        assert await pool.burst(TEMPLATE, holes(200)) == [OK] * 200
        assert pool.connections == 4
    assert crowd.connections == 4


async def test_connections_with_nothing_to_do_are_closed_all_but_one(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    crowd = Crowd(enough=4)
    limits = PoolLimits(most_connections=4, patience_seconds=0.01, idle_seconds=0.1)
    async with pool_of(certificate, tls, crowd, pool_limits=limits) as pool:
        assert await pool.burst(TEMPLATE, holes(200)) == [OK] * 200
        await crowd.all_but_one_closed.wait()
        assert pool.connections == 1
        assert await pool.burst(TEMPLATE, holes(3)) == [OK] * 3
    assert crowd.connections == 4


async def test_what_one_connection_takes_opens_no_other(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    connections = 0

    async def slow(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 100})
        first, *others = await peer.requests(100)
        peer.send(answer(first.stream_id))
        ping = await peer.next(f.PING)
        peer.send(f.frame(f.PING, f.ACK, 0, ping.payload))
        for request in others:
            peer.send(answer(request.stream_id))
        await peer.until_closed()

    async with pool_of(certificate, tls, slow) as pool:
        assert await pool.burst(TEMPLATE, holes(100)) == [OK] * 100
    assert connections == 1


async def test_what_will_be_sent_in_a_moment_opens_no_other(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    connections, now = 0, 100.0
    few_are_left = asyncio.Event()

    async def moves_on(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 10})
        for _ in range(2):
            for request in await peer.requests(10):
                peer.send(answer(request.stream_id))
        held = await peer.requests(10)
        few_are_left.set()
        await peer.next(f.PING)
        for request in held:
            peer.send(answer(request.stream_id))
        for request in await peer.requests(5):
            peer.send(answer(request.stream_id))
        await peer.until_closed()

    async with serving(certificate, moves_on) as port:
        pool = Pool("localhost", port, tls=tls, limits=LIMITS, pool_limits=QUICK, clock=lambda: now)
        burst = asyncio.create_task(pool.burst(TEMPLATE, holes(35)))
        await few_are_left.wait()
        now += 1  # once: in this time ten and more were sent, and five wait
        assert await burst == [OK] * 35
        await pool.close()
    assert connections == 1


async def test_connections_that_only_wait_for_answers_are_bounded_too(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    connections = most = 0

    async def answers_one_and_leaves(peer: Peer) -> None:
        nonlocal connections, most
        connections += 1
        most = max(most, connections)
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 2})
        first, second = await peer.requests(2)
        peer.send(answer(first.stream_id) + f.goaway(second.stream_id, Code.NO_ERROR))
        await peer.next(f.RST_STREAM)
        connections -= 1

    limits, one = Limits(deadline_seconds=0.2, close_seconds=0.2), PoolLimits(most_connections=1)
    async with serving(certificate, answers_one_and_leaves) as port:
        pool = Pool("localhost", port, tls=tls, limits=limits, pool_limits=one)
        results = await pool.burst(TEMPLATE, holes(10))
        await pool.close()
    assert results == [OK, Unknown("no answer within 0.2 s")] * 5
    assert most == 2


async def test_a_connection_that_has_not_answered_yet_is_no_reason_to_open_another(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    connections = 0

    async def one_stream_until_the_first_success(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 1})
        request = await peer.request()
        await peer.next(f.PING)
        assert connections == 1
        peer.send(f.settings({f.MAX_CONCURRENT_STREAMS: 1000}) + answer(request.stream_id))
        for request in await peer.requests(499):
            peer.send(answer(request.stream_id))
        await peer.until_closed()

    async with pool_of(certificate, tls, one_stream_until_the_first_success) as pool:
        assert await pool.burst(TEMPLATE, holes(500)) == [OK] * 500
    assert connections == 1


async def test_a_connection_that_cannot_be_added_leaves_the_others_alone(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    attempts: list[float] = []
    tried_twice = asyncio.Event()

    async def holds(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 5})
        request = await peer.request()
        peer.send(answer(request.stream_id))
        held = await peer.requests(5)
        await tried_twice.wait()
        for request in held:
            peer.send(answer(request.stream_id))
        while True:
            request = await peer.request()
            peer.send(answer(request.stream_id))

    async def fails(peer: Peer) -> None:
        attempts.append(time.monotonic())
        if len(attempts) == 2:
            tried_twice.set()
        peer.writer.transport.abort()

    limits = PoolLimits(patience_seconds=0.01, first_pause_seconds=0.15)
    async with pool_of(certificate, tls, holds, fails, pool_limits=limits) as pool:
        assert await pool.burst(TEMPLATE, holes(100)) == [OK] * 100
        assert pool.connections == 1
    assert attempts[1] - attempts[0] > 0.14


async def test_what_one_connection_refuses_another_sends(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    other_is_there = asyncio.Event()
    by_the_other: list[bytes] = []

    async def refuses(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 2})
        request = await peer.request()
        peer.send(answer(request.stream_id))
        first, second = await peer.requests(2)
        await other_is_there.wait()
        peer.send(f.rst_stream(first.stream_id, Code.REFUSED_STREAM))
        ping = await peer.next(f.PING)
        assert first.path in by_the_other
        peer.send(f.frame(f.PING, f.ACK, 0, ping.payload) + answer(second.stream_id))
        await peer.until_closed()

    async def answers(peer: Peer) -> None:
        await peer.greet()
        while True:
            request = await peer.request()
            by_the_other.append(request.path)
            peer.send(answer(request.stream_id))
            if len(by_the_other) == 7:
                other_is_there.set()

    async with pool_of(certificate, tls, refuses, answers) as pool:
        assert await pool.burst(TEMPLATE, holes(10)) == [OK] * 10
    assert by_the_other[-1] == b"/1"


async def test_what_waits_when_a_connection_leaves_is_sent_by_the_others(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    connections = 0
    other_is_there = asyncio.Event()

    async def leaves(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 2})
        request = await peer.request()
        peer.send(answer(request.stream_id))
        await peer.requests(2)
        await other_is_there.wait()
        peer.send(f.goaway(request.stream_id, Code.NO_ERROR))
        await peer.until_closed()

    async def answers(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.greet()
        while True:
            request = await peer.request()
            peer.send(answer(request.stream_id))
            other_is_there.set()

    async with pool_of(certificate, tls, leaves, answers) as pool:
        assert await pool.burst(TEMPLATE, holes(20)) == [OK] * 20
        assert pool.connections == 1
    assert connections == 1


def test_a_pause_doubles_up_to_its_limit_and_a_success_ends_it() -> None:
    now = 100.0
    backoff = Backoff(0.5, 2.0, lambda: now, lambda: 0.0)
    assert backoff.failure is None
    for pause in (0.25, 0.5, 1.0, 1.0):
        backoff.fail(ConnectFailed("no"))
        now += pause - 0.01
        assert str(backoff.failure) == "no"
        now += 0.02
        assert backoff.failure is None
    backoff.fail(ConnectFailed("no"))
    backoff.succeed()
    assert backoff.failure is None
    backoff.fail(ConnectFailed("no"))
    now += 0.26
    assert backoff.failure is None


@pytest.mark.parametrize("failures", [40, 2000])
def test_a_long_outage_overflows_nothing(failures: int) -> None:
    backoff = Backoff(0.5, 60.0, lambda: 0.0, lambda: 1.0)
    for _ in range(failures):
        backoff.fail(ConnectFailed("no"))
    assert backoff.failure is not None
