"""Valid conversations, mixed, cut and damaged: they end in results or in a clean error, and are held cheaply."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from clarion.http2 import Limits, Template, Unknown
from clarion.http2.errors import PeerError

from .talk import PIECES
from .wire import KEEPING, TEMPLATE, Wire, held, holes

LIMITS = Limits(max_answer_octets=1000, max_header_octets=1000, max_idle_frames=200)
REQUESTS = 4
MOST_HELD = 400_000
"""Octets: the receiver's buffer of 131,072, its decoder and handlers, our requests, and what the limits allow."""


PIECE = st.builds(
    lambda piece, place: piece(1 + 2 * place), st.sampled_from(PIECES), st.integers(0, REQUESTS)
)
MUTATION = st.tuples(
    st.sampled_from(["flip", "drop", "double", "insert"]), st.integers(0, 2000), st.integers(0, 255)
)


def damaged(octets: bytes, mutations: list[tuple[str, int, int]]) -> bytes:
    for way, where, value in mutations:
        place = where % (len(octets) + 1)
        before, at, after = octets[:place], octets[place : place + 1], octets[place + 1 :]
        if way == "flip":
            at = bytes(octet ^ value for octet in at)
        elif way == "drop":
            at = b""
        elif way == "double":
            at = octets[place : place + value]
            after = octets[place:]
        else:
            at = bytes((value,)) + at
        octets = before + at + after
    return octets


@given(
    st.lists(PIECE, min_size=1, max_size=40).map(b"".join),
    st.lists(MUTATION, max_size=6),
    st.lists(st.integers(1, 60), max_size=60),
    st.booleans(),
    st.sampled_from([TEMPLATE, KEEPING]),
)
def test_damaged_conversations_end_in_results_or_in_a_clean_error(
    octets: bytes,
    mutations: list[tuple[str, int, int]],
    sizes: list[int],
    acknowledge: bool,
    template: Template,
) -> None:

    wire = Wire(LIMITS, acknowledge=acknowledge)
    ending = wire.burst(holes(REQUESTS, b"y" * 20_000), template)
    wire.sent()
    with contextlib.suppress(PeerError):
        wire.feed(damaged(octets, mutations), sizes)
    assert len(wire.sender.control) <= 2 * len(octets) + 10_000
    assert all(frame.stream_id <= 2 * REQUESTS for frame in wire.sent())
    assert held(wire.receiver) < MOST_HELD
    wire.backlog.refuse("over")
    wire.streams.settle_all(Unknown("over"))
    assert ending.results is not None
    assert len(ending.results) == REQUESTS
