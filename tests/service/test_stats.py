"""A notification's figures over both databases: members counted in pieces, devices by what became of them."""

import pytest
from sqlalchemy import insert, update

from clarion.model.audience import Scope
from clarion.model.errors import NotFound
from clarion.model.outcome import Gone, Refused, Unavailable
from clarion.service import stats
from clarion.service.stats import figures
from clarion.store.schema import inbox_states, members
from tests.service.lanes import ScriptedProvider, make_lane
from tests.world import World


async def test_devices_are_told_by_what_became_of_them(world: World) -> None:
    people = await world.add_members(6)
    provider = ScriptedProvider()
    provider.answers(people[0].addresses[0], Gone("Unregistered"))
    provider.answers(people[1].addresses[0], Refused("PayloadTooLarge"))
    provider.answers(people[2].addresses[0], Refused("PayloadTooLarge"))
    provider.answers(people[3].addresses[0], Unavailable("busy", whole_service=False))
    told = await world.tell("to all")
    await make_lane(world, provider).drain()
    found = await figures(world.database, world.organization_id, told.uuid)
    assert (found.recipients, found.read, found.are_all) == (7, 0, True), "the administrator is one of them"
    counts = {name: count for name, count in found.pushes.items() if count}
    assert counts == {"accepted": 2, "refused": 2, "gone": 1, "open": 1}
    assert [(one.provider, one.state, one.reason, one.devices) for one in found.failures] == [
        ("apns", "refused", "PayloadTooLarge", 2),
        ("apns", "gone", "Unregistered", 1),
    ]


async def test_members_are_counted_once_in_pieces_and_those_who_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "PIECE_MEMBERS", 2)
    people = await world.add_members(5, "sales", "finance", phones=0)
    gone = (await world.add_members(1, "sales", phones=0))[0]
    await world.leave(gone, "sales")
    draft = world.draft(Scope.GROUPS, groups=("sales", "finance"), solution=world.solutions["crm"])
    told = (await world.publish(draft)).notification
    stored = await world.stored(told.uuid)

    def mark(states: dict[int, str], all_read: int) -> None:
        rows = [
            {
                "organization_id": world.organization_id,
                "member_id": member_id,
                "notification_id": stored.id,
                "state": state,
                "changed_seq": 1,
                "changed_at": 1,
            }
            for member_id, state in states.items()
        ]
        with world.database.engine.connect().execution_options(writes=True) as connection, connection.begin():
            connection.execute(insert(inbox_states), rows)
            connection.execute(update(members).where(members.c.id == all_read).values(read_through_seq=99))
            connection.execute(
                update(members).where(members.c.id == people[1].id).values(read_through_seq=99)
            )

    mark({people[0].id: "read", people[1].id: "dismissed"}, people[2].id)
    found = await figures(world.database, world.organization_id, told.uuid)
    assert (found.recipients, found.read, found.are_all) == (5, 2, True)
    monkeypatch.setattr(stats, "MOST_MEMBERS", 4)
    found = await figures(world.database, world.organization_id, told.uuid)
    assert (found.recipients, found.are_all) == (4, False)


async def test_nobody_read_what_was_released_to_nobody(world: World) -> None:
    told = (await world.publish(world.draft(start_at=world.clock() + 1_000))).notification
    found = await figures(world.database, world.organization_id, told.uuid)
    assert (found.recipients, found.read, found.displayed) == (0, 0, 0)


async def test_another_organizations_notification_is_not_there(world: World) -> None:
    other = await World.make(world.database, world.clock, "Other")
    told = await other.tell("theirs")
    with pytest.raises(NotFound):
        await figures(world.database, world.organization_id, told.uuid)
