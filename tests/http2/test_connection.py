import asyncio
import ssl

import pytest

from clarion.http2 import Answer, ConnectFailed, Connection, Limits, NotProcessed, Unknown, client_tls
from clarion.http2 import frames as f
from clarion.http2.frames import Code

from .peer import Certificate, Peer, answer_all, connected, serving, stay_silent
from .wire import KEEPING, STATUS_400, STATUS_410, TEMPLATE, answer, answer_with, holes

OK = Answer(200, (), b"")
QUICK = Limits(
    deadline_seconds=0.3,
    connect_seconds=5,
    settings_seconds=5,
    silence_seconds=5,
    ping_seconds=0.2,
    close_seconds=0.2,
)


# -- opening


async def test_a_connection_answers_bursts(certificate: Certificate, tls: ssl.SSLContext) -> None:
    async with connected(certificate, tls, answer_all) as connection:
        assert connection.usable
        assert await connection.burst(TEMPLATE, holes(1000)) == [OK] * 1000
        assert await connection.burst(TEMPLATE, []) == []


async def test_results_stand_in_the_order_of_the_holes(certificate: Certificate, tls: ssl.SSLContext) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        for request in reversed(await peer.requests(50)):
            peer.send(answer_with(request.stream_id, b"\x88", request.path + request.body))
        await peer.until_closed()

    async with connected(certificate, tls, script) as connection:
        results = await connection.burst(KEEPING, holes(50))
    assert results == [Answer(200, (), b"/%d<x>" % number) for number in range(50)]


async def test_several_bursts_share_a_connection(certificate: Certificate, tls: ssl.SSLContext) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 7})
        while True:
            request = await peer.request()
            peer.send(answer(request.stream_id, b"\x88" if request.body.startswith(b"<") else STATUS_400))

    async with connected(certificate, tls, script) as connection:
        bursts = [connection.burst(template, holes(100)) for template in (TEMPLATE, KEEPING) * 3]
        results = await asyncio.gather(*bursts)
    assert results == [[Answer(400, (), b"")] * 100, [OK] * 100] * 3


async def test_a_server_without_http2_is_no_connection(certificate: Certificate, tls: ssl.SSLContext) -> None:
    async def script(peer: Peer) -> None:
        await peer.until_closed()

    async with serving(certificate, script, alpn="http/1.1") as port:
        with pytest.raises(ConnectFailed):
            await Connection.open("localhost", port, tls=tls)
        lenient = client_tls(str(certificate.chain))
        lenient.set_alpn_protocols(["h2", "http/1.1"])
        with pytest.raises(ConnectFailed, match="does not speak HTTP/2"):
            await Connection.open("localhost", port, tls=lenient)


async def test_a_server_nobody_vouches_for_is_no_connection(certificate: Certificate) -> None:
    async with serving(certificate, stay_silent) as port:
        with pytest.raises(ConnectFailed, match="CERTIFICATE_VERIFY_FAILED"):
            await Connection.open("localhost", port, tls=client_tls())


async def test_a_closed_port_is_no_connection(certificate: Certificate, tls: ssl.SSLContext) -> None:
    async with serving(certificate, stay_silent) as port:
        pass
    with pytest.raises(ConnectFailed):
        await Connection.open("localhost", port, tls=tls)


async def test_a_name_that_cannot_be_one_is_no_connection(tls: ssl.SSLContext) -> None:
    with pytest.raises(ConnectFailed):
        await Connection.open("a" * 70 + ".invalid", 443, tls=tls)


async def test_a_server_that_never_speaks_tls_is_given_up(tls: ssl.SSLContext) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            writer.close()

    server = await asyncio.start_server(script, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectFailed, match=r"no connection within 0\.2 s"):
            await Connection.open("localhost", port, tls=tls, limits=Limits(connect_seconds=0.2))


