"""Every way in which a peer may end a stream or a connection, at every moment; without a socket."""

import pytest

from clarion.http2 import Answer, NotProcessed, Unknown, literal
from clarion.http2 import frames as f
from clarion.http2.errors import PeerError
from clarion.http2.frames import Code, code_name

from .wire import KEEPING, STATUS_400, Ending, Frame, Wire, answer, hole, holes

OK = Answer(200, (), b"")
CODES = [*Code, 0x77, 2**32 - 1]
LAST = f.LARGEST_STREAM_ID


def started(stream_id: int, block: bytes) -> bytes:
    return f.frame(f.HEADERS, f.END_HEADERS, stream_id, block)


MOMENTS = {
    "before the status": b"",
    "after an interim answer": started(1, b"\x08\x03103"),
    "after the status": started(1, STATUS_400),
    "amid the body": started(1, STATUS_400) + f.frame(f.DATA, 0, 1, b"half"),
    "after a plain status": started(1, b"\x88"),
    "amid a body that nobody wants": started(1, b"\x88") + f.frame(f.DATA, 0, 1, b"half"),
}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_reset_ends_its_request_alone(moment: str, code: int) -> None:
    wire = Wire()
    ending = wire.burst(holes(2))
    wire.sent()
    wire.feed(MOMENTS[moment] + f.rst_stream(1, code))
    assert list(wire.streams.open) == [3]
    wire.feed(answer(3))
    untouched = moment in {"before the status", "after an interim answer"}
    if code == Code.REFUSED_STREAM and untouched:
        assert ending.results == [NotProcessed("refused: REFUSED_STREAM"), OK]
    else:
        assert ending.results == [Unknown(f"reset by the peer: {code_name(code)}"), OK]
    assert not wire.sent()


@pytest.mark.parametrize("code", CODES)
def test_a_reset_after_the_end_changes_nothing(code: int) -> None:
    for end in (answer(1), answer(1, STATUS_400), started(1, b"\x88") + f.frame(f.DATA, f.END_STREAM, 1)):
        wire = Wire()
        ending = wire.burst(holes(2))
        wire.sent()
        wire.feed(end + f.rst_stream(1, code) + f.rst_stream(1, code) + answer(3))
        assert ending.results is not None
        assert all(isinstance(result, Answer) for result in ending.results)


@pytest.mark.parametrize("code", CODES)
def test_a_reset_amid_our_body_stops_it(code: int) -> None:
    wire = Wire()
    ending = wire.burst([(literal(b":path", b"/"), bytes(100_000)), hole(1)], KEEPING)
    wire.sent()
    wire.feed(f.rst_stream(1, code) + f.window_update(0, 100_000) + f.window_update(1, 100_000))
    assert {frame.stream_id for frame in wire.sent()} == {3}
    wire.feed(answer(3))
    assert ending.results is not None
    assert isinstance(ending.results[0], NotProcessed if code == Code.REFUSED_STREAM else Unknown)


@pytest.mark.parametrize("stream_id", [0, 2, 5, LAST])
def test_a_reset_of_a_stream_that_was_never_opened_ends_the_connection(stream_id: int) -> None:
    wire = Wire()
    wire.burst(holes(2))
    wire.sent()
    with pytest.raises(PeerError) as caught:
        wire.feed(f.rst_stream(stream_id, Code.CANCEL))
    assert caught.value.code == Code.PROTOCOL_ERROR


# -- GOAWAY


def leaving(*frames: bytes, count: int = 4) -> tuple[Wire, Ending]:
    """Send a burst and let the peer say these GOAWAYs."""
    wire = Wire()
    ending = wire.burst(holes(count))
    wire.sent()
    for frame in frames:
        wire.feed(frame)
    return wire, ending


@pytest.mark.parametrize(
    ("last", "kept"),
    [
        (0, []),
        (1, [1]),
        (2, [1]),
        (3, [1, 3]),
        (5, [1, 3, 5]),
        (7, [1, 3, 5, 7]),
        (8, [1, 3, 5, 7]),
        (9, [1, 3, 5, 7]),
        (LAST, [1, 3, 5, 7]),
    ],
)
@pytest.mark.parametrize("code", CODES)
def test_goaway_frees_what_is_above_its_last_id_and_leaves_the_rest_its_answers(
    last: int, kept: list[int], code: int
) -> None:
    wire, ending = leaving(f.goaway(last, code))
    assert list(wire.streams.open) == kept
    for stream_id in kept:
        wire.feed(answer(stream_id))
    freed = NotProcessed(f"GOAWAY: {code_name(code)}")
    assert ending.results == [OK] * len(kept) + [freed] * (4 - len(kept))


