"""Against the sandbox's side of the wire, which is another's HTTP/2 (`h2`): every act and every fault it knows."""

import asyncio
import itertools
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from h2.errors import ErrorCodes

from clarion.http2 import Answer, Connection, Limits, NotProcessed, Pool, PoolLimits, Unknown
from clarion.http2.frames import code_name
from clarion.sandbox.conversation import Act, Reply, Request
from clarion.sandbox.wire import Listener

from .peer import Certificate
from .wire import KEEPING, TEMPLATE, holes

OK = Answer(200, (), b"")
COUNT = 300
LIMITS = Limits(close_seconds=0.2)
QUICK = Limits(deadline_seconds=1, close_seconds=0.2)
PATIENCE_SECONDS = 15
Judge = Callable[[int], Reply]
"""What to do with the request of this number."""


@dataclass
class Talk:
    """A conversation that follows a rule and notes what it heard."""

    judge: Judge
    heard: list[int]
    first_streams: int = 100
    goaway_reason: bytes = b"reason"

    def answer(self, request: Request) -> Reply:
        assert (request.method, request.authority) == ("POST", "push.example")
        self.heard.append(int(request.path[1:]))
        return self.judge(self.heard[-1])


@asynccontextmanager
async def standing_in(
    certificate: Certificate, judge: Judge, heard: list[int] | None = None, first_streams: int = 100
) -> AsyncIterator[tuple[int, Listener]]:
    """Serve with `h2` on a free port; `heard` gets the numbers of the requests that arrived whole."""
    heard = [] if heard is None else heard
    listener = Listener(lambda: Talk(judge, heard, first_streams))
    server = await asyncio.get_running_loop().create_server(
        listener, "127.0.0.1", 0, ssl=certificate.server_tls()
    )
    try:
        yield server.sockets[0].getsockname()[1], listener
    finally:
        server.close()
        listener.close()
        await server.wait_closed()


def at(numbers: range, reply: Reply) -> Judge:
    return lambda number: reply if number in numbers else Reply()


def run_one_connection(
    run: Any, certificate: Certificate, tls: ssl.SSLContext, judge: Judge, limits: Limits = LIMITS
) -> tuple[list[Any], list[int]]:
    heard: list[int] = []

    async def scene() -> list[Any]:
        async with standing_in(certificate, judge, heard) as (port, _), asyncio.timeout(PATIENCE_SECONDS):
            connection = await Connection.open("localhost", port, tls=tls, limits=limits)
            try:
                return await connection.burst(TEMPLATE, holes(COUNT))
            finally:
                await connection.close()

    return run(scene()), heard


@pytest.mark.parametrize("code", ErrorCodes)
def test_every_tenth_request_is_reset(
    code: ErrorCodes, certificate: Certificate, tls: ssl.SSLContext, run: Any
) -> None:
    judge = at(range(0, COUNT, 10), Reply(Act.RESET, code=code))
    results, heard = run_one_connection(run, certificate, tls, judge)
    ending = (
        NotProcessed("refused: REFUSED_STREAM")
        if code == ErrorCodes.REFUSED_STREAM
        else Unknown(f"reset by the peer: {code_name(code)}")
    )
    assert results == [ending if number % 10 == 0 else OK for number in range(COUNT)]
    assert sorted(heard) == list(range(COUNT))


@pytest.mark.parametrize("act", [Act.GOAWAY_BEFORE, Act.GOAWAY_UNANSWERED, Act.GOAWAY_ANSWER])
def test_goaway_frees_exactly_what_the_server_did_not_take(
    act: Act, certificate: Certificate, tls: ssl.SSLContext, run: Any
) -> None:
    results, heard = run_one_connection(run, certificate, tls, at(range(150, 151), Reply(act)))
    assert results[:150] == [OK] * 150
    if act is Act.GOAWAY_BEFORE:
        assert isinstance(results[150], NotProcessed)
    elif act is Act.GOAWAY_UNANSWERED:
        assert isinstance(results[150], Unknown)
    else:
        assert results[150] == OK
    for number, result in enumerate(results[151:], 151):
        assert not isinstance(result, NotProcessed) or number not in heard
        assert not isinstance(result, Answer) or number in heard


