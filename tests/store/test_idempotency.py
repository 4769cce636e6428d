"""Idempotency keys: an answer is kept for a day, for one user of one organization."""

from clarion.store import idempotency
from clarion.store.idempotency import KEPT_MS, FirstAnswer
from clarion.store.schema import idempotency_keys
from tests.world import World

FIRST = FirstAnswer(b"hash", 7, "queued", ("nobody@example.com",))


async def keep(world: World, first: FirstAnswer = FIRST) -> None:
    key = (world.organization_id, world.admin.user_id, "key")
    await world.write(idempotency.keep_first_answer, *key, first, world.clock())


async def find(world: World, *, user_id: int | None = None, key: str = "key") -> FirstAnswer | None:
    user = world.admin.user_id if user_id is None else user_id
    return await world.read(idempotency.find_first_answer, world.organization_id, user, key, world.clock())


async def test_an_answer_is_found_again_as_it_was(world: World) -> None:
    await keep(world)
    assert await find(world) == FIRST


async def test_another_user_or_key_or_organization_finds_nothing(world: World) -> None:
    await keep(world)
    other = await World.make(world.database, world.clock)
    assert await find(world, user_id=other.admin.user_id) is None
    assert await find(world, key="Key") is None
    assert await find(other, user_id=world.admin.user_id) is None


async def test_after_a_day_a_key_may_stand_for_something_else(world: World) -> None:
    await keep(world)
    world.clock.move(milliseconds=KEPT_MS - 1)
    assert await find(world) == FIRST
    world.clock.move(milliseconds=1)
    assert await find(world) is None
    later = FirstAnswer(b"other", 8, "sent", ())
    await keep(world, later)
    assert await find(world) == later
    assert len(await world.rows(idempotency_keys)) == 1
