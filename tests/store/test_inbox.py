"""A member's inbox: the merge of their streams, page by page."""

from uuid import uuid4

from sqlalchemy import insert

from clarion.model.audience import Scope
from clarion.model.watermark import Filter
from clarion.service.inbox import list_inbox
from clarion.service.recall import recall
from clarion.store import inbox
from clarion.store.inbox import CopyState, InboxEntry
from clarion.store.schema import inbox_states, members, organizations
from tests.world import OTHER_SOLUTION, SOLUTION, Member, World


def texts(entries: list[InboxEntry]) -> list[str]:
    return [entry.content.text for entry in entries]


async def find(world: World, member: Member, notification: object) -> InboxEntry | None:
    owner = await world.read(inbox.find_inbox_member, world.organization_id, member.user)
    assert owner is not None
    return await world.read(inbox.find_entry, world.organization_id, owner, notification, world.horizon)  # type: ignore[arg-type]


async def mark(world: World, member: Member, number: int, state: CopyState) -> None:
    """What a member did to one notification."""
    row = {
        "organization_id": world.organization_id,
        "member_id": member.id,
        "notification_id": number,
        "state": state,
        "changed_seq": 1,
        "changed_at": world.clock(),
    }
    await world.write(lambda connection: connection.execute(insert(inbox_states), [row]))


async def test_the_streams_of_a_member_are_one_list_newest_first(world: World) -> None:
    ann = await world.add_member("ann@example.com", SOLUTION, "sales")
    crm = world.solutions[SOLUTION]
    await world.tell("all")
    await world.tell("solution", SOLUTION)
    await world.tell("another solution", OTHER_SOLUTION)
    for scope, how in (
        (Scope.GROUPS, {"groups": ("sales",), "solution": crm}),
        (Scope.GROUPS, {"groups": ("finance",), "solution": crm}),
        (Scope.USERS, {"emails": ("ann@example.com",)}),
        (Scope.USERS, {"emails": ("admin@example.com",)}),
    ):
        name = str((*how.values(),)[0])
        await world.publish(world.draft(scope, content=world.says(name), **how))
    assert texts(await world.inbox(ann)) == ["('ann@example.com',)", "('sales',)", "solution", "all"]


async def test_somebody_in_two_groups_sees_a_notification_once(world: World) -> None:
    ann = await world.add_member("ann@example.com", "sales", "finance")
    crm = world.solutions[SOLUTION]
    await world.publish(world.draft(Scope.GROUPS, groups=("sales", "finance"), solution=crm))
    assert len(await world.inbox(ann)) == 1


async def test_pages_join_without_a_gap_or_a_repeat(world: World) -> None:
    ann = await world.add_member("ann@example.com", SOLUTION, "sales", "finance")
    crm = world.solutions[SOLUTION]
    for number in range(12):
        await world.publish(
            world.draft(
                Scope.GROUPS,
                groups=("sales", "finance") if number % 2 else ("sales",),
                solution=crm,
                content=world.says(str(number)),
            )
        )
    paged: list[InboxEntry] = []
    while page := await world.inbox(ann, 5, paged[-1].seq if paged else None):
        paged += page
    assert texts(paged) == [str(number) for number in reversed(range(12))]


async def test_a_member_of_very_many_streams_sees_them_all(world: World) -> None:
    ann = await world.add_member("ann@example.com", SOLUTION)
    for number in range(120):  # more stays than one query takes
        await world.leave(ann, SOLUTION)
        await world.join(ann, SOLUTION)
        await world.tell(str(number), SOLUTION)
    assert texts(await world.inbox(ann, 150)) == [str(number) for number in reversed(range(120))]
    assert texts(await world.inbox(ann, 3)) == ["119", "118", "117"]


async def test_a_recalled_notification_is_in_nobodys_inbox(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    kept, recalled = await world.tell("kept"), await world.tell("recalled")
    await world.write(recall, world.admin, recalled.uuid, world.clock())
    assert texts(await world.inbox(ann)) == ["kept"]
    assert await find(world, ann, recalled.uuid) is None
    assert await find(world, ann, kept.uuid) is not None


async def test_a_page_is_full_although_something_in_it_was_recalled_or_deleted(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    told = [await world.tell(str(number)) for number in range(6)]
    await world.write(recall, world.admin, told[5].uuid, world.clock())
    await mark(world, ann, told[4].id, CopyState.DELETED)
    assert texts(await world.inbox(ann, 3)) == ["3", "2", "1"]


async def test_who_deletes_a_copy_hides_it_from_themselves_alone(world: World) -> None:
    ann, bob = await world.add_members(2)
    told = await world.tell("to all")
    await mark(world, ann, told.id, CopyState.DELETED)
    assert await world.inbox(ann) == []
    assert await find(world, ann, told.uuid) is None
    assert texts(await world.inbox(bob)) == ["to all"]


async def test_a_copy_is_read_when_it_was_or_when_all_up_to_there_were(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    told = [await world.tell(str(number)) for number in range(4)]
    await mark(world, ann, told[0].id, CopyState.SENT)  # unread again
    await mark(world, ann, told[3].id, CopyState.DISMISSED)
    through = members.update().where(members.c.id == ann.id).values(read_through_seq=2)
    await world.write(lambda connection: connection.execute(through))
    page = await world.read(list_inbox, world.as_member(ann), ann.user, Filter.ALL, 10, world.horizon)
    states = [entry.state for entry in reversed(page.entries)]
    assert states == [CopyState.SENT, CopyState.READ, CopyState.SENT, CopyState.DISMISSED]


async def test_an_entry_says_when_it_was_released_and_when_its_member_changed_it(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    released_at = world.clock()
    told = await world.tell("to all")
    [entry] = await world.inbox(ann)
    assert (entry.start_at, entry.created_at, entry.updated_at) == (released_at,) * 3
    assert entry.created_by == world.admin.user
    world.clock.move(seconds=5)
    await mark(world, ann, told.id, CopyState.READ)
    [entry] = await world.inbox(ann)
    assert entry.updated_at == released_at + 5_000


async def test_one_entry_is_found_only_by_who_was_in_its_audience(world: World) -> None:
    ann = await world.add_member("ann@example.com", SOLUTION)
    bob = await world.add_member("bob@example.com")
    told = await world.tell("to the solution", SOLUTION)
    found = await find(world, ann, told.uuid)
    assert found == (await world.inbox(ann))[0]
    assert await find(world, bob, told.uuid) is None
    assert await find(world, ann, uuid4()) is None


async def test_a_member_who_left_keeps_what_they_had_and_finds_it(world: World) -> None:
    ann = await world.add_member("ann@example.com", SOLUTION)
    had = await world.tell("had", SOLUTION)
    await world.leave(ann, SOLUTION)
    missed = await world.tell("missed", SOLUTION)
    assert texts(await world.inbox(ann)) == ["had"]
    assert await find(world, ann, had.uuid) is not None
    assert await find(world, ann, missed.uuid) is None


async def test_a_scheduled_notification_is_in_nobodys_inbox_before_its_moment(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    planned = await world.publish(world.draft(start_at=world.clock() + 1_000))
    assert await world.inbox(ann) == []
    assert await find(world, ann, planned.notification.uuid) is None


async def test_a_user_without_a_seat_in_the_organization_has_no_inbox_there(world: World) -> None:
    other = await World.make(world.database, world.clock)
    ann = await other.add_member("ann@example.com")
    assert await world.read(inbox.find_inbox_member, world.organization_id, ann.user) is None
    assert len(await world.rows(organizations)) == 2
