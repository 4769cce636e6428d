"""The sweep of inboxes: what nobody can see any more goes in pieces, and nothing else."""

from uuid import UUID

from clarion.model.audience import Scope
from clarion.service import inbox
from clarion.service.recall import recall
from clarion.service.release import release_due
from clarion.service.sweep import sweep
from clarion.store.inbox import USUAL_DAYS, CopyState
from clarion.store.old_entries import forget_entries
from clarion.store.schema import inbox_states, notifications, push_runs, stream_entries
from tests.clock import Clock
from tests.world import SOLUTION, Member, World

DAY = 86_400


async def swept(world: World, days: int = USUAL_DAYS) -> None:
    await sweep(world.database, world.clock(), days)


async def read(world: World, member: Member, notification: UUID) -> None:
    access = world.as_member(member)
    await world.write(
        inbox.change_state,
        access,
        member.user,
        notification,
        CopyState.READ,
        world.horizon,
    )


async def push_all(world: World) -> None:
    """Nothing is to be pushed any more."""
    await world.write(lambda connection: connection.execute(push_runs.delete()))


async def test_old_entries_go_with_what_members_did_to_them(world: World, clock: Clock) -> None:
    ann, bob = await world.add_members(2, SOLUTION)
    old, recalled = await world.tell("old"), await world.tell("recalled", SOLUTION)
    for member in (ann, bob):
        await read(world, member, old.uuid)
        await read(world, member, recalled.uuid)
    await world.write(recall, world.admin, recalled.uuid, clock())
    clock.move(seconds=DAY)
    young = await world.tell("young")
    await read(world, ann, young.uuid)
    await push_all(world)
    clock.move(seconds=(USUAL_DAYS - 1) * DAY)
    await swept(world)
    assert [row.notification_id for row in await world.rows(stream_entries)] == [young.id]
    assert [row.notification_id for row in await world.rows(inbox_states)] == [young.id]
    assert len(await world.rows(notifications)) == 3, "the sender's list keeps them"
    clock.move(seconds=DAY)
    await swept(world)
    assert await world.rows(stream_entries) == []


async def test_what_is_still_to_be_pushed_stays(world: World, clock: Clock) -> None:
    await world.add_member("ann@example.com")
    await world.tell("told")
    clock.move(seconds=(USUAL_DAYS + 1) * DAY)
    await swept(world)
    assert len(await world.rows(stream_entries)) == 1
    await push_all(world)
    await swept(world)
    assert await world.rows(stream_entries) == []


async def test_what_may_be_stored_for_its_device_stays_as_long(world: World, clock: Clock) -> None:
    draft = world.draft(options=world.options(ttl_seconds=3 * DAY))
    await world.publish(draft)
    await push_all(world)
    clock.move(seconds=2 * DAY)
    await swept(world, days=1)
    assert len(await world.rows(stream_entries)) == 1
    clock.move(seconds=DAY)
    await swept(world, days=1)
    assert await world.rows(stream_entries) == []


async def test_what_was_scheduled_long_before_its_release_lives_from_its_release(
    world: World, clock: Clock
) -> None:
    planned = await world.publish(world.draft(start_at=clock() + 100 * DAY * 1_000))
    await world.tell("sent at once")
    clock.move(seconds=100 * DAY)
    assert await world.write(release_due, clock()) == 1
    await push_all(world)
    await swept(world)
    assert [row.notification_id for row in await world.rows(stream_entries)] == [planned.notification.id]


async def test_it_goes_in_pieces(world: World) -> None:
    members = await world.add_members(7, phones=0)
    draft = world.draft(Scope.USERS, emails=tuple(member.email for member in members))
    told = (await world.publish(draft)).notification
    for member in members:
        await read(world, member, told.uuid)
    await push_all(world)
    left = []
    while await world.write(forget_entries, world.organization_id, told.id, 4):
        left.append(len(await world.rows(inbox_states)) + len(await world.rows(stream_entries)))
    assert left == [12, 10, 8, 7, 5, 3, 1, 0]


async def test_every_organization_is_swept(world: World, clock: Clock) -> None:
    other = await World.make(world.database, clock, "Other")
    for one in (world, other):
        await one.tell("told")
    await push_all(world)
    clock.move(seconds=USUAL_DAYS * DAY)
    await swept(world)
    assert await world.rows(stream_entries) == []
