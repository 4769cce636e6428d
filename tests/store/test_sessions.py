"""Sessions at rest: only hashes, found by their public part, over when ended or not renewed."""

import random
from uuid import uuid4

from clarion.model.access import TokenText, parse_token
from clarion.model.refresh import Pair, first_pair, next_pair, parse_refresh_token
from clarion.store import sessions
from clarion.store.schema import sessions as table
from clarion.store.sessions import ENDED_KEPT_MS, ENDED_SHOWN_MS, REFRESH_MS, SessionRow
from tests.world import World

SOURCE = random.Random(1)
HOUR_MS = 3_600_000


async def begin(world: World, minutes: int = 60) -> Pair:
    """A session of the administrator."""
    pair = first_pair("us-east-1", SOURCE.randbytes)
    whose = (world.organization_id, world.admin.member_id)
    ends_at = await world.write(sessions.add_session, *whose, uuid4(), pair, minutes, world.clock())
    assert ends_at == world.clock() + minutes * 60_000
    return pair


async def found(world: World, pair: Pair) -> SessionRow:
    row = await world.read(sessions.find_session, pair.key)
    assert row is not None
    return row


def text(pair: Pair) -> TokenText:
    parsed = parse_token(pair.token)
    assert parsed is not None
    return parsed


async def rotate(world: World, before: Pair) -> Pair:
    shown = parse_refresh_token(before.refresh_token)
    assert shown is not None
    salt = SOURCE.randbytes(32)
    pair = next_pair(shown, salt)
    await world.write(sessions.rotate, await found(world, before), pair, salt, world.clock())
    return pair


async def live(world: World) -> list[int]:
    whose = (world.organization_id, world.admin.member_id)
    return [row.id for row in await world.read(sessions.list_live, *whose, world.clock())]


async def test_a_session_is_found_by_its_key_and_proven_by_its_secret(world: World) -> None:
    pair, other = await begin(world), await begin(world)
    row = await found(world, pair)
    assert (row.organization_id, row.member_id) == (world.organization_id, world.admin.member_id)
    assert row.proven_until(text(pair), world.clock()) == world.clock() + HOUR_MS
    assert row.proven_until(text(other), world.clock()) is None
    assert await world.read(sessions.find_session, "0" * 16) is None


async def test_a_token_ends_by_itself(world: World) -> None:
    pair = await begin(world, minutes=1)
    row = await found(world, pair)
    assert row.proven_until(text(pair), world.clock() + 59_999)
    assert row.proven_until(text(pair), world.clock() + 60_000) is None


async def test_the_token_before_is_good_until_its_own_end_and_older_ones_are_not(world: World) -> None:
    first = await begin(world)
    world.clock.move(seconds=600)
    second = await rotate(world, first)
    row, now = await found(world, first), world.clock()
    assert row.proven_until(text(second), now) == now + HOUR_MS
    assert row.proven_until(text(first), now) == now + HOUR_MS - 600_000
    assert row.proven_until(text(first), now + HOUR_MS - 600_000) is None
    third = await rotate(world, second)
    row = await found(world, first)
    assert row.proven_until(text(first), now) is None
    assert row.proven_until(text(second), now)
    assert row.proven_until(text(third), now)


async def test_no_secret_is_stored(world: World) -> None:
    pair = await rotate(world, await begin(world))
    [row] = await world.rows(table)
    stored = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
    for told in (pair.token, pair.refresh_token):
        secret = told.rpartition("_")[2][:64]
        assert bytes.fromhex(secret) not in stored
        assert secret.encode() not in stored
        assert bytes.fromhex(secret[32:]) not in stored


async def test_an_ended_session_proves_nothing_and_is_shown_for_a_minute(world: World) -> None:
    pair, other = await begin(world), await begin(world)
    row = await found(world, pair)
    assert await world.read(sessions.list_ended, world.clock()) == frozenset()
    ended_at = world.clock()
    await world.write(sessions.end, [row.id], ended_at)
    await world.write(sessions.end, [row.id], ended_at + 5_000)
    row = await found(world, pair)
    assert row.ended_at == ended_at
    assert row.proven_until(text(pair), world.clock()) is None
    assert await world.read(sessions.list_ended, ended_at + ENDED_SHOWN_MS - 1) == {row.id}
    assert await world.read(sessions.list_ended, ended_at + ENDED_SHOWN_MS) == frozenset()
    assert await live(world) == [(await found(world, other)).id]


async def test_the_one_used_last_is_listed_first(world: World) -> None:
    ids = [(await found(world, await begin(world))).id for _ in range(3)]
    assert await live(world) == [ids[2], ids[1], ids[0]]
    world.clock.move(seconds=1)
    await world.write(sessions.note_use, ids[1], world.clock())
    assert await live(world) == [ids[1], ids[2], ids[0]]


async def test_a_session_that_nobody_renews_is_over_after_thirty_days(world: World) -> None:
    pair = await begin(world)
    began = world.clock()
    world.clock.move(milliseconds=REFRESH_MS - 1)
    assert (await found(world, pair)).is_live(world.clock())
    assert len(await live(world)) == 1
    world.clock.move(milliseconds=1)
    assert not (await found(world, pair)).is_live(began + REFRESH_MS)
    assert await live(world) == []


async def test_what_is_over_is_forgotten_in_pieces(world: World) -> None:
    for _ in range(3):
        row = await found(world, await begin(world))
        await world.write(sessions.end, [row.id], world.clock())
    kept = await begin(world)
    world.clock.move(milliseconds=ENDED_KEPT_MS - 1)
    assert await world.write(sessions.forget_ended, world.clock(), 2) == 0
    world.clock.move(milliseconds=1)
    assert await world.write(sessions.forget_ended, world.clock(), 2) == 2
    assert await world.write(sessions.forget_ended, world.clock(), 2) == 1
    assert [row.key for row in await world.rows(table)] == [kept.key]
    world.clock.move(milliseconds=REFRESH_MS)
    assert await world.write(sessions.forget_ended, world.clock(), 2) == 1
