"""What a peer can cost us: frames that lead nowhere are counted, and all that it can make us hold is bounded."""

from collections.abc import Iterable

import pytest

from clarion.http2 import Answer, Limits, literal
from clarion.http2 import frames as f
from clarion.http2.errors import PeerError
from clarion.http2.frames import Code
from clarion.http2.limits import DEFAULT_LIMITS

from .wire import ACK, KEEPING, STATUS_400, Wire, answer, answer_with, held, holes

OK = Answer(200, (), b"")
FEW = Limits(max_idle_frames=500)

# Stream 1 is over, stream 3 has no status yet and stream 5 is amid its body when these begin.
FLOODS = {
    "pings": f.frame(f.PING, 0, 0, bytes(8)),
    "answers to pings that nobody sent": f.frame(f.PING, f.ACK, 0, bytes(8)),
    "settings": f.settings({}),
    "settings that change the windows": f.settings({f.INITIAL_WINDOW_SIZE: 10, f.MAX_CONCURRENT_STREAMS: 1}),
    "acknowledgements": ACK,
    "empty data": f.frame(f.DATA, 0, 5),
    "padded nothing": f.frame(f.DATA, f.PADDED, 5, b"\x01\0"),
    "data of a stream that is over": f.frame(f.DATA, 0, 1, b"x"),
    "ends of a stream that is over": f.frame(f.DATA, f.END_STREAM, 1),
    "answers of a stream that is over": answer(1),
    "refusals of a stream that is over": answer(1, STATUS_400),
    "interim answers": f.frame(f.HEADERS, f.END_HEADERS, 3, b"\x08\x03103"),
    "priorities": f.frame(f.PRIORITY, 0, 3, bytes(5)),
    "resets of a stream that is over": f.rst_stream(1, 0),
    "windows of the connection": f.window_update(0, 1),
    "windows of an open stream": f.window_update(3, 1),
    "windows of a stream that is over": f.window_update(1, 1),
    "goaways": f.goaway(f.LARGEST_STREAM_ID, 0),
    "frames of no known type": f.frame(0xFE, 0, 0),
    "all sorts": f.frame(f.PING, 0, 0, bytes(8))
    + f.settings({})
    + f.window_update(0, 1)
    + f.rst_stream(1, 0),
}


def half_done(limits: Limits) -> Wire:
    wire = Wire(limits)
    wire.burst(holes(3))
    wire.sent()
    wire.feed(answer(1) + f.frame(f.HEADERS, f.END_HEADERS, 5, b"\x88"))
    return wire


def flood(wire: Wire, frame: bytes, moments: Iterable[float]) -> None:
    for moment in moments:
        wire.feed(frame, now=moment)
        wire.sender.control.clear()


@pytest.mark.parametrize("limits", [FEW, DEFAULT_LIMITS], ids=["few", "default"])
@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_that_ends_no_request_ends_the_connection(name: str, limits: Limits) -> None:
    wire = half_done(limits)
    with pytest.raises(PeerError, match="too many frames") as caught:
        flood(wire, FLOODS[name], [0.0] * (limits.max_idle_frames + 64 + 1))
    assert caught.value.code == Code.ENHANCE_YOUR_CALM


def test_empty_continuations_end_the_connection_much_sooner() -> None:
    wire = half_done(DEFAULT_LIMITS)
    wire.feed(f.frame(f.HEADERS, 0, 3))
    with pytest.raises(PeerError) as caught:
        wire.feed(f.frame(f.CONTINUATION, 0, 3) * 64)
    assert caught.value.code == Code.ENHANCE_YOUR_CALM


def test_large_frames_count_for_more() -> None:
    early = b"\x08\x03103" + literal(b"x", b"y" * 8000)
    wire = half_done(DEFAULT_LIMITS)
    with pytest.raises(PeerError, match="too many frames"):
        flood(wire, f.frame(f.HEADERS, f.END_HEADERS, 3, early), [0.0] * 700)


