"""What changed since a watermark, on both databases: what the machine does not say by name."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from clarion.model.audience import Scope
from clarion.model.notification import Content
from clarion.model.watermark import Watermark
from clarion.service import inbox as service
from clarion.service.publish import publish
from clarion.store import changes, inbox
from clarion.store.changes import ChangePage, Tombstone
from clarion.store.database import Database
from clarion.store.inbox import CopyState, InboxEntry, InboxMember
from clarion.store.schema import inbox_states as inbox_states_table
from clarion.store.schema import members, notifications, organizations
from clarion.store.slices import MOST_PAGE_CHARACTERS
from tests.clock import Clock
from tests.world import SOLUTION, Member, World


async def present(world: World, member: Member) -> InboxMember:
    found = await world.read(inbox.find_inbox_members, world.organization_id, [member.id])
    return found[0]


async def since(world: World, member: Member, watermark: Watermark, limit: int = 100) -> ChangePage:
    owner = await present(world, member)
    return await world.read(
        changes.changes_since, world.organization_id, owner, watermark, limit, world.horizon
    )


async def seen_all(world: World, member: Member) -> Watermark:
    return (await present(world, member)).watermark(world.clock())


def told(page: ChangePage) -> list[tuple[UUID, str]]:
    return [
        (item.notification, "gone" if isinstance(item, Tombstone) else str(item.state)) for item in page.items
    ]


async def unread(world: World, member: Member) -> int:
    owner = await present(world, member)
    return await world.read(changes.unread_count, world.organization_id, owner, world.horizon)


async def test_a_page_may_end_anywhere(world: World) -> None:
    """Own changes, what “mark all read” reached, releases and recalls, one by one."""
    ann = await world.add_member("ann@example.com", SOLUTION, "sales")
    one, two, three, four = [await world.tell(str(number)) for number in range(4)]
    before = await seen_all(world, ann)
    access, horizon = world.as_member(ann), world.horizon
    await world.write(service.change_state, access, ann.user, one.uuid, CopyState.DISMISSED, horizon)
    await world.write(service.delete_entry, access, ann.user, two.uuid, horizon)
    await world.write(service.mark_all_read, access, ann.user, before, horizon)
    five = await world.tell("five", SOLUTION)
    await world.recall(three)
    found, watermark, more = [], before, True
    while more:
        page = await since(world, ann, watermark, 1)
        assert len(page.items) == 1
        found += told(page)
        watermark, more = page.watermark, page.more
    assert found == [
        (one.uuid, "dismissed"),
        (two.uuid, "gone"),
        (four.uuid, "read"),
        (five.uuid, "sent"),
        (three.uuid, "gone"),
    ]
    assert watermark == await seen_all(world, ann)


async def test_entries_that_were_made_unread_again_are_read_one_by_one(world: World) -> None:
    """“Mark all read” changes each of them, with a number of its own, so that pages may end between them."""
    ann = await world.add_member("ann@example.com")
    sent = [(await world.tell(str(number))).uuid for number in range(3)]
    access, horizon = world.as_member(ann), world.horizon
    for state in (CopyState.READ, CopyState.SENT):
        for uuid in sent:
            await world.write(service.change_state, access, ann.user, uuid, state, horizon)
    watermark = before = await seen_all(world, ann)
    summary = await world.write(service.mark_all_read, access, ann.user, before, horizon)
    assert summary.unread == 0
    found = []
    for _ in range(3):
        page = await since(world, ann, watermark, 1)
        found += told(page)
        watermark = page.watermark
    assert found == [(uuid, "read") for uuid in sent]
    assert watermark == await seen_all(world, ann)


async def test_pages_of_long_changes_end_early(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    before = await seen_all(world, ann)
    content = Content("Hello", inputs={"text": "x" * (MOST_PAGE_CHARACTERS // 4 - 1_000)})
    sent = [(await world.publish(world.draft(content=content))).notification.uuid for _ in range(6)]
    first = await since(world, ann, before)
    rest = await since(world, ann, first.watermark)
    assert [len(first.items), first.more, len(rest.items), rest.more] == [4, True, 2, False]
    assert [uuid for uuid, _ in told(first) + told(rest)] == sent


async def test_a_member_of_very_many_streams_is_told_of_all(world: World) -> None:
    ann = await world.add_member("ann@example.com", SOLUTION)
    before = await seen_all(world, ann)
    sent = []
    for number in range(120):  # more stays than one query takes
        await world.leave(ann, SOLUTION)
        await world.join(ann, SOLUTION)
        sent.append((await world.tell(str(number), SOLUTION)).uuid)
    assert [uuid for uuid, _ in told(await since(world, ann, before, 150))] == sent
    assert await unread(world, ann) == 120


async def test_nobody_counts_beyond_a_thousand(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=0)
    for _ in range(11):
        requests = [world.request(world.draft()) for _ in range(100)]
        await world.publish_all(requests)
    assert await unread(world, ann) == changes.MOST_UNREAD == 1_000


async def test_old_entries_vanish_from_lists_changes_and_counts(world: World, clock: Clock) -> None:
    ann = await world.add_member("ann@example.com")
    before = await seen_all(world, ann)
    old = await world.tell("old")
    clock.move(seconds=86_400)
    young = await world.tell("young")
    entry = (await world.inbox(ann))[1]
    clock.now = entry.expires_at - 1
    assert [entry.notification for entry in await world.inbox(ann)] == [young.uuid, old.uuid]
    assert await unread(world, ann) == 2
    clock.move(milliseconds=1)
    assert [entry.notification for entry in await world.inbox(ann)] == [young.uuid]
    assert told(await since(world, ann, before)) == [(young.uuid, "sent")]
    assert await unread(world, ann) == 1
    owner = await present(world, ann)
    assert await world.read(inbox.find_entry, world.organization_id, owner, old.uuid, world.horizon) is None


async def test_members_are_found_by_their_ids(world: World) -> None:
    ann, bob = await world.add_members(2)
    found = await world.read(inbox.find_inbox_members, world.organization_id, [bob.id, ann.id, 10**6])
    assert {member.id for member in found} == {ann.id, bob.id}


async def test_one_look_finds_that_a_member_has_everything(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    access = world.as_member(ann)

    async def has_all(watermark: Watermark) -> bool:
        return await service.has_seen_all(world.database, access, ann.user, watermark, world.clock())

    before = await seen_all(world, ann)
    assert await has_all(before)
    world.clock.move(seconds=31 * 86_400)
    assert not await has_all(before), "too old"
    told = await world.tell("one")
    assert not await has_all(before)
    before = await seen_all(world, ann)
    await world.write(service.change_state, access, ann.user, told.uuid, CopyState.READ, world.horizon)
    assert not await has_all(before)
    before = await seen_all(world, ann)
    assert await has_all(before)
    await world.write(lambda connection: connection.execute(organizations.update().values(epoch=3)))
    assert not await has_all(before)


# ── At the same time ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def here(postgresql_url: str) -> World:
    """A world on PostgreSQL, where transactions really run beside each other."""
    return await World.make(Database(postgresql_url), Clock())


async def test_two_devices_change_the_same_entry_at_once(here: World) -> None:
    ann = await here.add_member("ann@example.com")
    told = await here.tell("to all")
    access, horizon = here.as_member(ann), here.horizon

    def change(state: CopyState) -> InboxEntry:
        with here.database.engine.connect() as connection, connection.begin():
            return service.change_state(connection, access, ann.user, told.uuid, state, horizon)

    with ThreadPoolExecutor(8) as threads:
        loop = asyncio.get_running_loop()
        states = [CopyState.READ, CopyState.DISMISSED] * 20
        answers = await asyncio.gather(*(loop.run_in_executor(threads, change, one) for one in states))
    assert [entry.state for entry in answers] == states, "each was answered with its own"
    (row,) = await here.rows(inbox_states_table)
    (owner,) = await here.rows(members, id=ann.id)
    assert row.changed_seq == owner.state_seq <= 40
    here.database.close()


async def test_changes_of_one_member_have_numbers_of_their_own(here: World) -> None:
    ann = await here.add_member("ann@example.com")
    told = [await here.tell(str(number)) for number in range(20)]
    access, horizon = here.as_member(ann), here.horizon

    def read(uuid: UUID) -> None:
        with here.database.engine.connect() as connection, connection.begin():
            service.change_state(connection, access, ann.user, uuid, CopyState.READ, horizon)

    with ThreadPoolExecutor(8) as threads:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(threads, read, one.uuid) for one in told))
    rows = await here.rows(inbox_states_table)
    assert sorted(row.changed_seq for row in rows) == list(range(1, 21))
    here.database.close()


async def test_who_syncs_while_others_release_misses_nothing(here: World) -> None:
    """Several senders at once, and a device that asks all the time, page by page."""
    ann = await here.add_member("ann@example.com", "sales", phones=0)
    start = await seen_all(here, ann)
    drafts = [here.draft(), here.draft(Scope.GROUPS, groups=("sales",), solution=here.solutions[SOLUTION])]
    done = asyncio.Event()

    async def send() -> None:
        other = Database(here.database.url)
        for number in range(30):
            await other.write(publish, [here.request(drafts[number % 2])])
        other.close()

    async def follow() -> list[UUID]:
        watermark, found = start, []
        while True:
            was_done = done.is_set()
            page = await since(here, ann, watermark, 3)
            found += [uuid for uuid, _ in told(page)]
            watermark = page.watermark
            if was_done and not page.more:
                return found

    following = asyncio.create_task(follow())
    await asyncio.gather(*(send() for _ in range(4)))
    done.set()
    found = await following
    everything = sorted(await here.rows(notifications), key=lambda row: row.seq)
    assert found == [row.uuid for row in everything]
    assert len(found) == 120
    here.database.close()
