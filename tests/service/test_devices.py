"""Devices over both databases: races for one address, what is on its way when a device is given up, and the sweep."""

import asyncio
from secrets import token_bytes
from uuid import uuid4

import pytest
from sqlalchemy import Connection

from clarion.model.access import TokenKind, TokenText, mint_token
from clarion.model.delivery import DeliveryState
from clarion.model.errors import Conflict, Refusal, Unauthenticated
from clarion.service import devices
from clarion.service.devices import Registered, Registration
from clarion.store import channels, installations
from clarion.store.database import Database
from clarion.store.deliveries import Deviation, keep_deviations
from clarion.store.devices import NewDevice, add_devices, retire_device
from clarion.store.installations import Details, DeviceAccess
from clarion.store.schema import channels as channels_table
from clarion.store.schema import deliveries, members
from clarion.store.schema import devices as devices_table
from tests.clock import Clock
from tests.service.lanes import ScriptedProvider, make_lane, tally
from tests.world import Member, World

DAY = 86_400


async def registration(world: World, address: str, installation: str = "phone") -> Registration:
    [channel] = await world.rows(channels_table, id=world.channel_id)
    opened = installations.OpenChannel(channel.id, channel.uuid, "apns", "first", {}, None)
    return Registration(opened, installation, address, Details(name="Phone"))


async def register(
    world: World, member: Member, address: str, installation: str = "phone", database: Database | None = None
) -> tuple[Registered, DeviceAccess]:
    """Register, and how the device is known by its token."""
    _, token = mint_token("us-east-1", token_bytes, TokenKind.DEVICE)
    asked = await registration(world, address, installation)
    registered = await devices.register_device(
        database or world.database, world.admin, member.user, asked, token, world.clock()
    )
    known = await world.read(installations.find_by_token, token)
    assert known is not None
    return registered, known


async def retire_as_gone(world: World, device: DeviceAccess) -> None:
    """As a push does that the push service answers with 410."""
    assert await world.write(
        retire_device, world.organization_id, device.row_id, "410 Unregistered", world.clock(), None
    )


def find_gone(connection: Connection, device: DeviceAccess, token: TokenText) -> DeviceAccess | None:
    return installations.find_gone(connection, device.organization, device.device, token)


async def test_two_members_that_take_one_address_in_the_same_instant_both_get_an_answer(
    postgresql_url: str,
) -> None:
    """Several processes, each with its own connections; in the end one of the members has the address."""
    databases = [Database(postgresql_url) for _ in range(4)]
    world = await World.make(databases[0], Clock())
    people = await world.add_members(4, phones=0)

    async def ask(number: int) -> Registered:
        asked = await registration(world, f"address-{number // 4}", f"phone-{number % 4}")
        _, own = mint_token("us-east-1", token_bytes, TokenKind.DEVICE)
        return await devices.register_device(
            databases[number % 4], world.admin, people[number % 4].user, asked, own, world.clock()
        )

    answers = await asyncio.gather(*(ask(number) for number in range(40)), return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, Registered)] == []
    live = [row.address for row in await world.rows(devices_table) if row.retired_at is None]
    assert len(live) == len(set(live))
    for database in databases:
        database.close()


async def test_a_device_that_moved_after_its_token_was_looked_up_is_not_brought_back(world: World) -> None:
    ann, bob = await world.add_members(2, phones=0)
    _, known = await register(world, ann, "a")
    await register(world, bob, "a", "other")
    with pytest.raises(Unauthenticated):
        await devices.change_address(world.database, known, "b", world.clock())
    live = [row for row in await world.rows(devices_table) if row.retired_at is None]
    assert [(row.member_id, row.address) for row in live] == [(bob.id, "a")]


async def test_a_device_that_its_push_service_called_gone_comes_back_by_its_token(world: World) -> None:
    [ann] = await world.add_members(1, phones=0)
    _, token = mint_token("us-east-1", token_bytes, TokenKind.DEVICE)
    asked = await registration(world, "a")
    first = await devices.register_device(world.database, world.admin, ann.user, asked, token, world.clock())
    for address in ("b", "c"):
        live = await world.read(installations.find_by_token, token)
        assert live is not None
        await retire_as_gone(world, live)
        assert await world.read(installations.find_by_token, token) is None
        known = await world.read(find_gone, live, token)
        assert known == live
        back = await devices.change_address(world.database, known, address, world.clock())
        assert (back.device, back.number) == (first.installation.device, first.installation.number)
        assert await world.read(find_gone, live, token) is None, "it is live"
        after = await world.read(installations.find_by_token, token)
        assert after is not None
        assert (after.number, after.row_id) == (live.number, back.row_id)
    rows = await world.rows(devices_table)
    assert [(row.address, row.retired_reason) for row in rows] == [
        ("a", "410 Unregistered"),
        ("b", "410 Unregistered"),
        ("c", None),
    ]


@pytest.mark.parametrize("how", ["another", "other_member", "left", "channel", "member", "forgotten"])
async def test_a_gone_device_that_was_followed_or_given_up_does_not_come_back(world: World, how: str) -> None:
    """Neither by a look-up after it, nor when it happens between the look-up and the change."""
    ann, bob = await world.add_members(2, phones=0)
    _, token = mint_token("us-east-1", token_bytes, TokenKind.DEVICE)
    asked = await registration(world, "a")
    await devices.register_device(world.database, world.admin, ann.user, asked, token, world.clock())
    known = await world.read(installations.find_by_token, token)
    assert known is not None
    await retire_as_gone(world, known)
    if how in ("another", "other_member"):
        _, later = await register(world, ann if how == "another" else bob, "b")
        await retire_as_gone(world, later)
    elif how == "left":
        await world.write(devices.leave, known, world.clock())
    elif how == "channel":
        await world.write(channels.mark_removed, world.channel_id, world.clock())
    elif how == "member":
        await world.write(
            lambda connection: connection.execute(members.delete().where(members.c.id == ann.id))
        )
    else:
        world.clock.move(seconds=90 * DAY)
        await world.write(installations.forget_retired, world.clock(), 100)
    assert await world.read(find_gone, known, token) is None
    if how != "member":
        with pytest.raises(Unauthenticated):
            await devices.change_address(world.database, known, "c", world.clock())
    assert [row for row in await world.rows(devices_table) if row.retired_at is None] == []