@pytest.mark.parametrize("act", [Act.DROP, Act.CUT])
def test_a_lost_connection_never_claims_that_a_request_it_took_was_not_processed(
    act: Act, certificate: Certificate, tls: ssl.SSLContext, run: Any
) -> None:
    results, heard = run_one_connection(run, certificate, tls, at(range(150, 151), Reply(act)))
    kinds = [type(result) for result in results]
    assert kinds == sorted(kinds, key=[Answer, Unknown, NotProcessed].index)
    assert kinds[150] is Unknown
    assert NotProcessed in kinds
    assert not {number for number in heard if kinds[number] is NotProcessed}


def test_requests_that_are_never_answered_hold_up_nobody(
    certificate: Certificate, tls: ssl.SSLContext, run: Any
) -> None:
    judge = at(range(0, COUNT, 100), Reply(Act.IGNORE))
    results, _ = run_one_connection(run, certificate, tls, judge, QUICK)
    late = Unknown("no answer within 1 s")
    assert results == [late if number % 100 == 0 else OK for number in range(COUNT)]


def test_slow_answers_come_in_any_order(certificate: Certificate, tls: ssl.SSLContext, run: Any) -> None:
    results, _ = run_one_connection(
        run,
        certificate,
        tls,
        lambda number: Reply(status=200 + number % 5 * 50, after=(COUNT - number) / 2000),
    )
    assert [result.status for result in results] == [200 + number % 5 * 50 for number in range(COUNT)]


@pytest.mark.parametrize("first", [1, 2])
def test_a_limit_of_few_streams_until_the_first_success_is_followed(
    first: int, certificate: Certificate, tls: ssl.SSLContext, run: Any
) -> None:
    heard: list[int] = []

    async def scene() -> None:
        async with standing_in(certificate, lambda number: Reply(streams=50), heard, first) as (port, _):
            connection = await Connection.open("localhost", port, tls=tls, limits=LIMITS)
            assert await connection.burst(TEMPLATE, holes(COUNT)) == [OK] * COUNT
            await connection.close()

    run(scene())
    assert sorted(heard) == list(range(COUNT))


def test_limits_that_change_all_the_time_lose_nothing(
    certificate: Certificate, tls: ssl.SSLContext, run: Any
) -> None:
    heard: list[int] = []
    listeners: list[Listener] = []
    limits = itertools.cycle([50, 3, 1, 70, 2, 100])

    def judge(number: int) -> Reply:
        if number % 7 == 6:
            listeners[0].announce_streams(next(limits))
        return Reply(streams=50)

    async def scene() -> None:
        async with standing_in(certificate, judge, heard, 1) as (port, listener):
            listeners.append(listener)
            connection = await Connection.open("localhost", port, tls=tls, limits=LIMITS)
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await connection.burst(TEMPLATE, holes(1000)) == [OK] * 1000
            await connection.close()

    run(scene())
    assert sorted(heard) == list(range(1000))


@pytest.mark.parametrize("begins_at", [-1, 0, 500])
def test_a_stall_delays_requests_and_loses_none(
    begins_at: int, certificate: Certificate, tls: ssl.SSLContext, run: Any
) -> None:
    heard: list[int] = []
    listeners: list[Listener] = []

    def judge(number: int) -> Reply:
        if number == begins_at:
            listeners[0].stall(0.2)
        return Reply()

    async def scene() -> None:
        async with standing_in(certificate, judge, heard) as (port, listener):
            listeners.append(listener)
            if begins_at < 0:
                listener.stall(0.2)
            connection = await Connection.open("localhost", port, tls=tls, limits=LIMITS)
            begun_at = asyncio.get_running_loop().time()
            assert await connection.burst(TEMPLATE, holes(1000, b"y" * 2000)) == [OK] * 1000
            assert asyncio.get_running_loop().time() - begun_at >= 0.19
            await connection.close()

    run(scene())
    assert sorted(heard) == list(range(1000))


def test_a_stall_that_does_not_end_costs_one_deadline(
    certificate: Certificate, tls: ssl.SSLContext, run: Any
) -> None:
    async def scene() -> None:
        async with standing_in(certificate, lambda number: Reply()) as (port, listener):
            listener.stall(60)
            connection = await Connection.open("localhost", port, tls=tls, limits=QUICK)
            async with asyncio.timeout(PATIENCE_SECONDS):
                results = await connection.burst(TEMPLATE, holes(COUNT))
            assert [type(result) for result in results] == [Unknown] * 100 + [NotProcessed] * 200
            listener.stall(0)
            await connection.close()

    run(scene())


