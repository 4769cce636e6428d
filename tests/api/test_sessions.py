"""Member sessions over HTTP: what a session opens, route by route, and every way of asking wrongly."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from clarion.api.app import create_app
from clarion.model.access import Role, mint_token
from clarion.model.oidc import Claim, Issuer
from clarion.model.refresh import first_pair
from clarion.service.access import Gatekeeper
from clarion.service.allowance import Allowance
from clarion.service.issuer_keys import IssuerKeys
from clarion.service.oidc import IdTokens
from clarion.store import oidc
from clarion.store.schema import sessions as table
from clarion.store.sessions import REFRESH_MS
from tests.api.caller import ELSEWHERE, REGION, Caller, Json, add_caller, faults, make_door, make_http
from tests.clock import Clock
from tests.service.issuer import AUDIENCE, DISCOVERY, Said, StandIn
from tests.world import Member, World

OWN = "/v2.0/tool/organizations/{organization_id}/members/{user_id}"
OPEN = {
    f"GET {OWN}/notifications",
    f"PATCH {OWN}/notifications",
    f"GET {OWN}/notifications/summary",
    f"GET {OWN}/notifications/{{notification_id}}",
    f"PATCH {OWN}/notifications/{{notification_id}}",
    f"DELETE {OWN}/notifications/{{notification_id}}",
    f"GET {OWN}/notifications/stream",
    f"GET {OWN}/channels",
    f"GET {OWN}/devices",
    f"POST {OWN}/devices",
    f"DELETE {OWN}/devices/{{device_id}}",
    f"DELETE {OWN}/sessions/{{session_id}}",
}
"""What a session of a member may ask for that member. Think twice before a route is added here."""

PUBLIC = {
    "GET /v2.0/tool/version",
    "POST /v2.0/tool/organizations/{organization_id}/sessions/refresh",
}


def sessions(caller: Caller, user: UUID) -> str:
    return f"/v2.0/tool/organizations/{caller.organization}/members/{user}/sessions"


def refresh_path(caller: Caller) -> str:
    return f"/v2.0/tool/organizations/{caller.organization}/sessions/refresh"


@pytest.fixture
async def app(caller: Caller, world: World) -> tuple[Caller, Member]:
    """A member who calls with a personal access token."""
    return await add_caller(caller, world, "user@example.com")


@pytest.fixture
def member(app: tuple[Caller, Member]) -> Member:
    return app[1]


async def post(caller: Caller, path: str, body: object = None) -> httpx.Response:
    headers = {} if caller.token is None else {"Authorization": f"Bearer {caller.token}"}
    content = None if body is None else json.dumps(body)
    return await caller.http.post(
        path, content=content, headers=headers | {"Content-Type": "application/json"}
    )


async def begin(caller: Caller, user: UUID, body: object = None) -> Json:
    answer = await post(caller, sessions(caller, user), body)
    assert answer.status_code == 201, answer.text
    told: Json = answer.json()
    return told


async def refresh(caller: Caller, token: object) -> httpx.Response:
    return await post(caller.known_as(None), refresh_path(caller), {"refreshToken": token})


# ── Beginning, renewing, listing, ending ─────────────────────────────────────────────────────────────────


async def test_a_session_is_begun_with_its_tokens(caller: Caller, member: Member, clock: Clock) -> None:
    told = await begin(caller, member.user)
    assert set(told) == {"sessionId", "token", "refreshToken", "expiresAt"}
    assert UUID(told["sessionId"])
    assert told["token"].startswith("cls_us-east-1_")
    assert told["refreshToken"].startswith("clf_us-east-1_")
    assert told["expiresAt"] == "2025-06-15T16:06:40.000Z"
    assert (await caller.known_as(told["token"]).get(caller.inbox(member.user))).status_code == 200


@pytest.mark.parametrize(
    ("body", "seconds"),
    [({}, 3_600), ({"minutes": None}, 3_600), ({"minutes": 1}, 60), ({"minutes": 1_440}, 86_400)],
)
async def test_the_minutes_say_how_long_a_token_is_good(
    caller: Caller, member: Member, clock: Clock, body: Json, seconds: int
) -> None:
    app = caller.known_as((await begin(caller, member.user, body))["token"])
    clock.move(seconds=seconds, milliseconds=-1)
    assert (await app.get(caller.inbox(member.user))).status_code == 200
    clock.move(milliseconds=1)
    answer = await app.get(caller.inbox(member.user))
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_an_exchange_gives_new_tokens(caller: Caller, member: Member, clock: Clock) -> None:
    first = await begin(caller, member.user, {"minutes": 5})
    clock.move(seconds=60)
    answer = await refresh(caller, first["refreshToken"])
    assert answer.status_code == 200
    second = answer.json()
    assert set(second) == set(first)
    assert second["sessionId"] == first["sessionId"]
    assert second["expiresAt"] == "2025-06-15T15:12:40.000Z"
    assert (await refresh(caller, first["refreshToken"])).json() == second
    clock.move(seconds=10)
    answer = await refresh(caller, first["refreshToken"])
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert (await refresh(caller, second["refreshToken"])).status_code == 401
    app = caller.known_as(second["token"])
    assert (await app.get(caller.inbox(member.user))).status_code == 401


async def test_sessions_are_listed_without_their_tokens(
    caller: Caller, app: tuple[Caller, Member], clock: Clock
) -> None:
    own, member = app
    first = await begin(caller, member.user)
    clock.move(seconds=1)
    second = await begin(caller, member.user)
    for reader in (caller, own):
        answer = await reader.get(sessions(caller, member.user))
        assert answer.json() == {
            "count": 2,
            "items": [
                {
                    "sessionId": second["sessionId"],
                    "createdAt": "2025-06-15T15:06:41.000Z",
                    "lastUsedAt": "2025-06-15T15:06:41.000Z",
                    "expiresAt": "2025-07-15T15:06:41.000Z",
                },
                {
                    "sessionId": first["sessionId"],
                    "createdAt": "2025-06-15T15:06:40.000Z",
                    "lastUsedAt": "2025-06-15T15:06:40.000Z",
                    "expiresAt": "2025-07-15T15:06:40.000Z",
                },
            ],
        }
    clock.move(milliseconds=REFRESH_MS)
    assert (await own.get(sessions(caller, member.user))).status_code == 401, "its token lapsed as well"


@pytest.mark.parametrize("by", ["administrator", "member", "itself"])
async def test_a_session_is_ended_by(
    caller: Caller, app: tuple[Caller, Member], clock: Clock, by: str
) -> None:
    own, member = app
    told = await begin(caller, member.user)
    itself = caller.known_as(told["token"])
    path = f"{sessions(caller, member.user)}/{told['sessionId']}"
    whose = {"administrator": caller, "member": own, "itself": itself}[by]
    assert (await whose.delete(path)).status_code == 204
    clock.move(seconds=1)
    assert (await itself.get(caller.inbox(member.user))).status_code == 401
    assert (await refresh(caller, told["refreshToken"])).status_code == 401
    assert (await caller.delete(path)).status_code == 404


async def test_all_sessions_of_a_member_are_ended_at_once(
    caller: Caller, app: tuple[Caller, Member], clock: Clock
) -> None:
    own, member = app
    told = [await begin(caller, member.user) for _ in range(3)]
    assert (await own.delete(sessions(caller, member.user))).status_code == 204
    clock.move(seconds=1)
    for one in told:
        assert (await caller.known_as(one["token"]).get(caller.inbox(member.user))).status_code == 401
    assert (await own.delete(sessions(caller, member.user))).status_code == 204


# ── Who may ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_only_owners_and_administrators_begin_sessions_and_with_their_own_token_alone(
    caller: Caller, world: World, app: tuple[Caller, Member]
) -> None:
    own, member = app
    owner, _ = await add_caller(caller, world, "owner@example.com", Role.OWNER)
    await begin(owner, member.user)
    of_admin = caller.known_as((await begin(caller, world.admin.user))["token"])
    for whose in (own, of_admin):
        for user in (member.user, world.admin.user):
            answer = await post(whose, sessions(caller, user))
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await post(caller.known_as(None), sessions(caller, member.user))).status_code == 401
    assert len(await world.rows(table)) == 2


async def test_the_sessions_of_others_are_not_there(
    caller: Caller, world: World, app: tuple[Caller, Member]
) -> None:
    own, member = app
    other = await world.add_member("other@example.com")
    theirs = (await begin(caller, other.user))["sessionId"]
    for user in (other.user, uuid4()):
        assert (await own.get(sessions(caller, user))).status_code == 404
        assert (await own.delete(sessions(caller, user))).status_code == 404
        assert (await own.delete(f"{sessions(caller, user)}/{theirs}")).status_code == 404
    assert (await own.delete(f"{sessions(caller, member.user)}/{theirs}")).status_code == 404
    assert (await caller.delete(f"{sessions(caller, member.user)}/{theirs}")).status_code == 404
    assert (await caller.get(sessions(caller, other.user))).json()["count"] == 1


async def test_a_member_of_another_organization_gets_no_session(
    caller: Caller, world: World, clock: Clock
) -> None:
    other = await World.make(world.database, clock, "Other")
    for user in (other.admin.user, uuid4()):
        assert (await post(caller, sessions(caller, user))).status_code == 404
        assert (await caller.get(sessions(caller, user))).status_code == 404
    elsewhere = replace(caller, organization=other.organization)
    assert (await post(elsewhere, sessions(elsewhere, other.admin.user))).status_code == 404
    assert await world.rows(table) == []


# ── Every route ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def operations(http: httpx.AsyncClient) -> list[str]:
    """Every method and path of the API."""
    description = (await http.get("/schema/openapi.json")).json()
    return [f"{method.upper()} {path}" for path, found in description["paths"].items() for method in found]


@pytest.fixture
def application(world: World) -> Any:
    """The API itself: a stream never ends, so a client that waits for whole answers cannot ask for it."""
    return create_app(make_door(world))


async def ask(application: Any, operation: str, token: str | None, **ids: object) -> tuple[int, str]:
    """The status and the sentence of an answer; a stream is left as soon as it begins."""
    method, path = operation.split(" ")
    names = {name: str(uuid4()) for name in _names(path)}
    path = path.format(**names | {name: str(value) for name, value in ids.items()})
    headers = [(b"content-type", b"application/json")]
    headers += [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
        "client": ("127.0.0.1", 1), "server": ("clarion.example.com", 80), "state": {},
    }  # fmt: skip
    answers: asyncio.Queue[Any] = asyncio.Queue()
    requests = iter([{"type": "http.request", "body": b"{}", "more_body": False}])

    async def receive() -> Any:
        return next(requests, None) or await asyncio.Event().wait()

    task = asyncio.create_task(application(scope, receive, answers.put))
    status = int((await answers.get())["status"])
    body = b"" if status < 400 else (await answers.get())["body"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return status, json.loads(body)["message"] if body else ""


def _names(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def is_closed(status: int, message: str) -> bool:
    """As to a stranger."""
    hidden = message.startswith(("There is no such member", "There is no such organization"))
    return status in {401, 403} or (status == 404 and hidden)


async def open_to(
    caller: Caller, application: Any, operations: list[str], member: Member, **ids: object
) -> set[str]:
    """Which operations a session of a member opens, each with a session of its own."""
    found = set()
    for operation in operations:
        told = await begin(caller, member.user)
        names = {"organization_id": caller.organization, "user_id": member.user} | ids
        if not is_closed(
            *await ask(application, operation, told["token"], session_id=told["sessionId"], **names)
        ):
            found.add(operation)
    return found


async def test_a_session_opens_these_routes_and_no_others(
    caller: Caller, world: World, application: Any, member: Member, operations: list[str]
) -> None:
    admin = Member(world.admin.member_id, world.admin.user, "admin@example.com", ())
    assert len(operations) >= 12
    for whose in (member, admin):
        assert await open_to(caller, application, operations, whose) == OPEN | PUBLIC


async def test_a_session_opens_nothing_of_another_member_or_organization(
    caller: Caller, world: World, application: Any, member: Member, operations: list[str], clock: Clock
) -> None:
    admin = Member(world.admin.member_id, world.admin.user, "admin@example.com", ())
    other = await World.make(world.database, clock, "Other")
    for whose, user in ((admin, member.user), (member, world.admin.user), (member, uuid4())):
        assert await open_to(caller, application, operations, whose, user_id=user) == PUBLIC
    there = other.organization
    assert await open_to(caller, application, operations, member, organization_id=there) == PUBLIC


async def test_without_a_token_only_what_is_public_is_open(
    world: World, application: Any, operations: list[str]
) -> None:
    found = set()
    for operation in operations:
        ids = {"organization_id": world.organization, "user_id": world.admin.user}
        status, _ = await ask(application, operation, None, **ids)
        found |= set() if status == 401 else {operation}
    assert found == PUBLIC


# ── ID tokens ────────────────────────────────────────────────────────────────────────────────────────────


async def trusting(caller: Caller, world: World, issuer: StandIn) -> Caller:
    """The same door, of an organization that trusts an issuer."""
    chosen = Issuer(issuer.url, AUDIENCE, Claim.EMAIL)
    await world.write(oidc.set_issuer, world.organization_id, chosen, world.clock())
    id_tokens = IdTokens(world.database, IssuerKeys(issuer.fetch, world.clock), world.clock)
    allowance = Allowance(1_000, world.clock)
    gatekeeper = Gatekeeper(world.database, REGION, ELSEWHERE, allowance, world.clock, id_tokens)
    return replace(caller, http=make_http(replace(make_door(world), gatekeeper=gatekeeper)))


async def test_an_id_token_opens_what_a_session_opens(
    caller: Caller, world: World, member: Member, clock: Clock
) -> None:
    issuer = StandIn(clock)
    issuer.publish()
    door = await trusting(caller, world, issuer)
    async with door.http:
        app = door.known_as(issuer.token(email=member.email))
        assert (await app.get(app.inbox(member.user))).status_code == 200
        assert (await app.get(app.inbox(world.admin.user))).status_code == 404
        assert (await app.get(app.path)).status_code == 403
        assert (await post(app, sessions(app, member.user))).status_code == 403
        assert (await app.delete(sessions(app, member.user))).status_code == 403
        assert (await refresh(app, app.token)).status_code == 400, "it is no refresh token"
        forged = door.known_as(issuer.token(email=member.email, aud="another-app"))
        assert (await forged.get(forged.inbox(member.user))).status_code == 401


async def test_while_the_issuer_is_away_the_answer_says_when_to_come_back(
    caller: Caller, world: World, member: Member, clock: Clock
) -> None:
    issuer = StandIn(clock)
    issuer.documents = {DISCOVERY: Said(b"away")}
    door = await trusting(caller, world, issuer)
    async with door.http:
        app = door.known_as(issuer.token(email=member.email))
        answer = await app.get(app.inbox(member.user))
        assert (answer.status_code, answer.json()["code"]) == (503, "issuer_unavailable")
        assert answer.headers["retry-after"] == "30"
        assert faults(answer) == {}


# ── Asking wrongly ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("minutes", [0, -1, 1_441, 10**30, 1.5, 60.0, "60", True, [], {}, ""])
async def test_minutes_that_cannot_be_are_named(
    caller: Caller, world: World, member: Member, minutes: object
) -> None:
    answer = await post(caller, sessions(caller, member.user), {"minutes": minutes})
    assert answer.status_code == 400
    assert set(faults(answer)) == {"minutes"}
    assert await world.rows(table) == []


async def test_every_fault_is_named_at_once(caller: Caller, member: Member) -> None:
    body = {"minutes": 0, "hours": 1, "userId": str(member.user)}
    answer = await post(caller, sessions(caller, member.user), body)
    assert set(faults(answer)) == {"minutes", "hours", "userId"}
    answer = await post(caller.known_as(None), refresh_path(caller), {"refresh_token": "x"})
    assert faults(answer) == {"refreshToken": "is required", "refresh_token": "is not a known key"}


@pytest.mark.parametrize("token", [None, 7, "", [], "x" * 501, True])
async def test_what_cannot_be_a_refresh_token_is_named(caller: Caller, token: object) -> None:
    answer = await refresh(caller, token)
    assert answer.status_code == 400
    assert set(faults(answer)) == {"refreshToken"}


async def test_a_token_that_can_be_exchanged_for_nothing_is_unauthorized(
    caller: Caller, member: Member
) -> None:
    told = await begin(caller, member.user)
    stranger = first_pair("us-east-1", lambda count: bytes(range(count)))
    mistyped = told["refreshToken"][:-1] + ("0" if told["refreshToken"][-1] != "0" else "1")
    for token in ("nonsense", told["token"], caller.token, stranger.refresh_token, mistyped):
        answer = await refresh(caller, token)
        assert answer.status_code == 401
        assert answer.json() == {"message": "Unauthorized", "code": "unauthorized", "details": []}
    elsewhere = replace(caller, organization=uuid4())
    assert (await refresh(elsewhere, told["refreshToken"])).status_code == 401
    assert (await refresh(caller, told["refreshToken"])).status_code == 200


async def test_a_session_of_another_region_is_told_where_to_go(caller: Caller, member: Member) -> None:
    there = first_pair("eu-central-1", lambda count: bytes(range(count)))
    for answer in (
        await caller.known_as(there.token).get(caller.inbox(member.user)),
        await refresh(caller, there.refresh_token),
    ):
        assert answer.status_code == 421
        assert answer.json()["baseUrl"] == ELSEWHERE["eu-central-1"]


@pytest.mark.parametrize("content", [b"{", b"[]", b"null", b'"x"', b"{} {}", b"\xff", b'{"minutes": NaN}'])
async def test_a_body_that_is_no_object_is_refused(caller: Caller, member: Member, content: bytes) -> None:
    for path in (sessions(caller, member.user), refresh_path(caller)):
        answer = await caller.http.post(
            path, content=content, headers={"Authorization": f"Bearer {caller.token}"}
        )
        assert answer.status_code == 400
        faults(answer)


async def test_an_exchange_needs_a_body(caller: Caller) -> None:
    assert (await post(caller.known_as(None), refresh_path(caller))).status_code == 400


async def test_other_media_types_and_large_bodies_are_refused(caller: Caller, member: Member) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    for path in (sessions(caller, member.user), refresh_path(caller)):
        headers = {"Authorization": f"Bearer {caller.token}"}
        form = await caller.http.post(path, data={"minutes": "5"}, headers=headers)
        assert form.status_code == 415
        assert (await caller.http.post(path, content=endless(), headers=headers)).status_code == 413


async def test_ids_that_are_none_lead_nowhere(caller: Caller, member: Member) -> None:
    for path in (
        f"/v2.0/tool/organizations/x/members/{member.user}/sessions",
        sessions(caller, member.user).replace(str(member.user), "x"),
        f"{sessions(caller, member.user)}/x",
    ):
        assert (await caller.delete(path)).status_code == 404


async def test_an_exchange_is_limited_as_any_request(caller: Caller, world: World, member: Member) -> None:
    told = await begin(caller, member.user)
    async with make_http(make_door(world, requests_per_second=1)) as http:
        eager = replace(caller, http=http)
        statuses = [(await refresh(eager, told["refreshToken"])).status_code for _ in range(11)]
        assert statuses == [200] * 10 + [429]


async def test_a_token_in_another_place_is_no_token(caller: Caller, member: Member) -> None:
    token = (await begin(caller, member.user))["token"]
    answer = await caller.known_as(None).get(caller.inbox(member.user), access_token=token)
    assert answer.status_code == 401


async def test_a_device_token_is_no_session(caller: Caller, member: Member) -> None:
    other, _ = mint_token("us-east-1", lambda count: bytes(range(count)))
    answer = await caller.known_as(other.replace("clr_", "cld_")).get(caller.inbox(member.user))
    assert answer.status_code == 401
