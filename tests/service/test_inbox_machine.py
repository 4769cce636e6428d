"""Any interleaving of what people, senders, devices and crashes do leaves every device equal to the server.

And the server equal to a model that knows nothing of streams, watermarks or exceptions. Each device is a small
client: it upserts by id, removes what is told to be gone or has expired, keeps the watermark, and lists anew after a
410. It may stop in the middle of its pages while others go on, and may die before it has kept how far it got.

`EXAMPLES` in the environment says how many runs of forty steps to make.
"""

import asyncio
import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from sqlalchemy import Connection

from clarion.model.audience import Scope
from clarion.model.errors import NotFound, TooOld
from clarion.model.notification import Draft
from clarion.model.watermark import (
    Filter,
    Walk,
    Watermark,
    decode_continuation,
    decode_watermark,
    encode_continuation,
    encode_watermark,
)
from clarion.service import inbox
from clarion.service.publish import Published, publish
from clarion.service.recall import recall
from clarion.service.release import release_due
from clarion.service.sweep import sweep
from clarion.store import directory
from clarion.store.changes import Change, Tombstone
from clarion.store.database import Database
from clarion.store.inbox import CopyState
from clarion.store.schema import metadata
from tests.clock import Clock
from tests.world import OTHER_SOLUTION, SOLUTION, Member, World

EXAMPLES = int(os.environ.get("EXAMPLES", "300"))
DAY = 86_400
LIFE_MS = 90 * DAY * 1_000

GROUPS = {SOLUTION: ("sales", "finance"), OTHER_SOLUTION: ("customers",)}
PEOPLE = (0, 1, 2)
DEVICES = ((0, "phone"), (0, "tablet"), (1, "phone"), (1, "tablet"))

people = st.sampled_from(PEOPLE)
devices = st.sampled_from(DEVICES)
AUDIENCES = ("everybody", SOLUTION, OTHER_SOLUTION, "sales", "finance", "customers")
audiences = st.sampled_from(AUDIENCES)
limits = st.integers(1, 3)
picks = st.integers(0, 30)
touches = st.tuples(picks, st.sampled_from(("read", "dismissed", "sent", "sent", "deleted")))
dies = st.sampled_from((False, False, False, False, True))
moments = st.sampled_from((None, None, None, 1, 60))
scopes = st.one_of(
    st.just(("everybody",)),
    st.tuples(st.just("solution"), st.sampled_from([*GROUPS])),
    st.sampled_from([*GROUPS]).flatmap(
        lambda solution: st.tuples(
            st.just("groups"),
            st.just(solution),
            st.lists(st.sampled_from(GROUPS[solution]), min_size=1, unique=True),
        )
    ),
    st.tuples(st.just("users"), st.lists(people, min_size=1, unique=True)),
)


COMPILED: dict[Any, Any] = {}
"""Statements that were compiled, for all the databases of a test: to compile them takes a third of its time."""


class Died(Exception):  # noqa: N818 - what happens to a process
    """The process died before the commit."""


# ── The model ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Told:
    """A notification as its sender knows it."""

    uuid: UUID
    due: int
    to: frozenset[str]
    also: frozenset[int]
    is_recalled: bool = False
    is_released: bool = False


@dataclass
class Copy:
    """What a person has of a notification."""

    number: int
    released_at: int
    state: str = "sent"


@dataclass
class Model:
    """Who belongs where and who has what, told plainly."""

    belongs: dict[int, set[str]] = field(default_factory=lambda: defaultdict(lambda: {*AUDIENCES}))
    told: list[Told] = field(default_factory=list)
    copies: dict[int, dict[UUID, Copy]] = field(default_factory=lambda: defaultdict(dict))
    last_number: int = 0

    def release_due(self, now: int) -> None:
        """Release what waits and whose moment has come."""
        for one in sorted(self.told, key=lambda one: one.due):
            if not one.is_released and not one.is_recalled and one.due <= now:
                self.release(one, now)

    def release(self, one: Told, now: int) -> None:
        """Give copies to who belongs at this moment."""
        one.is_released = True
        self.last_number += 1
        for person in PEOPLE:
            if person in one.also or self.belongs[person] & one.to:
                self.copies[person][one.uuid] = Copy(self.last_number, now)

    def recall(self, one: Told) -> None:
        """Take all copies away."""
        if not one.is_recalled:
            one.is_recalled = True
            self.last_number += one.is_released
            for copies in self.copies.values():
                copies.pop(one.uuid, None)

    def inbox(self, person: int, now: int) -> dict[UUID, str]:
        """What a person has, newest first."""
        there = [
            (copy.number, uuid, copy.state)
            for uuid, copy in self.copies[person].items()
            if copy.state != "deleted" and now - copy.released_at < LIFE_MS
        ]
        return {uuid: state for _, uuid, state in sorted(there, reverse=True)}


