"""Removing a channel: its devices are retired, what waits for it ends, and nothing else is touched."""

import pytest
from sqlalchemy import Engine, event

from clarion.model.notification import NotificationState
from clarion.service.removal import REASON, remove_channel
from clarion.store import channels
from clarion.store.channels import Channel
from clarion.store.schema import devices, notifications, push_runs
from tests.world import World


async def channel(world: World) -> Channel:
    [found] = await world.read(channels.find_channels, [world.channel_id])
    return found


async def states(world: World) -> list[str]:
    return [row.state for row in await world.rows(notifications, organization_id=world.organization_id)]


async def test_devices_are_retired_with_the_reason_and_runs_end(world: World) -> None:
    await world.add_members(3, phones=2)
    await world.publish(world.draft())
    assert await states(world) == [NotificationState.QUEUED]
    assert remove_channel(world.database.engine, await channel(world), world.clock()) == (6, 1)
    assert {row.retired_reason for row in await world.rows(devices)} == {REASON}
    assert await world.rows(push_runs) == []
    assert await states(world) == [NotificationState.SENT]


async def test_what_another_channel_carries_goes_on(world: World) -> None:
    member = await world.add_member("one@example.com")
    second = await world.add_channel()
    await world.add_phone(member, second)
    await world.publish(world.draft())
    assert remove_channel(world.database.engine, await channel(world), world.clock()) == (1, 1)
    assert [row.channel_id for row in await world.rows(push_runs)] == [second]
    assert [row.channel_id for row in await world.rows(devices, retired_at=None)] == [second]
    assert NotificationState.SENT not in await states(world)


async def test_a_removal_that_was_interrupted_goes_on(world: World) -> None:
    await world.add_members(2)
    await world.publish(world.draft())
    found = await channel(world)
    killed, statement = True, 0
    while killed:
        killed = _is_killed(world.database.engine, found, world.clock(), statement)
        statement += 1
    assert statement > 4
    assert await world.rows(push_runs) == []
    assert await world.rows(devices, retired_at=None) == []
    assert await states(world) == [NotificationState.SENT]
    assert remove_channel(world.database.engine, found, world.clock()) == (0, 0)


class Killed(BaseException):
    """Stands for the end of the process."""


def _is_killed(engine: Engine, found: Channel, now: int, statement: int) -> bool:
    left = statement

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    event.listen(engine, "before_cursor_execute", count)
    try:
        remove_channel(engine, found, now)
    except Killed:
        return True
    finally:
        event.remove(engine, "before_cursor_execute", count)
    return False


@pytest.mark.parametrize("size", [1, 2])
async def test_it_goes_in_pieces(world: World, size: int) -> None:
    await world.add_members(5)
    for _ in range(3):
        await world.publish(world.draft())
    found = await channel(world)
    assert remove_channel(world.database.engine, found, world.clock(), piece=size) == (5, 3)
