"""Member sessions: begun by those who may send, renewed by the app, ended by either, stolen by nobody for long."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from clarion.model.access import Access, Role, Session, TokenKind, mint_token
from clarion.model.errors import Forbidden, NotFound, TooManyRequests, Unauthenticated, WrongRegion
from clarion.model.refresh import RefreshText, parse_refresh_token
from clarion.service.access import CACHE_MS, LEASE_WRITE_MS, Gatekeeper
from clarion.service.allowance import BURST_SECONDS, Allowance
from clarion.service.sessions import (
    MOST_SESSIONS,
    RETRY_MS,
    Opened,
    begin_session,
    end_session,
    end_sessions,
    list_sessions,
    refresh_session,
)
from clarion.service.sweep import sweep
from clarion.store.database import Database
from clarion.store.schema import members
from clarion.store.schema import sessions as table
from clarion.store.sessions import ENDED_KEPT_MS, REFRESH_MS
from tests.clock import Clock
from tests.world import Member, World

SOURCE = random.Random(1)


@pytest.fixture
async def member(world: World) -> Member:
    return await world.add_member("username@example.com")


@pytest.fixture
def door(world: World) -> Gatekeeper:
    allowance, elsewhere = Allowance(1_000, world.clock), {"eu-central-1": "https://eu.example"}
    return Gatekeeper(world.database, "us-east-1", elsewhere, allowance, world.clock)


async def begin(world: World, member: Member, minutes: int = 60) -> Opened:
    asked = (world.admin, member.user, minutes, uuid4(), SOURCE.randbytes, world.clock())
    return await world.write(begin_session, *asked)


def shown(text: str) -> RefreshText:
    parsed = parse_refresh_token(text)
    assert parsed is not None
    return parsed


async def refresh(world: World, text: str, organization: UUID | None = None) -> Opened | None:
    where = organization or world.organization
    return await world.write(refresh_session, shown(text), where, SOURCE.randbytes, world.clock())


async def renewed(world: World, opened: Opened) -> Opened:
    new = await refresh(world, opened.refresh_token)
    assert new is not None
    return new


async def listed(world: World, member: Member) -> list[UUID]:
    rows = await world.read(list_sessions, world.admin, member.user, world.clock())
    return [row.uuid for row in rows]


async def is_good(door: Gatekeeper, world: World, opened: Opened) -> bool:
    try:
        await door.access(opened.token, world.organization)
    except Unauthenticated:
        return False
    return True


# ── At the gate ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_session_is_its_member_with_the_powers_of_an_app(
    world: World, member: Member, door: Gatekeeper
) -> None:
    opened = await begin(world, member)
    access = await door.member(opened.token, world.organization, member.user)
    [row] = await world.rows(table)
    assert access.session == Session(world.clock() + 3_600_000, row.id)
    assert (access.user, access.member_id, access.role) == (member.user, member.id, Role.USER)
    assert opened.expires_at == world.clock() + 3_600_000


async def test_even_an_administrators_session_neither_sends_nor_sees_others(
    world: World, member: Member, door: Gatekeeper
) -> None:
    admin = Member(world.admin.member_id, world.admin.user, "admin@example.com", ())
    opened = await begin(world, admin)
    assert (await door.member(opened.token, world.organization, admin.user)).role is Role.USER
    with pytest.raises(Forbidden, match="with a personal access token"):
        await door.sender(opened.token, world.organization)
    with pytest.raises(NotFound, match="no such member"):
        await door.member(opened.token, world.organization, member.user)


async def test_a_session_is_of_one_organization(world: World, member: Member, door: Gatekeeper) -> None:
    other = await World.make(world.database, world.clock, "Other")
    opened = await begin(world, member)
    for elsewhere in (other.organization, uuid4()):
        with pytest.raises(NotFound, match="no such organization"):
            await door.access(opened.token, elsewhere)


async def test_a_token_ends_to_the_millisecond_though_it_is_cached(
    world: World, member: Member, door: Gatekeeper
) -> None:
    opened = await begin(world, member, minutes=1)
    world.clock.move(seconds=60, milliseconds=-1)
    assert await is_good(door, world, opened)
    world.clock.move(milliseconds=1)
    assert not await is_good(door, world, opened)


async def test_neither_refresh_nor_device_tokens_open_anything(
    world: World, member: Member, door: Gatekeeper
) -> None:
    opened = await begin(world, member)
    from_device, _ = mint_token("us-east-1", SOURCE.randbytes, TokenKind.DEVICE)
    for text in (opened.refresh_token, from_device):
        with pytest.raises(Unauthenticated):
            await door.access(text, world.organization)


async def test_a_session_of_another_region_is_told_where_to_go(
    world: World, member: Member, door: Gatekeeper
) -> None:
    there = replace(world.admin, region="eu-central-1")
    asked = (there, member.user, 60, uuid4(), SOURCE.randbytes, world.clock())
    opened = await world.write(begin_session, *asked)
    with pytest.raises(WrongRegion, match=r"https://eu\.example"):
        await door.access(opened.token, world.organization)
    with pytest.raises(WrongRegion):
        door.refreshing(opened.refresh_token)


async def test_a_use_is_noted_at_most_once_an_hour(world: World, member: Member, door: Gatekeeper) -> None:
    opened, began = await begin(world, member, minutes=180), world.clock()

    async def used_at() -> int:
        await door.access(opened.token, world.organization)
        [row] = await world.rows(table)
        return int(row.last_used_at)

    world.clock.move(milliseconds=LEASE_WRITE_MS - 1)
    assert await used_at() == began
    world.clock.move(milliseconds=CACHE_MS)
    assert await used_at() == world.clock()


@pytest.mark.parametrize("text", [None, 7, "", "clf_", "clr_us-east-1_", "eyJ.eyJ.eyJ"])
def test_what_is_no_refresh_token_is_not_read(world: World, door: Gatekeeper, text: object) -> None:
    with pytest.raises(Unauthenticated):
        door.refreshing(text)


async def test_refreshing_is_counted(world: World, member: Member) -> None:
    door = Gatekeeper(world.database, "us-east-1", {}, Allowance(1, world.clock), world.clock)
    text = (await begin(world, member)).refresh_token
    for _ in range(BURST_SECONDS):
        assert door.refreshing(text) == shown(text)
    with pytest.raises(TooManyRequests):
        door.refreshing(text)


# ── Beginning ────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_session_unused_for_longest_makes_room_for_the_next(
    world: World, member: Member, door: Gatekeeper
) -> None:
    opened = []
    for _ in range(MOST_SESSIONS):
        world.clock.move(milliseconds=1)
        opened.append(await begin(world, member))
    kept = await renewed(world, opened[0])
    newest = await begin(world, member)
    assert len(await listed(world, member)) == MOST_SESSIONS
    assert not await is_good(door, world, opened[1])
    assert await is_good(door, world, opened[2])
    assert await is_good(door, world, kept)
    assert await is_good(door, world, newest)


async def test_a_session_needs_a_member(world: World, member: Member) -> None:
    other = await World.make(world.database, world.clock, "Other")
    for user in (uuid4(), other.admin.user):
        with pytest.raises(NotFound):
            await begin(world, replace(member, user=user))
    assert await world.rows(table) == []


# ── Renewing ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_both_tokens_are_new_and_the_token_before_is_good_until_its_end(
    world: World, member: Member, door: Gatekeeper
) -> None:
    first = await begin(world, member, minutes=30)
    world.clock.move(seconds=600)
    second = await renewed(world, first)
    assert second.session == first.session
    assert len({first.token, second.token, first.refresh_token, second.refresh_token}) == 4
    assert second.expires_at == world.clock() + 1_800_000
    assert await is_good(door, world, first)
    assert await is_good(door, world, second)
    world.clock.move(seconds=1_200)
    assert not await is_good(door, world, first)
    assert await is_good(door, world, second)


async def test_a_session_lives_as_long_as_it_is_renewed_once_in_thirty_days(
    world: World, member: Member, door: Gatekeeper
) -> None:
    opened = await begin(world, member)
    for _ in range(12):
        world.clock.move(milliseconds=REFRESH_MS - 1)
        assert not await is_good(door, world, opened)
        opened = await renewed(world, opened)
        assert await is_good(door, world, opened)
    world.clock.move(milliseconds=REFRESH_MS)
    assert await refresh(world, opened.refresh_token) is None


async def test_a_request_that_is_repeated_at_once_is_answered_alike(world: World, member: Member) -> None:
    first = await begin(world, member)
    second = await renewed(world, first)
    world.clock.move(milliseconds=RETRY_MS - 1)
    assert await refresh(world, first.refresh_token) == second
    third = await renewed(world, second)
    assert await refresh(world, second.refresh_token) == third


async def test_a_refresh_token_used_twice_ends_the_session_for_everybody(
    world: World, member: Member, door: Gatekeeper
) -> None:
    first = await begin(world, member)
    second = await renewed(world, first)
    other = await begin(world, member)
    world.clock.move(milliseconds=RETRY_MS)
    with capture_logs() as log:
        assert await refresh(world, first.refresh_token) is None
    assert log == [{"event": "refresh_token_reused", "log_level": "warning", "session": str(first.session)}]
    assert await refresh(world, second.refresh_token) is None
    for opened in (first, second):
        assert not await is_good(door, world, opened)
    assert await listed(world, member) == [other.session]


async def test_an_older_refresh_token_ends_the_session_even_at_once(world: World, member: Member) -> None:
    first = await begin(world, member)
    second = await renewed(world, first)
    third = await renewed(world, second)
    assert await refresh(world, first.refresh_token) is None
    assert await refresh(world, third.refresh_token) is None


async def test_a_refresh_token_that_somebody_made_up_ends_nothing(world: World, member: Member) -> None:
    opened = await begin(world, member)
    good = shown(opened.refresh_token)
    for secret in (bytes(32), bytes(16) + good.secret[16:]):
        made_up = replace(good, secret=secret)
        asked = (made_up, world.organization, SOURCE.randbytes, world.clock())
        assert await world.write(refresh_session, *asked) is None
    unknown = replace(good, key="0" * 16)
    assert await world.write(refresh_session, unknown, world.organization, SOURCE.randbytes, 0) is None
    assert await refresh(world, opened.refresh_token)


async def test_a_refresh_token_is_of_one_organization(world: World, member: Member) -> None:
    other = await World.make(world.database, world.clock, "Other")
    opened = await begin(world, member)
    assert await refresh(world, opened.refresh_token, other.organization) is None
    assert await refresh(world, opened.refresh_token)


async def test_who_is_no_member_any_more_renews_nothing(
    world: World, member: Member, door: Gatekeeper
) -> None:
    opened = await begin(world, member)
    await world.write(lambda connection: connection.execute(members.delete()))
    assert await refresh(world, opened.refresh_token) is None
    with pytest.raises(NotFound):
        await door.access(opened.token, world.organization)


# ── Ending ───────────────────────────────────────────────────────────────────────────────────────────────


async def of_session(door: Gatekeeper, world: World, opened: Opened) -> Access:
    return await door.access(opened.token, world.organization)


async def test_an_ended_session_is_good_for_nothing_within_a_second(
    world: World, member: Member, door: Gatekeeper
) -> None:
    opened = await begin(world, member)
    access = await of_session(door, world, opened)
    assert access.session is not None
    assert await door.ended_sessions() == frozenset()
    await world.write(end_session, world.admin, member.user, opened.session, world.clock())
    assert await door.ended_sessions() == {access.session.id}
    world.clock.move(milliseconds=CACHE_MS)
    assert not await is_good(door, world, opened)
    assert await refresh(world, opened.refresh_token) is None
    with pytest.raises(NotFound):
        await world.write(end_session, world.admin, member.user, opened.session, world.clock())


async def test_a_session_ends_itself_and_no_other(world: World, member: Member, door: Gatekeeper) -> None:
    one, two = await begin(world, member), await begin(world, member)
    own = await of_session(door, world, one)
    with pytest.raises(NotFound, match="no such session"):
        await world.write(end_session, own, member.user, two.session, world.clock())
    with pytest.raises(Forbidden):
        await world.write(end_sessions, own, member.user, world.clock())
    with pytest.raises(Forbidden):
        await world.read(list_sessions, own, member.user, world.clock())
    await world.write(end_session, own, member.user, one.session, world.clock())
    assert await listed(world, member) == [two.session]


async def test_an_id_tokens_session_ends_none(world: World, member: Member) -> None:
    opened = await begin(world, member)
    found = replace(world.admin, user=member.user, member_id=member.id)
    own = found.of_session(Session(world.clock() + 1))
    with pytest.raises(NotFound):
        await world.write(end_session, own, member.user, opened.session, world.clock())


async def test_all_sessions_of_a_member_end_together_and_nobody_elses(
    world: World, member: Member, door: Gatekeeper
) -> None:
    own = [await begin(world, member) for _ in range(3)]
    others = await begin(world, await world.add_member("other@example.com"))
    await world.write(end_sessions, world.admin, member.user, world.clock())
    assert await listed(world, member) == []
    assert [await is_good(door, world, opened) for opened in own] == [False] * 3
    assert await is_good(door, world, others)


async def test_a_session_is_ended_under_its_own_member_alone(world: World, member: Member) -> None:
    opened = await begin(world, member)
    other = await world.add_member("other@example.com")
    for user in (other.user, uuid4()):
        with pytest.raises(NotFound):
            await world.write(end_session, world.admin, user, opened.session, world.clock())
    assert await listed(world, member) == [opened.session]


async def test_what_is_over_is_swept(world: World, member: Member, database: Database) -> None:
    await begin(world, member)
    await world.write(end_sessions, world.admin, member.user, world.clock())
    world.clock.move(milliseconds=ENDED_KEPT_MS)
    await sweep(database, world.clock())
    assert await world.rows(table) == []


# ── At the same moment ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def both(postgresql_url: str) -> AsyncIterator[tuple[World, World]]:
    """Two processes' doors to one organization."""
    one, two = Database(postgresql_url), Database(postgresql_url)
    world = await World.make(one, Clock())
    yield world, replace(world, database=two)
    one.close()
    two.close()


async def test_tabs_that_exchange_at_the_same_moment_get_the_same_pair(both: tuple[World, World]) -> None:
    here, there = both
    opened: Opened | None = await begin(here, await here.add_member("username@example.com"))
    for _ in range(20):
        assert opened is not None
        text = opened.refresh_token
        found = await asyncio.gather(refresh(here, text), refresh(there, text))
        assert found[0] == found[1]
        opened = found[0]


async def test_sessions_that_begin_at_the_same_moment_are_not_too_many(both: tuple[World, World]) -> None:
    here, there = both
    member = await here.add_member("username@example.com")
    for _ in range(MOST_SESSIONS // 2 + 3):
        await asyncio.gather(begin(here, member), begin(there, member))
    assert len(await listed(here, member)) == MOST_SESSIONS
