"""A member's inbox: what the member does to it."""

from dataclasses import replace
from uuid import uuid4

import pytest

from clarion.model.access import Role
from clarion.model.watermark import LIFETIME_MS, decode_watermark, encode_watermark
from clarion.store.schema import inbox_states, members
from tests.api.caller import Caller, Json, add_caller, faults
from tests.clock import Clock
from tests.world import Member, World

GOOD: Json = {"content": {"text": "Hi"}, "scope": "ORG"}


@pytest.fixture
async def ann(caller: Caller, world: World) -> tuple[Caller, Member]:
    """A member with a token of her own."""
    return await add_caller(caller, world, "ann@example.com")


async def send(caller: Caller, count: int = 1) -> list[str]:
    return [(await caller.send(GOOD)).json()["notificationId"] for _ in range(count)]


async def summary(ann: tuple[Caller, Member]) -> Json:
    caller, member = ann
    answer = await caller.get(f"{caller.inbox(member.user)}/summary")
    assert answer.status_code == 200
    told: Json = answer.json()
    assert set(told) == {"unread", "watermark"}
    return told


async def changes(world: World, member: Member) -> int:
    """How many changes the member has made."""
    (row,) = await world.rows(members, id=member.id)
    count: int = row.state_seq
    return count


@pytest.mark.parametrize("state", ["READ", "DISMISSED", "SENT"])
async def test_a_member_sets_the_state_of_their_copy(
    caller: Caller, ann: tuple[Caller, Member], world: World, clock: Clock, state: str
) -> None:
    bob, other = await add_caller(caller, world, "bob@example.com")
    (sent,) = await send(caller)
    own, member = ann
    path = f"{own.inbox(member.user)}/{sent}"
    if state == "SENT":
        await own.patch(path, {"state": "READ"})
    clock.move(seconds=1)
    answer = await own.patch(path, {"state": state})
    assert answer.status_code == 200
    assert answer.json()["state"] == state
    assert answer.json() == (await own.get(path)).json()
    assert answer.json()["updatedAt"] > answer.json()["createdAt"]
    theirs = (await bob.get(f"{bob.inbox(other.user)}/{sent}")).json()
    assert theirs["state"] == "SENT", "everybody has their own"


async def test_what_it_is_already_is_no_change(
    caller: Caller, ann: tuple[Caller, Member], world: World
) -> None:
    one, two = await send(caller, 2)
    own, member = ann
    inbox = own.inbox(member.user)
    assert (await own.patch(f"{inbox}/{one}", {"state": "SENT"})).status_code == 200
    assert await changes(world, member) == 0
    await own.patch(inbox, {"state": "READ", "upTo": (await summary(ann))["watermark"]})
    assert (await own.patch(f"{inbox}/{two}", {"state": "READ"})).json()["state"] == "READ"
    assert await world.rows(inbox_states) == []
    for _ in range(2):
        await own.patch(f"{inbox}/{two}", {"state": "DISMISSED"})
        await own.delete(f"{inbox}/{one}")
    assert await changes(world, member) == 2


@pytest.mark.parametrize("state", ["QUEUED", "RETRY", "FAILED"])
async def test_states_of_the_service_are_not_a_member_s_to_set(
    caller: Caller, ann: tuple[Caller, Member], state: str
) -> None:
    (sent,) = await send(caller)
    own, member = ann
    answer = await own.patch(f"{own.inbox(member.user)}/{sent}", {"state": state})
    assert (answer.status_code, answer.json()["code"]) == (409, "state_not_yours")
    assert (await own.get(f"{own.inbox(member.user)}/{sent}")).json()["state"] == "SENT"


