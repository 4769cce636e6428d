import contextlib
from collections.abc import Callable

import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

from clarion.http2 import Answer, Limits, NotProcessed, Result, Template, Unknown, literal
from clarion.http2 import frames as f
from clarion.http2.errors import PeerError
from clarion.http2.frames import Code
from clarion.http2.receiving import OUR_WINDOW

from .talk import PIECES, REASON
from .wire import (
    ACK,
    KEEPING,
    STATUS_201,
    STATUS_400,
    STATUS_410,
    TEMPLATE,
    WHOLE,
    Frame,
    Wire,
    answer,
    answer_with,
    holes,
    split,
)

OK = Answer(200, (), b"")


def results_of(
    octets: bytes,
    count: int = 1,
    *,
    template: Template = TEMPLATE,
    limits: Limits | None = None,
    acknowledge: bool = True,
) -> list[Result] | None:
    """Send a burst, let octets arrive, and return the results if all are there."""
    wire = Wire(limits, acknowledge=acknowledge)
    ending = wire.burst(holes(count), template)
    wire.sent()
    wire.feed(octets)
    return ending.results


def reset(stream_id: int, code: int) -> bytes:
    return f.rst_stream(stream_id, code)


# -- plain successes


def test_a_plain_success_is_a_shared_constant() -> None:
    results = results_of(answer(1) + answer(3), 2)
    assert results == [OK, OK]
    assert results[0] is results[1]


def test_answers_may_come_in_any_order() -> None:
    assert results_of(answer(5) + answer(1, STATUS_400) + answer(3), 3) == [Answer(400, (), b""), OK, OK]


def test_a_size_update_may_come_before_the_status() -> None:
    assert results_of(answer(1, b"\x20\x88")) == [OK]


def test_more_headers_after_a_plain_status_are_not_read() -> None:
    assert results_of(answer(1, b"\x88" + literal(b"server", b"nginx") + literal(b"date", b"today"))) == [OK]


def test_before_the_acknowledgement_a_success_is_decoded_and_plain_all_the_same() -> None:
    assert results_of(answer(1), acknowledge=False) == [OK]


def test_the_body_of_a_success_is_not_wanted() -> None:
    body = f.frame(f.DATA, 0, 1, b"abc") + f.frame(f.DATA, f.END_STREAM, 1, b"def")
    assert results_of(f.frame(f.HEADERS, f.END_HEADERS, 1, b"\x88") + body) == [OK]
    assert results_of(answer_with(1, b"\x88", b"abc")) == [OK]
    assert results_of(f.frame(f.HEADERS, f.END_HEADERS, 1, b"\x88")) is None


@pytest.mark.parametrize(
    "block", [STATUS_201, b"\x48\x03201", b"\x18\x03201", b"\x48\x82\x10\x03", b"\x0e\x03201"]
)
def test_201_is_learnt_from_the_first_one(block: bytes) -> None:
    wire = Wire()
    ending = wire.burst(holes(3))
    wire.sent()
    rest = literal(b"location", b"/x")
    wire.feed(answer(1, block + rest) + answer(3, block + rest) + answer_with(5, b"\x20" + block, b"x"))
    assert ending.results == [Answer(201, (), b"")] * 3
    assert ending.results[0] is ending.results[1]


def test_a_template_may_keep_its_successes() -> None:
    kept = Answer(200, ((b"apns-id", b"7"),), b"body")
    block = b"\x88" + literal(b"apns-id", b"7")
    assert results_of(answer_with(1, block, b"body"), template=KEEPING) == [kept]
    assert results_of(answer(1, block), template=KEEPING) == [Answer(200, kept.headers, b"")]


# -- other answers


def test_a_refusal_keeps_its_headers_and_its_body() -> None:
    block = STATUS_410 + literal(b"apns-id", b"7")
    assert results_of(answer_with(1, block, REASON)) == [Answer(410, ((b"apns-id", b"7"),), REASON)]


