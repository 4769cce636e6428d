"""Every fault of a peer over a real connection, by a server that follows a script: each request ends once and
rightly, and no burst outlasts its deadline."""

import asyncio
import ssl
from collections.abc import Callable, Sequence

import pytest
from hpack import Encoder

from clarion.http2 import Answer, Connection, Hole, Limits, NotProcessed, Result, Template, Unknown, literal
from clarion.http2 import frames as f
from clarion.http2.frames import Code, code_name

from .peer import Certificate, Peer, Script, connected
from .wire import KEEPING, STATUS_400, STATUS_410, TEMPLATE, answer, answer_with, hole, holes

OK = Answer(200, (), b"")
REASON = b'{"reason":"BadDeviceToken"}'
REFUSED = Answer(400, (), REASON)
LAST = f.LARGEST_STREAM_ID
LIMITS = Limits(close_seconds=0.2)
QUICK = Limits(deadline_seconds=1, silence_seconds=5, close_seconds=0.2)
PATIENCE_SECONDS = 15
"""More than a deadline and the way back; a burst that takes longer hangs."""


def begun(stream_id: int, block: bytes = STATUS_400) -> bytes:
    return f.frame(f.HEADERS, f.END_HEADERS, stream_id, block)


async def burst(
    connection: Connection, requests: Sequence[Hole], template: Template = TEMPLATE
) -> list[Result]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await connection.burst(template, requests)


async def results_of(
    certificate: Certificate,
    tls: ssl.SSLContext,
    script: Script,
    requests: Sequence[Hole],
    template: Template = TEMPLATE,
    limits: Limits = LIMITS,
) -> list[Result]:
    """Send one burst to a server that follows a script."""
    async with connected(certificate, tls, script, limits) as connection:
        return await burst(connection, requests, template)


# -- streams

MOMENTS: list[Callable[[int], bytes]] = [
    lambda _: b"",
    begun,
    lambda stream_id: begun(stream_id) + f.frame(f.DATA, 0, stream_id, b"half"),
    lambda stream_id: begun(stream_id, b"\x88"),
    lambda stream_id: answer(stream_id, STATUS_400),
]


async def test_each_reset_ends_its_own_request_at_whatever_moment(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    cases = [(moment, code) for moment in range(len(MOMENTS)) for code in Code]

    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 7})
        for moment, code in cases:
            stream_id = (await peer.request()).stream_id
            peer.send(MOMENTS[moment](stream_id) + f.rst_stream(stream_id, code))
        await peer.until_closed()

    def expected(moment: int, code: Code) -> Result:
        if moment == 4:
            return Answer(400, (), b"")
        if moment == 0 and code == Code.REFUSED_STREAM:
            return NotProcessed("refused: REFUSED_STREAM")
        return Unknown(f"reset by the peer: {code_name(code)}")

    results = await results_of(certificate, tls, script, holes(len(cases)))
    assert results == [expected(*case) for case in cases]


async def test_a_reset_of_a_stream_that_was_never_opened_ends_the_connection(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 2})
        first, _ = await peer.requests(2)
        peer.send(answer(first.stream_id) + f.rst_stream(9, Code.CANCEL))
        farewell = (await peer.until_closed())[-1]
        assert (farewell.kind, farewell.payload[7]) == (f.GOAWAY, Code.PROTOCOL_ERROR)

    results = await results_of(certificate, tls, script, holes(4))
    assert results[0] == OK
    assert isinstance(results[1], Unknown)
    assert isinstance(results[3], NotProcessed)


async def test_interim_answers_padding_continuations_and_trailers_are_followed(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    def spread(stream_id: int) -> bytes:
        interim = b"".join(
            begun(stream_id, block) for block in (b"\x08\x03100", b"\x08\x03103", b"\x08\x03103")
        )
        status = literal(b"x-long", b"y" * 100)
        block = STATUS_410 + status
        head = f.frame(f.HEADERS, f.PADDED, stream_id, b"\x05" + block[:1] + bytes(5))
        for place in range(1, len(block), 10):
            head += f.frame(f.CONTINUATION, 0, stream_id, block[place : place + 10])
        head += f.frame(f.CONTINUATION, f.END_HEADERS, stream_id)
        body = b"".join(
            f.frame(f.DATA, f.PADDED, stream_id, b"\xff" + REASON[at : at + 1] + bytes(255))
            for at in range(27)
        )
        return interim + head + body + answer(stream_id, literal(b"grpc-status", b"0"))

    async def script(peer: Peer) -> None:
        await peer.greet()
        for request in await peer.requests(20):
            peer.send(spread(request.stream_id))
        await peer.until_closed()

    expected = Answer(410, ((b"x-long", b"y" * 100),), REASON)
    assert await results_of(certificate, tls, script, holes(20)) == [expected] * 20


async def test_answers_that_come_before_their_requests_were_read_count(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.INITIAL_WINDOW_SIZE: 10, f.MAX_CONCURRENT_STREAMS: 2})
        for number in range(20):
            stream_id = (await peer.next(f.HEADERS)).stream_id
            early = answer_with(stream_id, STATUS_400, REASON) if number % 2 else answer(stream_id)
            peer.send(early + f.rst_stream(stream_id, Code.NO_ERROR))
        await peer.until_closed()

    requests = holes(20, b"y" * 5000)
    assert await results_of(certificate, tls, script, requests) == [OK, REFUSED] * 10


