"""The door of the live stream: what it answers, what it refuses, and how it ends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from clarion.api.app import create_app
from clarion.api.context import Door
from clarion.api.live import ABORT
from clarion.model.access import Role
from clarion.service.live_look import MOST_ITEMS
from tests.api.caller import Caller, Json, add_caller, faults, make_door, make_http
from tests.clock import Clock
from tests.service.listening import EVERYBODY, Event
from tests.world import Member, World

GOOD: Json = {"content": {"text": "Hi"}, "scope": "ORG"}


class Connection:
    """A connection to the application without a server between: what it was sent, and whether it reads."""

    def __init__(self, door: Door, path: str, query: str, headers: dict[str, str]) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.octets: list[bytes] = []
        self.was_dropped = False
        self._reads = asyncio.Event()
        self._reads.set()
        self._gone = asyncio.Event()
        self._news = asyncio.Event()
        self._asked = False
        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
            "query_string": query.encode(), "http_version": "1.1", "scheme": "http", "root_path": "",
            "server": None, "client": None, "asgi": {"version": "3.0"}, "state": {},
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "extensions": {ABORT: {"abort": self._drop}},
        }  # fmt: skip
        application: Any = create_app(door)
        self.task = asyncio.create_task(application(scope, self._receive, self._send))

    @property
    def events(self) -> list[Event]:
        """What arrived, without the signs of life."""
        return [event for event in map(Event.read, self.octets) if event.name]

    async def until_events(self, count: int) -> None:
        """Wait until so many events have arrived."""
        async with asyncio.timeout(20):
            while len(self.events) < count:
                self._news.clear()
                await self._news.wait()

    def stick(self) -> None:
        """Read nothing any more."""
        self._reads.clear()

    def go_on(self) -> None:
        """Read again."""
        self._reads.set()

    async def hang_up(self) -> None:
        """Close the connection."""
        self._gone.set()
        await self.task

    def _drop(self) -> None:
        self.was_dropped = True
        self._gone.set()

    async def _receive(self) -> Json:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Json) -> None:
        await self._reads.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        if message["body"]:
            self.octets.append(message["body"])
        if not message["more_body"]:
            self._gone.set()
        self._news.set()


@pytest.fixture
def door(world: World) -> Door:
    """The API's tools, with room for three streams."""
    return make_door(world, most_streams=3)


