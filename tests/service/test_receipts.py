"""Receipts over both databases: what counts, once, at which moment, and what is passed over in silence."""

import asyncio
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from clarion.model.audience import Scope
from clarion.model.notification import Notification
from clarion.service.receipts import ReceiptRequest, Told, receipts_weight, receive
from clarion.store import installations, receipts
from clarion.store.database import Database, Together
from clarion.store.installations import DeviceAccess
from clarion.store.receipts import KEPT_MS, ReceiptEvent
from clarion.store.schema import devices as devices_table
from clarion.store.schema import receipt_tallies
from clarion.store.schema import receipts as receipts_table
from tests.clock import Clock
from tests.world import Member, World

SHOWN, OPENED = ReceiptEvent.DISPLAYED, ReceiptEvent.OPENED


async def device_of(world: World, member: Member) -> DeviceAccess:
    """A member's first device as its token would prove it."""
    row = (await world.rows(devices_table, member_id=member.id))[0]
    return DeviceAccess(
        world.organization_id,
        world.organization,
        member.id,
        row.channel_id,
        "apns",
        row.uuid,
        row.id,
        row.id,
        row.last_seen_at,
    )


async def tell(
    world: World, member: Member, *events: tuple[UUID, ReceiptEvent] | tuple[UUID, ReceiptEvent, int]
) -> None:
    request = ReceiptRequest(
        await device_of(world, member), tuple(Told(*event) for event in events), world.clock()
    )
    assert await world.write(receive, [request], 0) == [None]


async def counts(world: World, told: Notification) -> dict[str, int]:
    counted = await world.read(receipts.count_receipts, world.organization_id, told.id)
    return {name: count for name, count in counted.items() if count}


async def test_each_event_counts_once_and_what_was_opened_was_displayed(world: World) -> None:
    ann, bob = await world.add_members(2)
    told = await world.tell("to all")
    await tell(world, ann, (told.uuid, SHOWN), (told.uuid, SHOWN))
    assert await counts(world, told) == {"displayed": 1}
    await tell(world, ann, (told.uuid, SHOWN))
    await tell(world, bob, (told.uuid, OPENED))
    await tell(world, bob, (told.uuid, OPENED), (told.uuid, SHOWN))
    assert await counts(world, told) == {"displayed": 2, "opened": 1}


async def test_what_the_member_cannot_see_is_passed_over(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    bob = await world.add_member("bob@example.com")
    own = (await world.publish(world.draft(Scope.USERS, emails=("bob@example.com",)))).notification
    left = await world.add_member("left@example.com", "crm")
    await world.leave(left, "crm")
    late = await world.tell("after they left", "crm")
    scheduled = (await world.publish(world.draft(start_at=world.clock() + 1_000))).notification
    await tell(world, ann, (own.uuid, OPENED), (scheduled.uuid, OPENED), (uuid4(), OPENED))
    await tell(world, left, (late.uuid, OPENED))
    await tell(world, bob, (own.uuid, OPENED))
    assert await counts(world, own) == {"displayed": 1, "opened": 1}
    assert len(await world.rows(receipts_table)) == 2


async def test_another_organizations_notification_is_passed_over(world: World) -> None:
    other = await World.make(world.database, world.clock, "Other")
    [ann] = await world.add_members(1)
    told = await other.tell("theirs")
    await tell(world, ann, (told.uuid, OPENED))
    assert await world.rows(receipts_table) == []


@pytest.mark.parametrize(("at", "kept"), [(None, 5_000), (3_000, 3_000), (-1, 0), (9_000, 5_000)])
async def test_a_clock_is_never_trusted(world: World, at: int | None, kept: int) -> None:
    [ann] = await world.add_members(1)
    released_at = world.clock()
    told = await world.tell("to all")
    world.clock.move(seconds=5)
    moment = () if at is None else (released_at + at if at >= 0 else 0,)
    await tell(world, ann, (told.uuid, SHOWN, *moment))
    [row] = await world.rows(receipts_table)
    assert (row.at - released_at, row.received_at) == (kept, world.clock())


async def test_a_burst_shares_commits_and_counts_exactly(world: World) -> None:
    people = await world.add_members(300)
    told = await world.tell("to all")
    rows = {row.member_id: row for row in await world.rows(devices_table)}

    def request(member: Member) -> ReceiptRequest:
        row = rows[member.id]
        device = DeviceAccess(
            world.organization_id,
            world.organization,
            member.id,
            row.channel_id,
            "apns",
            row.uuid,
            row.id,
            row.id,
            0,
        )
        return ReceiptRequest(device, (Told(told.uuid, OPENED),), world.clock())

    gate = Together(world.database, partial(receive, slot=3), receipts_weight)
    await asyncio.gather(*(gate(request(member)) for member in [*people, *people]))
    assert await counts(world, told) == {"displayed": 300, "opened": 300}
    [counted] = await world.rows(receipt_tallies)
    assert counted.slot == 3
    seen = await world.rows(devices_table)
    assert {row.last_seen_at for row in seen} == {world.clock()}


async def test_several_processes_count_the_same_device_once(postgresql_url: str) -> None:
    databases = [Database(postgresql_url) for _ in range(3)]
    world = await World.make(databases[0], Clock())
    people = await world.add_members(40)
    told = await world.tell("to all")
    devices = [await device_of(world, member) for member in people]
    gates: list[Any] = [
        Together(database, partial(receive, slot=slot), receipts_weight)
        for slot, database in enumerate(databases)
    ]
    requests = [ReceiptRequest(device, (Told(told.uuid, SHOWN),), world.clock()) for device in devices]
    await asyncio.gather(*(gate(one) for gate in gates for one in requests))
    assert await counts(world, told) == {"displayed": 40}
    for database in databases:
        database.close()


async def test_that_a_device_was_heard_of_is_written_once_a_day(world: World) -> None:
    [ann] = await world.add_members(1)
    told = await world.tell("to all")
    first = world.clock()
    for hours in (0, 1, 24):
        world.clock.now = first + hours * 3_600_000
        await tell(world, ann, (told.uuid, SHOWN))
        seen = (await world.rows(devices_table))[0].last_seen_at
        assert seen == (world.clock() if hours != 1 else first)


async def test_receipts_are_forgotten_after_thirty_days_and_their_counts_stay(world: World) -> None:
    [ann] = await world.add_members(1)
    told = await world.tell("to all")
    await tell(world, ann, (told.uuid, OPENED))
    now = world.clock() + KEPT_MS
    assert await world.write(receipts.forget_old_receipts, now - 1, 10) == 0
    assert await world.write(receipts.forget_old_receipts, now, 10) == 2
    assert await counts(world, told) == {"displayed": 1, "opened": 1}


async def test_a_devices_receipts_are_under_the_number_that_it_keeps(world: World) -> None:
    [ann] = await world.add_members(1)
    installation = (await world.read(installations.list_installations, world.organization_id, ann.id))[0]
    assert installation.number == installation.row_id
