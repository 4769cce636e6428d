"""Tokens at rest: found by their public part, valid for a while, of one user."""

import random
from uuid import uuid4

from clarion.model.access import TOKEN_LEASE_MS, TOKEN_LIFETIME_MS, Role, TokenText, mint_token
from clarion.store import tokens
from clarion.store.tokens import TokenRow
from tests.world import World

DAY_MS = 86_400_000


async def add(world: World) -> TokenText:
    _, parsed = mint_token("us-east-1", random.Random(1).randbytes)
    await world.write(tokens.add_token, world.admin.user_id, parsed, "laptop", world.clock())
    return parsed


async def found(world: World, token: TokenText) -> TokenRow:
    row = await world.read(tokens.find_token, token.key)
    assert row is not None
    return row


async def test_a_token_is_found_by_its_key_and_proven_by_its_secret(world: World) -> None:
    token = await add(world)
    row = await found(world, token)
    assert token.proves(row.secret_hash)
    assert row.user_id == world.admin.user_id
    assert await world.read(tokens.find_token, "0" * 16) is None


async def test_an_unused_token_lapses_after_two_weeks(world: World) -> None:
    row, now = await found(world, await add(world)), world.clock()
    assert row.is_valid(now + TOKEN_LEASE_MS - 1)
    assert not row.is_valid(now + TOKEN_LEASE_MS)
    assert TOKEN_LEASE_MS == 14 * DAY_MS


async def test_a_use_moves_the_lease_on_but_never_past_the_expiry(world: World) -> None:
    token, began = await add(world), world.clock()
    row = await found(world, token)
    for _ in range(13):
        world.clock.move(milliseconds=TOKEN_LEASE_MS - 1)
        await world.write(tokens.renew_lease, row.id, world.clock())
        row = await found(world, token)
        assert row.last_used_at == world.clock()
    assert row.is_valid(began + TOKEN_LIFETIME_MS - 1)
    assert row.lease_until > row.expires_at
    assert not row.is_valid(began + TOKEN_LIFETIME_MS)


async def test_a_user_has_access_only_where_they_are_a_member(world: World) -> None:
    other = await World.make(world.database, world.clock)
    own = await world.read(tokens.find_access, world.admin.user_id, world.organization)
    assert own == world.admin
    assert own is not None
    assert own.role is Role.ADMIN
    assert await world.read(tokens.find_access, world.admin.user_id, other.organization) is None
    assert await world.read(tokens.find_access, world.admin.user_id, uuid4()) is None