def test_a_warning_and_then_a_last_id_are_followed() -> None:
    wire, ending = leaving(f.goaway(LAST, 0), f.goaway(5, 0), f.goaway(5, 0), f.goaway(3, 0))
    assert list(wire.streams.open) == [1, 3]
    wire.feed(answer(1) + answer(3))
    assert ending.results == [OK, OK] + [NotProcessed("GOAWAY: NO_ERROR")] * 2


@pytest.mark.parametrize(("first", "second"), [(0, 1), (3, 5), (3, LAST), (LAST - 1, LAST)])
def test_a_last_id_that_grows_ends_the_connection(first: int, second: int) -> None:
    with pytest.raises(PeerError, match="takes back") as caught:
        leaving(f.goaway(first, 0), f.goaway(second, 0))
    assert caught.value.code == Code.PROTOCOL_ERROR


def test_answers_to_freed_streams_are_not_heard() -> None:
    wire, ending = leaving(f.goaway(1, 0))
    wire.feed(answer(3) + answer(7, STATUS_400) + f.rst_stream(5, Code.INTERNAL_ERROR) + answer(1))
    assert ending.results == [OK] + [NotProcessed("GOAWAY: NO_ERROR")] * 3


def test_nothing_is_sent_after_goaway_but_the_bodies_it_covers() -> None:
    wire = Wire()
    ending = wire.burst([(literal(b":path", b"/"), bytes(60_000))] * 2, KEEPING)
    wire.sent()
    wire.feed(f.goaway(1, 0) + f.window_update(0, 200_000) + f.window_update(1, 200_000))
    assert {frame.stream_id for frame in wire.sent()} <= {1}
    wire.feed(answer(1))
    assert ending.results == [OK, NotProcessed("GOAWAY: NO_ERROR")]


def test_what_a_goaway_says_is_kept_short_and_printable() -> None:
    wire, _ = leaving(f.goaway(0, Code.ENHANCE_YOUR_CALM, b"too_many\x00\x1b[31m\xff" + b"x" * 10_000))
    assert wire.receiver.leaving is not None
    assert wire.receiver.leaving.startswith("GOAWAY: ENHANCE_YOUR_CALM: too_many??[31m\\xff")
    assert wire.receiver.leaving.isprintable()
    assert len(wire.receiver.leaving) < 400


# -- what else a peer may announce


def test_a_table_that_shrinks_is_acknowledged_in_the_next_block_alone() -> None:
    for octets, begins in ((0, b"\x20"), (100, b"\x20"), (4096, b""), (65_536, b"")):
        wire = Wire(settings={f.HEADER_TABLE_SIZE: octets})
        wire.burst(holes(3))
        first, *others = [frame.payload for frame in wire.sent() if frame.kind == f.HEADERS]
        assert first.startswith(begins + b"\x83")
        assert all(block.startswith(b"\x83") for block in others)


def test_a_table_that_shrinks_and_grows_in_one_frame_has_shrunk() -> None:
    wire = Wire()
    wire.feed(f.frame(f.SETTINGS, 0, 0, f.SETTING.pack(1, 0) + f.SETTING.pack(1, 4096)))
    wire.burst(holes(1))
    assert [frame.payload[:1] for frame in wire.sent() if frame.kind == f.HEADERS] == [b"\x20"]


def test_of_many_windows_in_one_frame_the_last_one_counts() -> None:
    wire = Wire()
    windows = b"".join(f.SETTING.pack(f.INITIAL_WINDOW_SIZE, size) for size in (7, 2**31 - 1, 0, 5))
    wire.feed(f.frame(f.SETTINGS, 0, 0, windows))
    wire.burst([(literal(b":path", b"/"), bytes(10))], KEEPING)
    assert [len(frame.payload) for frame in wire.sent() if frame.kind == f.DATA] == [5]


def test_a_window_that_opens_octet_by_octet_lets_a_body_through() -> None:
    wire = Wire(settings={f.INITIAL_WINDOW_SIZE: 0})
    ending = wire.burst(holes(1, b"y" * 198), KEEPING)
    sent = wire.sent()
    for _ in range(200):
        wire.feed(f.window_update(1, 1))
        sent += wire.sent()
    assert [len(frame.payload) for frame in sent if frame.kind == f.DATA] == [1] * 200
    assert sent[-1] == Frame(f.DATA, f.END_STREAM, 1, b">")
    wire.feed(answer(1))
    assert ending.results == [OK]
