"""Credentials that end: told in time, and told again when they have ended."""

from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from clarion.service.expiry import DAY_MS, days_left, warn_of_expiry
from clarion.store import channels
from clarion.store.channels import NewChannel
from tests.world import World


async def add_ending(world: World, in_ms: int) -> int:
    new = NewChannel(uuid4(), "apns", "ends", {}, "", expires_at=world.clock() + in_ms)
    return await world.write(channels.add_channel, world.organization_id, new, world.clock())


async def told(world: World) -> list[Any]:
    with capture_logs() as lines:
        await warn_of_expiry(world.database, world.clock())
    return lines


@pytest.mark.parametrize(
    ("left_ms", "days"), [(30 * DAY_MS - 1, 29), (1, 0), (0, 0), (-1, -1), (-DAY_MS, -1)]
)
async def test_a_credential_is_told_from_a_month_before_its_end_on(
    world: World, left_ms: int, days: int
) -> None:
    channel = await add_ending(world, left_ms)
    [line] = await told(world)
    assert line.pop("expires_at").endswith("Z")
    assert line == {
        "event": "credential_expires", "log_level": "warning", "channel": channel, "provider": "apns",
        "days_left": days,
    }  # fmt: skip


async def test_nothing_is_told_of_those_that_last(world: World) -> None:
    await add_ending(world, 30 * DAY_MS)
    assert await told(world) == []


async def test_the_next_one_is_told_first(world: World) -> None:
    second, first = await add_ending(world, 2 * DAY_MS), await add_ending(world, DAY_MS)
    assert [line["channel"] for line in await told(world)] == [first, second]


def test_days_are_counted_from_now() -> None:
    assert days_left(3 * DAY_MS, 2 * DAY_MS) == 1
    assert days_left(DAY_MS, 2 * DAY_MS) == -1
