"""The gatekeeper: who a token belongs to, through a cache of one second."""

import random
from uuid import uuid4

import pytest
from sqlalchemy import update

from clarion.model.access import TOKEN_LEASE_MS, Role, mint_token
from clarion.model.errors import Forbidden, NotFound, TooManyRequests, Unauthenticated, WrongRegion
from clarion.service.access import CACHE_MS, LEASE_WRITE_MS, Gatekeeper
from clarion.service.allowance import BURST_SECONDS, TOKENS_PER_ORGANIZATION, Allowance
from clarion.store import tokens
from clarion.store.schema import members
from clarion.store.schema import tokens as tokens_table
from tests.world import World

SOURCE = random.Random(1)


async def new_token(world: World, *, region: str = "us-east-1") -> str:
    """A token of the administrator."""
    text, parsed = mint_token(region, SOURCE.randbytes)
    await world.write(tokens.add_token, world.admin.user_id, parsed, "laptop", world.clock())
    return text


def gatekeeper(world: World) -> Gatekeeper:
    base_urls, allowance = {"eu-central-1": "https://eu.example"}, Allowance(1_000, world.clock)
    return Gatekeeper(world.database, "us-east-1", base_urls, allowance, world.clock)


async def demote(world: World) -> None:
    to_user = update(members).where(members.c.id == world.admin.member_id).values(role=Role.USER)
    await world.write(lambda connection: connection.execute(to_user))


async def test_a_token_says_who_calls(world: World) -> None:
    token = await new_token(world)
    assert await gatekeeper(world).sender(token, world.organization) == world.admin


async def test_the_secret_must_be_right(world: World) -> None:
    token = await new_token(world)
    key = bytes.fromhex(token.split("_")[2])
    same_key, _ = mint_token("us-east-1", lambda count: key * (count // len(key)))
    unknown, _ = mint_token("us-east-1", random.Random(2).randbytes)
    for wrong in (same_key, unknown, "clr_", "", token[:-1]):
        with pytest.raises(Unauthenticated):
            await gatekeeper(world).access(wrong, world.organization)


async def test_a_token_of_another_region_is_told_where_to_go_without_a_look_up(world: World) -> None:
    token, _ = mint_token("eu-central-1", SOURCE.randbytes)
    with pytest.raises(WrongRegion, match=r"belongs to the region eu-central-1; call https://eu\.example"):
        await gatekeeper(world).access(token, world.organization)


async def test_an_organization_that_is_not_theirs_is_hidden_like_one_that_does_not_exist(
    world: World,
) -> None:
    other = await World.make(world.database, world.clock)
    token = await new_token(world)
    said = []
    for organization in (other.organization, uuid4()):
        with pytest.raises(NotFound) as refusal:
            await gatekeeper(world).access(token, organization)
        said.append(refusal.value.message)
    assert said[0] == said[1]


async def test_a_user_reads_but_does_not_send(world: World) -> None:
    token = await new_token(world)
    await demote(world)
    door = gatekeeper(world)
    assert (await door.access(token, world.organization)).role is Role.USER
    with pytest.raises(Forbidden, match="Only an OWNER or ADMIN"):
        await door.sender(token, world.organization)


async def test_what_changed_takes_effect_within_a_second(world: World) -> None:
    token, door = await new_token(world), gatekeeper(world)
    await door.sender(token, world.organization)
    await demote(world)
    world.clock.move(milliseconds=CACHE_MS - 1)
    await door.sender(token, world.organization)
    world.clock.move(milliseconds=1)
    with pytest.raises(Forbidden):
        await door.sender(token, world.organization)


async def test_a_token_lapses_unless_it_is_used(world: World) -> None:
    used, unused = await new_token(world), await new_token(world)
    door = gatekeeper(world)
    world.clock.move(milliseconds=TOKEN_LEASE_MS - 1)
    await door.access(used, world.organization)
    world.clock.move(milliseconds=1)
    with pytest.raises(Unauthenticated):
        await door.access(unused, world.organization)
    world.clock.move(milliseconds=TOKEN_LEASE_MS - 2)
    assert await door.access(used, world.organization)


async def test_the_lease_is_written_at_most_once_an_hour(world: World) -> None:
    token, door = await new_token(world), gatekeeper(world)

    async def use() -> int:
        await door.access(token, world.organization)
        [row] = await world.rows(tokens_table)
        return int(row.last_used_at)

    first = await use()
    world.clock.move(milliseconds=LEASE_WRITE_MS - 1)
    assert await use() == first
    world.clock.move(milliseconds=CACHE_MS)
    assert await use() == world.clock()


# ── Allowances ───────────────────────────────────────────────────────────────────────────────────────────


def spend(allowance: Allowance, world: World, token: str, times: int) -> int:
    """How many of so many requests at once are allowed."""
    for done in range(times):
        try:
            allowance.spend_token(token)
            allowance.spend_organization(world.organization_id)
        except TooManyRequests:
            return done
    return times


async def test_a_token_may_burst_and_then_goes_at_its_rate(world: World) -> None:
    allowance = Allowance(5, world.clock)
    assert spend(allowance, world, "one", 100) == 5 * BURST_SECONDS
    world.clock.move(milliseconds=400)
    assert spend(allowance, world, "one", 100) == 2
    world.clock.move(seconds=3_600)
    assert spend(allowance, world, "one", 100) == 5 * BURST_SECONDS


async def test_one_tokens_haste_is_not_anothers_wait_until_the_organizations_share_is_spent(
    world: World,
) -> None:
    allowance = Allowance(1, world.clock)
    spent = [spend(allowance, world, str(token), 100) for token in range(TOKENS_PER_ORGANIZATION + 1)]
    assert spent == [BURST_SECONDS] * TOKENS_PER_ORGANIZATION + [0]


async def test_who_asks_too_much_is_told_when_to_come_back(world: World) -> None:
    allowance = Allowance(1, world.clock)
    spend(allowance, world, "one", BURST_SECONDS)
    with pytest.raises(TooManyRequests) as refusal:
        allowance.spend_token("one")
    world.clock.move(seconds=refusal.value.retry_after_seconds)
    allowance.spend_token("one")


async def test_the_gatekeeper_spends_for_every_request_even_from_its_cache(world: World) -> None:
    token = await new_token(world)
    door = Gatekeeper(world.database, "us-east-1", {}, Allowance(1, world.clock), world.clock)
    for _ in range(BURST_SECONDS):
        await door.access(token, world.organization)
    with pytest.raises(TooManyRequests):
        await door.access(token, world.organization)
