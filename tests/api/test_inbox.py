"""A member's inbox: list and get, for the owner and for those who may send."""

from uuid import uuid4

import pytest

from clarion.model.access import Role
from clarion.model.moment import to_rfc3339
from tests.api.caller import Caller, Json, add_caller, faults
from tests.clock import Clock
from tests.world import SOLUTION, World

KEYS = {
    "organizationId", "notificationId", "userId", "state", "startAt", "content", "createdAt", "createdBy",
    "updatedAt", "updatedBy", "expiresAt",
}  # fmt: skip
GOOD: Json = {"content": {"text": "Hi", "jigId": "j", "inputs": {"price": 34}}, "scope": "ORG"}


async def test_a_member_reads_what_was_sent_to_them_in_the_published_shape(
    caller: Caller, world: World
) -> None:
    member, about = await add_caller(caller, world, "one@example.com")
    sent = (await caller.send(GOOD)).json()
    listed = await member.get(member.inbox(about.user))
    assert listed.status_code == 200
    item = {
        "organizationId": str(world.organization),
        "notificationId": sent["notificationId"],
        "userId": str(about.user),
        "state": "SENT",
        "startAt": sent["startAt"],
        "content": {"text": "Hi", "screen": "jig", "jigId": "j", "inputs": {"price": 34}},
        "createdAt": sent["createdAt"],
        "createdBy": str(world.admin.user),
        "updatedAt": sent["updatedAt"],
        "updatedBy": str(world.admin.user),
        "expiresAt": to_rfc3339(world.clock() + 90 * 86_400_000),
    }
    assert set(item) == KEYS
    told = listed.json()
    assert told == {"count": 1, "items": [item], "watermark": told["watermark"]}
    fetched = await member.get(f"{member.inbox(about.user)}/{sent['notificationId']}")
    assert fetched.status_code == 200
    assert fetched.json() == item


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN])
async def test_those_who_may_send_read_any_member_s_inbox(caller: Caller, world: World, role: Role) -> None:
    reader, _ = await add_caller(caller, world, "reader@example.com", role)
    about = await world.add_member("one@example.com")
    sent = (await caller.send(GOOD)).json()["notificationId"]
    assert (await reader.get(reader.inbox(about.user))).json()["count"] == 1
    entry = (await reader.get(f"{reader.inbox(about.user)}/{sent}")).json()
    assert entry["userId"] == str(about.user)


async def test_for_another_user_an_inbox_does_not_exist(caller: Caller, world: World) -> None:
    nosy, _ = await add_caller(caller, world, "nosy@example.com")
    about = await world.add_member("one@example.com")
    sent = (await caller.send(GOOD)).json()["notificationId"]
    hidden = await nosy.get(nosy.inbox(about.user))
    absent = await nosy.get(nosy.inbox(uuid4()))
    assert hidden.status_code == absent.status_code == 404
    assert hidden.json() == absent.json()
    assert (await nosy.get(f"{nosy.inbox(about.user)}/{sent}")).status_code == 404


async def test_a_member_of_another_organization_does_not_exist(
    caller: Caller, world: World, clock: Clock
) -> None:
    other = await World.make(world.database, clock, "Other")
    assert (await caller.get(caller.inbox(other.admin.user))).status_code == 404
    assert (await caller.get(caller.inbox(uuid4()))).status_code == 404


async def test_pages_of_an_inbox_have_every_entry_once_newest_first(caller: Caller, world: World) -> None:
    member, about = await add_caller(caller, world, "one@example.com")
    sent = [(await caller.send(GOOD)).json()["notificationId"] for _ in range(5)]
    first = (await member.get(member.inbox(about.user), limit="2")).json()
    second = (
        await member.get(member.inbox(about.user), limit="200", continuationToken=first["continuationToken"])
    ).json()
    assert [item["notificationId"] for item in first["items"] + second["items"]] == sent[::-1]
    assert "continuationToken" not in second


@pytest.mark.parametrize("query", [{"limit": "0"}, {"continuationToken": "x"}])
async def test_bad_parameters_of_an_inbox_are_named(caller: Caller, world: World, query: Json) -> None:
    answer = await caller.get(caller.inbox(world.admin.user), **query)
    assert answer.status_code == 400
    assert set(faults(answer)) == set(query)


async def test_only_the_audience_finds_a_notification_in_its_inbox(caller: Caller, world: World) -> None:
    inside, insider = await add_caller(caller, world, "inside@example.com")
    await world.join(insider, "sales")
    outside, outsider = await add_caller(caller, world, "outside@example.com")
    body = {
        "content": {"text": "Hi"}, "scope": "SLN_GRP", "groups": "sales",
        "solutionId": str(world.solutions[SOLUTION]),
    }  # fmt: skip
    sent = (await caller.send(body)).json()["notificationId"]
    assert (await inside.get(inside.inbox(insider.user))).json()["count"] == 1
    assert (await outside.get(outside.inbox(outsider.user))).json()["count"] == 0
    assert (await outside.get(f"{outside.inbox(outsider.user)}/{sent}")).status_code == 404


async def test_a_scheduled_notification_is_not_in_the_inbox_before_its_moment(
    caller: Caller, world: World
) -> None:
    sent = (await caller.send(GOOD | {"startAt": 1_900_000_000})).json()["notificationId"]
    inbox = caller.inbox(world.admin.user)
    assert (await caller.get(inbox)).json()["count"] == 0
    assert (await caller.get(f"{inbox}/{sent}")).status_code == 404


async def test_a_recalled_notification_vanishes_from_the_inbox(caller: Caller, world: World) -> None:
    sent = (await caller.send(GOOD)).json()["notificationId"]
    await caller.delete(f"{caller.path}/{sent}")
    inbox = caller.inbox(world.admin.user)
    assert (await caller.get(inbox)).json()["items"] == []
    assert (await caller.get(f"{inbox}/{sent}")).status_code == 404


async def test_an_unknown_entry_is_not_found(caller: Caller, world: World) -> None:
    answer = await caller.get(f"{caller.inbox(world.admin.user)}/{uuid4()}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"