def test_padding_and_priority_are_taken_off() -> None:
    flags = f.END_HEADERS | f.PADDED | f.HAS_PRIORITY
    octets = f.frame(f.HEADERS, flags, 1, b"\x03" + b"\0\0\0\0\x10" + STATUS_400 + b"\0\0\0")
    octets += f.frame(f.DATA, f.END_STREAM | f.PADDED, 1, b"\x02" + REASON + b"\0\0")
    assert results_of(octets) == [Answer(400, (), REASON)]


def test_a_padded_success_is_plain_too() -> None:
    assert results_of(f.frame(f.HEADERS, WHOLE | f.PADDED, 1, b"\x01\x88\0")) == [OK]


def test_a_header_block_may_come_in_pieces() -> None:
    octets = f.frame(f.HEADERS, f.END_STREAM, 1, STATUS_410[:2]) + f.frame(f.CONTINUATION, 0, 1, b"")
    assert results_of(octets + f.frame(f.CONTINUATION, f.END_HEADERS, 1, STATUS_410[2:])) == [
        Answer(410, (), b"")
    ]


def test_interim_answers_are_passed_over() -> None:
    early = f.frame(f.HEADERS, f.END_HEADERS, 1, b"\x08\x03103" + literal(b"link", b"x"))
    assert results_of(early + early + answer(1)) == [OK]


def test_trailers_end_an_answer_and_are_dropped() -> None:
    start = f.frame(f.HEADERS, f.END_HEADERS, 1, STATUS_400) + f.frame(f.DATA, 0, 1, REASON)
    assert results_of(start + answer(1, literal(b"grpc-status", b"0"))) == [Answer(400, (), REASON)]
    start = f.frame(f.HEADERS, f.END_HEADERS, 1, b"\x88")
    assert results_of(start + answer(1, literal(b"grpc-status", b"0"))) == [OK]


def test_an_answer_beyond_the_limit_is_cut_and_its_stream_reset() -> None:
    wire = Wire(Limits(max_answer_octets=10))
    ending = wire.burst(holes(1))
    wire.sent()
    wire.feed(f.frame(f.HEADERS, f.END_HEADERS, 1, STATUS_400) + f.frame(f.DATA, 0, 1, b"0123456789abc"))
    assert ending.results == [Answer(400, (), b"0123456789")]
    assert wire.sent() == [Frame(f.RST_STREAM, 0, 1, b"\0\0\0\x08")]


def test_an_endless_body_of_a_success_is_cut_too() -> None:
    wire = Wire(Limits(max_answer_octets=10))
    ending = wire.burst(holes(1))
    wire.sent()
    wire.feed(f.frame(f.HEADERS, f.END_HEADERS, 1, b"\x88") + f.frame(f.DATA, 0, 1, bytes(11)))
    assert ending.results == [OK]
    assert wire.sent_kinds() == [f.RST_STREAM]


@pytest.mark.parametrize(
    "octets",
    [
        answer(1, literal(b"server", b"x")),
        answer(1, b"\x88\x88"),
        answer(1, b"\x08\x03abc"),
        answer(1, b"\x08\x03101"),
        answer(1, b"\x08\x03100"),
        answer(1, STATUS_400 + literal(b":path", b"/")),
        answer(1, STATUS_400 + b"\x00\x01A\x01x"),
        f.frame(f.DATA, f.END_STREAM, 1, b"body first"),
        f.frame(f.HEADERS, f.END_HEADERS, 1, STATUS_400) + f.frame(f.HEADERS, f.END_HEADERS, 1, b""),
        f.frame(f.HEADERS, f.END_HEADERS, 1, STATUS_400) + answer(1, STATUS_400),
    ],
)
def test_a_malformed_answer_is_unknown_and_its_stream_reset(octets: bytes) -> None:
    wire = Wire()
    ending = wire.burst(holes(2), KEEPING)
    wire.sent()
    wire.feed(octets + answer(3))
    assert ending.results is not None
    assert isinstance(ending.results[0], Unknown)
    assert ending.results[1] == OK
    assert wire.sent() == [Frame(f.RST_STREAM, 0, 1, b"\0\0\0\x01")]


