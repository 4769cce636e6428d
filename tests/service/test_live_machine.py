"""Whatever happens in whatever order, an app that follows its stream shows what the server has.

Readers stall and go on, connections break and are taken up again with the last event's id, and a hint is followed by a
pull. The server's own list is the reference.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.model.audience import Scope
from clarion.model.errors import NotFound
from clarion.model.notification import Content
from clarion.service import inbox
from clarion.service.live import Live
from clarion.store.database import Database
from clarion.store.inbox import USUAL_DAYS, CopyState, Horizon
from clarion.store.schema import metadata
from tests.clock import Clock
from tests.service.listening import (
    EVERYBODY,
    App,
    access_of,
    follow,
    make_live,
    pull,
    reconnect,
    server_shows,
)
from tests.world import OTHER_SOLUTION, SOLUTION, Member, World

PEOPLE = 3
APPS = 4

people = st.integers(0, PEOPLE - 1)
apps = st.integers(0, APPS - 1)
picks = st.integers(0, 30)
audiences = st.sampled_from((SOLUTION, OTHER_SOLUTION, "sales", "finance", "customers"))
steps = st.one_of(
    st.tuples(st.just("tell"), st.sampled_from((None, SOLUTION, OTHER_SOLUTION))),
    st.tuples(
        st.just("tell_groups"), st.lists(st.sampled_from(("sales", "finance")), min_size=1, unique=True)
    ),
    st.tuples(st.just("tell_person"), people),
    st.tuples(st.just("tell_much"), st.just(21)),
    st.tuples(st.just("recall"), picks),
    st.tuples(st.just("join"), people, audiences),
    st.tuples(st.just("leave"), people, audiences),
    st.tuples(st.just("touch"), people, picks, st.sampled_from([*CopyState])),
    st.tuples(st.just("read_all"), people),
    st.tuples(st.just("stick"), apps),
    st.tuples(st.just("go_on"), apps),
    st.tuples(st.just("reconnect"), apps),
    st.tuples(st.just("look")),
    st.tuples(st.just("look")),
)


class Run:
    """One history."""

    def __init__(self, world: World, live: Live, members: list[Member], following: list[App]) -> None:
        self.world, self.live, self.members, self.apps = world, live, members, following
        self.told: list[Any] = []

    async def tell(self, solution: str | None) -> None:
        self.told.append(await self.world.tell("Hello", solution))

    async def tell_groups(self, groups: list[str]) -> None:
        draft = self.world.draft(
            Scope.GROUPS, groups=tuple(groups), solution=self.world.solutions[SOLUTION], content=Content("Hi")
        )
        self.told.append((await self.world.publish(draft)).notification)

    async def tell_person(self, person: int) -> None:
        draft = self.world.draft(Scope.USERS, emails=(self.members[person].email,), content=Content("You"))
        self.told.append((await self.world.publish(draft)).notification)

    async def tell_much(self, count: int) -> None:
        for _ in range(count):
            await self.tell(None)

    async def recall(self, pick: int) -> None:
        if self.told:
            await self.world.recall(self.told[pick % len(self.told)])

    async def join(self, person: int, audience: str) -> None:
        await self.world.leave(self.members[person], audience)
        await self.world.join(self.members[person], audience)

    async def leave(self, person: int, audience: str) -> None:
        await self.world.leave(self.members[person], audience)

    async def touch(self, person: int, pick: int, state: CopyState) -> None:
        if not self.told:
            return
        member, horizon = self.members[person], Horizon(self.world.clock(), USUAL_DAYS)
        access, notification = access_of(self.world, member), self.told[pick % len(self.told)].uuid
        try:
            if state is CopyState.DELETED:
                await self.world.write(inbox.delete_entry, access, member.user, notification, horizon)
            else:
                await self.world.write(inbox.change_state, access, member.user, notification, state, horizon)
        except NotFound:
            pass

    async def read_all(self, person: int) -> None:
        member, horizon = self.members[person], Horizon(self.world.clock(), USUAL_DAYS)
        access = access_of(self.world, member)
        summary = await self.world.read(inbox.summarize, access, member.user, horizon)
        await self.world.write(inbox.mark_all_read, access, member.user, summary.watermark, horizon)

    async def stick(self, app: int) -> None:
        self.apps[app].reader.stick()

    async def go_on(self, app: int) -> None:
        self.apps[app].reader.go_on()
        await self._settle()

    async def reconnect(self, app: int) -> None:
        await reconnect(self.apps[app])

    async def look(self) -> None:
        await self.live.look(EVERYBODY)
        for app in self.apps:
            app.take()

    async def end(self) -> None:
        """Everybody reads, everything is told, and whoever was told to pull has pulled."""
        for app in self.apps:
            app.reader.go_on()
        await self._settle()
        await self.look()
        for app in self.apps:
            app.take()
            if app.is_behind:
                await pull(app)

    async def _settle(self) -> None:
        """Let those who were behind be told what they missed."""
        async with asyncio.timeout(20):
            while any(  # noqa: ASYNC110 - a turn for those who tell
                app.stream and app.stream.is_behind and not app.reader.is_stuck for app in self.apps
            ):
                await asyncio.sleep(0)


async def begin(database: Database) -> Run:
    """An organization with some people and their apps; one person has two."""
    world = await World.make(database, Clock())
    live, members = make_live(world), await world.add_members(PEOPLE)
    following = [await follow(world, live, members[number % PEOPLE]) for number in range(APPS)]
    return Run(world, live, members, following)


async def play(history: list[tuple[Any, ...]]) -> None:
    database = Database("sqlite://")
    with database.engine.connect().execution_options(writes=True) as connection, connection.begin():
        metadata.create_all(connection)
    run = await begin(database)
    for name, *arguments in history:
        step: Callable[..., Awaitable[None]] = getattr(run, name)
        await step(*arguments)
        run.world.clock.move(milliseconds=1)
    await run.end()
    for app in run.apps:
        shown, unread = await server_shows(app)
        assert app.shows() == shown
        assert app.unread == unread
    database.close()


@settings(max_examples=100)
@given(st.lists(steps, max_size=40))
def test_an_app_that_follows_its_stream_shows_what_the_server_has(history: list[tuple[Any, ...]]) -> None:
    asyncio.run(play(history))