# ── The client ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Device:
    """One installation of the app: what it has on its disk."""

    kept: dict[UUID, tuple[str, int]] = field(default_factory=dict)
    watermark: str | None = None
    rest: str | None = None
    is_level: bool = False

    def forget(self) -> None:
        """Start anew."""
        self.kept.clear()
        self.watermark = self.rest = None
        self.is_level = False

    @property
    def asks_for_changes(self) -> bool:
        """Whether the next page is one of changes, and not of the first listing."""
        if self.rest is not None:
            return isinstance(decode_continuation(self.rest), Watermark)
        return self.watermark is not None

    def keep(self, changes: list[Any]) -> None:
        """Upsert by id; what is gone, goes."""
        change: Change
        for change in changes:
            if isinstance(change, Tombstone):
                self.kept.pop(change.notification, None)
            else:
                self.kept[change.notification] = (change.state, change.expires_at)

    def shows(self, now: int) -> dict[UUID, str]:
        """What is on its screen."""
        return {uuid: str(state) for uuid, (state, expires_at) in self.kept.items() if now < expires_at}


# ── The machine ──────────────────────────────────────────────────────────────────────────────────────────


@cache
def beginning() -> tuple[bytes, World, list[Member]]:
    """A database with an organization and three people: made once, copied for every run."""
    database = Database("sqlite://")
    with database.engine.connect().execution_options(writes=True) as connection, connection.begin():
        metadata.create_all(connection)

    async def make() -> tuple[World, list[Member]]:
        world = await World.make(database, Clock())
        return world, await world.add_members(len(PEOPLE), *AUDIENCES[1:], phones=0)

    world, members = asyncio.run(make())
    image = image_of(database)
    database.close()
    return image, world, members


def image_of(database: Database) -> bytes:
    """The whole database, as it would be on a disk."""
    with database.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        return raw.serialize()


def opened(image: bytes) -> Database:
    """A database of this image."""
    database = Database("sqlite://")
    with database.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.deserialize(image)
    database.engine = database.engine.execution_options(compiled_cache=COMPILED)
    return database


