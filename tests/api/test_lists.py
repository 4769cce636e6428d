"""An organization's notifications: list, get, delete."""

import base64
from typing import Any
from uuid import uuid4

import pytest

from clarion.model.cursor import encode_cursor
from clarion.store import runs
from tests.api.caller import Caller, Json, faults
from tests.clock import Clock
from tests.world import World

GOOD: Json = {"content": {"text": "Hi"}, "scope": "ORG"}
FUTURE = {"startAt": 1_900_000_000}


async def send_many(caller: Caller, count: int) -> list[str]:
    """The ids of new notifications, newest first."""
    answers = [await caller.send(GOOD | {"description": str(number)}) for number in range(count)]
    return [answer.json()["notificationId"] for answer in answers][::-1]


async def all_pages(caller: Caller, path: str, **query: str) -> list[dict[str, Any]]:
    pages = [(await caller.get(path, **query)).json()]
    while token := pages[-1].get("continuationToken"):
        pages.append((await caller.get(path, continuationToken=token, **query)).json())
    return pages


async def test_an_empty_list_is_a_closed_object(caller: Caller) -> None:
    answer = await caller.get(caller.path)
    assert answer.status_code == 200
    assert answer.json() == {"count": 0, "items": []}


async def test_a_listed_notification_looks_as_it_was_answered(caller: Caller) -> None:
    created = await caller.send(GOOD | FUTURE | {"description": "d"})
    listed = await caller.get(caller.path)
    assert listed.json() == {"count": 1, "items": [created.json()]}
    fetched = await caller.get(f"{caller.path}/{created.json()['notificationId']}")
    assert fetched.status_code == 200
    assert fetched.json() == created.json()


@pytest.mark.parametrize(("limit", "sizes"), [("1", [1] * 7), ("3", [3, 3, 1]), ("7", [7]), ("200", [7])])
async def test_pages_have_every_notification_once_newest_first(
    caller: Caller, limit: str, sizes: list[int]
) -> None:
    sent = await send_many(caller, 7)
    pages = await all_pages(caller, caller.path, limit=limit)
    assert [page["count"] for page in pages] == [len(page["items"]) for page in pages] == sizes
    assert [item["notificationId"] for page in pages for item in page["items"]] == sent
    assert all(set(page) <= {"count", "items", "continuationToken"} for page in pages)


async def test_a_page_has_fifty_unless_asked_otherwise(caller: Caller) -> None:
    await send_many(caller, 51)
    assert [page["count"] for page in await all_pages(caller, caller.path)] == [50, 1]


async def test_what_is_sent_between_two_pages_shifts_nothing(caller: Caller) -> None:
    sent = await send_many(caller, 4)
    first = (await caller.get(caller.path, limit="2")).json()
    await send_many(caller, 3)
    second = (await caller.get(caller.path, limit="2", continuationToken=first["continuationToken"])).json()
    assert [item["notificationId"] for item in first["items"] + second["items"]] == sent


@pytest.mark.parametrize(
    "limit", ["0", "201", "-1", "1.5", "", " ", "ten", "1e2", "+5", "٣", "0x5", "9" * 5_000, "1\0",
              "000001999", "000001" + "9" * 5_000],
)  # fmt: skip
async def test_a_bad_limit_is_refused(caller: Caller, limit: str) -> None:
    answer = await caller.get(caller.path, limit=limit)
    assert answer.status_code == 400
    assert set(faults(answer)) == {"limit"}


def forged(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        "", "x", "!", "é", "\0", "A" * 10_000, str(uuid4()), forged("1.notifications"), forged("1.notifications."),
        forged("1.notifications.x"), forged("1.notifications.-1"), forged("2.notifications.1"),
        forged("1.notifications.1.1"), forged("1.notifications.1e3"), forged("1.notifications.٣"),
        forged("1.notifications." + "9" * 19), forged("1.notifications." + "9" * 5_000),
        encode_cursor("inbox", 5),
    ],
)  # fmt: skip
async def test_a_token_that_this_list_did_not_give_is_refused(caller: Caller, token: str) -> None:
    answer = await caller.get(caller.path, continuationToken=token)
    assert answer.status_code == 400
    assert set(faults(answer)) == {"continuationToken"}


async def test_the_faults_of_both_parameters_are_told_together(caller: Caller) -> None:
    answer = await caller.get(caller.path, limit="0", continuationToken="x")
    assert set(faults(answer)) == {"limit", "continuationToken"}


