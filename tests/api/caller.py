"""A caller at the API's door, in process: requests go straight into the ASGI application."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from secrets import token_bytes
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import Connection, func, select

from clarion.api.app import create_app
from clarion.api.context import Door
from clarion.api.live_events import Events
from clarion.model.access import Role, mint_token
from clarion.providers.registering import AddressCheck
from clarion.service.access import Gatekeeper
from clarion.service.allowance import Allowance
from clarion.service.device_access import DeviceGatekeeper
from clarion.service.live import Live
from clarion.service.publish import publish
from clarion.service.receipts import receipts_weight, receive
from clarion.store import directory, tokens
from clarion.store.database import Together
from clarion.store.hints import HintSender
from clarion.store.inbox import USUAL_DAYS, Horizon
from clarion.store.inbox_hints import InboxHints
from clarion.store.schema import idempotency_keys, notifications, push_runs, stream_entries
from clarion.telemetry import Metrics
from tests.world import Member, World

REGION = "us-east-1"
ELSEWHERE = {"eu-central-1": "https://eu-central-1.example.com/v2.0"}

Json = dict[str, Any]


@dataclass(frozen=True)
class Caller:
    """Somebody with a token, and the organization that they name."""

    http: httpx.AsyncClient
    organization: UUID
    token: str | None

    @property
    def path(self) -> str:
        """The organization's notifications."""
        return f"/v2.0/tool/organizations/{self.organization}/notifications"

    def inbox(self, user: UUID) -> str:
        """A member's inbox."""
        return f"/v2.0/tool/organizations/{self.organization}/members/{user}/notifications"

    def known_as(self, token: str | None) -> "Caller":
        """The same with another token."""
        return replace(self, token=token)

    async def send(self, body: object, **headers: str) -> httpx.Response:
        """POST a notification; an underscore in a header's name stands for a hyphen."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(self.path, json=body, headers=self._headers() | given)

    async def send_octets(
        self, body: bytes | AsyncIterator[bytes], media_type: str | None = "application/json"
    ) -> httpx.Response:
        """POST whatever octets."""
        headers = {} if media_type is None else {"Content-Type": media_type}
        return await self.http.post(self.path, content=body, headers=self._headers() | headers)

    async def get(self, path: str, **query: str) -> httpx.Response:
        """GET a path below the host."""
        return await self.http.get(path, params=query, headers=self._headers())

    async def patch(self, path: str, body: object) -> httpx.Response:
        """PATCH a path below the host."""
        return await self.http.patch(path, json=body, headers=self._headers())

    async def delete(self, path: str) -> httpx.Response:
        """DELETE a path below the host."""
        return await self.http.delete(path, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {} if self.token is None else {"Authorization": f"BEARER {self.token}"}


def make_door(world: World, requests_per_second: int = 1_000, most_streams: int = 100) -> Door:
    """The API's tools around a small organization."""
    database, clock = world.database, world.clock
    allowance = Allowance(requests_per_second, clock)
    gatekeeper = Gatekeeper(database, REGION, ELSEWHERE, allowance, clock)
    inbox_hints = InboxHints(database)
    return Door(
        database=database,
        publish=Together(database, publish),
        gatekeeper=gatekeeper,
        hints=HintSender(inboxes=inbox_hints),
        live=Live(
            database,
            gatekeeper,
            inbox_hints,
            Events(uuid4),
            lambda: Horizon(clock(), USUAL_DAYS),
            most_streams,
        ),
        metrics=Metrics(),
        clock=clock,
        new_uuid=uuid4,
        devices=DeviceGatekeeper(database, REGION, ELSEWHERE, allowance),
        receive=Together(database, partial(receive, slot=0), receipts_weight),
        check_address=AddressCheck({"push.example.com"}, resolve=_look_up),
    )


async def _look_up(host: str, _port: int) -> list[str]:
    """Names as these tests know them; nothing is asked of the network."""
    known = {
        "push.example.com": ["10.0.0.1"],
        "public.example.com": ["8.8.8.8"],
        "home.example.com": ["127.0.0.1"],
    }
    if host not in known:
        raise OSError("there is no such name")
    return known[host]


def make_http(door: Door) -> httpx.AsyncClient:
    """A client whose requests go straight into the application."""
    transport = httpx.ASGITransport(create_app(door))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://clarion.example.com")


async def make_token(world: World, user_id: int | None = None) -> str:
    """A new token, by default of the administrator."""
    minted, parsed = mint_token(REGION, token_bytes)
    await world.write(
        tokens.add_token, world.admin.user_id if user_id is None else user_id, parsed, "test", world.clock()
    )
    return minted


async def add_caller(
    caller: Caller, world: World, email: str, role: Role = Role.USER
) -> tuple[Caller, Member]:
    """A new member with a token of their own."""
    member = await world.add_member(email, role=role)
    user_id = await world.read(directory.find_user, world.organization_id, email)
    return caller.known_as(await make_token(world, user_id)), member


async def count_rows(world: World) -> int:
    """How many rows a notification could have left behind."""

    def count(connection: Connection) -> int:
        tables = (notifications, stream_entries, push_runs, idempotency_keys)
        return sum(connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables)

    return await world.read(count)


def faults(answer: httpx.Response) -> dict[str, str]:
    """What was wrong, by path; checks the one shape of errors on the way."""
    error = answer.json()
    assert {"message", "code", "details"} <= set(error) <= {"message", "code", "details", "region", "baseUrl"}
    assert isinstance(error["message"], str) and error["message"]  # noqa: PT018 - one statement about it
    assert isinstance(error["code"], str) and error["code"].replace("_", "").isalpha()  # noqa: PT018
    assert all(set(fault) == {"path", "message"} for fault in error["details"])
    by_path = {fault["path"]: fault["message"] for fault in error["details"]}
    assert len(by_path) == len(error["details"]), "one fault per path"
    return by_path