async def test_a_server_that_sends_no_settings_is_given_up(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.until_closed()

    async with serving(certificate, script) as port:
        limits = Limits(settings_seconds=0.2, close_seconds=0.2)
        with pytest.raises(ConnectFailed, match=r"no SETTINGS within 0\.2 s"):
            await Connection.open("localhost", port, tls=tls, limits=limits)


async def test_a_server_that_sends_something_else_is_told_so(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    said = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        await peer.reader.readexactly(len(f.PREFACE))
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        said.set_result(await peer.until_closed())

    async with serving(certificate, script) as port:
        with pytest.raises(ConnectFailed, match="FRAME_SIZE_ERROR"):
            await Connection.open("localhost", port, tls=tls)
        farewell = (await said)[-1]
    assert (farewell.kind, farewell.payload[7]) == (f.GOAWAY, Code.FRAME_SIZE_ERROR)


async def test_opening_may_be_cancelled(certificate: Certificate, tls: ssl.SSLContext) -> None:
    async def script(peer: Peer) -> None:
        await peer.until_closed()

    async with serving(certificate, script) as port:
        opening = asyncio.create_task(Connection.open("localhost", port, tls=tls, limits=QUICK))
        await asyncio.sleep(0.1)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening


async def test_settings_that_are_never_acknowledged_end_the_connection(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet(acknowledge=False)
        await peer.until_closed()

    limits = Limits(settings_seconds=0.3, close_seconds=0.2)
    async with connected(certificate, tls, script, limits) as connection:
        assert await connection.burst(TEMPLATE, holes(1)) == [
            Unknown("our SETTINGS were not acknowledged in time")
        ]


# -- the peer ends it


async def test_goaway_ends_a_connection_once_its_answers_are_there(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 4})
        first, second, *_ = await peer.requests(4)
        peer.send(f.goaway(second.stream_id, Code.NO_ERROR, b"bye"))
        peer.send(answer(first.stream_id) + answer(second.stream_id, STATUS_410))
        assert (await peer.until_closed())[-1].kind == f.GOAWAY

    async with connected(certificate, tls, script) as connection:
        results = await connection.burst(TEMPLATE, holes(6))
        assert not connection.usable
        assert await connection.burst(TEMPLATE, holes(1)) == [NotProcessed("GOAWAY: NO_ERROR: bye")]
    assert results == [OK, Answer(410, (), b"")] + [NotProcessed("GOAWAY: NO_ERROR: bye")] * 4


async def test_a_lost_connection_leaves_unknown_what_was_sent_and_frees_the_rest(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 3})
        requests = await peer.requests(3)
        peer.send(answer(requests[1].stream_id))
        await peer.writer.drain()
        await peer.request()
        peer.writer.transport.abort()

    async with connected(certificate, tls, script) as connection:
        results = await connection.burst(TEMPLATE, holes(10))
        assert not connection.usable
    assert results[1] == OK
    assert [type(result) for result in results] == [Unknown, Answer, Unknown, Unknown] + [NotProcessed] * 6


async def test_a_peer_that_breaks_a_rule_is_told_and_left(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 2})
        request = await peer.request()
        peer.send(answer(request.stream_id) + f.frame(f.PUSH_PROMISE, 0, 1, bytes(8)))
        farewell = (await peer.until_closed())[-1]
        assert (farewell.kind, farewell.payload[7]) == (f.GOAWAY, Code.PROTOCOL_ERROR)

    async with connected(certificate, tls, script) as connection:
        results = await connection.burst(TEMPLATE, holes(3))
    reason = "PROTOCOL_ERROR: PUSH_PROMISE, which we forbade"
    assert results == [OK, Unknown(reason), NotProcessed(reason)]


async def test_a_connection_whose_stream_ids_are_used_up_retires(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async with connected(certificate, tls, answer_all) as connection:
        connection._sender.next_id = 2**31 - 3
        results = await connection.burst(TEMPLATE, holes(3))
        assert not connection.usable
    assert results[:2] == [OK, OK]
    assert results[2] == NotProcessed("the stream ids of this connection are used up")


# -- silence


async def test_a_silent_stream_is_reset_at_its_deadline_and_the_others_go_on(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        requests = await peer.requests(3)
        peer.send(answer(requests[0].stream_id) + answer(requests[2].stream_id))
        reset = await peer.next(f.RST_STREAM)
        assert (reset.stream_id, reset.payload[3]) == (requests[1].stream_id, Code.CANCEL)
        peer.send(answer(requests[1].stream_id))
        late = await peer.request()
        peer.send(answer(late.stream_id))
        await peer.until_closed()

    async with connected(certificate, tls, script, QUICK) as connection:
        assert await connection.burst(TEMPLATE, holes(3)) == [OK, Unknown("no answer within 0.3 s"), OK]
        assert await connection.burst(TEMPLATE, holes(1)) == [OK]


async def test_a_peer_that_lets_no_stream_open_is_left(certificate: Certificate, tls: ssl.SSLContext) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 0})
        await peer.until_closed()

    async with connected(certificate, tls, script, QUICK) as connection:
        assert (
            await connection.burst(TEMPLATE, holes(2))
            == [NotProcessed("the peer answered nothing for 0.3 s")] * 2
        )


async def test_a_peer_that_answers_nothing_costs_one_deadline_not_many(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 2})
        await peer.until_closed()

    async with connected(certificate, tls, script, QUICK) as connection:
        results = await connection.burst(TEMPLATE, holes(100))
    assert results[:2] == [Unknown("no answer within 0.3 s")] * 2
    assert results[2:] == [NotProcessed("the peer answered nothing for 0.3 s")] * 98


async def test_a_peer_that_answers_no_ping_is_dead(certificate: Certificate, tls: ssl.SSLContext) -> None:
    limits = Limits(silence_seconds=0.1, ping_seconds=0.1, close_seconds=0.2)
    async with connected(certificate, tls, stay_silent, limits) as connection:
        assert await connection.burst(TEMPLATE, holes(1)) == [Unknown("no sign of life: PING unanswered")]
        assert not connection.usable


