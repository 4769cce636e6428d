"""Several processes on one database: whatever is released or changed in one of them reaches the streams of the other.

Writers release, recall and change entries at the same time, while apps hang up and come back with the last event's id.
In the end every app shows what the server has.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import pytest

from clarion.api.live_events import Events
from clarion.model.audience import Scope
from clarion.model.errors import NotFound
from clarion.model.notification import Content
from clarion.service import inbox
from clarion.service.access import Gatekeeper
from clarion.service.allowance import Allowance
from clarion.service.live import Live
from clarion.service.release import release_due
from clarion.store.database import Database
from clarion.store.hints import HintSender
from clarion.store.inbox import USUAL_DAYS, CopyState, Horizon
from clarion.store.inbox_hints import InboxHints
from clarion.store.schema import metadata
from tests.service.listening import App, access_of, follow, pull, reconnect, server_shows
from tests.world import SOLUTION, Member, World

ROUNDS = 25
MEMBERS = 6


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """One process's door to the store: SQLite in a file, which another process can open as well."""
    opened = Database(_url(request, tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def elsewhere(database: Database) -> Iterator[Database]:
    """Another process's door to the same store."""
    with closing(Database(database.url)) as opened:
        yield opened


def _url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgresql_url")
        return url
    url = f"sqlite:///{tmp_path / 'clarion.db'}"
    with closing(Database(url)) as made:
        metadata.create_all(made.engine)
    return url


both = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@asynccontextmanager
async def listening(world: World) -> AsyncIterator[Live]:
    """The live streams of a process, which wait for hints."""
    database, clock = world.database, world.clock
    hints = InboxHints(database, postgresql=None if database.is_sqlite else database.url)
    gatekeeper = Gatekeeper(database, "us-east-1", {}, Allowance(1_000_000, clock), clock)
    live = Live(database, gatekeeper, hints, Events(uuid4), lambda: Horizon(clock(), USUAL_DAYS), most=1_000)
    running = asyncio.create_task(live.run())
    try:
        yield live
    finally:
        running.cancel()
        await asyncio.wait([running])
        await hints.close()


@asynccontextmanager
async def hinting(database: Database) -> AsyncIterator[HintSender]:
    """A process that changes things and says so."""
    sender = HintSender(postgresql=None if database.is_sqlite else database.url)
    try:
        yield sender
    finally:
        await sender.close()


@both
async def test_a_release_by_the_worker_reaches_the_streams_of_the_api(
    world: World, elsewhere: Database
) -> None:
    [member] = await world.add_members(1)
    async with listening(world) as live, hinting(elsewhere) as hints:
        app = await follow(world, live, member)
        await world.publish(world.draft(start_at=world.clock() + 1_000, content=Content("Later")))
        world.clock.move(seconds=2)
        assert await elsewhere.write(release_due, world.clock()) == 1
        hints.send()
        await app.reader.until(lambda reader: len(reader.events) == 2)
        assert app.reader.events[1].data["items"][0]["content"]["text"] == "Later"


@both
async def test_a_change_in_another_process_reaches_the_streams_of_this_one(
    world: World, elsewhere: Database
) -> None:
    [member] = await world.add_members(1)
    told = await world.tell("Hello")
    async with listening(world) as live, hinting(elsewhere) as hints:
        app = await follow(world, live, member)
        access, horizon = access_of(world, member), Horizon(world.clock(), USUAL_DAYS)
        await elsewhere.write(inbox.change_state, access, member.user, told.uuid, CopyState.READ, horizon)
        hints.send_inbox(world.organization_id, member.id)
        await app.reader.until(lambda reader: len(reader.events) == 2)
        assert app.reader.events[1].data["items"][0]["state"] == "READ"


@both
async def test_what_no_hint_told_is_found_by_a_tick(world: World, elsewhere: Database) -> None:
    [member] = await world.add_members(1)
    away = replace(world, database=elsewhere)
    async with listening(world) as live:
        app = await follow(world, live, member)
        told = await away.tell("Hello")
        await app.reader.until(lambda reader: len(reader.events) == 2)
        access, horizon = access_of(world, member), Horizon(world.clock(), USUAL_DAYS)
        await away.write(inbox.change_state, access, member.user, told.uuid, CopyState.READ, horizon)
        await app.reader.until(lambda reader: len(reader.events) == 3)


@both
@pytest.mark.parametrize("seed", range(3))
async def test_apps_that_come_and_go_miss_nothing_of_what_others_do_at_the_same_time(
    world: World, elsewhere: Database, seed: int
) -> None:
    random = Random(seed)
    members = await world.add_members(MEMBERS, SOLUTION)
    away = replace(world, database=elsewhere)
    async with listening(world) as live, hinting(elsewhere) as hints, hinting(world.database) as here:
        following = [await follow(world, live, member) for member in members]
        async with asyncio.TaskGroup() as group:
            for place, sender in ((world, here), (away, hints), (away, hints)):
                group.create_task(_write(place, sender, members, Random(random.random())))
            group.create_task(_come_and_go(following, Random(random.random())))
        await world.tell("The end")
        async with asyncio.timeout(20):
            for app in following:
                await _until_level(app)


async def _write(world: World, hints: HintSender, members: list[Member], random: Random) -> None:
    """Release, recall and change things."""
    told: list[UUID] = []
    for _ in range(ROUNDS):
        match random.choice(("tell", "tell", "tell_person", "recall", "touch")):
            case "tell":
                told.append((await world.tell("Hello", random.choice((None, SOLUTION)))).uuid)
            case "tell_person":
                emails = tuple(member.email for member in random.sample(members, 2))
                draft = world.draft(Scope.USERS, emails=emails, content=Content("You"))
                told.append((await world.publish(draft)).notification.uuid)
            case "recall" if told:
                await world.recall(await world.stored(random.choice(told)))
            case "touch" if told:
                await _touch(world, random.choice(members), random.choice(told), random, hints)
        hints.send()
        await asyncio.sleep(0)


async def _touch(world: World, member: Member, notification: UUID, random: Random, hints: HintSender) -> None:
    state = random.choice((CopyState.READ, CopyState.DISMISSED, CopyState.SENT))
    access, horizon = access_of(world, member), Horizon(world.clock(), USUAL_DAYS)
    try:
        await world.write(inbox.change_state, access, member.user, notification, state, horizon)
    except NotFound:
        return
    hints.send_inbox(world.organization_id, member.id)


async def _come_and_go(following: list[App], random: Random) -> None:
    for _ in range(ROUNDS):
        app = random.choice(following)
        app.take()
        await (pull(app) if app.is_behind else reconnect(app))
        if random.random() < 0.3:
            app.reader.stick()
            await asyncio.sleep(0.01)
            app.reader.go_on()


async def _until_level(app: App) -> None:
    """Follow events until the app shows what the server has."""
    while True:
        arrived = len(app.reader.octets)
        app.take()
        if app.is_behind:
            await pull(app)
            continue
        shown, unread = await server_shows(app)
        if (app.shows(), app.unread) == (shown, unread):
            return
        await app.reader.until(lambda reader, arrived=arrived: len(reader.octets) > arrived)  # type: ignore[misc]
