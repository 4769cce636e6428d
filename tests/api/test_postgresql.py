"""One way through the API on PostgreSQL; what differs below is proven below."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from clarion.store.database import Database
from tests.api.caller import Caller, add_caller, make_door, make_http
from tests.world import World


@pytest.fixture
def database(postgresql_url: str) -> Iterator[Database]:
    opened = Database(postgresql_url)
    yield opened
    opened.close()


async def test_a_notification_is_created_read_and_recalled_on_postgresql(
    caller: Caller, world: World
) -> None:
    member, about = await add_caller(caller, world, "one@example.com")
    body = {"content": {"text": "🎉", "inputs": {"price": 34}}, "scope": "USR", "emails": "ONE@example.com"}
    created = await caller.send(body, Idempotency_Key="k")
    assert created.status_code == 201
    assert (await caller.send(body, Idempotency_Key="k")).content == created.content
    path = f"{caller.path}/{created.json()['notificationId']}"
    assert (await caller.get(path)).json() == created.json()
    assert (await caller.get(caller.path)).json() == {"count": 1, "items": [created.json()]}
    assert (await member.get(member.inbox(about.user))).json()["count"] == 1
    assert (await caller.delete(path)).status_code == 204
    assert (await caller.get(path)).json()["state"] == "CANCELLED"
    assert (await member.get(member.inbox(about.user))).json()["count"] == 0


async def test_of_concurrent_twins_at_two_nodes_one_is_stored(
    caller: Caller, world: World, postgresql_url: str
) -> None:
    body = {"content": {"text": "Hi"}, "scope": "ORG"}
    other_database = Database(postgresql_url)
    async with make_http(make_door(replace(world, database=other_database))) as http:
        other = replace(caller, http=http)
        for number in range(10):
            answers = await asyncio.gather(
                *(one.send(body, Idempotency_Key=f"k{number}") for one in (caller, other) * 3)
            )
            assert {answer.status_code for answer in answers} == {201}
            assert len({answer.content for answer in answers}) == 1
    other_database.close()