# -- ends other than answers


def test_a_refused_stream_was_surely_not_processed() -> None:
    assert results_of(reset(1, Code.REFUSED_STREAM)) == [NotProcessed("refused: REFUSED_STREAM")]


def test_any_other_reset_leaves_the_request_unknown() -> None:
    assert results_of(reset(1, Code.INTERNAL_ERROR)) == [Unknown("reset by the peer: INTERNAL_ERROR")]
    assert results_of(reset(1, 0x77)) == [Unknown("reset by the peer: code 0x77")]
    assert results_of(f.frame(f.HEADERS, f.END_HEADERS, 1, b"\x88") + reset(1, Code.NO_ERROR)) == [
        Unknown("reset by the peer: NO_ERROR")
    ]


def test_a_reset_after_the_answer_changes_nothing() -> None:
    assert results_of(answer(1) + reset(1, Code.NO_ERROR) + answer(3), 2) == [OK, OK]


def test_an_answer_before_the_body_was_sent_counts_and_the_rest_is_not_sent() -> None:
    wire = Wire()
    ending = wire.burst([(literal(b":path", b"/"), b"y" * 70_000)])
    wire.sent()
    wire.feed(answer(1) + f.window_update(0, 100_000) + f.window_update(1, 100_000))
    assert ending.results == [OK]
    assert wire.sent() == [Frame(f.RST_STREAM, 0, 1, b"\0\0\0\0")]


def test_an_early_status_does_not_stop_the_body() -> None:
    wire = Wire()
    ending = wire.burst([(literal(b":path", b"/"), b"y" * 70_000)])
    wire.sent()
    wire.feed(f.frame(f.HEADERS, f.END_HEADERS, 1, b"\x88"))
    wire.feed(f.window_update(0, 100_000) + f.window_update(1, 100_000))
    assert wire.sent()[-1].flags == f.END_STREAM
    wire.feed(f.frame(f.DATA, f.END_STREAM, 1, b""))
    assert ending.results == [OK]


def test_goaway_frees_the_streams_above_its_id_and_leaves_those_below() -> None:
    wire = Wire(settings={f.MAX_CONCURRENT_STREAMS: 3})
    ending = wire.burst(holes(4))
    wire.sent()
    wire.feed(f.goaway(3, Code.NO_ERROR, b'{"reason":"Shutdown"}\n'))
    assert list(wire.streams.open) == [1, 3]
    assert not wire.sent()
    wire.feed(answer(3) + answer(1, STATUS_400))
    gone = NotProcessed('GOAWAY: NO_ERROR: {"reason":"Shutdown"}?')
    assert ending.results == [Answer(400, (), b""), OK, gone, gone]


def test_goaway_may_lower_its_id_later() -> None:
    wire = Wire()
    ending = wire.burst(holes(2))
    wire.sent()
    wire.feed(f.goaway(2**31 - 1, Code.NO_ERROR))
    assert list(wire.streams.open) == [1, 3]
    wire.feed(f.goaway(1, Code.ENHANCE_YOUR_CALM) + answer(1))
    assert ending.results == [OK, NotProcessed("GOAWAY: ENHANCE_YOUR_CALM")]


# -- the connection


def test_the_greeting_asks_for_stateless_answers_and_no_push() -> None:
    greeting = Wire().receiver.greeting()
    assert greeting.startswith(f.PREFACE)
    settings, update = split(greeting.removeprefix(f.PREFACE))
    values = dict(f.SETTING.iter_unpack(settings.payload))
    assert (values[f.HEADER_TABLE_SIZE], values[f.ENABLE_PUSH], values[f.INITIAL_WINDOW_SIZE]) == (
        0,
        0,
        65_535,
    )
    assert update.stream_id == 0


