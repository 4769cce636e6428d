"""Who may come in: tokens in every state, roles, regions, strangers."""

from dataclasses import replace
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import Connection, delete, select, update

from clarion.model.access import Role, mint_token, parse_token
from clarion.store.schema import members
from clarion.store.schema import tokens as tokens_table
from tests.api.caller import (
    ELSEWHERE,
    Caller,
    Json,
    add_caller,
    count_rows,
    faults,
    make_door,
    make_http,
    make_token,
)
from tests.clock import Clock
from tests.world import World

DAY = 86_400
GOOD: Json = {"content": {"text": "Hi"}, "scope": "ORG"}


def a_stranger_token(region: str = "us-east-1") -> str:
    return mint_token(region, lambda count: bytes(range(count)))[0]


async def assert_unauthorized(answer: httpx.Response, world: World) -> None:
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json() == {"message": "Unauthorized", "code": "unauthorized", "details": []}
    assert await count_rows(world) == 0


async def authorized_by(caller: Caller, *headers: str | bytes) -> httpx.Response:
    given = [("Authorization", value) for value in headers]
    return await caller.http.post(caller.path, json=GOOD, headers=given)  # type: ignore[arg-type]


async def test_a_request_without_a_token_is_unauthorized(caller: Caller, world: World) -> None:
    await assert_unauthorized(await authorized_by(caller), world)


@pytest.mark.parametrize("scheme", ["BEARER", "Bearer", "bearer", "bEaReR"])
async def test_the_scheme_is_taken_in_any_case(caller: Caller, scheme: str) -> None:
    assert (await authorized_by(caller, f"{scheme} {caller.token}")).status_code == 201


@pytest.mark.parametrize(
    "form",
    [
        "", "BEARER", "BEARER ", "{token}", "Basic {token}", "Token {token}", "BEARER={token}",
        "BEARER {token} {token}", "BEARER {token}, BEARER {token}", "BEARER {token},{token}",
        "BEARER BEARER {token}", "BEARER {token}x", "BEARER x{token}", "BEARER \"{token}\"", "BEARER\t{token}",
        "BEARER {token}\x00", "BEARER null", "BEARER clr_us-east-1_", "BEARER clr__{key}_{secret}",
    ],
)  # fmt: skip
async def test_a_malformed_authorization_is_unauthorized(caller: Caller, world: World, form: str) -> None:
    assert caller.token is not None
    _, _, key, secret = caller.token.split("_")
    header = form.format(token=caller.token, key=key, secret=secret)
    await assert_unauthorized(await authorized_by(caller, header), world)


async def test_a_token_in_upper_case_or_in_other_letters_is_unauthorized(
    caller: Caller, world: World
) -> None:
    assert caller.token is not None
    await assert_unauthorized(await authorized_by(caller, f"BEARER {caller.token.upper()}"), world)
    await assert_unauthorized(await authorized_by(caller, "BEARER clé".encode()), world)
    await assert_unauthorized(await authorized_by(caller, b"BEARER \xff\xfe"), world)


async def test_two_authorization_headers_are_unauthorized_even_when_they_agree(
    caller: Caller, world: World
) -> None:
    header = f"BEARER {caller.token}"
    await assert_unauthorized(await authorized_by(caller, header, header), world)


async def test_a_token_in_the_query_is_no_token(caller: Caller, world: World) -> None:
    answer = await caller.http.post(caller.path, json=GOOD, params={"access_token": str(caller.token)})
    await assert_unauthorized(answer, world)


async def test_an_unknown_token_is_unauthorized(caller: Caller, world: World) -> None:
    await assert_unauthorized(await caller.known_as(a_stranger_token()).send(GOOD), world)


async def test_the_right_id_with_a_wrong_secret_is_unauthorized(caller: Caller, world: World) -> None:
    assert caller.token is not None
    parsed = parse_token(caller.token)
    assert parsed is not None
    octets = iter((bytes.fromhex(parsed.key), b"\0" * 32))
    forged, _ = mint_token("us-east-1", lambda _count: next(octets))
    assert forged.split("_")[:3] == caller.token.split("_")[:3]
    await assert_unauthorized(await caller.known_as(forged).send(GOOD), world)


async def test_a_mistyped_token_is_unauthorized(caller: Caller, world: World) -> None:
    assert caller.token is not None
    last = "0" if caller.token[-1] != "0" else "1"
    await assert_unauthorized(await caller.known_as(caller.token[:-1] + last).send(GOOD), world)


async def test_a_deleted_token_is_unauthorized_within_a_second(
    caller: Caller, world: World, clock: Clock
) -> None:
    assert (await caller.get(caller.path)).status_code == 200
    await world.write(lambda connection: connection.execute(delete(tokens_table)))
    clock.move(seconds=1)
    await assert_unauthorized(await caller.get(caller.path), world)


async def test_a_token_that_nobody_used_for_two_weeks_lapses(
    caller: Caller, world: World, clock: Clock
) -> None:
    clock.move(seconds=14 * DAY)
    await assert_unauthorized(await caller.send(GOOD), world)


async def test_a_use_on_the_last_day_renews_the_lease(caller: Caller, world: World, clock: Clock) -> None:
    for _ in range(3):
        clock.move(seconds=14 * DAY, milliseconds=-1)
        assert (await caller.get(caller.path)).status_code == 200
    clock.move(seconds=14 * DAY)
    await assert_unauthorized(await caller.get(caller.path), world)


async def test_a_token_in_daily_use_expires_after_six_months_all_the_same(
    caller: Caller, world: World, clock: Clock
) -> None:
    for _ in range(14):
        clock.move(seconds=13 * DAY)
        assert (await caller.get(caller.path)).status_code == 200
    clock.move(seconds=DAY)
    await assert_unauthorized(await caller.get(caller.path), world)


