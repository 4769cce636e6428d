"""Apps that follow live streams without HTTP: what they are told, and what they make of it."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from litestar.serialization import encode_json

from clarion.api.live_events import Events
from clarion.api.schemas_inbox import change_answer
from clarion.model.access import Access, Role
from clarion.model.watermark import Filter, decode_watermark, encode_watermark
from clarion.service import inbox
from clarion.service.access import Gatekeeper
from clarion.service.allowance import Allowance
from clarion.service.live import Live
from clarion.service.live_streams import Showing, Stream
from clarion.store.inbox import USUAL_DAYS, Horizon
from clarion.store.inbox_hints import Hinted, InboxHints
from tests.world import Member, World

Json = dict[str, Any]

EVERYBODY = Hinted(None)
"""What a tick says: look at everybody."""


@dataclass(frozen=True)
class Event:
    """One event; a comment has no name."""

    name: str
    id: str | None
    data: Json

    @classmethod
    def read(cls, octets: bytes) -> "Event":
        """Take an event apart as a browser does."""
        text = octets.decode()
        assert text.endswith("\n\n")
        fields = dict(line.split(": ", 1) for line in text[:-2].split("\n"))
        assert set(fields) <= {"", "id", "event", "data"}
        return cls(fields.get("event", ""), fields.get("id"), json.loads(fields.get("data", "{}")))


class Reader:
    """Where a stream's octets go: kept as events, until nothing fits any more (`is_stuck`)."""

    def __init__(self) -> None:
        self.octets: list[bytes] = []
        self.is_stuck = False
        self.is_over = False
        self.was_dropped = False
        self._may_write = asyncio.Event()
        self._wrote = asyncio.Event()

    @property
    def events(self) -> list[Event]:
        """What arrived, without the signs of life."""
        return [event for event in map(Event.read, self.octets) if event.name]

    def stick(self) -> None:
        """Read nothing any more."""
        self.is_stuck = True
        self._may_write.clear()

    def go_on(self) -> None:
        """Read again."""
        self.is_stuck = False
        self._may_write.set()

    async def until(self, condition: Callable[["Reader"], object]) -> None:
        """Wait for what has to happen."""
        async with asyncio.timeout(20):
            while not condition(self):
                self._wrote.clear()
                await self._wrote.wait()

    def write(self, octets: bytes, *, is_last: bool = False) -> bool:
        assert not self.is_over
        if self.is_stuck:
            return False
        self.octets.append(octets)
        self.is_over = is_last
        self._wrote.set()
        return True

    async def drain(self) -> None:
        await self._may_write.wait()

    def abort(self) -> None:
        self.was_dropped = self.is_over = True
        self._wrote.set()


@dataclass
class App:
    """One device of a member: it upserts what it is told, and pulls where it is told to."""

    world: World
    live: Live
    member: Member
    showing: Showing
    reader: Reader
    stream: Stream | None
    entries: dict[str, Json] = field(default_factory=dict)
    last_id: str | None = None
    unread: int = 0
    is_behind: bool = False
    taken: int = 0

    def take(self) -> None:
        """Take in what has arrived since the last time. What follows a watermark continues exactly there."""
        events = self.reader.events
        for event in events[self.taken :]:
            if event.name == "hint":
                assert event.id is None
                self.is_behind = True
            elif event.name == "changes":
                assert not self.is_behind, "after a hint nothing may tell a watermark"
                assert event.id == event.data["watermark"]
                self.last_id, self.unread = event.id, event.data["unread"]
                self.keep(event.data["items"])
        self.taken = len(events)

    def keep(self, items: list[Json]) -> None:
        """Upsert by id; what is gone, goes."""
        for item in items:
            assert item["userId"] == str(self.member.user)
            if item.get("deleted"):
                self.entries.pop(item["notificationId"], None)
            else:
                self.entries[item["notificationId"]] = item

    def shows(self) -> dict[str, str]:
        """What is on its screen: the state of each entry."""
        return {number: item["state"] for number, item in self.entries.items()}


def make_live(world: World, most: int = 1_000, stall_seconds: float = 30) -> Live:
    """The live streams of one process; nothing happens unless the test makes it look."""
    database, clock = world.database, world.clock
    gatekeeper = Gatekeeper(database, "us-east-1", {}, Allowance(1_000_000, clock), clock)
    return Live(
        database,
        gatekeeper,
        InboxHints(database),
        Events(uuid4),
        lambda: Horizon(clock(), USUAL_DAYS),
        most,
        stall_seconds,
    )


def access_of(world: World, member: Member, role: Role = Role.USER) -> Access:
    """A member as a caller."""
    return Access(world.organization_id, world.organization, "us-east-1", 0, member.user, member.id, role)


async def follow(
    world: World, live: Live, member: Member, since: str | None = None, showing: Showing | None = None
) -> App:
    """Open a stream, as the door does."""
    shown = Showing(access_of(world, member)) if showing is None else showing
    mark = None if since is None else decode_watermark(since)
    begun = await live.begin(shown, member.user, mark, "Last-Event-ID")
    reader = Reader()
    assert reader.write(begun.first)
    app = App(world, live, member, shown, reader, live.join(begun, reader), last_id=since)
    app.take()
    return app


def texts(event: Event) -> list[str]:
    """What the items of an event say."""
    return [item["content"]["text"] for item in event.data["items"]]


def ids(event: Event) -> set[UUID]:
    """Which notifications an event is about."""
    return {UUID(item["notificationId"]) for item in event.data["items"]}


async def pull(app: App) -> None:
    """Learn what changed since the watermark, as after a hint, and open another stream there."""
    assert app.last_id is not None
    horizon = Horizon(app.world.clock(), USUAL_DAYS)
    mark, more = decode_watermark(app.last_id), True
    while more:
        page = await app.world.read(inbox.list_changes, app.showing.access, app.member.user, mark, 3, horizon)
        items = [change_answer(change, app.world.organization, app.member.user) for change in page.items]
        app.keep(json.loads(encode_json(items)))
        mark, more = page.watermark, page.more
    app.last_id = encode_watermark(mark)
    await reconnect(app)


async def reconnect(app: App) -> None:
    """Hang up, and go on from the last event that arrived."""
    app.take()
    if app.stream is not None:
        app.live.leave(app.stream)
    entries = app.entries
    again = await follow(app.world, app.live, app.member, app.last_id, app.showing)
    app.reader, app.stream, app.taken = again.reader, again.stream, 0
    app.entries, app.is_behind = entries, False
    app.take()


async def server_shows(app: App) -> tuple[dict[str, str], int]:
    """What the server has for an app's member: the state of each entry, and how many are unread."""
    horizon = Horizon(app.world.clock(), USUAL_DAYS)
    access, user = app.showing.access, app.member.user
    listing = await app.world.read(inbox.list_inbox, access, user, Filter.ALL, 200, horizon)
    assert listing.rest is None
    summary = await app.world.read(inbox.summarize, access, user, horizon)
    return {str(entry.notification): entry.state.upper() for entry in listing.entries}, summary.unread
