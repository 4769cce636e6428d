"""Devices at the door: who may register what where, and what a device's own token opens."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import update

from clarion.api.envelope import PREFLIGHT
from clarion.model.access import Role, TokenKind, mint_token, parse_token
from clarion.service.devices import MOST_DEVICES
from clarion.store import channels, devices, directory
from clarion.store.schema import channels as channels_table
from clarion.store.schema import devices as devices_table
from tests.api.caller import Caller, Json, add_caller, faults
from tests.providers.browser import Browser
from tests.world import SOLUTION, Member, World

TOKEN = "ab" * 32


class App:
    """An app of one member, signed in with their token, and then a device with its own."""

    def __init__(self, caller: Caller, world: World, member: Member) -> None:
        self.caller, self.world, self.member = caller, world, member
        self.root = f"/v2.0/tool/organizations/{caller.organization}"

    @property
    def devices(self) -> str:
        return f"{self.root}/members/{self.member.user}/devices"

    async def call(
        self, method: str, path: str, body: object = None, token: str | None = None
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.caller.token}"}
        parts: dict[str, Any] = {} if body is None else {"json": body}
        return await self.caller.http.request(method, path, headers=headers, **parts)

    async def register(self, channel: UUID | None = None, **parts: object) -> httpx.Response:
        if channel is None:
            [first] = await self.world.rows(channels_table, id=self.world.channel_id)
            channel = first.uuid
        body = {"channelId": str(channel), "installationId": "phone", "address": {"token": TOKEN}} | parts
        return await self.call("POST", self.devices, body)


@pytest.fixture
async def ann(caller: Caller, world: World) -> App:
    """A member with the role USER and no device."""
    their, member = await add_caller(caller, world, "ann@example.com")
    await world.write(lambda connection: connection.execute(devices_table.delete()))
    return App(their, world, member)


@pytest.fixture
async def bob(caller: Caller, world: World, ann: App) -> App:
    """Another member, who has no device either."""
    their, member = await add_caller(caller, world, "bob@example.com")
    await world.write(lambda connection: connection.execute(devices_table.delete()))
    return App(their, world, member)


async def add_channel(
    world: World, provider: str, settings: Mapping[str, Any] | None = None, solution_id: int | None = None
) -> UUID:
    new = channels.NewChannel(uuid4(), provider, provider, dict(settings or {}), "", solution_id)
    await world.write(channels.add_channel, world.organization_id, new, world.clock())
    return new.uuid


def subscription(host: str = "push.example.com", **changes: object) -> Json:
    """What PushSubscription.toJSON() gives."""
    kept = json.loads(Browser().address(f"https://{host}/send/1"))
    keys = {"p256dh": kept["p256dh"], "auth": kept["auth"]}
    return {"endpoint": kept["endpoint"], "keys": keys, "expirationTime": None} | changes


# ── Registering ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_new_device_is_201_and_shows_its_token_once(ann: App, world: World) -> None:
    details: Json = {"name": "Ann's phone", "platform": "ios", "appVersion": "4.2", "language": "pt_BR"}
    answer = await ann.register(**details, timeZone="America/Sao_Paulo")
    assert answer.status_code == 201, answer.text
    told = answer.json()
    parsed = parse_token(told.pop("deviceToken"))
    assert parsed is not None
    assert (parsed.kind, parsed.region) == (TokenKind.DEVICE, "us-east-1")
    listed = (await ann.call("GET", ann.devices)).json()
    assert listed == {"count": 1, "items": [told]}
    assert told["language"] == "pt-BR"
    assert told["provider"] == "apns"
    assert TOKEN not in json.dumps(listed)
    [row] = await world.rows(devices_table)
    assert row.token_hash == parsed.secret_hash


async def test_the_same_again_is_200_and_the_new_token_takes_the_old_ones_place(
    ann: App, world: World
) -> None:
    first = (await ann.register(appVersion="1")).json()
    world.clock.move(seconds=5)
    again = await ann.register(appVersion="2", name="Phone")
    assert again.status_code == 200
    second = again.json()
    assert second["deviceId"] == first["deviceId"]
    assert (second["appVersion"], second["name"]) == ("2", "Phone")
    path = f"{ann.root}/devices/{first['deviceId']}"
    assert (await ann.call("DELETE", path, token=first["deviceToken"])).status_code == 401
    assert (await ann.call("DELETE", path, token=second["deviceToken"])).status_code == 204


async def test_fcms_step_from_token_to_fid_replaces_the_address(ann: App, world: World) -> None:
    firebase = await add_channel(world, "fcm")
    first = (await ann.register(firebase, address={"token": "d" * 60})).json()
    again = await ann.register(firebase, address={"fid": "cFakeInstallationId123"[:22]})
    assert again.status_code == 200
    assert again.json()["deviceId"] == first["deviceId"]
    rows = await world.rows(devices_table)
    assert [(row.address[:4], row.retired_reason) for row in rows] == [("toke", "replaced"), ("fid:", None)]


async def test_a_browsers_subscription_is_kept_in_one_spelling(ann: App, world: World) -> None:
    browsers = await add_channel(world, "webpush")
    answer = await ann.register(browsers, address=subscription())
    assert answer.status_code == 201, answer.text
    [row] = await world.rows(devices_table)
    assert list(json.loads(row.address)) == ["auth", "endpoint", "p256dh"]


async def test_the_same_installation_on_two_channels_is_two_devices(ann: App, world: World) -> None:
    second = await add_channel(world, "apns")
    ids = {(await ann.register()).json()["deviceId"], (await ann.register(second)).json()["deviceId"]}
    assert len(ids) == (await ann.call("GET", ann.devices)).json()["count"] == 2


async def test_an_address_that_moves_leaves_the_first_member_and_its_token_is_void(
    ann: App, bob: App
) -> None:
    first = (await ann.register()).json()
    moved = await bob.register(installationId="another")
    assert moved.status_code == 201
    assert (await ann.call("GET", ann.devices)).json()["count"] == 0
    path = f"{ann.root}/devices/{first['deviceId']}/address"
    back = await ann.call("PUT", path, {"address": {"token": TOKEN}}, first["deviceToken"])
    assert back.status_code == 401


async def test_a_backend_with_an_admins_token_registers_for_its_user(
    caller: Caller, ann: App, world: World
) -> None:
    backend = App(caller, world, ann.member)
    assert (await backend.register()).status_code == 201
    assert (await ann.call("GET", ann.devices)).json()["count"] == 1


async def test_for_anybody_else_the_member_is_not_there(ann: App, bob: App, world: World) -> None:
    stranger = App(bob.caller, world, ann.member)
    device = (await ann.register()).json()["deviceId"]
    answers = [
        await stranger.register(),
        await stranger.call("GET", ann.devices),
        await stranger.call("DELETE", f"{ann.devices}/{device}"),
        await stranger.call("GET", f"{ann.root}/members/{ann.member.user}/channels"),
    ]
    assert {answer.status_code for answer in answers} == {404}


async def test_a_member_that_does_not_exist_is_404_for_an_admin_too(
    caller: Caller, ann: App, world: World
) -> None:
    nobody = App(caller, world, Member(0, uuid4(), "", ()))
    assert (await nobody.register()).status_code == 404


async def test_the_thousandth_device_of_one_member_is_refused_cleanly(ann: App, world: World) -> None:
    new = [
        devices.NewDevice(uuid4(), ann.member.id, world.channel_id, f"{number:064x}", "phone")
        for number in range(MOST_DEVICES)
    ]
    await world.write(devices.add_devices, world.organization_id, new, world.clock())
    for number in range(MOST_DEVICES, 1_000, 100):
        answer = await ann.register(installationId=f"phone-{number}", address={"token": f"{number:064x}"})
        assert (answer.status_code, answer.json()["code"]) == (409, "too_many_devices")
    assert (await ann.call("GET", ann.devices)).json()["count"] == MOST_DEVICES
    known = await ann.register(address={"token": f"{7:064x}"})
    assert known.status_code == 200, "one of them may register again"


# ── Bad input ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("provider", "address", "path"),
    [
        ("apns", {"token": "x" * 10_240}, "address.token"),
        ("apns", {"token": "odd"}, "address.token"),
        ("apns", {"token": ""}, "address.token"),
        ("apns", {}, "address.token"),
        ("apns", {"token": TOKEN, "fid": "f"}, "address.fid"),
        ("fcm", {"token": "x" * 10_240}, "address.token"),
        ("fcm", {"fid": "a b"}, "address.fid"),
        ("fcm", {}, "address"),
        ("fcm", {"token": "d" * 60, "fid": "f" * 22}, "address"),
        ("webpush", {"token": TOKEN}, "address.endpoint"),
        ("webpush", subscription(endpoint=None), "address.endpoint"),
        ("webpush", subscription(endpoint="http://push.example.com/1"), "address.endpoint"),
        ("webpush", subscription(endpoint=f"https://push.example.com/{'x' * 10_240}"), "address.endpoint"),
        ("webpush", subscription(keys=None), "address.keys"),
        ("webpush", subscription(keys={"p256dh": "BA" + "A" * 85, "auth": "A" * 22}), "address.keys.p256dh"),
        ("webpush", subscription(keys={"p256dh": "x" * 10_240, "auth": "A" * 22}), "address.keys.p256dh"),
        ("webpush", subscription() | {"keys": subscription()["keys"] | {"auth": "AA"}}, "address.keys.auth"),
        ("webpush", subscription() | {"keys": {"auth": "AA"}}, "address.keys.p256dh"),
        ("webpush", subscription("home.example.com"), "address.endpoint"),
        ("webpush", subscription("nowhere.example.com"), "address.endpoint"),
    ],
)
async def test_an_address_that_is_none_is_refused_at_its_part(
    ann: App, world: World, provider: str, address: Json, path: str
) -> None:
    channel = await add_channel(world, provider)
    answer = await ann.register(channel, address=address)
    assert answer.status_code == 400, answer.text
    assert path in faults(answer)
    assert await world.rows(devices_table) == []


async def test_an_endpoint_in_a_private_network_is_taken_when_its_host_is_trusted(
    ann: App, world: World
) -> None:
    browsers = await add_channel(world, "webpush")
    for host, status in (("push.example.com", 201), ("public.example.com", 200), ("home.example.com", 400)):
        answer = await ann.register(browsers, address=subscription(host))
        assert answer.status_code == status, host


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ({"installationId": ""}, "installationId"),
        ({"installationId": "x" * 101}, "installationId"),
        ({"installationId": "a\nb"}, "installationId"),
        ({"channelId": "nonsense"}, "channelId"),
        ({"channelId": str(UUID(int=9))}, "channelId"),
        ({"language": "not a language"}, "language"),
        ({"timeZone": "Mars/Olympus"}, "timeZone"),
        ({"timeZone": "../../etc/passwd"}, "timeZone"),
        ({"name": "x" * 101}, "name"),
        ({"address": "token"}, "address"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_every_other_fault_is_named(ann: App, parts: Json, path: str) -> None:
    answer = await ann.register(**parts)
    assert answer.status_code == 400
    assert list(faults(answer)) == [path]


# ── Channels ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_channels_are_those_of_everybody_and_of_the_members_solutions(ann: App, world: World) -> None:
    found = await world.read(directory.find_solutions, world.organization_id, [world.solutions[SOLUTION]])
    solution_id = found[world.solutions[SOLUTION]].id
    site = await add_channel(world, "webpush", {"public_key": "BKey", "subject": "mailto:a@example.com"})
    own = await add_channel(world, "apns", {"topic": "com.example.crm"}, solution_id)
    path = f"{ann.root}/members/{ann.member.user}/channels"
    before = (await ann.call("GET", path)).json()
    assert [item["provider"] for item in before["items"]] == ["apns", "webpush"]
    assert before["items"][1] == {
        "channelId": str(site),
        "provider": "webpush",
        "name": "webpush",
        "applicationServerKey": "BKey",
    }
    assert (await ann.register(own)).status_code == 400
    await world.join(ann.member, SOLUTION)
    after = (await ann.call("GET", path)).json()
    assert after["count"] == 3
    assert after["items"][2] == {
        "channelId": str(own),
        "provider": "apns",
        "name": "apns",
        "solutionId": str(world.solutions[SOLUTION]),
        "topic": "com.example.crm",
    }
    assert (await ann.register(own)).status_code == 201


async def test_a_removed_channel_is_not_there(ann: App, world: World) -> None:
    gone = await add_channel(world, "apns")
    removal = update(channels_table).where(channels_table.c.uuid == gone).values(removed_at=1)
    await world.write(lambda connection: connection.execute(removal))
    assert (await ann.register(gone)).status_code == 400


# ── Removing, and the device's own token ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("role", [Role.USER, Role.ADMIN])
async def test_a_removed_device_is_gone_and_its_token_too(
    caller: Caller, ann: App, world: World, role: Role
) -> None:
    device = (await ann.register()).json()
    by = ann.caller if role is Role.USER else caller
    remover = App(by, world, ann.member)
    path = f"{ann.devices}/{device['deviceId']}"
    assert (await remover.call("DELETE", path)).status_code == 204
    assert (await remover.call("DELETE", path)).status_code == 404
    own = f"{ann.root}/devices/{device['deviceId']}"
    assert (await ann.call("DELETE", own, token=device["deviceToken"])).status_code == 401
    [row] = await world.rows(devices_table)
    assert (row.retired_at, row.retired_reason) == (world.clock(), "removed")


async def test_a_new_address_by_the_devices_token_which_goes_on_working(ann: App, world: World) -> None:
    device = (await ann.register(name="Phone", platform="ios")).json()
    path = f"{ann.root}/devices/{device['deviceId']}"
    for number in range(3):
        answer = await ann.call(
            "PUT", f"{path}/address", {"address": {"token": f"{number:064x}"}}, device["deviceToken"]
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["deviceId"] == device["deviceId"]
        assert answer.json()["name"] == "Phone"
    rows = await world.rows(devices_table)
    assert [row.retired_reason for row in rows] == ["replaced"] * 3 + [None]
    assert {row.first_id for row in rows} == {None, rows[0].id}
    assert (await ann.call("DELETE", path, token=device["deviceToken"])).status_code == 204
    assert (await ann.call("GET", ann.devices)).json()["count"] == 0


async def test_a_device_that_its_push_service_called_gone_comes_back_by_its_token(
    caller: Caller, ann: App, world: World
) -> None:
    device = (await ann.register(name="Phone")).json()
    path, token = f"{ann.root}/devices/{device['deviceId']}", device["deviceToken"]
    told = await world.tell("to all")
    await retire(world, "410 Unregistered")
    assert (await ann.call("GET", ann.devices)).json()["count"] == 0
    other = f"{ann.root}/devices/{uuid4()}/address"
    address = {"address": {"token": "cd" * 32}}
    assert (await ann.call("PUT", other, address, token)).status_code == 401
    answer = await ann.call("PUT", f"{path}/address", address, token)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["deviceId"], answer.json()["name"]) == (device["deviceId"], "Phone")
    assert (await ann.call("GET", ann.devices)).json()["count"] == 1
    shown = {"receipts": [{"notificationId": str(told.uuid), "event": "displayed"}]}
    assert (await ann.call("POST", f"{path}/receipts", shown, token)).status_code == 204
    stats = await App(caller, world, ann.member).call("GET", f"{ann.root}/notifications/{told.uuid}/stats")
    assert stats.json()["displayed"] == 1


@pytest.mark.parametrize("reason", [devices.MOVED, devices.REMOVED, devices.REPLACED])
async def test_a_device_that_was_given_up_does_not_come_back(ann: App, world: World, reason: str) -> None:
    device = (await ann.register()).json()
    await retire(world, reason)
    path, token = f"{ann.root}/devices/{device['deviceId']}", device["deviceToken"]
    answer = await ann.call("PUT", f"{path}/address", {"address": {"token": "cd" * 32}}, token)
    assert answer.status_code == 401
    assert (await ann.call("GET", ann.devices)).json()["count"] == 0


async def test_a_gone_device_that_leaves_does_not_come_back(ann: App, world: World) -> None:
    device = (await ann.register()).json()
    await retire(world, "410 Unregistered")
    path, token = f"{ann.root}/devices/{device['deviceId']}", device["deviceToken"]
    assert (await ann.call("DELETE", path, token=token)).status_code == 204
    answer = await ann.call("PUT", f"{path}/address", {"address": {"token": "cd" * 32}}, token)
    assert answer.status_code == 401


async def retire(world: World, reason: str) -> None:
    """Retire the one device that there is."""
    [row] = await world.rows(devices_table, retired_at=None)
    assert await world.write(
        devices.retire_device, world.organization_id, row.id, reason, world.clock(), None
    )


async def test_a_device_that_takes_another_ones_address_becomes_it(ann: App, world: World) -> None:
    one = (await ann.register(installationId="one", address={"token": "aa"})).json()
    two = (await ann.register(installationId="two", address={"token": "bb"})).json()
    path = f"{ann.root}/devices/{one['deviceId']}/address"
    answer = await ann.call("PUT", path, {"address": {"token": "BB"}}, one["deviceToken"])
    assert answer.json()["deviceId"] == two["deviceId"]
    left = f"{ann.root}/devices/{two['deviceId']}"
    assert (await ann.call("DELETE", left, token=two["deviceToken"])).status_code == 401
    assert (await ann.call("DELETE", left, token=one["deviceToken"])).status_code == 204


async def test_a_bad_new_address_is_refused_like_at_registering(ann: App) -> None:
    device = (await ann.register()).json()
    path = f"{ann.root}/devices/{device['deviceId']}/address"
    answer = await ann.call("PUT", path, {"address": {"fid": "x"}}, device["deviceToken"])
    assert set(faults(answer)) == {"address.fid", "address.token"}


async def test_a_devices_token_opens_nothing_else(ann: App, bob: App, world: World) -> None:
    own, other = (
        (await ann.register()).json(),
        (await bob.register(address={"token": "cc"}, installationId="b")).json(),
    )
    token = own["deviceToken"]
    closed = [
        ("GET", ann.devices, 401),
        ("GET", f"{ann.root}/members/{ann.member.user}/notifications", 401),
        ("GET", f"{ann.root}/notifications", 401),
        ("DELETE", f"{ann.root}/devices/{other['deviceId']}", 404),
        ("DELETE", f"/v2.0/tool/organizations/{uuid4()}/devices/{own['deviceId']}", 404),
    ]
    for method, path, status in closed:
        assert (await ann.call(method, path, token=token)).status_code == status, path
    assert (await ann.call("DELETE", f"{ann.root}/devices/{own['deviceId']}")).status_code == 401


async def test_a_devices_token_that_proves_nothing(ann: App) -> None:
    device = (await ann.register()).json()
    path, token = f"{ann.root}/devices/{device['deviceId']}", device["deviceToken"]
    guessed = mint_token("us-east-1", bytes, TokenKind.DEVICE)[0]
    for bad in (token[:-1], token[:-9] + "0" * 9, guessed, "cld_nonsense"):
        assert (await ann.call("DELETE", path, token=bad)).status_code == 401
    elsewhere = mint_token("eu-central-1", bytes, TokenKind.DEVICE)[0]
    assert (await ann.call("DELETE", path, token=elsewhere)).status_code == 421


def test_browsers_may_put() -> None:
    assert b"PUT" in dict(PREFLIGHT)[b"access-control-allow-methods"]