@pytest.fixture
async def http(door: Door) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the same API."""
    async with make_http(door) as client:
        yield client


@pytest.fixture
async def member(caller: Caller, world: World) -> tuple[Caller, Member]:
    """A member with a token of their own."""
    return await add_caller(caller, world, "one@example.com")


async def follow(door: Door, member: tuple[Caller, Member], query: str = "", **headers: str) -> Connection:
    """Open a stream; returns when its first event is there."""
    caller, about = member
    given = {"Authorization": f"Bearer {caller.token}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    connection = Connection(door, f"{caller.inbox(about.user)}/stream", query, given)
    await connection.until_events(1)
    return connection


async def refusal(caller: Caller, user: UUID, query: str = "", **headers: str) -> httpx.Response:
    """What a stream that cannot be opened answers."""
    given = {"Authorization": f"Bearer {caller.token}"} if caller.token else {}
    return await caller.http.get(
        f"{caller.inbox(user)}/stream{query}",
        headers=given | {name.replace("_", "-"): value for name, value in headers.items()},
    )


@pytest.mark.parametrize("query", ["", "x=1"], ids=["the short way", "the long way"])
async def test_a_stream_is_answered_with_events_that_nobody_keeps_or_holds_back(
    door: Door, caller: Caller, member: tuple[Caller, Member], query: str
) -> None:
    stream = await follow(door, member, query)
    assert stream.status == 200
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.headers["cache-control"] == "no-store"
    assert stream.headers["x-accel-buffering"] == "no"
    assert stream.headers["access-control-allow-origin"] == "*"
    assert "x-request-id" in stream.headers
    await caller.send(GOOD)
    await door.live.look(EVERYBODY)
    [first, second] = stream.events
    assert (first.name, first.data["count"]) == ("changes", 0)
    delta = await member[0].get(member[0].inbox(member[1].user), syncToken=str(first.id))
    assert second.data == delta.json() | {"unread": 1}
    await stream.hang_up()
    assert door.live.count == 0


@pytest.mark.parametrize("how", ["Last_Event_ID", "syncToken"])
async def test_a_stream_goes_on_after_the_last_event(
    door: Door, caller: Caller, member: tuple[Caller, Member], how: str
) -> None:
    before = await follow(door, member)
    [first] = before.events
    await before.hang_up()
    sent = (await caller.send(GOOD)).json()["notificationId"]
    mark = str(first.id)
    query, headers = (f"syncToken={mark}", {}) if how == "syncToken" else ("", {how: mark})
    stream = await follow(door, member, query, **headers)
    assert [item["notificationId"] for item in stream.events[0].data["items"]] == [sent]
    await stream.hang_up()
    bothered = await follow(door, member, f"syncToken={stream.events[0].id}", Last_Event_ID=mark)
    assert bothered.events[0].data["count"] == 1, "the header wins"
    await bothered.hang_up()


async def test_a_slow_reader_delays_nobody(
    door: Door, caller: Caller, world: World, member: tuple[Caller, Member]
) -> None:
    slow = await follow(door, member)
    quick = await follow(door, await add_caller(caller, world, "two@example.com"))
    slow.stick()
    for _ in range(MOST_ITEMS):
        await caller.send(GOOD)
        await door.live.look(EVERYBODY)
    assert len(quick.events) == MOST_ITEMS + 1
    assert len(slow.events) == 1
    slow.go_on()
    await slow.until_events(2)
    assert slow.events[1].data["count"] == MOST_ITEMS
    slow.stick()
    await caller.send(GOOD)
    await door.live.look(EVERYBODY)
    door.live.close()
    assert slow.was_dropped
    await asyncio.wait_for(asyncio.gather(slow.task, quick.task), 20)
    assert (quick.events[-1].name, quick.events[-1].data) == ("bye", {"reason": "restart"})


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {"Last_Event_ID": "nonsense"}),
        ("?syncToken=nonsense", {}),
        ("?syncToken=", {}),
    ],
)
async def test_a_watermark_that_is_none_is_refused(
    member: tuple[Caller, Member], query: str, headers: dict[str, str]
) -> None:
    answer = await refusal(member[0], member[1].user, query, **headers)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_sync_token"
    assert list(faults(answer)) == ["Last-Event-ID" if headers else "syncToken"]


async def test_a_watermark_of_somebody_else_is_refused_and_an_old_one_is_gone(
    door: Door, caller: Caller, world: World, member: tuple[Caller, Member], clock: Clock
) -> None:
    stream = await follow(door, member)
    mark = str(stream.events[0].id)
    other, about = await add_caller(caller, world, "two@example.com")
    answer = await refusal(other, about.user, Last_Event_ID=mark)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_sync_token")
    clock.move(seconds=13 * 86_400)
    for _ in range(2):
        assert (await member[0].get(member[0].inbox(member[1].user))).status_code == 200
        clock.move(seconds=10 * 86_400)
    late = await refusal(member[0], member[1].user, Last_Event_ID=mark)
    assert (late.status_code, late.json()["code"]) == (410, "sync_token_too_old")
    await stream.hang_up()


async def test_strangers_are_refused_as_everywhere(
    caller: Caller, world: World, member: tuple[Caller, Member]
) -> None:
    nosy, _ = await add_caller(caller, world, "nosy@example.com")
    assert (await refusal(nosy, member[1].user)).status_code == 404
    assert (await refusal(caller, uuid4())).status_code == 404
    assert (await refusal(caller.known_as("nobody"), member[1].user)).status_code == 401


async def test_those_who_may_send_may_follow_any_inbox(
    door: Door, caller: Caller, world: World, member: tuple[Caller, Member]
) -> None:
    chief, _ = await add_caller(caller, world, "chief@example.com", Role.ADMIN)
    stream = await follow(door, (chief, member[1]))
    assert stream.status == 200
    await stream.hang_up()


async def test_one_stream_too_many_is_refused_for_now(
    door: Door, world: World, caller: Caller, member: tuple[Caller, Member], http: httpx.AsyncClient
) -> None:
    streams = [await follow(door, member) for _ in range(3)]
    answer = await refusal(member[0], member[1].user)
    assert (answer.status_code, answer.json()["code"]) == (503, "too_many_streams")
    assert answer.headers["retry-after"] == "10"
    figures = (await http.get("/metrics")).text
    assert "clarion_live_streams 3.0" in figures
    assert 'clarion_requests_total{status="200"} 3.0' in figures, "counted when they began"
    for stream in streams:
        await stream.hang_up()
    await (await follow(door, member)).hang_up()


async def test_a_browser_may_ask_before_it_follows(http: httpx.AsyncClient, caller: Caller) -> None:
    answer = await http.options(
        f"{caller.inbox(uuid4())}/stream",
        headers={"Origin": "https://app.example.com", "Access-Control-Request-Headers": "last-event-id"},
    )
    assert answer.status_code == 204
    assert "last-event-id" in answer.headers["access-control-allow-headers"].lower()
