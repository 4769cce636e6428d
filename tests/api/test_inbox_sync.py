"""A member's inbox: only what changed, by watermark."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from clarion.model.watermark import LIFETIME_MS, decode_watermark, encode_watermark
from clarion.store.inbox import find_inbox_members
from clarion.store.schema import members, organizations
from tests.api.caller import Caller, Json, add_caller, faults
from tests.clock import Clock
from tests.world import Member, World

GOOD: Json = {"content": {"text": "Hi", "inputs": {"price": 34}}, "scope": "ORG"}
NOTHING: Json = {"count": 0, "items": []}


@pytest.fixture
async def ann(caller: Caller, world: World) -> tuple[Caller, Member]:
    """A member with a token of her own."""
    return await add_caller(caller, world, "ann@example.com")


async def send(caller: Caller, count: int = 1) -> list[str]:
    return [(await caller.send(GOOD)).json()["notificationId"] for _ in range(count)]


async def sync(ann: tuple[Caller, Member], token: str, **query: str) -> Json:
    caller, member = ann
    answer = await caller.get(caller.inbox(member.user), syncToken=token, **query)
    assert answer.status_code == 200, answer.text
    told: Json = answer.json()
    assert set(told) <= {"count", "items", "watermark", "continuationToken"}
    assert told["count"] == len(told["items"])
    return told


async def listed(ann: tuple[Caller, Member], **query: str) -> Json:
    caller, member = ann
    told: Json = (await caller.get(caller.inbox(member.user), **query)).json()
    return told


def ids(told: Json) -> list[str]:
    return [item["notificationId"] for item in told["items"]]


async def test_who_has_seen_everything_is_told_nothing_and_keeps_the_watermark(
    caller: Caller, ann: tuple[Caller, Member], clock: Clock
) -> None:
    await send(caller)
    watermark = (await listed(ann))["watermark"]
    assert await sync(ann, watermark) == NOTHING | {"watermark": watermark}
    for _ in range(5):
        clock.move(seconds=10 * 86_400)
        renewed = (await sync(ann, watermark))["watermark"]
        assert decode_watermark(renewed) == decode_watermark(watermark).at(clock())
        assert renewed != watermark
        watermark = renewed


async def test_what_was_released_since_comes_oldest_first_whole(
    caller: Caller, ann: tuple[Caller, Member]
) -> None:
    await send(caller)
    before = (await listed(ann))["watermark"]
    sent = await send(caller, 2)
    told = await sync(ann, before)
    assert ids(told) == sent
    assert told["items"][::-1] == (await listed(ann, limit="2"))["items"]
    assert ids(await sync(ann, told["watermark"])) == []


async def test_what_was_released_to_others_is_no_change(
    caller: Caller, ann: tuple[Caller, Member], world: World
) -> None:
    before = (await listed(ann))["watermark"]
    await caller.send(GOOD | {"scope": "USR", "emails": "admin@example.com"})
    told = await sync(ann, before)
    assert told["items"] == []
    assert decode_watermark(told["watermark"]).seq == decode_watermark(before).seq + 1


async def test_what_was_recalled_comes_as_a_tombstone(caller: Caller, ann: tuple[Caller, Member]) -> None:
    (sent,) = await send(caller)
    before = (await listed(ann))["watermark"]
    await caller.delete(f"{caller.path}/{sent}")
    told = await sync(ann, before)
    stone = {
        "organizationId": str(caller.organization),
        "notificationId": sent,
        "userId": str(ann[1].user),
        "state": "SENT",
        "content": {"text": ""},
        "deleted": True,
    }
    assert told["items"] == [stone]


async def test_who_left_is_still_told_of_a_recall(
    caller: Caller, ann: tuple[Caller, Member], world: World
) -> None:
    await world.join(ann[1], "sales")
    body = GOOD | {"scope": "SLN_GRP", "groups": "sales", "solutionId": str(world.solutions["crm"])}
    sent = (await caller.send(body)).json()["notificationId"]
    await world.leave(ann[1], "sales")
    listing = await listed(ann)
    assert ids(listing) == [sent]
    missed = (await caller.send(body)).json()["notificationId"]
    for one in (sent, missed):
        await caller.delete(f"{caller.path}/{one}")
    assert ids(await sync(ann, listing["watermark"])) == [sent]


async def test_a_state_that_was_set_on_one_device_reaches_the_other(
    caller: Caller, ann: tuple[Caller, Member]
) -> None:
    one, two, three = await send(caller, 3)
    own, member = ann
    before = (await listed(ann))["watermark"]
    await own.patch(f"{own.inbox(member.user)}/{two}", {"state": "READ"})
    await own.patch(f"{own.inbox(member.user)}/{one}", {"state": "DISMISSED"})
    await own.delete(f"{own.inbox(member.user)}/{three}")
    told = await sync(ann, before)
    assert [
        (item["notificationId"], item["state"], item.get("deleted", False)) for item in told["items"]
    ] == [
        (two, "READ", False),
        (one, "DISMISSED", False),
        (three, "DISMISSED", True),
    ]


async def test_mark_all_read_reaches_the_other_device(caller: Caller, ann: tuple[Caller, Member]) -> None:
    sent = await send(caller, 3)
    own, member = ann
    before = (await listed(ann))["watermark"]
    await own.patch(own.inbox(member.user), {"state": "READ", "upTo": before})
    told = await sync(ann, before, limit="2")
    assert ids(told) == sent[:2]
    rest = await sync(ann, told["watermark"])
    assert ids(rest) == sent[2:]
    assert {item["state"] for item in told["items"] + rest["items"]} == {"READ"}
    assert "continuationToken" not in rest


@pytest.mark.parametrize("how", ["watermark", "token alone", "token beside the syncToken"])
async def test_pages_of_changes_go_on_by_token_or_by_watermark(
    caller: Caller, ann: tuple[Caller, Member], how: str
) -> None:
    before = token = (await listed(ann))["watermark"]
    sent = await send(caller, 5)
    told = await sync(ann, token, limit="2")
    found = ids(told)
    while "continuationToken" in told:
        query = {"continuationToken": told["continuationToken"], "limit": "2"}
        if how == "watermark":
            told = await sync(ann, told["watermark"], limit="2")
        elif how == "token alone":
            told = await listed(ann, **query)
        else:
            told = await listed(ann, syncToken=before, **query)
        found += ids(told)
    assert found == sent


async def test_every_page_of_a_walk_has_the_watermark_of_the_first(
    caller: Caller, ann: tuple[Caller, Member]
) -> None:
    sent = await send(caller, 3)
    first = await listed(ann, limit="2")
    await send(caller)
    await caller.delete(f"{caller.path}/{sent[2]}")
    rest = await listed(ann, limit="2", continuationToken=first["continuationToken"])
    assert ids(first) + ids(rest) == sent[::-1]
    assert rest["watermark"] == first["watermark"]
    assert len(ids(await sync(ann, first["watermark"]))) == 2


async def test_an_administrator_syncs_another_member_s_inbox(
    caller: Caller, ann: tuple[Caller, Member]
) -> None:
    before = (await listed(ann))["watermark"]
    (sent,) = await send(caller)
    assert ids(await sync((caller, ann[1]), before)) == [sent]


# ── Filters ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_dismissed_entries_are_listed_on_request_and_unread_ones_alone(
    caller: Caller, ann: tuple[Caller, Member]
) -> None:
    unread, read, dismissed, deleted = await send(caller, 4)
    own, member = ann
    inbox = own.inbox(member.user)
    await own.patch(f"{inbox}/{read}", {"state": "READ"})
    await own.patch(f"{inbox}/{dismissed}", {"state": "DISMISSED"})
    await own.delete(f"{inbox}/{deleted}")
    assert ids(await listed(ann)) == [read, unread]
    assert ids(await listed(ann, filterMode="all")) == [dismissed, read, unread]
    assert ids(await listed(ann, filterMode="unread")) == [unread]


async def test_a_walk_keeps_its_filter(caller: Caller, ann: tuple[Caller, Member]) -> None:
    one, two = await send(caller, 2)
    own, member = ann
    await own.patch(f"{own.inbox(member.user)}/{one}", {"state": "DISMISSED"})
    first = await listed(ann, limit="1", filterMode="all")
    token = first["continuationToken"]
    assert ids(await listed(ann, continuationToken=token)) == [one]
    assert ids(await listed(ann, continuationToken=token, filterMode="all")) == [one]
    other = await own.get(own.inbox(member.user), continuationToken=token, filterMode="unread")
    assert other.status_code == 400
    assert set(faults(other)) == {"filterMode"}
    assert two in ids(first)


# ── Bad input ────────────────────────────────────────────────────────────────────────────────────────────


async def refused(ann: tuple[Caller, Member], **query: str) -> httpx.Response:
    caller, member = ann
    return await caller.get(caller.inbox(member.user), **query)


@pytest.mark.parametrize("mode", ["", "read", "UNREAD", "sent", "🎉"])
async def test_an_unknown_filter_is_refused(ann: tuple[Caller, Member], mode: str) -> None:
    answer = await refused(ann, filterMode=mode)
    assert answer.status_code == 400
    assert set(faults(answer)) == {"filterMode"}


async def test_a_filter_does_not_go_with_a_sync_token(caller: Caller, ann: tuple[Caller, Member]) -> None:
    await send(caller, 2)
    before = (await listed(ann))["watermark"]
    await send(caller, 2)
    rest = (await sync(ann, before, limit="1"))["continuationToken"]
    for query in ({"syncToken": before}, {"continuationToken": rest}):
        answer = await refused(ann, filterMode="all", **query)
        assert answer.status_code == 400
        assert set(faults(answer)) == {"filterMode"}


async def test_the_rest_of_a_list_does_not_go_with_a_sync_token(
    caller: Caller, ann: tuple[Caller, Member]
) -> None:
    await send(caller, 2)
    first = await listed(ann, limit="1")
    answer = await refused(ann, continuationToken=first["continuationToken"], syncToken=first["watermark"])
    assert answer.status_code == 400
    assert set(faults(answer)) == {"continuationToken"}


@pytest.mark.parametrize("make", [
    lambda _: "", lambda _: "x", lambda _: "\0", lambda _: "é", lambda _: "A" * 10_000, lambda text: text[:-1],
    lambda text: text[:20], lambda text: text + "A", lambda text: text + "=", lambda text: text[::-1],
    lambda text: text.swapcase(),
])  # fmt: skip
async def test_a_sync_token_that_was_cut_or_made_up_is_refused(ann: tuple[Caller, Member], make: Any) -> None:
    answer = await refused(ann, syncToken=make((await listed(ann))["watermark"]))
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_sync_token"
    assert set(faults(answer)) == {"syncToken"}


async def test_the_faults_of_all_parameters_are_told_together(ann: tuple[Caller, Member]) -> None:
    answer = await refused(ann, syncToken="x", limit="0", continuationToken="x", filterMode="x")
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"
    assert set(faults(answer)) == {"syncToken", "limit", "continuationToken", "filterMode"}


async def test_a_sync_token_of_another_member_is_refused(
    caller: Caller, ann: tuple[Caller, Member], world: World
) -> None:
    await send(caller, 2)
    bob = await add_caller(caller, world, "bob@example.com")
    theirs = await listed(bob, limit="1")
    answer = await refused(ann, syncToken=theirs["watermark"])
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_sync_token")
    assert set(faults(answer)) == {"syncToken"}
    await send(caller)
    theirs = await listed((caller, Member(0, world.admin.user, "", ())), limit="1")
    answer = await refused(ann, continuationToken=theirs["continuationToken"])
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_sync_token")
    assert set(faults(answer)) == {"continuationToken"}


async def test_a_sync_token_of_another_organization_is_refused(
    caller: Caller, ann: tuple[Caller, Member], world: World, clock: Clock
) -> None:
    other = await World.make(world.database, clock, "Other")
    stranger = await other.add_member("ann@example.com")
    (owner,) = await other.read(find_inbox_members, other.organization_id, [stranger.id])
    answer = await refused(ann, syncToken=encode_watermark(owner.watermark(clock())))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_sync_token")


@pytest.mark.parametrize(
    "ahead", [{"seq": 10**6}, {"state_seq": 1}, {"read_through_seq": 1}, {"epoch": 1}, {"seq": 2**63 - 1}]
)
async def test_a_sync_token_from_the_future_or_of_another_epoch_means_to_start_anew(
    ann: tuple[Caller, Member], ahead: dict[str, int]
) -> None:
    present = decode_watermark((await listed(ann))["watermark"])
    answer = await refused(ann, syncToken=encode_watermark(replace(present, **ahead)))
    assert (answer.status_code, answer.json()["code"]) == (410, "sync_token_too_old")
    assert faults(answer) == {}


async def test_a_sync_token_older_than_thirty_days_means_to_start_anew(
    caller: Caller, ann: tuple[Caller, Member], clock: Clock
) -> None:
    await send(caller, 2)
    first = await listed(ann, limit="1")
    for _ in range(3):
        clock.move(milliseconds=LIFETIME_MS // 3)
        assert (await sync(ann, first["watermark"]))["items"] == []
    clock.move(milliseconds=1)
    for query in (
        {"syncToken": first["watermark"]},
        {"continuationToken": first["continuationToken"]},
    ):
        answer = await refused(ann, **query)
        assert (answer.status_code, answer.json()["code"]) == (410, "sync_token_too_old")


async def test_after_a_restored_backup_devices_start_anew(
    caller: Caller, ann: tuple[Caller, Member], world: World
) -> None:
    before = (await listed(ann))["watermark"]
    await world.write(lambda connection: connection.execute(organizations.update().values(epoch=1)))
    answer = await refused(ann, syncToken=before)
    assert answer.status_code == 410
    assert await sync(ann, (await listed(ann))["watermark"])


async def test_a_sync_token_of_somebody_who_was_removed_opens_nothing(
    caller: Caller, ann: tuple[Caller, Member], world: World, clock: Clock
) -> None:
    before = (await listed(ann))["watermark"]
    await world.write(
        lambda connection: connection.execute(members.delete().where(members.c.id == ann[1].id))
    )
    clock.move(seconds=2)
    assert (await refused(ann, syncToken=before)).status_code == 404
