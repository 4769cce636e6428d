"""A small organization to act in, built through the store's own functions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import Connection

from clarion.model.access import Access, Role
from clarion.model.audience import Audience, Scope
from clarion.model.errors import Refusal
from clarion.model.notification import Content, Draft, Notification
from clarion.service.publish import Published, PublishRequest, publish
from clarion.store import channels, devices, directory, notifications
from clarion.store.database import Database
from tests.clock import Clock

P = ParamSpec("P")
R = TypeVar("R")

SOLUTION = "crm"
OTHER_SOLUTION = "retail"


@dataclass
class World:
    """An organization, how to fill it, and how to publish in it."""

    database: Database
    clock: Clock
    organization_id: int
    organization: UUID
    admin: Access
    solutions: dict[str, UUID]
    streams: dict[str, int]
    channel_id: int
    numbers: Any = field(default_factory=lambda: count(1))

    @classmethod
    async def make(cls, database: Database, clock: Clock, name: str = "Organization") -> "World":
        """An organization with an administrator, two solutions with groups, and one channel."""
        return await database.write(_fill, cls, database, clock, name)

    async def write(
        self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """One transaction."""
        return await self.database.write(function, *args, **kwargs)

    async def read(
        self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """One transaction that only reads."""
        return await self.database.read(function, *args, **kwargs)

    async def add_member(
        self, email: str, *audiences: str, phones: int = 1, role: Role = Role.USER
    ) -> "Member":
        """A member of the named solutions and groups, with phones on the channel."""
        return await self.write(self._add_member, email, audiences, phones, role)

    async def add_channel(self, name: str = "second", solution_id: int | None = None) -> int:
        """One more channel."""
        return await self.write(
            channels.add_channel,
            self.organization_id,
            uuid4(),
            "apns",
            name,
            {},
            "",
            self.clock(),
            solution_id,
        )

    async def join(self, member: "Member", audience: str) -> None:
        """Begin a stay."""
        await self.write(directory.join, self.organization_id, [(self.streams[audience], member.id)])

    async def leave(self, member: "Member", audience: str) -> bool:
        """End a stay."""
        return await self.write(directory.leave, self.organization_id, self.streams[audience], member.id)

    def draft(self, scope: Scope = Scope.ORGANIZATION, **parts: Any) -> Draft:
        """A draft; `emails`, `groups` and `solution` name the audience, the rest are the draft's own parts."""
        named = {name: parts.pop(name) for name in ("emails", "groups", "solution") if name in parts}
        content = parts.pop("content", Content(text="Hello"))
        return Draft(content=content, audience=Audience(scope, **named), **parts)

    def request(self, draft: Draft, *, key: str | None = None, body: bytes = b"") -> PublishRequest:
        """A request of the administrator."""
        return PublishRequest(self.admin, draft, uuid4(), self.clock(), key, body)

    async def publish(self, draft: Draft, **how: Any) -> Published:
        """Publish one draft; raises what it was refused for."""
        answer = (await self.write(publish, [self.request(draft, **how)]))[0]
        if isinstance(answer, Refusal):
            raise answer
        return answer

    async def stored(self, notification: UUID) -> Notification:
        """A notification as it is now."""
        found = await self.read(notifications.find_notification, self.organization_id, notification)
        assert found is not None
        return found

    def _add_member(
        self, connection: Connection, email: str, audiences: Sequence[str], phones: int, role: Role
    ) -> "Member":
        user, organization_id, now = uuid4(), self.organization_id, self.clock()
        new = directory.NewMember(user, email, email, role)
        member_id = directory.add_members(connection, organization_id, [new], now)[0]
        if audiences:
            stays = [(self.streams[name], member_id) for name in audiences]
            directory.join(connection, organization_id, stays)
        addresses = [f"{next(self.numbers):064x}" for _ in range(phones)]
        installed = [devices.NewDevice(uuid4(), member_id, self.channel_id, a, "phone") for a in addresses]
        if installed:
            devices.add_devices(connection, organization_id, installed, now)
        return Member(member_id, user, email, tuple(addresses))


@dataclass(frozen=True)
class Member:
    """A member that a test added, with the addresses of their phones."""

    id: int
    user: UUID
    email: str
    addresses: tuple[str, ...]


def _fill(connection: Connection, cls: type[World], database: Database, clock: Clock, name: str) -> World:
    now, organization = clock(), uuid4()
    organization_id = directory.add_organization(connection, organization, name, "us-east-1", now)
    solutions, streams = {}, {"everybody": directory.organization_stream(connection, organization_id)}
    for solution, groups in ((SOLUTION, ("sales", "finance")), (OTHER_SOLUTION, ("customers",))):
        solutions[solution] = uuid4()
        solution_id = directory.add_solution(connection, organization_id, solutions[solution], solution, now)
        streams[solution] = directory.solution_streams(connection, organization_id)[solution_id]
        for group in groups:
            group_id = directory.add_group(connection, organization_id, solution_id, group, now)
            streams[group] = directory.group_streams(connection, organization_id)[group_id]
    user = uuid4()
    admin = directory.NewMember(user, "admin@example.com", "Administrator", Role.ADMIN)
    member_id = directory.add_members(connection, organization_id, [admin], now)[0]
    user_id = directory.find_user(connection, organization_id, admin.email)
    assert user_id is not None
    channel_id = channels.add_channel(
        connection, organization_id, channels.NewChannel(uuid4(), "apns", "first", {}, ""), now
    )
    access = Access(organization_id, organization, "us-east-1", user_id, user, member_id, Role.ADMIN)
    return cls(database, clock, organization_id, organization, access, solutions, streams, channel_id)