def test_answers_keep_their_bodies_and_headers(
    certificate: Certificate, tls: ssl.SSLContext, run: Any
) -> None:
    async def scene() -> None:
        body = b"{" + b"z" * 10_000 + b"}"
        headers = (("x-id", "7"), ("content-length", "10002"))
        reply = Reply(status=503, headers=headers, body=body)
        async with standing_in(certificate, lambda number: reply) as (port, _):
            connection = await Connection.open("localhost", port, tls=tls, limits=LIMITS)
            results = await connection.burst(KEEPING, holes(COUNT))
            await connection.close()
        expected = ((b"x-id", b"7"), (b"content-length", b"10002"))
        assert results == [Answer(503, expected, body)] * COUNT

    run(scene())


def test_a_pool_sends_again_what_was_not_processed_and_nothing_else(
    certificate: Certificate, tls: ssl.SSLContext, run: Any
) -> None:
    heard: list[int] = []
    acts = {
        100: Reply(Act.GOAWAY_BEFORE),
        300: Reply(Act.GOAWAY_ANSWER),
        500: Reply(Act.RESET, code=ErrorCodes.REFUSED_STREAM),
        600: Reply(Act.RESET, code=ErrorCodes.CANCEL),
    }

    def judge(number: int) -> Reply:
        return acts.pop(number, Reply())

    async def scene() -> None:
        async with standing_in(certificate, judge, heard) as (port, _):
            pool = Pool("localhost", port, tls=tls, limits=LIMITS)
            async with asyncio.timeout(PATIENCE_SECONDS):
                results = await pool.burst(TEMPLATE, holes(1000))
            await pool.close()
        assert results[600] == Unknown("reset by the peer: CANCEL")
        assert [result for place, result in enumerate(results) if place != 600] == [OK] * 999

    run(scene())
    again = sorted(number for number in set(heard) if heard.count(number) > 1)
    assert again == [100, 500], "both were heard and said not to be processed"
    assert sorted(set(heard)) == list(range(1000))


@pytest.mark.parametrize("seed", range(4))
def test_in_any_mixture_of_faults_nothing_is_lost_and_nothing_unknown_is_sent_again(
    seed: int, certificate: Certificate, tls: ssl.SSLContext, run: Any
) -> None:
    chance = random.Random(seed)
    unprocessed = [Reply(Act.GOAWAY_BEFORE), Reply(Act.RESET, code=ErrorCodes.REFUSED_STREAM)]
    faults = [
        *unprocessed,
        *(Reply(act) for act in (Act.GOAWAY_UNANSWERED, Act.GOAWAY_ANSWER, Act.DROP, Act.CUT)),
        *(Reply(Act.RESET, code=code) for code in (ErrorCodes.NO_ERROR, ErrorCodes.ENHANCE_YOUR_CALM)),
        *(Reply(streams=streams) for streams in (1, 5, 200)),
        *(Reply(status=status, body=b'{"reason":"no"}') for status in (400, 410, 503)),
    ]
    heard: list[int] = []
    told: dict[int, Reply] = {}

    def judge(number: int) -> Reply:
        again = number in told
        told.setdefault(number, chance.choice(faults) if chance.random() < 0.03 else Reply())
        return Reply() if again else told[number]

    async def scene() -> list[Any]:
        async with standing_in(certificate, judge, heard, 30) as (port, _):
            pauses = PoolLimits(first_pause_seconds=0.01, longest_pause_seconds=0.02)
            pool = Pool("localhost", port, tls=tls, limits=LIMITS, pool_limits=pauses)
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    return await pool.burst(TEMPLATE, holes(2000))
            finally:
                await pool.close()

    results = run(scene())
    for number, result in enumerate(results):
        times = heard.count(number)
        if isinstance(result, Answer):
            assert number in told
            assert result.status == told[number].status or times == 2
        assert not isinstance(result, NotProcessed) or not times or told[number] in unprocessed
        assert times <= 1 or told[number] in unprocessed
    assert sum(isinstance(result, Answer) for result in results) > 1000
