"""An organization with a Web Push channel, a member of each test's own, and what the administrator asks of the API."""

from dataclasses import dataclass
from secrets import token_bytes
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import Connection

from clarion.bootstrap import now_ms
from clarion.model.access import Role, mint_token
from clarion.store import directory, tokens
from tests.browsers.awaiting import until
from tests.process.installation import Installation

Json = dict[str, Any]

ADMIN = "admin@example.com"


@dataclass(frozen=True)
class Organization:
    """An organization, and the token of its administrator."""

    uuid: UUID
    token: str


@dataclass(frozen=True)
class Person:
    """A member who has one browser."""

    uuid: UUID
    email: str


@dataclass(frozen=True)
class Workplace:
    """The organization, the member, and a client of the API with the administrator's token."""

    base_url: str
    organization: Organization
    person: Person
    http: httpx.AsyncClient

    async def account(self) -> Json:
        """What the app needs to be the member's."""
        opened = await self._call("POST", f"members/{self.person.uuid}/sessions")
        return {
            "baseUrl": self.base_url,
            "organizationId": str(self.organization.uuid),
            "userId": str(self.person.uuid),
            "token": opened["token"],
        }

    async def notify(self, content: Json, **options: Any) -> str:
        """Send a notification to the member; returns its id once it was offered to the push service."""
        body = {"content": content, "scope": "USR", "emails": [self.person.email], "options": options}
        created = await self._call("POST", "notifications", body)
        notification_id: str = created["notificationId"]

        async def state() -> str:
            told: str = (await self._call("GET", f"notifications/{notification_id}"))["state"]
            return told

        await until(state, "it is sent", {"SENT", "FAILED"}.__contains__)
        return notification_id

    async def devices(self) -> list[Json]:
        """The member's devices."""
        found: list[Json] = (await self._call("GET", f"members/{self.person.uuid}/devices"))["items"]
        return found

    async def stats(self, notification_id: str) -> Json:
        """A notification's figures."""
        return await self._call("GET", f"notifications/{notification_id}/stats")

    async def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        answered = await self.http.request(
            method, f"organizations/{self.organization.uuid}/{path}", json=body
        )
        assert answered.is_success, answered.text
        told: Json = answered.json()
        return told


def found(installation: Installation, app_url: str) -> Organization:
    """Found an organization whose app is at an address."""
    organization = uuid4()
    text, token = mint_token("us-east-1", token_bytes)

    def fill(connection: Connection) -> None:
        now = now_ms()
        organization_id = directory.add_organization(connection, organization, "Workplace", "us-east-1", now)
        admin = directory.NewMember(uuid4(), ADMIN, "Administrator", Role.ADMIN)
        directory.add_members(connection, organization_id, [admin], now)
        user_id = directory.find_user(connection, organization_id, ADMIN)
        assert user_id is not None
        tokens.add_token(connection, user_id, token, "test", now)

    installation.in_database(fill)
    added = installation.run(
        "channel", "add", "webpush", "--organization", str(organization), "--name", "browsers",
        "--subject", "mailto:admin@example.com", "--app-url", app_url,
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    return Organization(organization, text)


def add_person(installation: Installation, organization: Organization) -> Person:
    """Add a member."""
    uuid = uuid4()
    person = Person(uuid, f"{uuid.hex}@example.com")

    def add(connection: Connection) -> None:
        organization_id = directory.find_organization(connection, organization.uuid)
        assert organization_id is not None
        new = directory.NewMember(uuid, person.email, "Person")
        directory.add_members(connection, organization_id, [new], now_ms())

    installation.in_database(add)
    return person
