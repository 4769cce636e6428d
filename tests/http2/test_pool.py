import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from clarion.http2 import Answer, ConnectFailed, Limits, NotProcessed, Pool, PoolLimits, Unknown
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
async def pool_of(
    certificate: Certificate,
    tls: ssl.SSLContext,
    *scripts: Script,
    clock: Clock | None = None,
    limits: Limits = LIMITS,
    pool_limits: PoolLimits | None = None,
) -> AsyncIterator[Pool]:
    async with serving(certificate, *scripts) as port:
        pool = Pool(
            "localhost",
            port,
            tls=tls,
            limits=limits,
            pool_limits=pool_limits or PoolLimits(),
            clock=clock or Clock(),
            jitter=lambda: 1.0,
        )
        try:
            yield pool
        finally:
            await pool.close()


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

    async with pool_of(certificate, tls, script) as pool:
        results = await asyncio.gather(*(pool.burst(TEMPLATE, holes(20)) for _ in range(5)))
        assert results == [[OK] * 20] * 5
        await pool.connect()
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

    async with pool_of(certificate, tls, leaves, answer_all) as pool:
        results = await pool.burst(KEEPING, holes(10))
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

    async with pool_of(certificate, tls, script) as pool:
        assert await pool.burst(TEMPLATE, holes(2)) == [OK, OK]


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

    async with pool_of(certificate, tls, breaks, answers) as pool:
        results = await pool.burst(TEMPLATE, holes(5))
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

    async with pool_of(certificate, tls, turns_away) as pool:
        assert await pool.burst(TEMPLATE, holes(3)) == [NotProcessed("GOAWAY: NO_ERROR: full")] * 3
        assert connections == 3
        with pytest.raises(ConnectFailed, match="full"):
            await pool.connect()
    assert connections == 3