# -- the connection


@pytest.mark.parametrize("last", [0, 1, 3, 5, 7, LAST])
async def test_a_goaway_before_the_connection_closes_tells_what_was_not_processed(
    last: int, certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 4})
        await peer.requests(4)
        peer.send(f.goaway(last, Code.INTERNAL_ERROR))

    results = await results_of(certificate, tls, script, holes(6))
    covered = min(4, (last + 1) // 2)
    freed = NotProcessed("GOAWAY: INTERNAL_ERROR")
    assert [type(result) for result in results[:covered]] == [Unknown] * covered
    assert results[covered:] == [freed] * (6 - covered)


async def test_a_warning_first_then_the_last_id_then_the_answers(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 4})
        first, second, *_ = await peer.requests(4)
        peer.send(f.goaway(LAST, Code.NO_ERROR))
        await peer.writer.drain()
        peer.send(answer(first.stream_id))
        peer.send(f.goaway(second.stream_id, Code.NO_ERROR) + answer(second.stream_id))
        assert (await peer.until_closed())[-1].kind == f.GOAWAY

    results = await results_of(certificate, tls, script, holes(6))
    assert results == [OK, OK] + [NotProcessed("GOAWAY: NO_ERROR")] * 4


async def test_a_goaway_that_takes_back_another_ends_the_connection(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.requests(3)
        peer.send(f.goaway(3, 0) + f.goaway(5, 0) + answer(1))
        assert (await peer.until_closed())[-1].payload[7] == Code.PROTOCOL_ERROR

    results = await results_of(certificate, tls, script, holes(3))
    assert [type(result) for result in results] == [Unknown, Unknown, NotProcessed]


async def test_a_goaway_that_nothing_follows_costs_one_deadline(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.requests(3)
        peer.send(f.goaway(3, 0))
        await peer.until_closed()

    results = await results_of(certificate, tls, script, holes(3), limits=QUICK)
    assert results == [Unknown("no answer within 1 s")] * 2 + [NotProcessed("GOAWAY: NO_ERROR")]


async def test_a_limit_below_what_is_in_flight_is_kept_and_so_are_none_and_many(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def opened_before_two_pings(peer: Peer) -> list[int]:
        """Two, because replies leave before requests."""
        found = []
        for _ in range(2):
            peer.send(f.frame(f.PING, 0, 0, bytes(8)))
            while (frame := await peer.frame()).kind != f.PING:
                if frame.kind == f.DATA:
                    found.append(frame.stream_id)
        return found

    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 10})
        in_flight = await opened_before_two_pings(peer)
        assert len(in_flight) == 10
        for limit in (3, 0, 1, 50, 2):
            peer.send(f.settings({f.MAX_CONCURRENT_STREAMS: limit}))
            in_flight += await opened_before_two_pings(peer)
            ended, in_flight = in_flight[limit:], in_flight[:limit]
            peer.send(b"".join(map(answer, ended)))
            assert not await opened_before_two_pings(peer)
            assert len(in_flight) == limit
        peer.send(b"".join(map(answer, in_flight)))
        await peer.until_closed()

    assert await results_of(certificate, tls, script, holes(60)) == [OK] * 60


# -- windows


async def test_windows_that_open_one_octet_at_a_time_let_every_body_through(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.INITIAL_WINDOW_SIZE: 0})
        bodies: dict[int, bytes] = {}
        for _ in range(5):
            stream_id = (await peer.next(f.HEADERS)).stream_id
            bodies[stream_id] = b""
        while bodies:
            for stream_id in list(bodies):
                peer.send(f.window_update(stream_id, 1))
                piece = await peer.next(f.DATA)
                assert len(piece.payload) == 1
                bodies[piece.stream_id] += piece.payload
                if piece.flags & f.END_STREAM:
                    assert bodies.pop(piece.stream_id) == b"<" + b"y" * 98 + b">"
                    peer.send(answer(piece.stream_id))
        await peer.until_closed()

    assert await results_of(certificate, tls, script, holes(5, b"y" * 98), KEEPING) == [OK] * 5


async def test_a_body_larger_than_every_window_arrives_whole(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.INITIAL_WINDOW_SIZE: 1000, f.MAX_FRAME_SIZE: 20_000})
        body, ended = b"", False
        while not ended:
            piece = await peer.next(f.DATA)
            body, ended = body + piece.payload, bool(piece.flags & f.END_STREAM)
            given = f.window_update(1, len(piece.payload)) + f.window_update(0, len(piece.payload))
            peer.send(b"" if ended else given)
        assert body == b"<" + b"y" * 300_000 + b">"
        peer.send(answer(1))
        await peer.until_closed()

    assert await results_of(certificate, tls, script, [hole(0, b"y" * 300_000)], KEEPING) == [OK]


