"""Receipts and figures at the door."""

from uuid import UUID, uuid4

import httpx
import pytest

from clarion.model.moment import to_rfc3339
from tests.api.caller import Caller, Json, add_caller, faults
from tests.service.lanes import ScriptedProvider, make_lane
from tests.world import World

GOOD = str(uuid4())


class Phone:
    """A device with its token."""

    def __init__(self, caller: Caller, registered: Json) -> None:
        self.caller, self.token = caller, registered["deviceToken"]
        root = f"/v2.0/tool/organizations/{caller.organization}"
        self.path = f"{root}/devices/{registered['deviceId']}/receipts"

    async def tell(self, *receipts: object, body: object = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        told = {"receipts": receipts} if body is None else body
        return await self.caller.http.post(self.path, headers=headers, json=told)


@pytest.fixture
async def phone(caller: Caller, world: World) -> Phone:
    """The phone of a member, registered at the door."""
    their, member = await add_caller(caller, world, "ann@example.com")
    root = f"/v2.0/tool/organizations/{caller.organization}/members/{member.user}"
    headers = {"Authorization": f"Bearer {their.token}"}
    [channel] = (await caller.http.get(f"{root}/channels", headers=headers)).json()["items"]
    body = {"channelId": channel["channelId"], "installationId": "i", "address": {"token": "abcd"}}
    registered = await caller.http.post(f"{root}/devices", headers=headers, json=body)
    return Phone(caller, registered.json())


async def figures(caller: Caller, notification: UUID | str) -> Json:
    answer = await caller.get(f"{caller.path}/{notification}/stats")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def test_receipts_are_counted_once_in_the_figures(caller: Caller, phone: Phone, world: World) -> None:
    told = await world.tell("to all")
    await make_lane(world, ScriptedProvider()).drain()
    shown = {"notificationId": str(told.uuid), "event": "displayed", "at": to_rfc3339(world.clock())}
    opened = {"notificationId": str(told.uuid), "event": "opened", "at": 1}
    for receipts in ([shown], [shown, opened], [opened]):
        answer = await phone.tell(*receipts)
        assert (answer.status_code, answer.content) == (204, b"")
    assert await figures(caller, told.uuid) == {
        "notificationId": str(told.uuid),
        "state": "SENT",
        "recipients": 2,
        "devices": 2,
        "accepted": 2,
        "retrying": 0,
        "failed": 0,
        "failures": [],
        "pruned": 0,
        "retried": 0,
        "possibleRepeats": 0,
        "displayed": 1,
        "opened": 1,
        "read": 0,
    }


async def test_what_is_not_there_is_answered_like_what_is(phone: Phone) -> None:
    answer = await phone.tell({"notificationId": GOOD, "event": "opened"})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    ("receipt", "path"),
    [
        ({"event": "opened"}, "receipts[0].notificationId"),
        ({"notificationId": "x", "event": "opened"}, "receipts[0].notificationId"),
        ({"notificationId": GOOD, "event": "read"}, "receipts[0].event"),
        ({"notificationId": GOOD, "event": "opened", "at": "yesterday"}, "receipts[0].at"),
        ({"notificationId": GOOD, "event": "opened", "at": -1}, "receipts[0].at"),
        ({"notificationId": GOOD, "event": "opened", "deviceId": GOOD}, "receipts[0].deviceId"),
        ("opened", "receipts[0]"),
    ],
)
async def test_a_receipt_that_is_none_is_refused(phone: Phone, receipt: object, path: str) -> None:
    answer = await phone.tell(receipt)
    assert answer.status_code == 400
    assert path in faults(answer)


@pytest.mark.parametrize("count", [0, 101])
async def test_one_to_a_hundred_at_a_time(phone: Phone, count: int) -> None:
    receipts = [{"notificationId": GOOD, "event": "opened"}] * count
    assert list(faults(await phone.tell(*receipts))) == ["receipts"]
    assert (await phone.tell(*receipts[:100])).status_code == (204 if count else 400)


async def test_only_the_devices_own_token_tells(caller: Caller, phone: Phone, world: World) -> None:
    told = await world.tell("to all")
    assert caller.token is not None
    phone.token = caller.token
    answer = await phone.tell({"notificationId": str(told.uuid), "event": "opened"})
    assert answer.status_code == 401
    assert (await figures(caller, told.uuid))["opened"] == 0


async def test_figures_are_for_those_who_may_send(caller: Caller, world: World) -> None:
    their, _ = await add_caller(caller, world, "ann@example.com")
    told = await world.tell("to all")
    path = f"{caller.path}/{told.uuid}/stats"
    assert (await their.get(path)).status_code == 403
    assert (await caller.get(f"{caller.path}/{uuid4()}/stats")).status_code == 404
