"""Registering devices: again, at another address, for another member; and what was released meanwhile."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from clarion.model.outcome import Gone, Unknown
from clarion.store import devices, runs
from clarion.store.database import Database
from clarion.store.schema import devices as devices_table
from tests.clock import Clock
from tests.service.lanes import ScriptedProvider, make_lane, tally
from tests.world import Member, World

PHONE = UUID(int=1)
TABLET = UUID(int=2)


async def register(
    world: World, member: Member, address: str, uuid: UUID = PHONE, channel_id: int | None = None
) -> UUID:
    on = world.channel_id if channel_id is None else channel_id
    new = devices.NewDevice(uuid, member.id, on, address, "phone")
    return await world.write(devices.register_device, world.organization_id, new, world.clock())


async def rows(world: World) -> list[tuple[Any, ...]]:
    """Every row, oldest first: whose it is, its address, the place of the row it continues, why it was retired."""
    found = await world.rows(devices_table, organization_id=world.organization_id)
    places = {row.id: place for place, row in enumerate(found)}
    return [(row.member_id, row.address, places.get(row.first_id), row.retired_reason) for row in found]


async def people(world: World) -> tuple[Member, Member]:
    """Two members without a device."""
    ann, bob = await world.add_members(2, phones=0)
    return ann, bob


# ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_same_member_and_address_are_only_refreshed(world: World) -> None:
    ann, _ = await people(world)
    assert await register(world, ann, "a") == PHONE
    world.clock.move(seconds=5)
    assert await register(world, ann, "a") == PHONE
    [row] = await world.rows(devices_table)
    assert (row.registered_at, row.address, row.retired_at) == (world.clock(), "a", None)


async def test_an_installation_that_forgot_its_uuid_is_known_by_its_address(world: World) -> None:
    ann, _ = await people(world)
    await register(world, ann, "a", PHONE)
    assert await register(world, ann, "a", TABLET) == PHONE
    assert await rows(world) == [(ann.id, "a", None, None)]


async def test_a_new_address_replaces_the_old_one_and_the_device_goes_on(world: World) -> None:
    ann, _ = await people(world)
    for address in "abc":
        await register(world, ann, address)
    assert await rows(world) == [
        (ann.id, "a", None, "replaced"),
        (ann.id, "b", 0, "replaced"),
        (ann.id, "c", 0, None),
    ]


async def test_an_address_that_moves_to_another_member_leaves_the_first_one(world: World) -> None:
    ann, bob = await people(world)
    await register(world, ann, "a", PHONE)
    assert await register(world, bob, "a", TABLET) == TABLET
    assert await rows(world) == [(ann.id, "a", None, "moved to another member"), (bob.id, "a", None, None)]


async def test_an_installation_that_moves_to_another_member_and_back_is_the_first_ones_again(
    world: World,
) -> None:
    ann, bob = await people(world)
    for member, address in ((ann, "a"), (bob, "b"), (ann, "c")):
        await register(world, member, address)
    assert await rows(world) == [
        (ann.id, "a", None, "moved to another member"),
        (bob.id, "b", None, "moved to another member"),
        (ann.id, "c", 0, None),
    ]


async def test_an_installation_that_takes_over_another_ones_address_leaves_its_own(world: World) -> None:
    ann, _ = await people(world)
    await register(world, ann, "a", PHONE)
    await register(world, ann, "b", TABLET)
    assert await register(world, ann, "b", PHONE) == TABLET
    assert await rows(world) == [(ann.id, "a", None, "replaced"), (ann.id, "b", None, None)]


async def test_another_channel_is_another_device_and_the_old_one_is_left(world: World) -> None:
    ann, _ = await people(world)
    second = await world.add_channel()
    await register(world, ann, "a")
    await register(world, ann, "a", PHONE, second)
    assert await rows(world) == [(ann.id, "a", None, "replaced"), (ann.id, "a", None, None)]


async def test_a_device_that_was_gone_and_comes_back_goes_on(world: World) -> None:
    ann, _ = await people(world)
    await register(world, ann, "a")
    [row] = await world.rows(devices_table)
    await world.write(devices.retire_device, world.organization_id, row.id, "gone", world.clock(), None)
    await register(world, ann, "a")
    assert await rows(world) == [(ann.id, "a", None, "gone"), (ann.id, "a", 0, None)]


async def test_another_organizations_device_is_another_one(world: World) -> None:
    other = await World.make(world.database, world.clock)
    for one in (world, other):
        [member] = await one.add_members(1, phones=0)
        await register(one, member, "a")
    assert [len(await rows(one)) for one in (world, other)] == [1, 1]


async def test_a_member_that_registers_twice_at_once_has_one_device(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    world = await World.make(database, Clock())
    [ann] = await world.add_members(1, phones=0)
    loop = asyncio.get_running_loop()

    def register_here(address: str) -> None:
        with database.engine.connect() as connection, connection.begin():
            new = devices.NewDevice(PHONE, ann.id, world.channel_id, address, "phone")
            devices.register_device(connection, world.organization_id, new, world.clock())

    with ThreadPoolExecutor(4) as threads:
        await asyncio.gather(*(loop.run_in_executor(threads, register_here, a) for a in "aabbccdd"))
    assert len([row for row in await world.rows(devices_table) if row.retired_at is None]) == 1
    database.close()


# ── What was released before ─────────────────────────────────────────────────────────────────────────────


async def test_what_was_released_to_an_address_reaches_the_one_that_replaced_it_once(world: World) -> None:
    ann, _ = await people(world)
    await register(world, ann, "a")
    told = await world.tell("to all")
    for address in "bc":
        await register(world, ann, address)
    provider = ScriptedProvider()
    await make_lane(world, provider).drain()
    assert provider.addresses == Counter("c")
    assert await tally(world, told.id) == {"accepted": 1}


async def test_a_device_that_came_back_after_it_was_gone_gets_what_was_released_before(world: World) -> None:
    ann, _ = await people(world)
    await register(world, ann, "a")
    provider = ScriptedProvider()
    provider.answers("a", Gone("Unregistered"))
    await world.tell("one")
    await make_lane(world, provider).drain()
    await register(world, ann, "a")
    await world.tell("two")
    await make_lane(world, provider).drain()
    assert provider.addresses == Counter({"a": 2})


async def test_what_was_released_to_one_member_never_follows_the_device_to_another(world: World) -> None:
    ann, bob = await people(world)
    await register(world, ann, "a")
    await world.tell("before bob had it")
    await register(world, bob, "a")
    provider = ScriptedProvider()
    await make_lane(world, provider).drain()
    assert provider.offers == []


async def test_a_device_that_is_new_after_the_release_gets_nothing_of_it(world: World) -> None:
    ann, _ = await people(world)
    await world.tell("to all")
    await register(world, ann, "a")
    provider = ScriptedProvider()
    await make_lane(world, provider).drain()
    assert provider.offers == []


async def test_a_retry_goes_to_the_present_address_under_the_same_id(world: World) -> None:
    ann, _ = await people(world)
    await register(world, ann, "a")
    provider = ScriptedProvider()
    provider.answers("a", Unknown("no answer"))
    told = await world.tell("to all")
    lane = make_lane(world, provider)
    await lane.drain()
    await register(world, ann, "b")
    world.clock.move(seconds=5)
    await lane.drain()
    assert [offer.address for offer in provider.offers] == ["a", "b"]
    assert len({offer.push_id for offer in provider.offers}) == 1
    assert await tally(world, told.id) == {"accepted": 1, "retried": 1, "repeats": 1}


async def test_a_retry_ends_when_its_device_moved_to_another_member(world: World) -> None:
    ann, bob = await people(world)
    await register(world, ann, "a")
    provider = ScriptedProvider()
    provider.answers("a", Unknown("no answer"))
    told = await world.tell("to all")
    lane = make_lane(world, provider)
    await lane.drain()
    await register(world, bob, "a")
    world.clock.move(seconds=5)
    await lane.drain()
    assert len(provider.offers) == 1
    assert await tally(world, told.id) == {"gone": 1}


async def test_a_page_behind_which_a_device_registered_again_does_not_offer_it_twice(world: World) -> None:
    ann, _ = await people(world)
    for address, uuid in (("a", PHONE), ("b", TABLET)):
        await register(world, ann, address, uuid)
    await world.tell("to all")
    [run] = await world.claim("killed")
    first, _ = await world.targets([run])
    await world.write(runs.advance, run.id, first.member_id, first.device_id)
    await register(world, ann, "c", PHONE)
    world.clock.move(seconds=31)
    assert [target.address for target in await world.targets(await world.claim("next"))] == ["b"]