@pytest.mark.parametrize(("body", "paths"), [
    ({}, {"state"}), ({"state": "read"}, {"state"}), ({"state": "DELETED"}, {"state"}), ({"state": None}, {"state"}),
    ({"state": 1}, {"state"}), ({"state": ["READ"]}, {"state"}), ({"state": "READ", "colour": 1}, {"colour"}),
    ({"State": "READ", "x": {}}, {"state", "State", "x"}), ({"state": "", "upTo": ""}, {"state", "upTo"}),
])  # fmt: skip
async def test_a_bad_state_is_refused_with_every_fault(
    caller: Caller, ann: tuple[Caller, Member], body: Json, paths: set[str]
) -> None:
    (sent,) = await send(caller)
    own, member = ann
    answer = await own.patch(f"{own.inbox(member.user)}/{sent}", body)
    assert answer.status_code == 400
    assert set(faults(answer)) == paths


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN])
async def test_who_may_read_an_inbox_may_not_change_it(
    caller: Caller, ann: tuple[Caller, Member], world: World, role: Role
) -> None:
    (sent,) = await send(caller)
    before = await summary(ann)
    reader, _ = await add_caller(caller, world, "reader@example.com", role)
    inbox = reader.inbox(ann[1].user)
    for answer in (
        await reader.patch(f"{inbox}/{sent}", {"state": "READ"}),
        await reader.delete(f"{inbox}/{sent}"),
        await reader.patch(inbox, {"state": "READ", "upTo": before["watermark"]}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await reader.get(f"{inbox}/summary")).json()["unread"] == 1
    for answer in (
        await reader.patch(f"{reader.inbox(uuid4())}/{sent}", {"state": "READ"}),
        await reader.delete(f"{reader.inbox(uuid4())}/{sent}"),
    ):
        assert answer.status_code == 404


async def test_for_another_user_there_is_nothing_to_change(
    caller: Caller, ann: tuple[Caller, Member], world: World
) -> None:
    (sent,) = await send(caller)
    nosy, _ = await add_caller(caller, world, "nosy@example.com")
    inbox = nosy.inbox(ann[1].user)
    for answer in (
        await nosy.patch(f"{inbox}/{sent}", {"state": "READ"}),
        await nosy.patch(f"{inbox}/{sent}", {"state": "QUEUED"}),
        await nosy.delete(f"{inbox}/{sent}"),
        await nosy.patch(inbox, {"state": "READ", "upTo": (await summary(ann))["watermark"]}),
        await nosy.get(f"{inbox}/summary"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_what_is_not_in_the_inbox_cannot_be_changed(
    caller: Caller, ann: tuple[Caller, Member], world: World
) -> None:
    own, member = ann
    recalled, deleted = await send(caller, 2)
    body = GOOD | {"scope": "USR", "emails": "admin@example.com"}
    elsewhere = (await caller.send(body)).json()["notificationId"]
    waiting = (await caller.send(GOOD | {"startAt": 1_900_000_000})).json()["notificationId"]
    await caller.delete(f"{caller.path}/{recalled}")
    await own.delete(f"{own.inbox(member.user)}/{deleted}")
    for one in (recalled, elsewhere, waiting, str(uuid4()), deleted):
        path = f"{own.inbox(member.user)}/{one}"
        assert (await own.patch(path, {"state": "READ"})).status_code == 404
        assert (await own.delete(path)).status_code == (204 if one == deleted else 404)
    assert await changes(world, member) == 1


async def test_who_deletes_a_copy_hides_it_from_themselves_alone_and_for_good(
    caller: Caller, ann: tuple[Caller, Member], world: World
) -> None:
    (sent,) = await send(caller)
    own, member = ann
    path = f"{own.inbox(member.user)}/{sent}"
    for _ in range(2):
        answer = await own.delete(path)
        assert (answer.status_code, answer.content) == (204, b"")
    assert (await own.get(path)).status_code == 404
    assert (await own.get(own.inbox(member.user), filterMode="all")).json()["items"] == []
    assert (await caller.get(caller.inbox(world.admin.user))).json()["count"] == 1


# ── Mark all read ────────────────────────────────────────────────────────────────────────────────────────


async def test_all_are_read_up_to_a_watermark_and_what_came_later_is_not(
    caller: Caller, ann: tuple[Caller, Member]
) -> None:
    own, member = ann
    inbox = own.inbox(member.user)
    one, two, three = await send(caller, 3)
    await own.patch(f"{inbox}/{one}", {"state": "READ"})
    await own.patch(f"{inbox}/{one}", {"state": "SENT"})
    await own.patch(f"{inbox}/{two}", {"state": "DISMISSED"})
    seen = (await summary(ann))["watermark"]
    (later,) = await send(caller)
    assert (await summary(ann))["unread"] == 3
    answer = await own.patch(inbox, {"state": "READ", "upTo": seen})
    assert answer.status_code == 200
    assert answer.json() == {"unread": 1, "watermark": seen}
    told = (await own.get(inbox, filterMode="all")).json()["items"]
    assert {item["notificationId"]: item["state"] for item in told} == {
        one: "READ", two: "DISMISSED", three: "READ", later: "SENT",
    }  # fmt: skip


async def test_an_older_watermark_takes_nothing_back(caller: Caller, ann: tuple[Caller, Member]) -> None:
    own, member = ann
    first = (await summary(ann))["watermark"]
    await send(caller, 2)
    second = (await summary(ann))["watermark"]
    for up_to in (second, first):
        answer = await own.patch(own.inbox(member.user), {"state": "READ", "upTo": up_to})
        assert answer.json()["unread"] == 0


@pytest.mark.parametrize(("body", "paths"), [
    ({}, {"state", "upTo"}), ({"state": "READ"}, {"upTo"}), ({"state": "SENT", "upTo": "x"}, {"state", "upTo"}),
    ({"state": "READ", "upTo": 5}, {"upTo"}), ({"state": "READ", "upTo": None}, {"upTo"}),
    ({"state": "READ", "upTo": {"seq": 1}}, {"upTo"}), ({"state": "READ", "upTo": "x", "y": 1}, {"upTo", "y"}),
])  # fmt: skip
async def test_a_bad_mark_all_read_is_refused_with_every_fault(
    ann: tuple[Caller, Member], body: Json, paths: set[str]
) -> None:
    own, member = ann
    answer = await own.patch(own.inbox(member.user), body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert set(faults(answer)) == paths


async def test_mark_all_read_takes_a_watermark_of_this_member_alone(
    caller: Caller, ann: tuple[Caller, Member], world: World
) -> None:
    own, member = ann
    theirs = (await summary((caller, Member(0, world.admin.user, "", ()))))["watermark"]
    mine = (await summary(ann))["watermark"]
    for up_to in (theirs, mine[:-1]):
        answer = await own.patch(own.inbox(member.user), {"state": "READ", "upTo": up_to})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_sync_token")
        assert set(faults(answer)) == {"upTo"}


async def test_mark_all_read_up_to_a_watermark_that_is_too_old_means_to_start_anew(
    ann: tuple[Caller, Member],
) -> None:
    own, member = ann
    present = decode_watermark((await summary(ann))["watermark"])
    old = encode_watermark(replace(present, made_at=present.made_at - LIFETIME_MS - 1))
    answer = await own.patch(own.inbox(member.user), {"state": "READ", "upTo": old})
    assert (answer.status_code, answer.json()["code"]) == (410, "sync_token_too_old")


async def test_the_summary_counts_what_is_unread(caller: Caller, ann: tuple[Caller, Member]) -> None:
    own, member = ann
    inbox = own.inbox(member.user)
    one, two, three, four, _ = await send(caller, 5)
    await own.patch(f"{inbox}/{one}", {"state": "READ"})
    await own.patch(f"{inbox}/{two}", {"state": "DISMISSED"})
    await own.delete(f"{inbox}/{three}")
    await caller.delete(f"{caller.path}/{four}")
    assert (await summary(ann))["unread"] == 1
