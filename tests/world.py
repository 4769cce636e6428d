"""A small organization to act in, built through the store's own functions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, Table, select

from clarion.model.access import Access, Role
from clarion.model.audience import Audience, Scope
from clarion.model.errors import Refusal
from clarion.model.notification import Content, Draft, Notification, Options
from clarion.model.watermark import Filter
from clarion.service.publish import Published, PublishRequest, publish
from clarion.service.recall import recall
from clarion.store import channels, devices, directory, inbox, notifications, runs
from clarion.store.database import Database
from clarion.store.inbox import USUAL_DAYS, Horizon, InboxEntry
from clarion.store.runs import Run
from clarion.store.schema import LARGEST_NUMBER
from clarion.store.targets import Target, find_targets
from tests.clock import Clock

P = ParamSpec("P")
R = TypeVar("R")

SOLUTION = "crm"
"""A solution with the groups sales and finance."""

OTHER_SOLUTION = "retail"
"""Another, with the group customers."""


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
        return (await self.write(self._add_members, [email], audiences, phones, role))[0]

    async def add_members(self, count: int, *audiences: str, phones: int = 1) -> list["Member"]:
        """Many members at once, with addresses of their own."""
        emails = [f"member-{next(self.numbers)}@example.com" for _ in range(count)]
        return await self.write(self._add_members, emails, audiences, phones, Role.USER)

    async def add_phone(self, member: "Member", channel_id: int | None = None) -> str:
        """One more phone of a member, on the first channel or another; returns its address."""
        address = f"{next(self.numbers):064x}"
        on = self.channel_id if channel_id is None else channel_id
        phone = devices.NewDevice(uuid4(), member.id, on, address, "phone")
        await self.write(devices.add_devices, self.organization_id, [phone], self.clock())
        return address

    async def add_channel(self, name: str = "second", solution_id: int | None = None) -> int:
        """One more channel, of one solution only when that is given by its row's id."""
        new = channels.NewChannel(uuid4(), "apns", name, {}, "", solution_id)
        return await self.write(channels.add_channel, self.organization_id, new, self.clock())

    async def join(self, member: "Member", audience: str) -> None:
        """Begin a stay."""
        await self.write(directory.join, self.organization_id, [(self.streams[audience], member.id)])

    async def leave(self, member: "Member", audience: str) -> bool:
        """End a stay."""
        return await self.write(directory.leave, self.organization_id, self.streams[audience], member.id)

    def as_member(self, member: "Member") -> Access:
        """What a member is who calls for their own inbox."""
        return replace(self.admin, user=member.user, member_id=member.id, role=Role.USER)

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

    async def publish_all(self, requests: Sequence[PublishRequest]) -> list[Published | Refusal]:
        """Publish a batch in one transaction."""
        return await self.write(publish, requests)

    def says(self, text: str) -> Content:
        """Content with only a text."""
        return Content(text=text)

    def options(self, **parts: Any) -> Options:
        """Options that are usual but for these."""
        return Options(**parts)

    async def tell(self, text: str, solution: str | None = None) -> Notification:
        """Publish a text to a solution, or to everybody."""
        if solution is None:
            draft = self.draft(Scope.ORGANIZATION, content=Content(text))
        else:
            draft = self.draft(Scope.SOLUTION, solution=self.solutions[solution], content=Content(text))
        return (await self.publish(draft)).notification

    async def recall(self, notification: Notification) -> None:
        """Recall a notification for everybody."""
        await self.write(recall, self.admin, notification.uuid, self.clock())

    async def stored(self, notification: UUID) -> Notification:
        """A notification as it is now."""
        found = await self.read(notifications.find_notification, self.organization_id, notification)
        assert found is not None
        return found

    async def inbox(self, member: "Member", limit: int = 100, before: int | None = None) -> list[InboxEntry]:
        """What a member sees, newest first."""
        owner = await self.read(inbox.find_inbox_member, self.organization_id, member.user)
        assert owner is not None
        below = LARGEST_NUMBER if before is None else before
        page = await self.read(
            inbox.list_entries, self.organization_id, owner, limit, below, Filter.USUAL, self.horizon
        )
        return page.entries

    @property
    def horizon(self) -> Horizon:
        """Now, and the usual days of an inbox."""
        return Horizon(self.clock(), USUAL_DAYS)

    async def claim(self, owner: str = "worker", channel_id: int | None = None) -> list[Run]:
        """What a worker gets when it asks for work now; the lease is the worker's usual half minute."""
        now, on = self.clock(), self.channel_id if channel_id is None else channel_id
        return await self.write(runs.claim, on, owner, now, now + 30_000)

    async def targets(self, claimed: Sequence[Run]) -> list[Target]:
        """Whom claimed runs address now."""
        return await self.read(find_targets, claimed, self.clock())

    async def rows(self, table: Table, **where: Any) -> Sequence[Row[Any]]:
        """The rows of a table, in the order of its key, whose columns have these values."""
        columns = [table.c[name] == value for name, value in where.items()]
        query = select(table).where(*columns).order_by(*table.primary_key.columns)
        return await self.read(lambda connection: connection.execute(query).all())

    def _add_members(
        self, connection: Connection, emails: Sequence[str], audiences: Sequence[str], phones: int, role: Role
    ) -> list["Member"]:
        organization_id, now = self.organization_id, self.clock()
        new = [directory.NewMember(uuid4(), email, email, role) for email in emails]
        member_ids = directory.add_members(connection, organization_id, new, now)
        if stays := [(self.streams[name], member_id) for name in audiences for member_id in member_ids]:
            directory.join(connection, organization_id, stays)
        addresses = [tuple(f"{next(self.numbers):064x}" for _ in range(phones)) for _ in member_ids]
        installed = [
            devices.NewDevice(uuid4(), member_id, self.channel_id, address, "phone")
            for member_id, own in zip(member_ids, addresses, strict=True)
            for address in own
        ]
        if installed:
            devices.add_devices(connection, organization_id, installed, now)
        return [
            Member(member_id, person.user, person.email, own)
            for member_id, person, own in zip(member_ids, new, addresses, strict=True)
        ]


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
