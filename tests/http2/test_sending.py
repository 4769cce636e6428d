import pytest
from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from clarion.http2 import Answer, Limits, NotProcessed, Template, literal
from clarion.http2 import frames as f
from clarion.http2.errors import PeerError

from .wire import KEEPING, TEMPLATE, Frame, Wire, answer, holes, split


def bodies(frames: list[Frame]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for frame in frames:
        if frame.kind == f.DATA:
            found[frame.stream_id] = found.get(frame.stream_id, b"") + frame.payload
    return found


def opened(frames: list[Frame]) -> list[int]:
    return [frame.stream_id for frame in frames if frame.kind == f.HEADERS]


def test_requests_that_fit_leave_as_headers_and_data_side_by_side() -> None:
    wire = Wire()
    wire.burst(holes(2, b"abc"))
    first, second, third, fourth = wire.sent()
    assert (first.kind, first.flags, first.stream_id) == (f.HEADERS, f.END_HEADERS, 1)
    decoder = Decoder()
    assert dict(decoder.decode(first.payload, raw=True))[b":path"] == b"/0"
    assert second == Frame(f.DATA, f.END_STREAM, 1, b'{"to":"abc"}')
    assert dict(decoder.decode(third.payload, raw=True))[b":path"] == b"/1"
    assert fourth.stream_id == 3


def test_a_request_without_a_body_ends_with_its_headers() -> None:
    wire = Wire()
    ending = wire.burst(holes(1, b""), Template(method="GET", authority="a", headers=[]))
    (only,) = wire.sent()
    assert only.flags == f.END_HEADERS | f.END_STREAM
    wire.feed(answer(1))
    assert ending.results == [Answer(200, (), b"")]


def test_the_peer_sets_how_many_streams_are_open_and_may_change_its_mind() -> None:
    wire = Wire(settings={f.MAX_CONCURRENT_STREAMS: 1})
    ending = wire.burst(holes(10))
    assert opened(wire.sent()) == [1]
    assert not wire.sent()
    wire.feed(f.settings({f.MAX_CONCURRENT_STREAMS: 5}))
    assert opened(wire.sent()) == [3, 5, 7, 9]
    wire.feed(f.settings({f.MAX_CONCURRENT_STREAMS: 2}))
    wire.feed(answer(1) + answer(3) + answer(5))
    assert not opened(wire.sent()), "two of two are in flight"
    wire.feed(f.settings({f.MAX_CONCURRENT_STREAMS: 0}) + answer(7) + answer(9))
    assert not opened(wire.sent())
    wire.feed(f.settings({f.MAX_CONCURRENT_STREAMS: 100}))
    assert opened(wire.sent()) == [11, 13, 15, 17, 19]
    for stream_id in range(11, 21, 2):
        wire.feed(answer(stream_id))
    assert ending.results == [Answer(200, (), b"")] * 10


def test_our_own_limit_holds_when_the_peer_names_none() -> None:
    wire = Wire(Limits(max_streams=7))
    wire.burst(holes(10))
    assert len(opened(wire.sent())) == 7


def test_bursts_open_their_streams_first_come_first_served() -> None:
    wire = Wire(settings={f.MAX_CONCURRENT_STREAMS: 3})
    first, second = wire.burst(holes(2)), wire.burst(holes(2), KEEPING)
    assert opened(wire.sent()) == [1, 3, 5]
    wire.feed(answer(5) + answer(3))
    assert opened(wire.sent()) == [7]
    wire.feed(answer(7) + answer(1))
    assert first.results == second.results == [Answer(200, (), b"")] * 2


def test_a_body_larger_than_the_windows_leaves_in_pieces() -> None:
    wire = Wire()
    body = b"<" + b"y" * 200_000 + b">"
    wire.burst([(literal(b":path", b"/"), body[1:-1])], KEEPING)
    sent = wire.sent()
    assert [len(frame.payload) for frame in sent[1:]] == [16_384, 16_384, 16_384, 16_383]
    wire.feed(f.window_update(1, 1_000_000))
    assert not wire.sent(), "the connection's window is still full"
    wire.feed(f.window_update(0, 100_000))
    wire.feed(f.window_update(0, 100_000))
    sent += wire.sent()
    assert bodies(sent) == {1: body}
    assert [bool(frame.flags & f.END_STREAM) for frame in sent[1:]] == [False] * (len(sent) - 2) + [True]


def test_requests_with_bodies_wait_while_the_connection_has_no_window() -> None:
    wire = Wire()
    wire.burst([(literal(b":path", b"/"), b"y" * 65_533)], KEEPING)
    wire.burst(holes(1))
    assert opened(wire.sent()) == [1]
    wire.feed(f.window_update(0, 5))
    assert bodies(wire.sent()) == {3: b'{"to"'}
    wire.feed(f.window_update(0, 100))
    assert bodies(wire.sent()) == {3: b':"x"}'}


def test_a_smaller_initial_window_leaves_open_streams_below_zero() -> None:
    wire = Wire(settings={f.INITIAL_WINDOW_SIZE: 100})
    wire.burst([(literal(b":path", b"/"), b"y" * 200)], KEEPING)
    assert len(bodies(wire.sent())[1]) == 100
    wire.feed(f.settings({f.INITIAL_WINDOW_SIZE: 40}))
    wire.feed(f.window_update(1, 60))
    assert not bodies(wire.sent()), "60 below zero and 60 more make nothing"
    wire.feed(f.settings({f.INITIAL_WINDOW_SIZE: 50}))
    assert len(bodies(wire.sent())[1]) == 10
    wire.feed(f.window_update(1, 1000))
    assert len(bodies(wire.sent())[1]) == 92


def test_a_stream_that_waits_for_its_window_does_not_hold_up_the_next() -> None:
    wire = Wire(settings={f.INITIAL_WINDOW_SIZE: 50})
    wire.burst([(literal(b":path", b"/"), b"y" * 60)], KEEPING)
    wire.burst(holes(2))
    assert {key: len(body) for key, body in bodies(wire.sent()).items()} == {1: 50, 3: 10, 5: 10}


def test_the_frame_size_of_the_peer_is_followed() -> None:
    wire = Wire(settings={f.MAX_FRAME_SIZE: 40_000})
    wire.burst([(literal(b":path", b"/"), b"y" * 50_000)], KEEPING)
    assert [len(frame.payload) for frame in wire.sent()[1:]] == [40_000, 10_002]


def test_a_header_block_larger_than_a_frame_continues() -> None:
    wire = Wire()
    wire.burst([(literal(b":path", b"/" + b"p" * 40_000), b"x")])
    sent = wire.sent()
    assert [(frame.kind, frame.flags) for frame in sent] == [
        (f.HEADERS, 0),
        (f.CONTINUATION, 0),
        (f.CONTINUATION, f.END_HEADERS),
        (f.DATA, f.END_STREAM),
    ]
    fields = Decoder().decode(b"".join(frame.payload for frame in sent[:3]), raw=True)
    assert dict(fields)[b":path"] == b"/" + b"p" * 40_000


def test_a_long_burst_leaves_in_bounded_slices() -> None:
    wire = Wire()
    wire.burst(holes(1000))
    first = wire.sender.next_slice(0.0)
    assert len(opened(split(first))) == 256
    assert wire.sender.more


def test_stream_ids_run_out_and_the_rest_stays_unsent() -> None:
    wire = Wire()
    wire.sender.next_id = 2**31 - 5
    ending = wire.burst(holes(5))
    assert opened(wire.sent()) == [2**31 - 5, 2**31 - 3, 2**31 - 1]
    assert wire.sender.exhausted
    wire.backlog.refuse("used up")
    wire.feed(b"".join(answer(stream_id) for stream_id in (2**31 - 5, 2**31 - 3, 2**31 - 1)))
    assert ending.results == [Answer(200, (), b"")] * 3 + [NotProcessed("used up")] * 2


def test_a_connection_window_beyond_its_range_ends_the_connection() -> None:
    with pytest.raises(PeerError, match="beyond"):
        Wire().feed(f.window_update(0, 2**31 - 1))


def test_an_initial_window_that_lifts_a_stream_beyond_its_range_ends_the_connection() -> None:
    wire = Wire(settings={f.INITIAL_WINDOW_SIZE: 10})
    wire.burst(holes(1, b"y" * 20_000))
    wire.sent()
    wire.feed(f.window_update(1, 2**31 - 200))
    with pytest.raises(PeerError, match="beyond"):
        wire.feed(f.settings({f.INITIAL_WINDOW_SIZE: 2**31 - 1}))


def test_abandoned_requests_are_reset_and_their_late_answers_ignored() -> None:
    wire = Wire(settings={f.MAX_CONCURRENT_STREAMS: 2})
    ending = wire.burst(holes(3))
    wire.sent()
    burst = wire.streams.open[1].burst
    wire.backlog.forget(burst)
    wire.sender.forget(burst)
    assert wire.sent() == [Frame(f.RST_STREAM, 0, 1, b"\0\0\0\x08"), Frame(f.RST_STREAM, 0, 3, b"\0\0\0\x08")]
    wire.feed(answer(1) + answer(3))
    assert ending.results is None
    assert wire.backlog.first is None


@given(
    st.lists(st.integers(0, 60_000), min_size=1, max_size=8),
    st.lists(
        st.one_of(
            st.tuples(st.just("connection"), st.integers(1, 50_000)),
            st.tuples(st.just("stream"), st.integers(1, 50_000)),
            st.tuples(st.just("initial"), st.integers(0, 100_000)),
            st.tuples(st.just("streams"), st.integers(0, 4)),
            st.tuples(st.just("frame"), st.integers(16_384, 70_000)),
        ),
        max_size=30,
    ),
)
def test_no_window_is_ever_overrun_and_every_body_arrives_whole(
    sizes: list[int], moves: list[tuple[str, int]]
) -> None:
    wire = Wire()
    wire.burst([(literal(b":path", b"/"), bytes([65 + n]) * size) for n, size in enumerate(sizes)], KEEPING)
    connection, initial, grown, got = 65_535, 65_535, dict.fromkeys(range(1, 99, 2), 0), dict[int, bytes]()

    def look() -> None:
        nonlocal connection
        for stream_id, body in bodies(wire.sent()).items():
            connection -= len(body)
            got[stream_id] = got.get(stream_id, b"") + body
            assert connection >= 0
            assert len(got[stream_id]) <= initial + grown[stream_id]

    look()
    for kind, amount in [*moves, ("streams", 100), ("initial", 100_000), ("connection", 1_000_000)]:
        if kind == "connection":
            connection += amount
            wire.feed(f.window_update(0, amount))
        elif kind == "stream" and wire.sender.next_id > 1:
            grown[wire.sender.next_id - 2] += amount
            wire.feed(f.window_update(wire.sender.next_id - 2, amount))
        elif kind == "initial":
            initial = amount
            wire.feed(f.settings({f.INITIAL_WINDOW_SIZE: amount}))
        elif kind in {"streams", "frame"}:
            key = f.MAX_CONCURRENT_STREAMS if kind == "streams" else f.MAX_FRAME_SIZE
            wire.feed(f.settings({key: amount}))
        look()
    assert got == {1 + 2 * n: b"<" + bytes([65 + n]) * size + b">" for n, size in enumerate(sizes)}


def test_a_template_serves_many_connections() -> None:
    for _ in range(2):
        wire = Wire()
        ending = wire.burst(holes(1), TEMPLATE)
        wire.sent()
        wire.feed(answer(1))
        assert ending.results == [Answer(200, (), b"")]