async def test_a_token_of_the_inbox_is_refused_by_the_list_and_the_other_way_round(
    caller: Caller, world: World
) -> None:
    await send_many(caller, 2)
    inbox = caller.inbox(world.admin.user)
    of_list = (await caller.get(caller.path, limit="1")).json()["continuationToken"]
    of_inbox = (await caller.get(inbox, limit="1")).json()["continuationToken"]
    for path, token in ((caller.path, of_inbox), (inbox, of_list)):
        answer = await caller.get(path, continuationToken=token)
        assert answer.status_code == 400
        assert set(faults(answer)) == {"continuationToken"}


async def test_a_cursor_beyond_the_end_finds_an_empty_page(caller: Caller) -> None:
    await send_many(caller, 2)
    answer = await caller.get(caller.path, continuationToken=encode_cursor("notifications", 1))
    assert answer.json() == {"count": 0, "items": []}
    answer = await caller.get(caller.path, continuationToken=encode_cursor("notifications", 2**63 - 1))
    assert answer.json()["count"] == 2


@pytest.mark.parametrize("mode", ["", "all", "sent", "🎉"])
async def test_any_filter_mode_is_accepted(caller: Caller, mode: str) -> None:
    await send_many(caller, 1)
    assert (await caller.get(caller.path, filterMode=mode)).json()["count"] == 1


@pytest.mark.parametrize("query", ["limit=1&limit=2", "limit=%FF", "limit=%", "&&=&", "limit", "%00=1"])
async def test_an_odd_query_is_answered_in_the_usual_shape(caller: Caller, query: str) -> None:
    answer = await caller.get(f"{caller.path}?{query}")
    assert answer.status_code in {200, 400}
    if answer.status_code == 400:
        faults(answer)


async def test_a_recalled_notification_is_cancelled_and_stays_in_the_list(
    caller: Caller, world: World, clock: Clock
) -> None:
    one, other = await send_many(caller, 2)
    clock.move(seconds=1)
    answer = await caller.delete(f"{caller.path}/{one}")
    assert (answer.status_code, answer.content) == (204, b"")
    told = (await caller.get(f"{caller.path}/{one}")).json()
    assert told["state"] == "CANCELLED"
    assert told["updatedAt"] > told["createdAt"]
    states = {
        item["notificationId"]: item["state"] for item in (await caller.get(caller.path)).json()["items"]
    }
    assert states == {one: "CANCELLED", other: "QUEUED"}
    claimed = await world.write(runs.claim, world.channel_id, "test", clock(), clock() + 1)
    assert len(claimed) == 1, "only the other is still to be pushed"


async def test_recalling_twice_changes_nothing(caller: Caller, clock: Clock) -> None:
    (sent,) = await send_many(caller, 1)
    assert (await caller.delete(f"{caller.path}/{sent}")).status_code == 204
    told = (await caller.get(f"{caller.path}/{sent}")).json()
    clock.move(seconds=1)
    assert (await caller.delete(f"{caller.path}/{sent}")).status_code == 204
    assert (await caller.get(f"{caller.path}/{sent}")).json() == told


async def test_a_scheduled_notification_can_be_cancelled_before_its_moment(
    caller: Caller, world: World, clock: Clock
) -> None:
    sent = (await caller.send(GOOD | {"startAt": 1_750_000_010})).json()["notificationId"]
    assert (await caller.delete(f"{caller.path}/{sent}")).status_code == 204
    told = (await caller.get(f"{caller.path}/{sent}")).json()
    assert (told["state"], told["startAt"]) == ("CANCELLED", "2025-06-15T15:06:50.000Z")


async def test_an_unknown_notification_is_not_found(caller: Caller) -> None:
    path = f"{caller.path}/{uuid4()}"
    for answer in (await caller.get(path), await caller.delete(path)):
        assert answer.status_code == 404
        assert faults(answer) == {}
        assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize("name", ["x", "1", "null", str(uuid4())[:-1], f"{uuid4()}0", "%00", "%F0%9F%8E%89"])
async def test_a_path_with_something_that_is_no_id_is_not_found(
    caller: Caller, world: World, name: str
) -> None:
    organizations = "/v2.0/tool/organizations"
    for path in (
        f"{caller.path}/{name}",
        f"{organizations}/{name}/notifications",
        f"{organizations}/{world.organization}/members/{name}/notifications",
    ):
        answer = await caller.get(path)
        assert answer.status_code == 404
        faults(answer)
