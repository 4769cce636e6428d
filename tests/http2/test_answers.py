"""What an answer must be (RFC 9113 §8), and what becomes of a request whose answer is not."""

import pytest
from hpack import Encoder

from clarion.http2 import Answer, Limits, NotProcessed, Template, Unknown, literal
from clarion.http2 import frames as f
from clarion.http2.frames import Code

from .wire import KEEPING, STATUS_400, TEMPLATE, Frame, Wire, answer, answer_with, hole, holes

OK = Answer(200, (), b"")
STATUS_204 = b"\x89"
STATUS_304 = b"\x8b"
REFUSAL = b'{"reason":"BadDeviceToken"}'
WRONG_LENGTH = Unknown("an answer whose body is not as long as its content-length says")
RESET_1 = Frame(f.RST_STREAM, 0, 1, b"\0\0\0\x01")


def lengths(*values: bytes) -> bytes:
    return b"".join(literal(b"content-length", value) for value in values)


def after(
    octets: bytes, template: Template = TEMPLATE, limits: Limits | None = None
) -> tuple[object, list[Frame]]:
    """Return the result of one request to which these octets came, and what the client sent then."""
    wire = Wire(limits)
    ending = wire.burst([hole(0)], template)
    wire.sent()
    wire.feed(octets)
    return ending.results and ending.results[0], wire.sent()


@pytest.mark.parametrize("template", [TEMPLATE, KEEPING])
@pytest.mark.parametrize("said", [(), (b"27",), (b"027",), (b"27", b"27")])
def test_a_body_as_long_as_it_was_said_to_be_is_an_answer(
    template: Template, said: tuple[bytes, ...]
) -> None:
    result, sent = after(answer_with(1, STATUS_400 + lengths(*said), REFUSAL), template)
    assert isinstance(result, Answer)
    assert (result.status, result.body) == (400, REFUSAL)
    assert not sent


@pytest.mark.parametrize(
    "said", [(b"26",), (b"28",), (b"0",), (b"27", b"28"), (b"+27",), (b"",), (b"9" * 5000,)]
)
def test_a_body_of_another_length_than_was_said_leaves_the_request_unknown(said: tuple[bytes, ...]) -> None:
    result, sent = after(answer_with(1, STATUS_400 + lengths(*said), REFUSAL))
    assert result == WRONG_LENGTH
    assert sent == [RESET_1]


def test_an_answer_that_ends_before_its_body_is_unknown() -> None:
    assert after(answer(1, STATUS_400 + lengths(b"27"))) == (WRONG_LENGTH, [RESET_1])
    assert after(answer(1, STATUS_400 + lengths(b"0")))[1] == []


def test_padding_is_no_part_of_the_length() -> None:
    octets = f.frame(f.HEADERS, f.END_HEADERS, 1, STATUS_400 + lengths(b"27"))
    octets += f.frame(f.DATA, f.PADDED, 1, b"\x03" + REFUSAL[:10] + bytes(3))
    octets += f.frame(f.DATA, f.END_STREAM | f.PADDED, 1, b"\x01" + REFUSAL[10:] + bytes(1))
    result, _ = after(octets)
    assert isinstance(result, Answer)
    assert result.body == REFUSAL


def test_trailers_do_not_excuse_a_wrong_length() -> None:
    start = f.frame(f.HEADERS, f.END_HEADERS, 1, STATUS_400 + lengths(b"28"))
    start += f.frame(f.DATA, 0, 1, REFUSAL)
    assert after(start + answer(1, literal(b"grpc-status", b"0"))) == (WRONG_LENGTH, [RESET_1])


@pytest.mark.parametrize("block", [STATUS_204, STATUS_304])
def test_an_answer_without_a_body_may_say_any_length_but_have_none(block: bytes) -> None:
    block += lengths(b"27")
    result, _ = after(answer(1, block))
    assert isinstance(result, Answer)
    assert after(answer_with(1, block, b"x")) == (WRONG_LENGTH, [RESET_1])


def test_the_answer_to_head_says_the_length_of_what_it_leaves_out() -> None:
    head = Template(method="HEAD", authority="push.example", headers=[], keep_success=True)
    wire = Wire()
    ending = wire.burst(holes(2, b""), head)
    wire.sent()
    wire.feed(answer(1, b"\x88" + lengths(b"1000")) + answer_with(3, b"\x88" + lengths(b"1"), b"x"))
    assert ending.results == [Answer(200, ((b"content-length", b"1000"),), b""), WRONG_LENGTH]


def test_a_cut_answer_must_not_be_longer_than_it_said() -> None:
    start = f.frame(f.HEADERS, f.END_HEADERS, 1, STATUS_400 + lengths(b"1000"))
    limits = Limits(max_answer_octets=10)
    result, sent = after(start + f.frame(f.DATA, 0, 1, bytes(11)), limits=limits)
    assert isinstance(result, Answer)
    assert sent == [Frame(f.RST_STREAM, 0, 1, b"\0\0\0\x08")]
    assert after(start + f.frame(f.DATA, 0, 1, bytes(1001)), limits=limits) == (WRONG_LENGTH, [RESET_1])


def test_a_success_that_nobody_keeps_is_taken_at_its_status() -> None:
    assert after(answer_with(1, b"\x88" + lengths(b"5"), b"abc")) == (OK, [])


@pytest.mark.parametrize(
    "field",
    [
        (b"connection", b"close"),
        (b"keep-alive", b"timeout=5"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"),
        (b"proxy-connection", b"close"),
        (b"x", b"a\rb"),
        (b"x", b"a\nb"),
        (b"x", b"a\0b"),
        (b"x", b" a"),
        (b"x", b"a\t"),
        (b"X-Upper", b"a"),
        (b"", b"a"),
        (b"two words", b"a"),
        (b":path", b"/"),
        (b":status", b"400"),
    ],
)
def test_a_field_that_no_answer_may_have_makes_it_malformed(field: tuple[bytes, bytes]) -> None:
    name, value = field
    raw = b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
    assert after(answer(1, STATUS_400 + raw)) == (Unknown("malformed answer"), [RESET_1])
    trailers = f.frame(f.HEADERS, f.END_HEADERS, 1, STATUS_400) + answer(1, raw)
    assert after(trailers) == (Unknown("malformed trailers"), [RESET_1])


def test_several_interim_answers_may_come_before_the_one() -> None:
    encoder = Encoder()
    early = encoder.encode([(":status", "103"), ("link", "</a.css>; rel=preload")])
    interim = [b"\x08\x03100", early, b"\x08\x03102"]
    octets = b"".join(f.frame(f.HEADERS, f.END_HEADERS, 1, block) for block in interim)
    assert after(octets + answer(1)) == (OK, [])
    assert after(octets + answer_with(1, STATUS_400, REFUSAL)) == (Answer(400, (), REFUSAL), [])


def test_refused_after_a_status_is_no_promise_that_nothing_happened() -> None:
    refused = f.rst_stream(1, Code.REFUSED_STREAM)
    assert isinstance(after(refused)[0], NotProcessed)
    for block in (STATUS_400, b"\x88"):
        assert isinstance(after(f.frame(f.HEADERS, f.END_HEADERS, 1, block) + refused)[0], Unknown)


def test_the_reason_of_an_unreadable_block_does_not_quote_it() -> None:
    wire = Wire()
    ending = wire.burst(holes(1))
    wire.sent()
    with pytest.raises(Exception, match=r"^unreadable header block \(\w+\)$"):
        wire.feed(answer(1, STATUS_400 + b"\xff" * 4000))
    assert ending.results is None