async def test_a_failed_attempt_is_followed_by_a_pause_that_doubles(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    attempts, clock = 0, Clock()

    async def fails(peer: Peer) -> None:
        nonlocal attempts
        attempts += 1
        peer.writer.transport.abort()

    async with pool_of(certificate, tls, fails, fails, answer_all, clock=clock) as pool:
        with pytest.raises(ConnectFailed):
            await pool.connect()
        clock.now += 0.49
        with pytest.raises(ConnectFailed):
            await pool.connect()
        (result,) = await pool.burst(TEMPLATE, holes(1))
        assert isinstance(result, NotProcessed)
        assert attempts == 1, "within the pause nobody knocks"
        clock.now += 0.02
        with pytest.raises(ConnectFailed):
            await pool.connect()
        assert attempts == 2
        clock.now += 0.99
        with pytest.raises(ConnectFailed):
            await pool.connect()
        assert attempts == 2
        clock.now += 0.02
        assert await pool.burst(TEMPLATE, holes(1)) == [OK]


async def test_a_connection_lost_while_idle_is_replaced(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def leaves(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        peer.send(answer(request.stream_id) + f.goaway(request.stream_id, Code.NO_ERROR))
        await peer.until_closed()

    async with pool_of(certificate, tls, leaves, answer_all) as pool:
        assert await pool.burst(TEMPLATE, holes(1)) == [OK]
        await asyncio.sleep(0.05)
        assert await pool.burst(TEMPLATE, holes(1)) == [OK]


async def test_a_closed_pool_takes_nothing(certificate: Certificate, tls: ssl.SSLContext) -> None:
    async with pool_of(certificate, tls, answer_all) as pool:
        assert await pool.burst(TEMPLATE, holes(1)) == [OK]
        await pool.close()
        assert await pool.burst(TEMPLATE, holes(1)) == [NotProcessed("closed by us")]
        with pytest.raises(ConnectFailed, match="closed by us"):
            await pool.connect()


# -- GOAWAY and refusals


async def test_what_goaway_freed_does_not_wait_for_a_silent_stream(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    order: list[bytes | str] = []

    async def leaves(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 3})
        first, *_ = await peer.requests(3)
        peer.send(f.goaway(first.stream_id, Code.NO_ERROR))
        await peer.next(f.RST_STREAM)
        order.append("deadline")
        await peer.until_closed()

    async def answers(peer: Peer) -> None:
        await peer.greet()
        while True:
            request = await peer.request()
            order.append(request.path)
            peer.send(answer(request.stream_id))

    limits = Limits(deadline_seconds=0.3, close_seconds=0.2)
    async with pool_of(certificate, tls, leaves, answers, limits=limits) as pool:
        results = await pool.burst(TEMPLATE, holes(5))
    assert results == [Unknown("no answer within 0.3 s"), OK, OK, OK, OK]
    assert order == [b"/1", b"/2", b"/3", b"/4", "deadline"]


async def test_a_server_that_takes_one_request_per_connection_answers_them_all(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def takes_one(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        peer.send(answer(request.stream_id) + f.goaway(request.stream_id, Code.NO_ERROR))
        await peer.until_closed()

    async with pool_of(certificate, tls, takes_one) as pool:
        assert await pool.burst(TEMPLATE, holes(12)) == [OK] * 12


async def test_a_request_that_is_always_refused_ends(certificate: Certificate, tls: ssl.SSLContext) -> None:
    seen: list[bytes] = []

    async def refuses(peer: Peer) -> None:
        await peer.greet()
        while True:
            request = await peer.request()
            seen.append(request.path)
            refused = request.path in {b"/1", b"/3"}
            peer.send(
                f.rst_stream(request.stream_id, Code.REFUSED_STREAM) if refused else answer(request.stream_id)
            )

    async with pool_of(certificate, tls, refuses) as pool:
        results = await pool.burst(TEMPLATE, holes(5))
    refused = NotProcessed("refused: REFUSED_STREAM")
    assert results == [OK, refused, OK, refused, OK]
    assert sorted(seen) == sorted([b"/0", b"/2", b"/4", *[b"/1", b"/3"] * 3])


async def test_a_server_that_leaves_before_it_takes_anything_is_not_asked_for_ever(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    connections = 0

    async def leaves_at_once(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 0})
        await peer.next(f.SETTINGS)

    async with pool_of(certificate, tls, leaves_at_once) as pool:
        results = await pool.burst(TEMPLATE, holes(2))
    assert [type(result) for result in results] == [NotProcessed] * 2
    assert connections == 3


async def test_a_peer_that_closes_leaves_unknown_what_it_took_and_is_not_fed_for_ever(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def takes_and_closes(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 2})
        await peer.requests(2)
        peer.writer.transport.abort()

    async with pool_of(certificate, tls, takes_and_closes) as pool:
        results = await pool.burst(TEMPLATE, holes(100))
    assert [type(result) for result in results] == [Unknown] * 6 + [NotProcessed] * 94


async def test_a_connection_that_answers_pings_and_nothing_else_is_replaced(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def answers_pings(peer: Peer) -> None:
        await peer.greet()
        while True:
            ping = await peer.next(f.PING)
            peer.send(f.frame(f.PING, f.ACK, 0, ping.payload))

    limits = Limits(deadline_seconds=0.3, silence_seconds=0.1, close_seconds=0.2)
    async with pool_of(certificate, tls, answers_pings, answer_all, limits=limits) as pool:
        assert await pool.burst(TEMPLATE, holes(2)) == [Unknown("no answer within 0.3 s")] * 2
        assert await pool.burst(TEMPLATE, holes(2)) == [OK, OK]


# -- age


async def test_an_old_connection_is_replaced_and_its_requests_keep_their_answers(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    clock, replaced = Clock(), asyncio.Event()

    async def grows_old(peer: Peer) -> None:
        await peer.greet()
        first = await peer.request()
        peer.send(answer(first.stream_id))
        slow = await peer.request()
        await replaced.wait()
        peer.send(answer_with(slow.stream_id, STATUS_400, b"slow"))
        assert (await peer.until_closed())[-1].kind == f.GOAWAY

    async def successor(peer: Peer) -> None:
        await peer.greet()
        replaced.set()
        while True:
            request = await peer.request()
            peer.send(answer_with(request.stream_id, STATUS_400, b"successor"))

    async with pool_of(certificate, tls, grows_old, successor, clock=clock) as pool:
        assert await pool.burst(TEMPLATE, holes(1)) == [OK]
        clock.now += 2699
        await pool.connect()
        clock.now += 2
        assert await pool.burst(TEMPLATE, holes(1)) == [Answer(400, (), b"slow")]
        assert pool.connections == 1
        assert await pool.burst(TEMPLATE, holes(1)) == [Answer(400, (), b"successor")]


async def test_an_old_connection_serves_on_while_it_cannot_be_replaced(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    clock, attempts = Clock(), 0

    async def fails(peer: Peer) -> None:
        nonlocal attempts
        attempts += 1
        peer.writer.transport.abort()

    async with pool_of(certificate, tls, answer_all, fails, clock=clock) as pool:
        assert await pool.burst(TEMPLATE, holes(1)) == [OK]
        clock.now += 3600
        for _ in range(20):
            assert await pool.burst(TEMPLATE, holes(1)) == [OK]
    assert attempts <= 1


async def test_a_connection_whose_stream_ids_are_used_up_is_replaced(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async with pool_of(certificate, tls, answer_all) as pool:
        assert await pool.burst(TEMPLATE, holes(1)) == [OK]
        (member,) = pool._members
        member.connection._sender.next_id = 2**31 - 3
        assert await pool.burst(TEMPLATE, holes(5)) == [OK] * 5
        assert pool._members[0].connection is not member.connection


async def test_a_renewed_pool_sends_over_new_connections(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    renewed = asyncio.Event()

    async def first(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        await renewed.wait()
        peer.send(answer_with(request.stream_id, STATUS_400, b"first"))
        await peer.until_closed()

    async def second(peer: Peer) -> None:
        await peer.greet()
        while True:
            request = await peer.request()
            renewed.set()
            peer.send(answer_with(request.stream_id, STATUS_400, b"second"))

    async with pool_of(certificate, tls, first, second) as pool:
        await pool.connect()
        in_flight = asyncio.create_task(pool.burst(TEMPLATE, holes(1)))
        await asyncio.sleep(0)
        pool.renew()
        assert await pool.burst(TEMPLATE, holes(1)) == [Answer(400, (), b"second")]
        assert await in_flight == [Answer(400, (), b"first")]


# -- the caller ends it


async def test_a_cancelled_burst_is_reset_and_what_waits_of_it_is_forgotten(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    taken = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 2})
        requests = await peer.requests(2)
        taken.set()
        reset = [(await peer.next(f.RST_STREAM)).stream_id for _ in range(2)]
        assert reset == [request.stream_id for request in requests]
        while True:
            request = await peer.request()
            assert request.body.startswith(b"<")
            peer.send(answer(request.stream_id))

    async with pool_of(certificate, tls, script) as pool:
        cancelled = asyncio.create_task(pool.burst(TEMPLATE, holes(5)))
        await taken.wait()
        other = asyncio.create_task(pool.burst(KEEPING, holes(3)))
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert await other == [OK] * 3


async def test_closing_gives_everything_a_result(certificate: Certificate, tls: ssl.SSLContext) -> None:
    taken = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 2})
        await peer.requests(2)
        taken.set()
        await peer.until_closed()

    async with pool_of(certificate, tls, script) as pool:
        burst = asyncio.create_task(pool.burst(TEMPLATE, holes(4)))
        await taken.wait()
        await pool.close()
        assert await burst == [Unknown("closed by us")] * 2 + [NotProcessed("closed by us")] * 2


async def test_closing_ends_an_attempt_to_connect(certificate: Certificate, tls: ssl.SSLContext) -> None:
    greeted = asyncio.Event()

    async def says_nothing(peer: Peer) -> None:
        await peer.reader.readexactly(1)
        greeted.set()
        await peer.until_closed()

    async with pool_of(certificate, tls, says_nothing) as pool:
        connecting = asyncio.create_task(pool.connect())
        burst = asyncio.create_task(pool.burst(TEMPLATE, holes(2)))
        await greeted.wait()
        await pool.close()
        assert await burst == [NotProcessed("closed by us")] * 2
        with pytest.raises(ConnectFailed, match="closed by us"):
            await connecting


async def test_a_wrong_hole_is_refused_before_anything_is_sent(tls: ssl.SSLContext) -> None:
    pool = Pool("localhost", 1, tls=tls)
    with pytest.raises(ValueError, match="a hole is"):
        await pool.burst(TEMPLATE, [(b"", b"x")])
    assert await pool.burst(TEMPLATE, []) == []
    await pool.close()