async def test_another_devices_token_brings_no_device_back(world: World) -> None:
    [ann] = await world.add_members(1, phones=0)
    _, gone = await register(world, ann, "a")
    await retire_as_gone(world, gone)
    _, guessed = mint_token("us-east-1", token_bytes, TokenKind.DEVICE)
    assert await world.read(find_gone, gone, guessed) is None


async def test_a_device_that_comes_back_to_a_member_with_too_many_is_refused(world: World) -> None:
    [ann] = await world.add_members(1, phones=0)
    _, known = await register(world, ann, "a")
    await retire_as_gone(world, known)
    new = [
        NewDevice(uuid4(), ann.id, world.channel_id, f"{number}", "phone")
        for number in range(devices.MOST_DEVICES)
    ]
    await world.write(add_devices, world.organization_id, new, world.clock())
    with pytest.raises(Conflict, match="100 devices already"):
        await devices.change_address(world.database, known, "b", world.clock())
    assert len(await world.rows(devices_table, retired_at=None)) == devices.MOST_DEVICES


async def test_a_gone_device_that_two_members_want_in_the_same_instant_goes_to_one(
    postgresql_url: str,
) -> None:
    """Its own token brings it back while another member registers the installation."""
    databases = [Database(postgresql_url) for _ in range(2)]
    world = await World.make(databases[0], Clock())
    for number in range(10):
        ann, bob = await world.add_members(2, phones=0)
        _, known = await register(world, ann, f"a{number}", f"phone-{number}")
        await retire_as_gone(world, known)
        back, registered = await asyncio.gather(
            devices.change_address(databases[0], known, f"b{number}", world.clock()),
            register(world, bob, f"c{number}", f"phone-{number}", databases[1]),
            return_exceptions=True,
        )
        assert isinstance(back, Unauthenticated | installations.Installation)
        assert not isinstance(registered, BaseException)
        rows = await world.rows(devices_table, uuid=known.device)
        assert [row.member_id for row in rows if row.retired_at is None] == [bob.id]
    for database in databases:
        database.close()


@pytest.mark.parametrize("how", ["moved", "removed", "replaced"])
async def test_what_is_claimed_already_stops_at_the_next_page_when_its_member_gave_the_device_up(
    world: World, how: str
) -> None:
    """Four pages are on their way when the one device of the fifth changes."""
    await world.add_members(400, phones=5)
    last, bob = await world.add_members(2, phones=0)
    registered, _ = await register(world, last, "a")
    provider = ScriptedProvider()
    changed = asyncio.Event()

    async def change(call: int) -> None:
        if call == 1:
            await give_up()
            changed.set()
        await changed.wait()

    async def give_up() -> None:
        if how == "moved":
            await register(world, bob, "a", "other")
        elif how == "removed":
            await world.write(
                devices.remove_device,
                world.admin,
                last.user,
                registered.installation.device,
                world.clock(),
            )
        else:
            await register(world, last, "b")

    provider.before_call = change
    told = await world.tell("to all")
    await make_lane(world, provider).drain()
    offered = {"a"} & set(provider.addresses)
    assert offered == ({"a"} if how == "replaced" else set())
    counted = await tally(world, told.id)
    assert counted == ({"accepted": 2_001} if how == "replaced" else {"accepted": 2_000, "gone": 1})


async def test_retired_devices_are_forgotten_after_ninety_days_but_not_their_number(world: World) -> None:
    [ann] = await world.add_members(1, phones=0)
    for address in ("a", "b"):
        await register(world, ann, address)
    gone, _ = await register(world, ann, "c", "tablet")
    await world.write(devices.remove_device, world.admin, ann.user, gone.installation.device, world.clock())
    told = await world.tell("to all")
    [run] = await world.claim()
    failed = Deviation(gone.installation.number, DeliveryState.REFUSED, 1, "Bad")
    kept = Deviation(0, DeliveryState.REFUSED, 1, "Bad")
    await world.write(keep_deviations, run, [failed, kept], world.clock())
    assert run.notification_id == told.id
    world.clock.move(seconds=90 * DAY - 1)
    assert await world.write(installations.forget_retired, world.clock(), 100) == 0
    world.clock.move(seconds=1)
    assert await world.write(installations.forget_retired, world.clock(), 100) == 1
    rows = await world.rows(devices_table)
    assert [row.address for row in rows] == ["a", "b"], "the second continues the first"
    assert [row.device_id for row in await world.rows(deliveries)] == [0]
    await world.write(devices.remove_device, world.admin, ann.user, rows[1].uuid, world.clock())
    world.clock.move(seconds=90 * DAY)
    assert await world.write(installations.forget_retired, world.clock(), 100) == 1
    assert await world.write(installations.forget_retired, world.clock(), 100) == 1
    assert await world.rows(devices_table) == []


async def test_a_member_that_is_not_there_is_refused(world: World) -> None:
    with pytest.raises(Refusal, match="no such member"):
        await world.read(devices.list_devices, world.admin, uuid4())