def test_many_fields_of_interim_answers_count_for_more() -> None:
    early = b"\x08\x03103" + literal(b"a", b"") * 220
    wire = half_done(DEFAULT_LIMITS)
    with pytest.raises(PeerError, match="too many frames"):
        flood(wire, f.frame(f.HEADERS, f.END_HEADERS, 3, early), [0.0] * 100)


def test_a_flood_within_a_moment_is_worse_than_the_same_over_hours() -> None:
    wire = half_done(FEW)
    flood(wire, FLOODS["pings"], range(0, 100_000, 10))
    flood(wire, FLOODS["pings"], [100_000 + moment / 50 for moment in range(5000)])
    with pytest.raises(PeerError, match="too many frames"):
        flood(wire, FLOODS["pings"], [100_100 + moment / 5000 for moment in range(5000)])


@pytest.mark.parametrize("limits", [FEW, DEFAULT_LIMITS], ids=["few", "default"])
def test_a_busy_server_is_not_taken_for_a_flood(limits: Limits) -> None:
    """As nginx does it: an early answer, RST_STREAM(NO_ERROR) behind it, and windows in between."""
    wire = Wire(limits, settings={f.MAX_CONCURRENT_STREAMS: 128})
    ending = wire.burst(holes(20_000, b"x" * 200))
    while ending.results is None:
        for frame in wire.sent():
            if frame.kind != f.DATA:
                continue
            over = answer_with(frame.stream_id, b"\x88", b"{}") + f.rst_stream(frame.stream_id, 0)
            windows = f.window_update(0, len(frame.payload)) + f.window_update(frame.stream_id, 200)
            wire.feed(windows + over)
    assert ending.results == [OK] * 20_000


def test_a_thousand_answers_may_begin_before_the_first_one_ends() -> None:
    wire = Wire()
    ending = wire.burst(holes(1000), KEEPING)
    wire.sent()
    wire.feed(f.window_update(0, 1 << 20))
    wire.sent()
    streams = list(wire.streams.open)
    assert len(streams) == 1000
    block = STATUS_400 + literal(b"x", b"y" * 1024)
    for stream_id in streams:
        wire.feed(f.frame(f.HEADERS, f.END_HEADERS, stream_id, b"\x08\x03103"))
        wire.feed(f.frame(f.HEADERS, f.END_HEADERS, stream_id, block))
    for _ in range(5):
        for stream_id in streams:
            wire.feed(f.frame(f.DATA, 0, stream_id, b"z" * 100))
    for stream_id in streams:
        wire.feed(f.frame(f.DATA, f.END_STREAM, stream_id, b""))
    assert ending.results == [Answer(400, ((b"x", b"y" * 1024),), b"z" * 500)] * 1000


# -- memory


def test_what_a_peer_can_make_us_hold_is_bounded() -> None:
    wire = Wire()
    wire.burst(holes(1000, b""), KEEPING)
    wire.sent()
    empty = held(wire.receiver)
    many = STATUS_400 + literal(b"a", b"") * 240
    for stream_id in list(wire.streams.open):
        wire.feed(f.frame(f.HEADERS, f.END_HEADERS, stream_id, many), now=stream_id)
        wire.feed(f.frame(f.DATA, 0, stream_id, bytes(16_384)), now=stream_id)
    wire.feed(f.frame(f.HEADERS, 0, 1, bytes(8192)))
    wire.feed(b"\x00\x40\x00" + bytes(16_000))
    wire.sender.control.clear()
    per_stream = (held(wire.receiver) - empty) / 1000
    assert 16_384 < per_stream < 80_000


def test_a_body_and_its_fields_are_let_go_with_their_stream() -> None:
    wire = Wire()
    wire.burst(holes(2), KEEPING)
    wire.sent()
    before = held(wire.receiver)
    wire.feed(f.frame(f.HEADERS, f.END_HEADERS, 1, STATUS_400) + f.frame(f.DATA, 0, 1, bytes(16_000)))
    assert held(wire.receiver) > before + 16_000
    wire.feed(f.rst_stream(1, 0))
    wire.feed(f.rst_stream(3, 0))
    assert held(wire.receiver) < before + 4000