async def test_a_peer_that_answers_pings_is_given_its_time(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        for _ in range(3):
            ping = await peer.next(f.PING)
            peer.send(f.frame(f.PING, f.ACK, 0, ping.payload))
        peer.send(answer(request.stream_id))
        await peer.until_closed()

    limits = Limits(silence_seconds=0.05, ping_seconds=0.5, close_seconds=0.2)
    async with connected(certificate, tls, script, limits) as connection:
        assert await connection.burst(TEMPLATE, holes(1)) == [OK]


async def test_an_idle_connection_is_kept_by_pings(certificate: Certificate, tls: ssl.SSLContext) -> None:
    pinged = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet()
        for _ in range(2):
            ping = await peer.next(f.PING)
            peer.send(f.frame(f.PING, f.ACK, 0, ping.payload))
        pinged.set()
        await peer.until_closed()

    limits = Limits(idle_ping_seconds=0.05, ping_seconds=0.5, close_seconds=0.2)
    async with connected(certificate, tls, script, limits) as connection:
        await pinged.wait()
        assert connection.usable


# -- pressure


async def test_a_peer_that_stops_reading_bounds_what_we_hold(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet({f.INITIAL_WINDOW_SIZE: 2**31 - 1})
        peer.send(f.window_update(0, 2**30))
        await go_on.wait()
        seen = 0
        while seen < 3000:
            frame = await peer.frame()
            if frame.kind == f.DATA and frame.flags & f.END_STREAM:
                peer.send(answer(frame.stream_id))
                seen += 1
        await peer.until_closed()

    limits = Limits(max_streams=10_000, close_seconds=0.2)
    async with connected(certificate, tls, script, limits) as connection:
        sending = asyncio.create_task(connection.burst(TEMPLATE, holes(3000, b"y" * 10_000)))
        for _ in range(200):
            await asyncio.sleep(0)
        await asyncio.sleep(0.2)
        assert connection._transport is not None
        assert connection._paused
        assert connection._transport.get_write_buffer_size() < 4_000_000
        go_on.set()
        assert await sending == [OK] * 3000


async def test_a_flood_of_pings_from_a_peer_that_does_not_read_ends_the_connection(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        flood = f.frame(f.PING, 0, 0, bytes(8)) * 10_000
        while True:
            peer.send(flood)
            await peer.writer.drain()
            await asyncio.sleep(0)

    patient = Limits(max_idle_frames=10**9, close_seconds=0.2)
    async with connected(certificate, tls, script, patient) as connection:
        results = await connection.burst(TEMPLATE, holes(1))
    assert results == [Unknown("the peer asks for replies and does not read them")]


async def test_a_peer_that_allows_one_stream_until_the_first_success_is_followed(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 1})
        request = await peer.request()
        peer.send(f.settings({f.MAX_CONCURRENT_STREAMS: 100}) + answer(request.stream_id))
        for request in await peer.requests(99):
            peer.send(answer(request.stream_id))
        await peer.until_closed()

    async with connected(certificate, tls, script) as connection:
        assert await connection.burst(TEMPLATE, holes(100)) == [OK] * 100


# -- the caller ends it


async def test_a_cancelled_burst_is_reset_and_leaves_the_others_alone(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 2})
        first, second = await peer.requests(2)
        reset = [(await peer.next(f.RST_STREAM)).stream_id for _ in range(2)]
        assert reset == [first.stream_id, second.stream_id]
        peer.send(answer(first.stream_id) + answer(second.stream_id, STATUS_400))
        for _ in range(3):
            request = await peer.request()
            peer.send(answer(request.stream_id))
            assert request.body.startswith(b"<")
        await peer.until_closed()

    async with connected(certificate, tls, script) as connection:
        cancelled = asyncio.create_task(connection.burst(TEMPLATE, holes(5)))
        await asyncio.sleep(0)
        other = asyncio.create_task(connection.burst(KEEPING, holes(3)))
        await asyncio.sleep(0.1)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert await other == [OK] * 3


async def test_closing_ends_what_is_in_flight(certificate: Certificate, tls: ssl.SSLContext) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: 1})
        await peer.until_closed()

    async with connected(certificate, tls, script) as connection:
        burst = asyncio.create_task(connection.burst(TEMPLATE, holes(2)))
        await asyncio.sleep(0.05)
        await connection.close()
        assert await burst == [Unknown("closed by us"), NotProcessed("closed by us")]
        assert await connection.burst(TEMPLATE, holes(1)) == [NotProcessed("closed by us")]


async def test_closing_does_not_wait_for_a_peer_that_does_not_read(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    leave = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet({f.INITIAL_WINDOW_SIZE: 2**31 - 1})
        peer.send(f.window_update(0, 2**30))
        await leave.wait()

    async with connected(certificate, tls, script) as connection:
        burst = asyncio.create_task(connection.burst(TEMPLATE, holes(900, b"y" * 10_000)))
        await asyncio.sleep(0.1)
        await connection.close()
        leave.set()
        assert {type(result) for result in await burst} == {Unknown, NotProcessed}


@pytest.mark.parametrize("bad", [(b"", b"x"), (b"\x88", b"x"), (b"\x04\x01/", "text")])
async def test_a_hole_that_is_none_is_refused(
    bad: tuple[bytes, bytes], certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async with connected(certificate, tls, stay_silent) as connection:
        with pytest.raises(ValueError, match="a hole is"):
            await connection.burst(TEMPLATE, [*holes(1), bad])