def test_settings_and_pings_are_acknowledged() -> None:
    wire = Wire()
    wire.feed(
        f.settings({0x99: 7}) + f.frame(f.PING, 0, 0, b"12345678") + f.frame(f.PING, f.ACK, 0, bytes(8))
    )
    assert wire.sent() == [Frame(f.SETTINGS, f.ACK, 0, b""), Frame(f.PING, f.ACK, 0, b"12345678")]


def test_what_fills_our_window_is_given_back_even_for_streams_that_are_over() -> None:
    wire = Wire()
    wire.burst(holes(1))
    wire.sent()
    wire.feed(answer(1))
    piece = f.frame(f.DATA, 0, 1, bytes(16_384))
    updates = []
    for _ in range(3 * OUR_WINDOW // 16_384):
        wire.feed(piece)
        updates += wire.sent()
    assert {frame.kind for frame in updates} == {f.WINDOW_UPDATE}
    given_back = sum(int.from_bytes(frame.payload, "big") for frame in updates)
    assert 2 * OUR_WINDOW <= given_back <= 3 * OUR_WINDOW


def test_frames_that_do_not_matter_are_ignored() -> None:
    octets = (
        f.frame(f.PRIORITY, 0, 1, bytes(5)) + f.frame(0xA, 0, 0, b"altsvc") + f.frame(0xFE, 0xFF, 9, b"?")
    )
    octets += f.window_update(1, 10) + f.settings({f.HEADER_TABLE_SIZE: 0, f.MAX_HEADER_LIST_SIZE: 1})
    assert results_of(octets + answer(1)) == [OK]


def test_the_reserved_bit_of_a_stream_id_is_ignored() -> None:
    assert results_of(f.frame(f.HEADERS, WHOLE, 0x8000_0001, STATUS_400)) == [Answer(400, (), b"")]


def test_a_peer_may_use_its_table_until_it_has_acknowledged_ours() -> None:
    encoder = Encoder()
    blocks = [encoder.encode([(":status", "403"), ("x-secret", "kept in the table")]) for _ in range(2)]
    wire = Wire(acknowledge=False)
    first, second = wire.burst(holes(2)), wire.burst(holes(1))
    wire.sent()
    wire.feed(answer(1, blocks[0]) + answer(3, blocks[1]))
    kept = Answer(403, ((b"x-secret", b"kept in the table"),), b"")
    assert first.results == [kept, kept]
    with pytest.raises(PeerError, match="unreadable header block"):
        wire.feed(ACK + answer(5, blocks[1]))
    assert second.results is None


def test_blocks_of_forgotten_streams_keep_the_table_in_step() -> None:
    encoder = Encoder()
    blocks = [encoder.encode([(":status", "403"), ("x-secret", "kept in the table")]) for _ in range(2)]
    wire = Wire(acknowledge=False)
    ending = wire.burst(holes(2))
    wire.sent()
    wire.sender.fail_stream(1, Code.CANCEL, "late")
    wire.feed(answer(1, blocks[0]) + answer(3, blocks[1]))
    assert ending.results == [Unknown("late"), Answer(403, ((b"x-secret", b"kept in the table"),), b"")]


def test_a_window_raised_by_nothing_or_too_far_fails_only_its_stream() -> None:
    for octets in (f.window_update(1, 0), f.window_update(1, 2**31 - 1) + f.window_update(1, 1)):
        wire = Wire()
        ending = wire.burst([(literal(b":path", b"/"), b"y" * 70_000)])
        wire.sent()
        wire.feed(octets)
        assert ending.results is not None
        assert isinstance(ending.results[0], Unknown)
        assert wire.sent_kinds() == [f.RST_STREAM]


BROKEN: dict[str, tuple[bytes, Code]] = {
    "a frame larger than allowed": (b"\x00\x40\x01" + bytes(6), Code.FRAME_SIZE_ERROR),
    "a whole frame larger than allowed": (
        f.frame(f.HEADERS, WHOLE, 1, b"\x88" * 16_385),
        Code.FRAME_SIZE_ERROR,
    ),
    "data on the connection": (f.frame(f.DATA, 0, 0, b"x"), Code.PROTOCOL_ERROR),
    "headers on the connection": (f.frame(f.HEADERS, WHOLE, 0, b"\x88"), Code.PROTOCOL_ERROR),
    "headers on a stream of the peer's": (f.frame(f.HEADERS, WHOLE, 2, b"\x88"), Code.PROTOCOL_ERROR),
    "headers on an idle stream": (f.frame(f.HEADERS, WHOLE, 99, b"\x88"), Code.PROTOCOL_ERROR),
    "a reset of an idle stream": (reset(99, 0), Code.PROTOCOL_ERROR),
    "a window of an idle stream": (f.window_update(99, 1), Code.PROTOCOL_ERROR),
    "a window raised by nothing": (f.window_update(0, 0), Code.PROTOCOL_ERROR),
    "a short window update": (f.frame(f.WINDOW_UPDATE, 0, 0, b"\0\0\1"), Code.FRAME_SIZE_ERROR),
    "settings on a stream": (f.frame(f.SETTINGS, 0, 1), Code.PROTOCOL_ERROR),
    "settings of a broken length": (f.frame(f.SETTINGS, 0, 0, b"12345"), Code.FRAME_SIZE_ERROR),
    "an acknowledgement with a payload": (f.frame(f.SETTINGS, f.ACK, 0, bytes(6)), Code.FRAME_SIZE_ERROR),
    "a window out of range": (f.settings({f.INITIAL_WINDOW_SIZE: 2**31}), Code.FLOW_CONTROL_ERROR),
    "a frame size out of range": (f.settings({f.MAX_FRAME_SIZE: 16_383}), Code.PROTOCOL_ERROR),
    "a server that lets us push": (f.settings({f.ENABLE_PUSH: 1}), Code.PROTOCOL_ERROR),
    "a push": (f.frame(f.PUSH_PROMISE, f.END_HEADERS, 1, bytes(8)), Code.PROTOCOL_ERROR),
    "a ping on a stream": (f.frame(f.PING, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    "a short ping": (f.frame(f.PING, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
    "a goaway on a stream": (f.frame(f.GOAWAY, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    "a short goaway": (f.frame(f.GOAWAY, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
    "a short reset": (f.frame(f.RST_STREAM, 0, 1, bytes(3)), Code.FRAME_SIZE_ERROR),
    "a short priority": (f.frame(f.PRIORITY, 0, 1, bytes(4)), Code.PROTOCOL_ERROR),
    "a continuation of nothing": (f.frame(f.CONTINUATION, f.END_HEADERS, 1, b"\x88"), Code.PROTOCOL_ERROR),
    "an interrupted block": (f.frame(f.HEADERS, 0, 1, b"\x88") + answer(1), Code.PROTOCOL_ERROR),
    "an unknown frame amid a block": (
        f.frame(f.HEADERS, 0, 1, b"") + f.frame(0xFE, 0, 0),
        Code.PROTOCOL_ERROR,
    ),
    "a continuation of another": (
        f.frame(f.HEADERS, 0, 1, b"") + f.frame(f.CONTINUATION, 0, 3, b""),
        Code.PROTOCOL_ERROR,
    ),
    "endless continuations": (
        f.frame(f.HEADERS, 0, 1, b"") + f.frame(f.CONTINUATION, 0, 1, b"") * 100,
        Code.ENHANCE_YOUR_CALM,
    ),
    "a huge block": (
        f.frame(f.HEADERS, 0, 1, bytes(16_000)) + f.frame(f.CONTINUATION, 0, 1, bytes(16_000)),
        Code.ENHANCE_YOUR_CALM,
    ),
    "more padding than payload": (f.frame(f.DATA, f.PADDED, 1, b"\x05abc"), Code.PROTOCOL_ERROR),
    "padding without a length": (f.frame(f.DATA, f.PADDED, 1), Code.PROTOCOL_ERROR),
    "no room for the priority": (f.frame(f.HEADERS, f.HAS_PRIORITY, 1, b"\0\0"), Code.FRAME_SIZE_ERROR),
    "a block that ends early": (answer(1, b"\x08\x05abc"), Code.COMPRESSION_ERROR),
    "a reference to no table": (answer(1, b"\xbe"), Code.COMPRESSION_ERROR),
    "a table larger than allowed": (answer(1, b"\x3f\xe1\x1f" + STATUS_400), Code.COMPRESSION_ERROR),
    "a header list that swells": (answer(1, STATUS_400 + b"\x90" * 8000), Code.COMPRESSION_ERROR),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_peer_that_breaks_a_rule_gets_a_clean_error(name: str) -> None:
    octets, code = BROKEN[name]
    wire = Wire()
    wire.burst(holes(2))
    wire.sent()
    with pytest.raises(PeerError) as caught:
        wire.feed(octets)
    assert caught.value.code == code


def test_the_first_frame_must_be_settings() -> None:
    for octets in (ACK, f.frame(f.PING, 0, 0, bytes(8)), f.goaway(0, 0)):
        wire = Wire()
        wire.receiver.greeted = False
        with pytest.raises(PeerError, match="not SETTINGS"):
            wire.feed(octets)


def test_more_than_our_window_ends_the_connection() -> None:
    wire = Wire()
    wire.burst(holes(1))
    wire.sent()
    wire.receiver._window = 10
    with pytest.raises(PeerError, match="our window"):
        wire.feed(f.frame(f.DATA, 0, 1, bytes(11)))


# -- any octets, any pieces


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=20), st.data())
def test_any_chunking_of_a_valid_stream_gives_the_same_results(
    builders: list[Callable[[int], bytes]], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(builders))))
    octets = b"".join(builders[place](1 + 2 * place) for place in order)
    sizes = data.draw(st.lists(st.integers(1, 40), max_size=200))

    def run(pieces: list[int]) -> tuple[list[Result] | None, list[Frame]]:
        wire = Wire()
        ending = wire.burst(holes(len(builders)))
        wire.sent()
        wire.feed(octets, pieces)
        return ending.results, wire.sent()

    whole, sent = run([])
    assert whole is not None
    assert run(sizes) == (whole, sent)
    assert run([1] * len(octets)) == (whole, sent)


ANY_FRAME = st.builds(
    f.frame,
    st.integers(0, 12),
    st.integers(0, 255),
    st.sampled_from([0, 1, 2, 3, 5, 7, 9, 101, 2**31 - 1]),
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([b"\x88", STATUS_400, STATUS_410, b"\0\0\0\x07", bytes(8), bytes(4), b""]),
        st.builds(f.SETTING.pack, st.integers(0, 8), st.integers(0, 2**32 - 1)),
    ),
)


@given(
    st.one_of(st.binary(max_size=400), st.lists(ANY_FRAME, max_size=30).map(b"".join)),
    st.lists(st.integers(1, 60), max_size=60),
    st.booleans(),
)
def test_any_octets_end_in_results_or_in_a_clean_error(
    octets: bytes, sizes: list[int], acknowledge: bool
) -> None:
    wire = Wire(acknowledge=acknowledge)
    ending = wire.burst(holes(4, b"y" * 20_000))
    wire.sent()
    with contextlib.suppress(PeerError):
        wire.feed(octets, sizes)
    assert all(frame.stream_id <= 7 for frame in wire.sent())
    wire.backlog.refuse("over")
    wire.streams.settle_all(Unknown("over"))
    assert ending.results is not None
    assert len(ending.results) == 4
    assert not wire.streams.open
    assert not wire.streams.unfinished
