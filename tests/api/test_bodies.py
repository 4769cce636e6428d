"""Bodies that are no JSON, or JSON that receivers read differently, or too much of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar import Request
from litestar.datastructures import State
from structlog.testing import capture_logs

from clarion.api.app import create_app
from clarion.api.body import read_body
from clarion.api.patience import Patience
from clarion.model.errors import TooSlow
from tests.api.caller import Caller, count_rows, faults, make_door
from tests.api.test_refusals import refused
from tests.world import World

GOOD = b'{"content":{"text":"Hi"},"scope":"ORG"}'
MOST = 1_048_576


def with_inputs(inputs: bytes) -> bytes:
    return b'{"content":{"text":"Hi","inputs":{"a":%s}},"scope":"ORG"}' % inputs


def padded(size: int) -> bytes:
    """A good body of exactly so many octets."""
    frame = with_inputs(b'""')
    return with_inputs(b'"%s"' % (b"x" * (size - len(frame))))


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"\0", b"Hello", b"{", b"}", b'{"content"', b"{'scope':'ORG'}", GOOD + b"}", GOOD + GOOD,
        GOOD[:-1] + b",}", b"{/* no */}", b'{"a":01}', b'{"a":+1}', b'{"a":.5}', b'{"a":"\n"}', b'{"a":"\\x"}',
        b'{"a":"\\u12"}', b'{"a":"\0"}', b'{"a":undefined}', b'{"a":0x10}', b"content=Hi", b"<xml/>",
        GOOD.replace(b"Hi", b"\xff"), GOOD.replace(b"Hi", b"\xc3"), GOOD.replace(b"Hi", b"\xc0\x80"),
        GOOD.replace(b"Hi", b"\xed\xa0\x80"), GOOD.replace(b"Hi", b"\xf5\x80\x80\x80"),
        GOOD.decode().encode("utf-16"), GOOD.decode().encode("utf-16-le"), GOOD.decode().encode("utf-16-be"),
        GOOD.decode().encode("utf-32"), b"\xef\xbb\xbf\xef\xbb\xbf" + GOOD,
        b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000, with_inputs(b"1" * 5_000),
    ],
)  # fmt: skip
async def test_what_is_not_json_is_refused(caller: Caller, world: World, body: bytes) -> None:
    answer = await caller.send_octets(body)
    assert set(await refused(answer, world)) == {""}
    assert len(answer.json()["message"]) < 300


@pytest.mark.parametrize(
    "body", [b"[]", b"[" + GOOD + b"]", b'"Hi"', b"1", b"null", b"true", b"NaN", b"1e999"]
)
async def test_json_that_is_no_object_is_refused(caller: Caller, world: World, body: bytes) -> None:
    assert await refused(await caller.send_octets(body), world) == {"": "must be a JSON object"}


async def test_a_byte_order_mark_is_forgiven(caller: Caller) -> None:
    assert (await caller.send_octets(b"\xef\xbb\xbf" + GOOD)).status_code == 201


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        (b"NaN", "content.inputs.a"),
        (b"Infinity", "content.inputs.a"),
        (b"-Infinity", "content.inputs.a"),
        (b"1e999", "content.inputs.a"),
        (b"-1e999", "content.inputs.a"),
        (b"[1,[2,{'b':-1E+400}]]".replace(b"'", b'"'), "content.inputs.a[1][1].b"),
        (b'"\\u0000"', "content.inputs.a"),
        (b'"\\ud800"', "content.inputs.a"),
        (b'"\\uDFFF x"', "content.inputs.a"),
        (b'"\\udc00\\ud800"', "content.inputs.a"),
        (b'["x","\\uD83D"]', "content.inputs.a[1]"),
        (b'{"\\u0000":1}', "content.inputs.a"),
        (b'{"\\ud800":1}', "content.inputs.a"),
        (b'{"b":1,"b":1}', "content.inputs.a.b"),
        (b'[{"b":{"c":1,"d":2,"c":3}}]', "content.inputs.a[0].b.c"),
        (b'{"\\u0062":1,"b":2}', "content.inputs.a.b"),
    ],
)
async def test_a_value_that_readers_disagree_about_is_named(
    caller: Caller, world: World, inputs: bytes, path: str
) -> None:
    assert set(await refused(await caller.send_octets(with_inputs(inputs)), world)) == {path}


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        (b'{"content":{"text":"Hi"},"scope":"ORG","scope":"ORG"}', {"scope"}),
        (b'{"content":{"text":"Hi","text":"Ho"},"scope":"ORG"}', {"content.text"}),
        (b'{"content":{"text":"Hi"},"content":{"text":"Ho"},"scope":"ORG"}', {"content"}),
        (b'{"content":{"text":"\\u0000"},"scope":"ORG"}', {"content.text"}),
        (b'{"content":{"text":"\\ud83d"},"scope":"ORG"}', {"content.text"}),
        (b'{"content":{"text":"Hi","title":"\\udfff"},"scope":"ORG"}', {"content.title"}),
        (b'{"content":{"text":NaN},"scope":"ORG"}', {"content.text"}),
        (b'{"content":{"text":"Hi"},"scope":"\\ud83d"}', {"scope"}),
        (b'{"content":{"text":"Hi"},"scope":"ORG","startAt":Infinity}', {"startAt"}),
        (b'{"content":{"text":"Hi"},"scope":"USR","emails":"a\\u0000@example.com"}', {"emails"}),
        (b'{"content":{"text":"Hi"},"scope":"USR","emails":["a\\ud800@example.com"]}', {"emails[0]"}),
        (b'{"content":{"text":"Hi"},"scope":"ORG","solutionId":"\\ud800"}', {"solutionId"}),
        (b'{"content":{"text":"Hi"},"scope":"ORG","description":"\\u0000"}', {"description"}),
        (b'{"content":{"text":"Hi"},"scope":"ORG","a\\u0000":1}', {"", "a\0"}),
        (b'{"content":{"text":"Hi"},"scope":"ORG","a\\ud800":1}', {""}),
        (b'{"content":{"text":"Hi","\\ud800":1},"scope":"ORG"}', {"content"}),
    ],
)
async def test_oddities_are_found_wherever_they_are(
    caller: Caller, world: World, body: bytes, paths: set[str]
) -> None:
    assert set(await refused(await caller.send_octets(body), world)) == paths


async def test_a_pair_of_surrogates_is_one_character(caller: Caller) -> None:
    answer = await caller.send_octets(GOOD.replace(b"Hi", b"\\ud83c\\udf89"))
    assert answer.status_code == 201
    assert answer.json()["content"]["text"] == "🎉"


async def test_a_hundred_thousand_keys_of_which_one_repeats_are_read_quickly(
    caller: Caller, world: World
) -> None:
    keys = b",".join(b'"%x":0' % number for number in range(100_000))
    answer = await caller.send_octets(with_inputs(b'{%s,"0":1}' % keys))
    assert set(await refused(answer, world)) == {"content.inputs.a.0"}


@pytest.mark.parametrize("opening", [b"[", b'{"k":'])
async def test_json_may_be_32_deep(caller: Caller, world: World, opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"

    def nested(depth: int) -> bytes:
        own = depth - 3  # the body, content and inputs
        return with_inputs(opening * own + b"1" + closing * own)

    assert list((await refused(await caller.send_octets(nested(33)), world)).values()) == [
        "is nested more than 32 deep"
    ]
    assert await refused(await caller.send_octets(nested(100)), world)
    assert (await caller.send_octets(nested(32))).status_code == 201


async def test_a_body_of_one_mebibyte_is_taken_and_comes_back_whole(caller: Caller) -> None:
    answer = await caller.send_octets(padded(MOST))
    assert answer.status_code == 201
    fetched = await caller.get(f"{caller.path}/{answer.json()['notificationId']}")
    assert set(fetched.json()["content"]["inputs"]["a"]) == {"x"}


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


@pytest.mark.parametrize("size", [MOST + 1, MOST + 2, 3 * MOST])
@pytest.mark.parametrize("declared", [True, False])
async def test_a_larger_body_is_refused_whether_its_length_is_declared_or_not(
    caller: Caller, world: World, size: int, declared: bool
) -> None:
    body = padded(size)
    answer = await caller.send_octets(body if declared else in_pieces(body))
    assert answer.status_code == 413
    assert await count_rows(world) == 0
    assert faults(answer) == {}
    assert answer.json()["code"] == "body_too_large"
    assert answer.headers["connection"] == "close"


async def test_a_body_in_many_pieces_is_put_together(caller: Caller) -> None:
    assert (await caller.send_octets(in_pieces(padded(MOST)))).status_code == 201


@pytest.mark.parametrize(
    "media_type",
    [
        None, "application/json", "APPLICATION/JSON", "application/json; charset=utf-8",
        "application/json;charset=UTF-8", "application/json ; odata=verbose",
        "application/vnd.example+json", "application/merge-patch+json", "",
    ],
)  # fmt: skip
async def test_json_may_be_declared_in_any_way_or_not_at_all(caller: Caller, media_type: str | None) -> None:
    assert (await caller.send_octets(GOOD, media_type)).status_code == 201


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "text/html; charset=utf-8", "application/x-www-form-urlencoded", "application/xml",
     "multipart/form-data; boundary=x", "application/jsonp", "application/octet-stream", "garbage", "*/*"],
)  # fmt: skip
async def test_a_body_declared_as_something_else_is_refused(
    caller: Caller, world: World, media_type: str
) -> None:
    answer = await caller.send_octets(GOOD, media_type)
    assert await refused(answer, world, 415) == {}
    assert answer.json()["code"] == "not_json"


async def test_a_caller_who_may_not_send_learns_nothing_about_the_body(caller: Caller) -> None:
    answer = await caller.known_as(None).send_octets(b"{", "text/plain")
    assert answer.status_code == 401


async def test_a_sender_who_goes_away_in_the_middle_is_no_fault_of_ours(caller: Caller, world: World) -> None:
    pieces: list[dict[str, object]] = [
        {"type": "http.request", "body": GOOD[:10], "more_body": True},
        {"type": "http.disconnect"},
    ]
    with capture_logs() as lines:
        sent = await pass_on(caller, world, pieces)
    assert sent[0]["status"] == 400
    assert not [line for line in lines if line["log_level"] == "error"]
    assert await count_rows(world) == 0


async def test_a_body_that_does_not_arrive_is_given_up() -> None:
    async def silence() -> Any:
        await asyncio.Event().wait()

    scope: Any = {"type": "http", "method": "POST", "headers": []}
    request: Request[None, None, State] = Request(scope, receive=silence)
    with pytest.raises(TooSlow, match=r"within 0\.01 seconds"):
        await read_body(request, Patience(seconds=0.01))


async def pass_on(caller: Caller, world: World, pieces: list[dict[str, object]]) -> list[dict[str, Any]]:
    """What the application sends when the server hands it these messages."""
    application = create_app(make_door(world))
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": caller.path, "raw_path": caller.path.encode(), "query_string": b"",
        "root_path": "", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
        "headers": [(b"authorization", f"bearer {caller.token}".encode())],
    }  # fmt: skip
    waiting = iter(pieces)

    async def receive() -> Any:
        return next(waiting)

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)  # type: ignore[arg-type]
    return sent
