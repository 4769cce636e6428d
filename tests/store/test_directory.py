"""The directory: members, and stays in streams."""

from uuid import uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from clarion.model.access import Role
from clarion.model.audience import Scope
from clarion.store import directory
from clarion.store.schema import memberships, organizations, streams
from tests.world import SOLUTION, Member, World


async def seen(world: World, member: Member) -> list[str]:
    """The texts in a member's inbox, oldest first."""
    return [entry.content.text for entry in reversed(await world.inbox(member))]


async def test_a_member_sees_what_was_released_while_they_belonged(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    await world.tell("before", SOLUTION)
    await world.join(ann, SOLUTION)
    await world.tell("during", SOLUTION)
    assert await world.leave(ann, SOLUTION)
    await world.tell("after", SOLUTION)
    assert await seen(world, ann) == ["during"]


async def test_a_rejoin_keeps_the_old_stay_and_begins_another(world: World) -> None:
    ann = await world.add_member("ann@example.com", SOLUTION)
    await world.tell("first stay", SOLUTION)
    await world.leave(ann, SOLUTION)
    await world.tell("away", SOLUTION)
    await world.join(ann, SOLUTION)
    await world.tell("second stay", SOLUTION)
    assert await seen(world, ann) == ["first stay", "second stay"]
    stays = await world.rows(memberships, member_id=ann.id, stream_id=world.streams[SOLUTION])
    assert [stay.left_seq is None for stay in stays] == [False, True]


async def test_who_leaves_and_comes_back_before_anything_was_released_missed_nothing(world: World) -> None:
    ann = await world.add_member("ann@example.com", SOLUTION)
    assert await world.leave(ann, SOLUTION)
    await world.join(ann, SOLUTION)
    await world.tell("back", SOLUTION)
    assert await seen(world, ann) == ["back"]
    assert await world.leave(ann, SOLUTION)
    await world.tell("gone", SOLUTION)
    assert await seen(world, ann) == ["back"]


async def test_joining_twice_is_joining_once(world: World) -> None:
    ann = await world.add_member("ann@example.com", SOLUTION)
    await world.join(ann, SOLUTION)
    await world.tell("one", SOLUTION)
    await world.join(ann, SOLUTION)
    await world.tell("two", SOLUTION)
    assert await seen(world, ann) == ["one", "two"]
    assert await world.leave(ann, SOLUTION)
    await world.tell("three", SOLUTION)
    assert await seen(world, ann) == ["one", "two"]


async def test_leaving_where_one_does_not_belong_changes_nothing(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    assert not await world.leave(ann, SOLUTION)
    await world.tell("elsewhere", SOLUTION)
    assert await seen(world, ann) == []


async def test_a_new_member_belongs_to_the_organization_and_to_themselves_from_then_on(world: World) -> None:
    await world.tell("too early", None)
    ann = await world.add_member("ann@example.com")
    await world.tell("to all", None)
    await world.publish(world.draft(Scope.USERS, emails=("ann@example.com",), content=world.says("to Ann")))
    assert await seen(world, ann) == ["to all", "to Ann"]


async def test_many_members_get_a_stream_each_in_their_order(world: World) -> None:
    people = await world.add_members(50, phones=0)
    found = await world.read(
        directory.find_member_streams, world.organization_id, {person.email for person in people}
    )
    own = {row.stream_id: row.member_id for row in await world.rows(memberships)}
    assert [own[found[person.email]] for person in people] == [person.id for person in people]
    assert len(await world.rows(streams, kind="member")) == 51  # with the administrator


async def test_addresses_are_found_without_regard_to_case_and_strangers_are_not(world: World) -> None:
    await world.add_member("Ann.Müller@Example.com")
    found = await world.read(
        directory.find_member_streams, world.organization_id, {"ann.müller@example.com", "bob@example.com"}
    )
    assert list(found) == ["ann.müller@example.com"]
    assert await world.read(directory.find_user, world.organization_id, "ANN.MÜLLER@EXAMPLE.COM")
    assert await world.read(directory.find_user, world.organization_id, "bob@example.com") is None


async def test_more_addresses_than_a_statement_has_parameters_are_looked_up(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    many = {f"stranger-{number}@example.com" for number in range(25_000)} | {ann.email}
    found = await world.read(directory.find_member_streams, world.organization_id, many)
    assert list(found) == [ann.email]


async def test_two_members_cannot_have_one_address_however_it_is_spelt(world: World) -> None:
    await world.add_member("ann@example.com")
    with pytest.raises(IntegrityError):
        await world.add_member("ANN@example.com")


async def test_the_same_address_may_belong_to_two_organizations(world: World) -> None:
    other = await World.make(world.database, world.clock)
    await world.add_member("ann@example.com")
    ann = await other.add_member("ann@example.com")
    await world.tell("ours", None)
    assert await seen(other, ann) == []


async def test_groups_are_found_by_solution_and_only_in_their_organization(world: World) -> None:
    other = await World.make(world.database, world.clock)
    solutions = await world.read(directory.find_solutions, world.organization_id, world.solutions.values())
    assert set(solutions) == set(world.solutions.values())
    assert await world.read(directory.find_solutions, other.organization_id, world.solutions.values()) == {}
    crm = solutions[world.solutions[SOLUTION]]
    groups = await world.read(directory.find_groups, world.organization_id, [crm.id])
    assert groups == {crm.id: {"sales": world.streams["sales"], "finance": world.streams["finance"]}}
    assert await world.read(directory.find_groups, other.organization_id, [crm.id]) == {crm.id: {}}


async def test_joining_does_not_move_the_release_order(world: World) -> None:
    before = await world.rows(organizations)
    ann = await world.add_member("ann@example.com", SOLUTION)
    await world.leave(ann, SOLUTION)
    assert await world.rows(organizations) == before


async def test_a_member_keeps_the_role_that_they_were_added_with(world: World) -> None:
    new = directory.NewMember(uuid4(), "owner@example.com", "Owner", Role.OWNER)
    [member_id] = await world.write(directory.add_members, world.organization_id, [new], world.clock())
    assert member_id