async def test_a_lease_is_written_at_most_once_an_hour(caller: Caller, world: World, clock: Clock) -> None:
    def last_used_at(connection: Connection) -> int | None:
        return connection.scalar(select(tokens_table.c.last_used_at))

    assert await world.read(last_used_at) is None
    used_at = clock()
    for seconds in (0, 2, 1_800, 1_797):
        clock.move(seconds=seconds)
        await caller.get(caller.path)
        assert await world.read(last_used_at) == used_at
    clock.move(seconds=1)
    await caller.get(caller.path)
    assert await world.read(last_used_at) == used_at + 3_600_000


async def test_an_unauthorized_use_renews_nothing(caller: Caller, world: World, clock: Clock) -> None:
    def lease_until(connection: Connection) -> int | None:
        return connection.scalar(select(tokens_table.c.lease_until))

    before = await world.read(lease_until)
    clock.move(seconds=DAY)
    await caller.known_as(a_stranger_token()).send(GOOD)
    assert await world.read(lease_until) == before


async def test_a_token_of_another_region_is_told_where_to_go(caller: Caller, world: World) -> None:
    answer = await caller.known_as(a_stranger_token("eu-central-1")).send(GOOD)
    assert answer.status_code == 421
    assert faults(answer) == {}
    told = answer.json()
    assert told["code"] == "wrong_region"
    assert told["region"] == "eu-central-1"
    assert told["baseUrl"] == ELSEWHERE["eu-central-1"]
    assert "eu-central-1" in told["message"]
    assert ELSEWHERE["eu-central-1"] in told["message"]
    assert await count_rows(world) == 0


async def test_a_region_without_a_known_address_is_named_all_the_same(caller: Caller) -> None:
    answer = await caller.known_as(a_stranger_token("ap-southeast-2")).send(GOOD)
    assert answer.status_code == 421
    assert answer.json()["region"] == "ap-southeast-2"


async def test_a_member_whose_role_is_user_may_neither_send_nor_list(caller: Caller, world: World) -> None:
    created = (await caller.send(GOOD | {"startAt": 1_900_000_000})).json()["notificationId"]
    member, _ = await add_caller(caller, world, "user@example.com")
    before = await count_rows(world)
    for answer in (
        await member.send(GOOD),
        await member.send_octets(b"{"),
        await member.get(member.path),
        await member.get(f"{member.path}/{created}"),
        await member.delete(f"{member.path}/{created}"),
    ):
        assert answer.status_code == 403
        assert faults(answer) == {}
        assert answer.json()["code"] == "forbidden"
    assert await count_rows(world) == before


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN])
async def test_owners_and_administrators_may_send(caller: Caller, world: World, role: Role) -> None:
    sender, member = await add_caller(caller, world, "sender@example.com", role)
    answer = await sender.send(GOOD)
    assert answer.status_code == 201
    assert answer.json()["createdBy"] == str(member.user)


async def test_a_changed_role_takes_effect_within_a_second(
    caller: Caller, world: World, clock: Clock
) -> None:
    assert (await caller.get(caller.path)).status_code == 200
    await world.write(lambda connection: connection.execute(update(members).values(role=Role.USER)))
    clock.move(seconds=1)
    assert (await caller.get(caller.path)).status_code == 403


async def test_an_organization_of_others_does_not_exist(caller: Caller, world: World, clock: Clock) -> None:
    other = await World.make(world.database, clock, "Other")
    absent = Caller(caller.http, uuid4(), caller.token)
    hidden = Caller(caller.http, other.organization, caller.token)
    answers = []
    for stranger in (absent, hidden):
        for answer in (
            await stranger.send(GOOD),
            await stranger.get(stranger.path),
            await stranger.get(f"{stranger.path}/{uuid4()}"),
            await stranger.delete(f"{stranger.path}/{uuid4()}"),
            await stranger.get(stranger.inbox(other.admin.user)),
        ):
            assert answer.status_code == 404
            answers.append(answer.json())
    assert answers[:5] == answers[5:], "hidden and absent look alike"


async def test_no_token_of_one_organization_sees_a_notification_of_another(
    caller: Caller, world: World, clock: Clock
) -> None:
    other = await World.make(world.database, clock, "Other")
    theirs = await other.publish(other.draft())
    path = f"{caller.path}/{theirs.notification.uuid}"
    assert (await caller.get(path)).status_code == 404
    assert (await caller.delete(path)).status_code == 404
    assert (await caller.get(caller.path)).json()["items"] == []
    assert (await other.stored(theirs.notification.uuid)).state == "queued"


async def test_one_person_may_have_several_tokens(caller: Caller, world: World) -> None:
    second = caller.known_as(await make_token(world))
    assert second.token != caller.token
    assert (await caller.send(GOOD)).status_code == (await second.send(GOOD)).status_code == 201


async def test_a_caller_who_asks_too_often_is_told_when_to_come_back(
    caller: Caller, world: World, clock: Clock
) -> None:
    async with make_http(make_door(world, requests_per_second=2)) as http:
        eager = replace(caller, http=http)
        statuses = [(await eager.get(caller.path)).status_code for _ in range(21)]
        assert statuses == [200] * 20 + [429], "ten seconds' worth at once"
        answer = await eager.send(GOOD)
        assert answer.status_code == 429
        assert faults(answer) == {}
        assert answer.headers["retry-after"] == "1"
        assert await count_rows(world) == 0
        clock.move(seconds=1)
        assert (await eager.send(GOOD)).status_code == 201
