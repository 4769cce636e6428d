"""Scheduled notifications: each is released once, at its moment."""

import asyncio
from typing import Any

from clarion.model.audience import Scope
from clarion.model.notification import Notification, NotificationState
from clarion.service.release import RELEASED_TOGETHER, release_due
from clarion.store import notifications
from clarion.store.database import Database
from clarion.store.schema import notifications as notifications_table
from clarion.store.schema import push_runs, stream_entries
from tests.clock import Clock
from tests.world import SOLUTION, World


async def schedule(world: World, seconds: float, **parts: Any) -> Notification:
    """A notification to all that starts so many seconds from now."""
    start_at = world.clock() + int(seconds * 1000)
    return (await world.publish(world.draft(start_at=start_at, **parts))).notification


async def release_now(world: World) -> int:
    return await world.write(release_due, world.clock())


async def test_a_scheduled_notification_waits_for_its_moment_and_is_released_once(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    planned = await schedule(world, 10)
    assert planned.state is NotificationState.QUEUED
    world.clock.move(seconds=9.999)
    assert not await world.read(notifications.has_waiting, world.clock())
    assert await release_now(world) == 0
    assert await world.rows(push_runs) == []
    world.clock.move(milliseconds=1)
    assert await world.read(notifications.has_waiting, world.clock())
    assert [await release_now(world), await release_now(world)] == [1, 0]
    assert [entry.notification for entry in await world.inbox(ann)] == [planned.uuid]
    assert len(await world.rows(stream_entries)) == len(await world.rows(push_runs)) == 1
    assert await world.stored(planned.uuid) == planned


async def test_a_moment_in_the_past_means_now(world: World) -> None:
    past = await schedule(world, -3_600)
    assert past.start_at == world.clock()
    assert len(await world.rows(push_runs)) == 1
    present = await schedule(world, 0)
    assert present.start_at == world.clock()
    assert len(await world.rows(push_runs)) == 2


async def test_the_audience_of_a_scheduled_notification_is_that_of_its_release(world: World) -> None:
    ann = await world.add_member("ann@example.com", SOLUTION)
    draft = world.draft(Scope.SOLUTION, solution=world.solutions[SOLUTION], start_at=world.clock() + 1_000)
    await world.publish(draft)
    await world.leave(ann, SOLUTION)
    bob = await world.add_member("bob@example.com", SOLUTION)
    world.clock.move(seconds=1)
    await release_now(world)
    assert await world.inbox(ann) == []
    assert len(await world.inbox(bob)) == 1
    targets = await world.targets(await world.claim())
    assert [target.address for target in targets] == list(bob.addresses)


async def test_time_to_live_counts_from_the_release(world: World) -> None:
    await schedule(world, 10, options=world.options(ttl_seconds=60))
    world.clock.move(seconds=3_600)
    await release_now(world)
    [row] = await world.rows(notifications_table)
    assert (row.released_at, row.expires_at) == (world.clock(), world.clock() + 60_000)


async def test_a_scheduled_notification_that_was_recalled_is_never_released(world: World) -> None:
    planned = await schedule(world, 10)
    await world.recall(planned)
    world.clock.move(seconds=10)
    assert await release_now(world) == 0
    assert (await world.stored(planned.uuid)).state is NotificationState.CANCELLED
    assert await world.rows(stream_entries) == []


async def test_what_is_due_together_is_released_in_the_order_of_its_moments(world: World) -> None:
    late, early = await schedule(world, 2), await schedule(world, 1)
    between = await world.tell("now")
    world.clock.move(seconds=5)
    assert await release_now(world) == 2
    rows = {row.id: row.seq for row in await world.rows(notifications_table)}
    assert rows == {between.id: 1, early.id: 2, late.id: 3}


async def test_a_release_is_bounded_and_the_next_one_goes_on(world: World) -> None:
    requests = [
        world.request(world.draft(start_at=world.clock() + 1_000)) for _ in range(RELEASED_TOGETHER + 3)
    ]
    await world.publish_all(requests)
    world.clock.move(seconds=1)
    assert [await release_now(world) for _ in range(3)] == [RELEASED_TOGETHER, 3, 0]


async def test_several_organizations_are_released_each_in_its_own_order(world: World) -> None:
    other = await World.make(world.database, world.clock)
    for one in (world, other, world):
        await schedule(one, 1)
    world.clock.move(seconds=1)
    assert await release_now(world) == 3
    rows = await world.rows(notifications_table)
    assert [(row.organization_id, row.seq) for row in rows] == [
        (world.organization_id, 1),
        (world.organization_id, 2),
        (other.organization_id, 1),
    ]


async def test_named_people_without_a_device_make_a_scheduled_one_sent_at_its_release(world: World) -> None:
    await world.add_member("ann@example.com", phones=0)
    planned = await world.publish(
        world.draft(Scope.USERS, emails=("ann@example.com",), start_at=world.clock() + 1_000)
    )
    assert planned.notification.state is NotificationState.QUEUED
    world.clock.move(seconds=1)
    await release_now(world)
    assert (await world.stored(planned.notification.uuid)).state is NotificationState.SENT


async def test_two_workers_release_each_notification_once(postgresql_url: str) -> None:
    database, clock = Database(postgresql_url), Clock()
    world = await World.make(database, clock)
    for _ in range(3):
        await schedule(world, 1)
    clock.move(seconds=1)
    with database.engine.connect() as first, first.begin():
        assert release_due(first, clock()) == 3
        async with asyncio.timeout(10):
            assert await release_now(world) == 0  # locked by the first, and skipped without waiting
    assert len(await world.rows(stream_entries)) == 3
    database.close()
