"""Channels: what they keep, what people see of them, and what is left of one that was removed."""

import dataclasses
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import Connection, select

from clarion.store import channels, directory
from clarion.store.channels import Channel, Expiry, NewChannel, StoredSecret
from clarion.store.schema import channels as table
from clarion.store.schema import devices
from tests.world import SOLUTION, World

DAY_MS = timedelta(days=1) // timedelta(milliseconds=1)


async def add(world: World, name: str = "added", **more: object) -> Channel:
    new = NewChannel(uuid4(), "apns", name, {"topic": "com.example.app"}, f"v1:{'0' * 12}:{name}")
    new = dataclasses.replace(new, **more)  # type: ignore[arg-type]
    await world.write(channels.add_channel, world.organization_id, new, world.clock())
    found = await world.read(channels.find_channel, new.uuid)
    assert found is not None
    return found


async def test_a_channel_is_found_with_its_secret_as_it_was_sealed(world: World) -> None:
    added = await add(world)
    assert added.organization_id == world.organization_id
    assert (added.provider, added.name, added.settings) == ("apns", "added", {"topic": "com.example.app"})
    assert added.sealed == "v1:000000000000:added"
    assert await world.read(channels.find_channels, [added.id]) == [added]
    assert await world.read(channels.find_channel, uuid4()) is None


async def test_neither_the_secret_nor_its_sealed_text_is_in_a_repr(world: World) -> None:
    added = await add(world)
    new = NewChannel(uuid4(), "apns", "n", {}, "hunter2")
    assert "added'" in repr(added)
    assert "v1:" not in repr(added)
    assert "hunter2" not in repr(new)


async def test_the_list_counts_devices_in_use_and_names_the_solution(world: World) -> None:
    solutions = await world.read(directory.find_solutions, world.organization_id, [world.solutions[SOLUTION]])
    limited = await add(world, "limited", solution_id=solutions[world.solutions[SOLUTION]].id)
    await world.add_member("one@example.com", phones=2)
    first, second = await world.read(channels.list_channels, world.organization_id)
    assert (first.devices, first.solution) == (2, None)
    assert (second.uuid, second.devices, second.solution) == (limited.uuid, 0, SOLUTION)
    other = await World.make(world.database, world.clock, "another")
    assert len(await world.read(channels.list_channels, other.organization_id)) == 1


async def test_an_address_is_that_of_a_device_in_use_on_this_channel(world: World) -> None:
    member = await world.add_member("one@example.com")
    [device] = await world.rows(devices)
    [first] = await world.read(channels.find_channels, [world.channel_id])
    assert await world.read(channels.find_address, first, device.uuid) == member.addresses[0]
    assert await world.read(channels.find_address, await add(world), device.uuid) is None
    assert await world.write(channels.retire_devices, first, "test", 1, 10) == 1
    assert await world.read(channels.find_address, first, device.uuid) is None


async def test_credentials_that_end_are_listed_the_next_one_first(world: World) -> None:
    later, sooner = await add(world, "b", expires_at=2 * DAY_MS), await add(world, "a", expires_at=DAY_MS)
    assert await world.read(channels.list_expiries) == [
        Expiry(sooner.id, "apns", DAY_MS),
        Expiry(later.id, "apns", 2 * DAY_MS),
    ]


async def test_a_new_credential_ends_the_rest_and_tells_the_moment(world: World) -> None:
    added = await add(world, expires_at=DAY_MS)
    await world.write(channels.hold_channel, added.id, world.clock() + 1000, "refused")
    assert await world.read(channels.count_held, world.clock()) == 1
    new = NewChannel(added.uuid, "apns", "ignored", {"topic": "t"}, "v1:111111111111:x", expires_at=None)
    await world.write(channels.renew_channel, added.id, new, world.clock())
    renewed = await world.read(channels.find_channel, added.uuid)
    assert renewed == Channel(
        added.id,
        added.organization_id,
        added.uuid,
        "apns",
        "added",
        {"topic": "t"},
        world.clock(),
        new.sealed,
    )
    assert await world.read(channels.count_held, world.clock()) == 0
    assert await world.read(channels.list_expiries) == []


async def test_a_rest_can_be_ended(world: World) -> None:
    await world.write(channels.hold_channel, world.channel_id, world.clock() + 1000, "refused")
    assert await world.write(channels.end_rest, world.channel_id)
    assert not await world.write(channels.end_rest, world.channel_id)
    assert await world.read(channels.count_held, world.clock()) == 0


async def test_a_removed_channel_is_nowhere_and_has_no_secret(world: World) -> None:
    added = await add(world, expires_at=DAY_MS)
    await world.write(channels.hold_channel, added.id, world.clock() + 1000, "refused")
    await world.write(channels.mark_removed, added.id, world.clock())
    assert await world.read(channels.find_channel, added.uuid) is None
    assert await world.read(channels.find_channels, [added.id]) == []
    assert added.id not in dict(await world.read(channels.channels_by_solution, world.organization_id))
    assert [one.id for one in await world.read(channels.list_channels, world.organization_id)] == [
        world.channel_id
    ]
    assert await world.read(channels.list_expiries) == []
    assert await world.read(channels.count_held, world.clock()) == 0
    assert await world.read(channels.count_secrets) == 0
    [row] = await world.rows(table, id=added.id)
    assert (row.secret, row.removed_at) == ("", world.clock())
    left = await world.read(channels.find_channel, added.uuid, removed=True)
    assert left is not None
    assert left.sealed == ""


async def test_a_notification_is_not_for_a_removed_channel(world: World) -> None:
    await world.add_member("one@example.com")
    await world.write(channels.mark_removed, world.channel_id, world.clock())
    await world.publish(world.draft())
    assert await world.read(channels.count_runs, world.channel_id) == 0
    assert await world.read(channels.due_channels, world.clock()) == []


async def test_secrets_are_walked_in_pieces_and_replaced_unless_they_changed(world: World) -> None:
    added = [await add(world, f"{number}") for number in range(3)]
    await world.write(_set_secret, world.channel_id, "in clear")
    first = await world.read(channels.secrets_not_under, "v", 0, 10)
    assert [stored.text for stored in first] == ["in clear"]
    two = await world.read(channels.secrets_not_under, "v1:x", 0, 2)
    rest = await world.read(channels.secrets_not_under, "v1:x", two[-1].channel_id, 2)
    assert [stored.channel_id for stored in (*two, *rest)] == [world.channel_id, *(one.id for one in added)]
    assert await world.write(channels.replace_secret, rest[0], "v1:x")
    assert not await world.write(channels.replace_secret, rest[0], "v1:y")
    assert rest[0] == StoredSecret(
        added[1].id, world.organization_id, added[1].uuid, "1", "v1:000000000000:1"
    )
    assert await world.read(channels.count_by_prefix, 4) == {"in c": 1, "v1:0": 2, "v1:x": 1}


async def test_sealing_waits_for_nobody_and_lets_nobody_in(world: World) -> None:
    await world.write(channels.lock_channels)
    assert await world.read(_uuids) == [(await world.rows(table))[0].uuid]


def _set_secret(connection: Connection, channel_id: int, secret: str) -> None:
    connection.execute(table.update().where(table.c.id == channel_id).values(secret=secret))


def _uuids(connection: Connection) -> list[UUID]:
    return list(connection.scalars(select(table.c.uuid)))