class InboxMachine(RuleBasedStateMachine):
    """The world, its model, and four devices."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.world, self.members = self.begin()
        self.model = Model()
        self.devices = {key: Device() for key in DEVICES}

    def begin(self) -> tuple[World, list[Member]]:
        """An organization with three people, in a database of its own."""
        image, world, members = beginning()
        return replace(world, database=opened(image), clock=self.clock), members

    def reopened(self) -> Database:
        """The database, after everything else of the service is gone."""
        image = image_of(self.world.database)
        self.world.database.close()
        return opened(image)

    def teardown(self) -> None:
        try:
            self.everybody_catches_up(2)
        finally:
            self.world.database.close()
            self.loop.close()

    def read(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.loop.run_until_complete(self.world.read(function, *args))

    def write(self, function: Callable[..., Any], *args: Any, dies: bool = False) -> Any:
        """One transaction; the process may die just before the commit."""

        def dying(connection: Connection, *given: Any) -> None:
            function(connection, *given)
            raise Died

        return self.loop.run_until_complete(self.world.write(dying if dies else function, *args))

    # ── Senders ──────────────────────────────────────────────────────────────────────────────────────────

    @rule(these=st.lists(scopes, min_size=1, max_size=4), minutes=moments, dies=dies)
    def publish(self, these: list[tuple[Any, ...]], minutes: int | None, dies: bool) -> None:
        for scope in these:
            self._publish(scope, minutes, dies)

    def _publish(self, scope: tuple[Any, ...], minutes: int | None, dies: bool) -> None:
        start_at = None if minutes is None else self.clock() + minutes * 60_000
        draft, to, also = self._audience(scope)
        request = self.world.request(replace(draft, start_at=start_at))
        if dies:
            return self._dies(publish, [request])
        (published,) = self.write(publish, [request])
        assert isinstance(published, Published)
        due = self.clock() if start_at is None else start_at
        self.model.told.append(Told(request.uuid, due, frozenset(to), frozenset(also)))
        if start_at is None:
            self.model.release(self.model.told[-1], self.clock())
        return None

    def _audience(self, scope: tuple[Any, ...]) -> tuple[Draft, set[str], set[int]]:
        world = self.world
        match scope:
            case ("solution", solution):
                draft = world.draft(Scope.SOLUTION, solution=world.solutions[solution])
                return draft, {solution}, set()
            case ("groups", solution, names):
                draft = world.draft(Scope.GROUPS, groups=tuple(names), solution=world.solutions[solution])
                return draft, set(names), set()
            case ("users", some):
                draft = world.draft(Scope.USERS, emails=tuple(self.members[one].email for one in some))
                return draft, set(), set(some)
        return world.draft(), {"everybody"}, set()

    @rule(pick=picks, dies=dies)
    def recall(self, pick: int, dies: bool) -> None:
        if not self.model.told:
            return None
        one = self.model.told[pick % len(self.model.told)]
        arguments = (recall, self.world.admin, one.uuid, self.clock())
        if dies:
            return self._dies(*arguments)
        self.write(*arguments)
        self.model.recall(one)
        return None

    @rule(seconds=st.sampled_from((0.5, 0.5, 61, 61, 3_600, DAY, 29 * DAY, 31 * DAY)), dies=dies)
    def time_passes_and_the_worker_looks(self, seconds: float, dies: bool) -> None:
        self.clock.move(seconds=seconds)
        if dies:
            return self._dies(release_due, self.clock())
        while self.write(release_due, self.clock()):
            pass
        self.model.release_due(self.clock())
        return None

    # ── The directory ────────────────────────────────────────────────────────────────────────────────────

    @rule(person=people, audience=audiences)
    def join(self, person: int, audience: str) -> None:
        stay = (self.world.streams[audience], self.members[person].id)
        if audience not in self.model.belongs[person]:
            self.write(directory.join, self.world.organization_id, [stay])
            self.model.belongs[person].add(audience)

    @rule(person=people, audience=audiences)
    def leave(self, person: int, audience: str) -> None:
        stream, member = self.world.streams[audience], self.members[person].id
        left = self.write(directory.leave, self.world.organization_id, stream, member)
        assert left == (audience in self.model.belongs[person])
        self.model.belongs[person].discard(audience)

    # ── Members ──────────────────────────────────────────────────────────────────────────────────────────

    @rule(person=people, these=st.lists(touches, min_size=1, max_size=4), dies=dies)
    def change_entries(self, person: int, these: list[tuple[int, str]], dies: bool) -> None:
        for pick, state in these:
            if state == "deleted":
                self._touch(person, pick, state, dies, inbox.delete_entry)
            else:
                self._touch(person, pick, state, dies, inbox.change_state, CopyState(state))

    def _touch(
        self, person: int, pick: int, state: str, dies: bool, function: Callable[..., Any], *more: Any
    ) -> None:
        """Do something to a copy, or to what was never theirs, or is no more."""
        if not self.model.told:
            return
        own = [one for one in self.model.told if one.uuid in self.model.copies[person]]
        some = own if own and pick % 4 else self.model.told
        one, member = some[pick % len(some)], self.members[person]
        arguments = (self.world.as_member(member), member.user, one.uuid, *more, self.world.horizon)
        copy = self.model.copies[person].get(one.uuid)
        is_there = one.uuid in self.model.inbox(person, self.clock())
        is_aged = copy is not None and self.clock() - copy.released_at >= LIFE_MS
        is_deleted_again = state == "deleted" and copy is not None and not is_aged
        try:
            self.write(function, *arguments, dies=dies and is_there)
        except NotFound:
            assert not is_there
            assert not is_deleted_again
        except Died:
            pass
        else:
            assert copy is not None
            assert is_there or is_deleted_again
            copy.state = state

    @rule(device=devices, is_behind=st.booleans(), dies=dies)
    def mark_all_read(self, device: tuple[int, str], is_behind: bool, dies: bool) -> None:
        """Up to what the device has seen, or to the present."""
        member, own = self.members[device[0]], self.devices[device]
        access = self.world.as_member(member)
        summary = self.read(inbox.summarize, access, member.user, self.world.horizon)
        present = encode_watermark(summary.watermark)
        up_to = decode_watermark(own.watermark or present if is_behind else present)
        arguments = (inbox.mark_all_read, access, member.user, up_to, self.world.horizon)
        if dies:
            return self._dies(*arguments, but=TooOld)
        try:
            answer = self.write(*arguments)
        except TooOld:
            own.forget()
            return None
        for copy in self.model.copies[device[0]].values():
            if copy.number <= up_to.seq and copy.state == "sent":
                copy.state = "read"
        states = self.model.inbox(device[0], self.clock()).values()
        assert answer.unread == sum(state == "sent" for state in states)
        return None

    # ── Devices ──────────────────────────────────────────────────────────────────────────────────────────

    @rule(device=devices, limit=limits, pages=st.integers(1, 4), dies=dies)
    def sync(self, device: tuple[int, str], limit: int, pages: int, dies: bool) -> None:
        """Ask for some pages; a device that dies has kept the last one's items, and not how far they go."""
        for _ in self._pages(device, limit, pages, dies):
            pass

    def _pages(self, key: tuple[int, str], limit: int, most: int, dies: bool) -> Iterator[None]:
        member, device = self.members[key[0]], self.devices[key]
        access = self.world.as_member(member)
        for number in range(most):
            try:
                items, watermark, rest = self._page(access, member.user, device, limit)
            except TooOld:
                device.forget()
                continue
            assert len(items) <= limit
            if device.watermark is None:  # what is left of a listing that died
                device.kept.clear()
            device.keep(items)
            yield
            if dies and number == most - 1:
                return
            device.is_level = rest is None and device.asks_for_changes
            device.watermark, device.rest = watermark, rest
            if rest is None:
                return

    def _page(self, access: Any, user: UUID, device: Device, limit: int) -> tuple[list[Any], str, str | None]:
        """The next page, as its answer says it: texts, which the next request hands back."""
        horizon = self.world.horizon
        start: Filter | Walk | Watermark = Filter.ALL
        if device.rest is not None:
            start = decode_continuation(device.rest)
        elif device.watermark is not None:
            start = decode_watermark(device.watermark)
        if isinstance(start, Watermark):
            page = self.read(inbox.list_changes, access, user, start, limit, horizon)
            text = encode_watermark(page.watermark)
            return page.items, text, encode_continuation(page.watermark) if page.more else None
        listing = self.read(inbox.list_inbox, access, user, start, limit, horizon)
        rest = None if listing.rest is None else encode_continuation(listing.rest)
        return listing.entries, encode_watermark(listing.watermark), rest

    # ── Crashes ──────────────────────────────────────────────────────────────────────────────────────────

    @rule(sweeps=st.booleans())
    def the_service_is_restarted(self, sweeps: bool) -> None:
        """Nothing is left of it but the database; the worker may begin with a sweep."""
        self.world = replace(self.world, database=self.reopened())
        if sweeps:
            self.loop.run_until_complete(sweep(self.world.database, self.clock()))

    def _dies(self, function: Callable[..., Any], *args: Any, but: type[Exception] = Died) -> None:
        try:
            self.write(function, *args, dies=True)
        except (Died, but):
            return
        raise AssertionError("it did not die")

    # ── The proof ────────────────────────────────────────────────────────────────────────────────────────

    @rule(limit=limits, is_wanted=st.sampled_from((False, False, False, True)))
    def everybody_looks(self, limit: int, is_wanted: bool) -> None:
        """Now and then: devices that lag are what the rules are about."""
        if is_wanted:
            self.everybody_catches_up(limit)

    def everybody_catches_up(self, limit: int) -> None:
        """The server is as the model says, and every device is as the server."""
        for person in PEOPLE:
            self._server_is_as_the_model_says(person, 3 * limit)
        for key, device in self.devices.items():
            for _ in range(200):
                for _ in self._pages(key, limit, 1, dies=False):
                    pass
                if device.is_level:
                    break
            assert device.is_level, "a device never comes to an end"
            assert device.shows(self.clock()) == self.model.inbox(key[0], self.clock()), key

    def _server_is_as_the_model_says(self, person: int, limit: int) -> None:
        member, expected = self.members[person], self.model.inbox(person, self.clock())
        access, horizon = self.world.as_member(member), self.world.horizon
        wanted = {
            Filter.ALL: list(expected.items()),
            Filter.USUAL: [item for item in expected.items() if item[1] != "dismissed"],
            Filter.UNREAD: [item for item in expected.items() if item[1] == "sent"],
        }
        for shown, items in wanted.items():
            listed: list[tuple[UUID, str]] = []
            start: Filter | Walk | None = shown
            while start is not None:
                listing = self.read(inbox.list_inbox, access, member.user, start, limit, horizon)
                listed += [(entry.notification, str(entry.state)) for entry in listing.entries]
                start = listing.rest
            assert listed == items
        summary = self.read(inbox.summarize, access, member.user, horizon)
        assert summary.unread == len(wanted[Filter.UNREAD])


def machine_settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


TestInboxMachine = InboxMachine.TestCase
TestInboxMachine.settings = machine_settings(EXAMPLES)


def test_the_same_on_postgresql(postgresql_url: str) -> None:
    """Fewer runs, each with an organization of its own in one database."""

    class OnPostgresql(InboxMachine):
        def begin(self) -> tuple[World, list[Member]]:
            database = Database(postgresql_url)
            world = self.loop.run_until_complete(World.make(database, self.clock))
            return world, self.loop.run_until_complete(
                world.add_members(len(PEOPLE), *AUDIENCES[1:], phones=0)
            )

        def reopened(self) -> Database:
            self.world.database.close()
            return Database(postgresql_url)

    run_state_machine_as_test(OnPostgresql, settings=machine_settings(max(EXAMPLES // 30, 1)))