async def test_a_window_lowered_below_what_was_sent_and_raised_again_is_followed(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.INITIAL_WINDOW_SIZE: 100})
        assert len((await peer.next(f.DATA)).payload) == 100
        peer.send(f.settings({f.INITIAL_WINDOW_SIZE: 30}) + f.window_update(1, 69))
        peer.send(f.frame(f.PING, 0, 0, b"one less"))
        while (frame := await peer.frame()).kind != f.PING:
            assert frame.kind == f.SETTINGS, "the window stands at -1"
        peer.send(f.settings({f.INITIAL_WINDOW_SIZE: 35}))
        assert len((await peer.next(f.DATA)).payload) == 4
        peer.send(f.settings({f.INITIAL_WINDOW_SIZE: 2**31 - 1 - 69}))
        assert len((await peer.next(f.DATA)).payload) == 98
        peer.send(answer(1))
        await peer.until_closed()

    assert await results_of(certificate, tls, script, [hole(0, b"y" * 200)], KEEPING) == [OK]


async def test_a_window_that_never_opens_costs_one_deadline(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.INITIAL_WINDOW_SIZE: 0, f.MAX_CONCURRENT_STREAMS: 2})
        await peer.until_closed()

    results = await results_of(certificate, tls, script, holes(5), limits=QUICK)
    assert [type(result) for result in results] == [Unknown] * 2 + [NotProcessed] * 3


# -- floods and other abuse

FLOODS = {
    "pings": f.frame(f.PING, 0, 0, bytes(8)),
    "settings": f.settings({f.INITIAL_WINDOW_SIZE: 5}),
    "interim answers": begun(1, b"\x08\x03103"),
    "nothing": f.frame(0xBE, 0, 0),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_peer_that_floods_and_reads_is_told_to_be_calm(
    name: str, certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 1})
        await peer.request()
        reading = asyncio.create_task(peer.until_closed())
        while not reading.done():
            peer.send(FLOODS[name] * 100)
            await peer.writer.drain()
            await asyncio.sleep(0)
        farewell = (await reading)[-1]
        assert (farewell.kind, farewell.payload[7]) == (f.GOAWAY, Code.ENHANCE_YOUR_CALM)

    reason = "ENHANCE_YOUR_CALM: too many frames that end no request"
    assert await results_of(certificate, tls, script, holes(2)) == [Unknown(reason), NotProcessed(reason)]


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (begun(1, STATUS_400 + literal(b"x", b"y" * 9000)), Code.ENHANCE_YOUR_CALM),
        (begun(1, STATUS_400 + b"\x90" * 8000), Code.COMPRESSION_ERROR),
        (f.frame(f.HEADERS, 0, 1) + f.frame(f.CONTINUATION, 0, 1) * 1000, Code.ENHANCE_YOUR_CALM),
        (begun(1, b"\xbe"), Code.COMPRESSION_ERROR),
        (f.frame(f.PUSH_PROMISE, f.END_HEADERS, 1, b"\0\0\0\x02\x88"), Code.PROTOCOL_ERROR),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Code.FRAME_SIZE_ERROR),
    ],
)
async def test_a_peer_that_oversteps_is_told_and_left(
    octets: bytes, code: Code, certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 1})
        await peer.request()
        peer.send(octets)
        farewell = (await peer.until_closed())[-1]
        assert (farewell.kind, farewell.payload[7]) == (f.GOAWAY, code)

    results = await results_of(certificate, tls, script, holes(2))
    assert [type(result) for result in results] == [Unknown, NotProcessed]


async def test_a_peer_that_keeps_its_table_after_promising_not_to_is_left(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    encoder = Encoder()
    fields = [(":status", "403"), ("x-secret", "kept in the table")]

    async def script(peer: Peer) -> None:
        await peer.greet(acknowledge=False)
        first, second, third = await peer.requests(3)
        peer.send(answer(first.stream_id, encoder.encode(fields)))
        peer.send(answer(second.stream_id, encoder.encode(fields)))
        peer.send(f.frame(f.SETTINGS, f.ACK, 0) + answer(third.stream_id, encoder.encode(fields)))
        assert (await peer.until_closed())[-1].payload[7] == Code.COMPRESSION_ERROR

    results = await results_of(certificate, tls, script, holes(3))
    kept = Answer(403, ((b"x-secret", b"kept in the table"),), b"")
    assert results[:2] == [kept, kept]
    assert isinstance(results[2], Unknown)


async def test_a_peer_that_answers_some_and_is_silent_for_the_rest(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        for request in await peer.requests(100):
            if int(request.path[1:]) % 3:
                peer.send(answer(request.stream_id))
        await peer.until_closed()

    results = await results_of(certificate, tls, script, holes(100), limits=QUICK)
    late = Unknown("no answer within 1 s")
    assert results == [OK if number % 3 else late for number in range(100)]
