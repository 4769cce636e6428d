"""The short way past the framework's router answers as the long way does."""

from typing import Any

import httpx
import pytest

from tests.api.caller import Caller
from tests.world import World


async def ways(caller: Caller, body: Any, **headers: str) -> tuple[httpx.Response, httpx.Response]:
    """The answers to the same POST by the short way and, with a slash at the end, by the long way."""
    given = {"Authorization": f"Bearer {caller.token}"} | headers
    short = await caller.http.post(caller.path, content=body, headers=given)
    long = await caller.http.post(caller.path + "/", content=body, headers=given)
    return short, long


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"content": {"text": "Approved"}, "scope": "ORG"}', 201),
        (b'{"content": {"text": "Approved"}, "scope": "ORG", "emails": ["a@example.com"]}', 201),
        (b'{"content": {}, "scope": "everybody"}', 400),
        (b"{", 400),
        (b"x" * 1_048_577, 413),
    ],
)
async def test_both_ways_answer_alike(caller: Caller, body: bytes, status: int) -> None:
    short, long = await ways(caller, body)
    assert short.status_code == long.status_code == status
    assert set(short.json()) == set(long.json())
    assert {name: short.headers.get(name) for name in ("content-type", "connection")} == {
        name: long.headers.get(name) for name in ("content-type", "connection")
    }
    if status != 201:
        assert short.json() == long.json()


@pytest.mark.parametrize("news", [0, 1])
async def test_both_ways_sync_alike(caller: Caller, world: World, news: int) -> None:
    inbox = caller.inbox(world.admin.user)
    watermark = (await caller.get(inbox)).json()["watermark"]
    for _ in range(news):
        await caller.send({"content": {"text": "Hi"}, "scope": "ORG"})
    for token, status in ((watermark, 200), (watermark[:-1], 400)):
        short = await caller.get(inbox, syncToken=token)
        long = await caller.get(inbox, syncToken=token, limit="50")
        assert short.status_code == long.status_code == status
        assert short.json() == long.json()
        assert {**short.headers} | {"x-request-id": ""} == {**long.headers} | {"x-request-id": ""}
    assert (await caller.get(inbox, syncToken=watermark)).json()["count"] == news


async def test_both_ways_refuse_a_stranger_alike(caller: Caller) -> None:
    short, long = await ways(caller.known_as("nobody"), b"{}")
    assert short.status_code == long.status_code == 401
    assert short.json() == long.json()
    assert short.headers["www-authenticate"] == long.headers["www-authenticate"]


async def test_both_ways_share_an_idempotency_key(caller: Caller) -> None:
    body = b'{"content": {"text": "Approved"}, "scope": "ORG"}'
    short, long = await ways(caller, body, **{"Idempotency-Key": "once"})
    assert short.json() == long.json()
    assert long.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in short.headers
