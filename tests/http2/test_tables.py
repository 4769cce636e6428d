"""What we ask a peer to remember: its table and ours must never disagree, whatever is sent in whatever order."""

import pytest
from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from clarion.http2 import Template
from clarion.http2 import frames as f

from .wire import Frame, Wire, answer, hole

SECRET = "bearer " + "s" * 60


def template(*headers: tuple[str, str]) -> Template:
    given_ = [("authorization", SECRET), *headers]
    return Template(method="POST", authority="push.example", headers=given_, body=(b"{}", b""))


FIELDS = [
    ("apns-topic", "com.example"),
    ("content-type", "application/json"),
    ("accept-encoding", "gzip, deflate"),
]
SMALL = template(*FIELDS)
TEMPLATES = [
    SMALL,
    template(("apns-topic", "com.example.other"), ("ttl", "60")),
    template(),
    template(*((f"x-{number}", "v" * 100) for number in range(27))),  # nearly all of the table
    template(("x-large", "v" * 5_000)),  # more than the table
    template(*((f"x-{number}", "v") for number in range(80))),  # indices of two octets
]


class Listener:
    """A peer that follows the rules of RFC 7541 to the letter."""

    def __init__(self) -> None:
        self._decoder = Decoder(max_header_list_size=1 << 20)

    def set_table_size(self, octets: int) -> None:
        self._decoder.max_allowed_table_size = octets

    def fields(self, frame: Frame) -> list[tuple[bytes, bytes]]:
        read = self._decoder.decode(frame.payload, raw=True)
        return [(bytes(name), bytes(value)) for name, value in read]


def blocks(wire: Wire) -> list[Frame]:
    return [frame for frame in wire.sent() if frame.kind == f.HEADERS]


def expected(one: Template, number: int) -> list[tuple[bytes, bytes]]:
    start, end = one.plain
    read = Decoder(max_header_list_size=1 << 20).decode(start + hole(number)[0] + end, raw=True)
    return [(bytes(name), bytes(value)) for name, value in read]


def test_from_the_second_request_on_only_the_secret_and_the_hole_are_spelt_out() -> None:
    wire, listener = Wire(), Listener()
    wire.burst([hole(number) for number in range(3)], SMALL)
    first, *others = blocks(wire)
    assert [listener.fields(each) for each in (first, *others)] == [expected(SMALL, n) for n in range(3)]
    secret = len(Template(method="POST", authority="", headers=[("authorization", SECRET)]).plain[1])
    assert [len(each.payload) for each in others] == [2 + 1 + len(hole(1)[0]) + secret + len(FIELDS)] * 2
    assert len(first.payload) > len(others[0].payload) + 30


def test_a_peer_without_a_table_gets_everything_every_time() -> None:
    wire, listener = Wire(settings={f.HEADER_TABLE_SIZE: 0}), Listener()
    listener.set_table_size(0)
    wire.burst([hole(number) for number in range(3)], SMALL)
    sent = blocks(wire)
    assert [listener.fields(each) for each in sent] == [expected(SMALL, n) for n in range(3)]
    assert [len(each.payload) for each in sent][1:] == [len(sent[0].payload) - 1] * 2, "the first says so"


def test_a_template_that_does_not_fit_the_table_leaves_it_alone() -> None:
    wire, listener = Wire(), Listener()
    for one in (SMALL, TEMPLATES[4], SMALL):
        wire.burst([hole(0), hole(1)], one)
    sent = blocks(wire)
    assert [listener.fields(each) for each in sent] == [
        expected(one, n) for one in (SMALL, TEMPLATES[4], SMALL) for n in range(2)
    ]
    assert len(sent[4].payload) == len(sent[5].payload) == len(sent[1].payload)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(TEMPLATES), st.integers(1, 4), st.sampled_from([None, 0, 100, 4095, 4096, 65_536])
        ),
        max_size=12,
    )
)
def test_a_peer_reads_what_was_meant(steps: list[tuple[Template, int, int | None]]) -> None:
    wire, listener = Wire(), Listener()
    stream_id = 1
    for one, count, table_size in steps:
        if table_size is not None:
            wire.feed(f.settings({f.HEADER_TABLE_SIZE: table_size}))
            listener.set_table_size(table_size)
        wire.burst([hole(number) for number in range(count)], one)
        sent = blocks(wire)
        assert [listener.fields(each) for each in sent] == [expected(one, number) for number in range(count)]
        for _ in range(count):
            wire.feed(answer(stream_id))
            stream_id += 2


@pytest.mark.parametrize("name", ["authorization", "cookie", "proxy-authorization"])
def test_a_secret_is_never_remembered(name: str) -> None:
    one = Template(method="POST", authority="a", headers=[(name, "secret")])
    assert one.plain[1] == one.teaching[1] == one.short[1]
