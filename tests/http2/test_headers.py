import pytest
from hpack import Decoder, NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from clarion.http2 import Template, authority, literal

NAMES = st.one_of(
    st.sampled_from([b":path", b"authorization", b"apns-id", b"ttl", b"content-type", b"www-authenticate"]),
    st.from_regex(rb"[a-z][a-z0-9\-]{0,200}", fullmatch=True),
)
VALUES = st.binary(max_size=600).map(lambda value: value.translate(None, b"\0\r\n").strip(b" \t"))


def decode(block: bytes) -> list[tuple[bytes, bytes]]:
    """Decode as a peer does that has no dynamic table at all."""
    decoder = Decoder()
    decoder.header_table_size = decoder.max_allowed_table_size = 0
    return [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]


def test_a_path_is_a_literal_under_its_static_name() -> None:
    assert literal(b":path", b"/3/device/ab") == b"\x04\x0c/3/device/ab"


@given(NAMES, VALUES)
def test_every_literal_reads_back(name: bytes, value: bytes) -> None:
    assert decode(literal(name, value)) == [(name, value)]


@pytest.mark.parametrize("value", [b"a\r\nb", b"a\nb", b"a\0b", b" a", b"a\t"])
def test_a_literal_refuses_octets_that_no_header_may_hold(value: bytes) -> None:
    with pytest.raises(ValueError, match="must not hold"):
        literal(b"apns-id", value)


@pytest.mark.parametrize("name", [b"Upper", b"", b"with space", b"a:b"])
def test_a_literal_refuses_names_that_http2_does_not_know(name: bytes) -> None:
    with pytest.raises(ValueError, match="not a header name"):
        literal(name, b"x")


def test_a_template_and_its_hole_make_one_block_without_any_table() -> None:
    template = Template(
        method="POST",
        authority="api.push.example",
        headers=[
            ("accept-encoding", "gzip, deflate"),
            ("apns-topic", "com.example"),
            ("authorization", "bearer x"),
        ],
    )
    block = template.plain[0] + literal(b":path", b"/a") + template.plain[1]
    assert decode(block) == [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"api.push.example"),
        (b":path", b"/a"),
        (b"accept-encoding", b"gzip, deflate"),
        (b"apns-topic", b"com.example"),
        (b"authorization", b"bearer x"),
    ]


@pytest.mark.parametrize(
    ("host", "port", "named"),
    [
        ("push.example", 443, "push.example"),
        ("push.example", 2197, "push.example:2197"),
        ("::1", 443, "[::1]"),
        ("::1", 8443, "[::1]:8443"),
    ],
)
def test_an_authority_names_a_port_that_is_not_the_usual_one(host: str, port: int, named: str) -> None:
    assert authority(host, port) == named


def test_a_secret_is_marked_as_never_to_be_indexed() -> None:
    template = Template(method="POST", authority="a", headers=[("authorization", "bearer x"), ("ttl", "60")])
    for _, end in (template.plain, template.teaching):
        secret, plain = Decoder().decode(end, raw=True)
        assert isinstance(secret, NeverIndexedHeaderTuple)
        assert not isinstance(plain, NeverIndexedHeaderTuple)


@pytest.mark.parametrize("name", [":path", "Content-Type", "connection", "host", "transfer-encoding", "te"])
def test_a_template_refuses_headers_that_http2_forbids(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a header"):
        Template(method="POST", authority="a", headers=[(name, "x")])


def test_a_template_refuses_a_value_with_a_line_break() -> None:
    with pytest.raises(ValueError, match="must not hold"):
        Template(method="POST", authority="a", headers=[("apns-topic", "a\nb")])
