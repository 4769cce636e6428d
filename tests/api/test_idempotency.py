"""Repeating a request safely: the Idempotency-Key."""

import asyncio

import httpx
import pytest

from clarion.model.access import Role
from tests.api.caller import Caller, Json, add_caller, count_rows, faults
from tests.clock import Clock
from tests.world import World

DAY = 86_400
GOOD: Json = {"content": {"text": "Hi"}, "scope": "ORG"}


async def send(caller: Caller, key: str, body: Json = GOOD) -> httpx.Response:
    return await caller.send(body, Idempotency_Key=key)


async def test_the_same_key_and_body_answer_as_the_first_time(
    caller: Caller, world: World, clock: Clock
) -> None:
    await world.add_member("one@example.com")
    body = {
        "content": {"text": "Hi", "inputs": {"n": 34}}, "scope": "USR", "groups": "sales",
        "emails": ["stranger@example.com", "ONE@example.com"], "description": "d",
    }  # fmt: skip
    first = await send(caller, "a key", body)
    assert "idempotency-replayed" not in first.headers
    stored = await count_rows(world)
    clock.move(seconds=DAY, milliseconds=-1)
    again = await send(caller, "a key", body)
    assert again.status_code == 201
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert await count_rows(world) == stored


async def test_the_answer_stays_the_first_one_after_the_notification_was_cancelled(caller: Caller) -> None:
    first = await send(caller, "k")
    await caller.delete(f"{caller.path}/{first.json()['notificationId']}")
    assert (await send(caller, "k")).content == first.content


async def test_the_answer_stays_the_first_one_for_a_scheduled_notification(caller: Caller) -> None:
    body = GOOD | {"startAt": "2025-06-15T15:06:41Z"}
    first = await send(caller, "k", body)
    assert (await send(caller, "k", body)).content == first.content


async def test_the_answer_stays_sent_for_somebody_without_a_device(caller: Caller, world: World) -> None:
    await world.add_member("new@example.com", phones=0)
    body = {"content": {"text": "Hi"}, "scope": "USR", "emails": "new@example.com"}
    first = await send(caller, "k", body)
    assert first.json()["state"] == "SENT"
    assert (await send(caller, "k", body)).content == first.content


async def test_the_same_key_with_another_body_is_a_conflict(caller: Caller, world: World) -> None:
    await send(caller, "k")
    stored = await count_rows(world)
    answer = await send(caller, "k", GOOD | {"description": "another"})
    assert answer.status_code == 409
    assert faults(answer) == {}
    assert answer.json()["code"] == "idempotency_key_reused"
    assert await count_rows(world) == stored


async def test_a_key_is_free_again_after_a_day(caller: Caller, clock: Clock) -> None:
    first = await send(caller, "k")
    clock.move(seconds=DAY)
    again = await send(caller, "k", GOOD | {"description": "another"})
    assert again.status_code == 201
    assert again.json()["notificationId"] != first.json()["notificationId"]
    assert (await send(caller, "k", GOOD | {"description": "another"})).content == again.content


async def test_a_refused_request_does_not_use_its_key(caller: Caller) -> None:
    assert (await send(caller, "k", {"scope": "ORG"})).status_code == 400
    body = {"content": {"text": "Hi"}, "scope": "USR", "emails": "stranger@example.com"}
    assert (await send(caller, "k", body)).status_code == 400
    assert (await send(caller, "k")).status_code == 201


async def test_a_key_belongs_to_its_user(caller: Caller, world: World) -> None:
    other, _ = await add_caller(caller, world, "other@example.com", Role.ADMIN)
    first, second = await send(caller, "k"), await send(other, "k")
    assert second.status_code == 201
    assert first.json()["notificationId"] != second.json()["notificationId"]


@pytest.mark.parametrize("key", ["k", "K" * 255, "with blanks inside", "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~"])
async def test_a_key_may_be_any_printable_text(caller: Caller, key: str) -> None:
    first = await send(caller, key)
    assert first.status_code == 201
    assert (await send(caller, key)).headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("key", [b"", b"k" * 256, b"tab\there", b"\x7f", "clé".encode(), b"\xff"])
async def test_a_key_in_another_form_is_refused(caller: Caller, world: World, key: bytes) -> None:
    headers = [(b"Authorization", f"BEARER {caller.token}".encode()), (b"Idempotency-Key", key)]
    answer = await caller.http.post(caller.path, json=GOOD, headers=headers)
    assert answer.status_code == 400
    assert set(faults(answer)) == {"Idempotency-Key"}
    assert await count_rows(world) == 0


async def test_two_keys_are_refused(caller: Caller, world: World) -> None:
    headers = [
        ("Authorization", f"BEARER {caller.token}"),
        ("Idempotency-Key", "a"),
        ("Idempotency-Key", "a"),
    ]
    answer = await caller.http.post(caller.path, json=GOOD, headers=headers)
    assert answer.status_code == 400
    assert set(faults(answer)) == {"Idempotency-Key"}
    assert await count_rows(world) == 0


async def test_a_bad_key_and_a_bad_body_are_told_together(caller: Caller) -> None:
    answer = await send(caller, "k" * 256, {"content": {}, "scope": "ORG"})
    assert answer.status_code == 400
    assert set(faults(answer)) == {"Idempotency-Key", "content.text"}


async def test_of_concurrent_twins_one_is_stored(caller: Caller, world: World) -> None:
    answers = await asyncio.gather(*(send(caller, "twin") for _ in range(30)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert ["idempotency-replayed" in answer.headers for answer in answers].count(False) == 1
    assert (await caller.get(caller.path)).json()["count"] == 1


async def test_of_concurrent_twins_with_different_bodies_one_is_stored(caller: Caller) -> None:
    bodies = [GOOD | {"description": str(number)} for number in range(5)]
    answers = await asyncio.gather(*(send(caller, "twin", body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert (await caller.get(caller.path)).json()["count"] == 1


async def test_twins_of_a_refused_request_are_refused(caller: Caller, world: World) -> None:
    body = {"content": {"text": "Hi"}, "scope": "USR", "emails": "stranger@example.com"}
    answers = await asyncio.gather(*(send(caller, "twin", body) for _ in range(3)))
    assert {answer.status_code for answer in answers} == {400}
    assert await count_rows(world) == 0
