"""Live streams of real processes: what the worker releases, several APIs, ten thousand at once, and the end."""

import asyncio
import json
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_bytes
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import uvloop
from bench.figure import MeasureError
from bench.listeners import Crowd, get, inbox, raise_limit
from sqlalchemy import Connection

from clarion.bootstrap import GRACE_SECONDS, now_ms
from clarion.model.access import Role, mint_token
from clarion.model.refresh import first_pair
from clarion.store import directory, sessions, tokens
from tests.postgresql import Cluster
from tests.process.installation import HELLO, PATIENCE_SECONDS, Installation, eventually, free_port

MOST_STREAMS = 10_000
MORE_THAN_FITS = 150
"""So many events of `LONG` fill whatever the kernel keeps for a connection."""

LONG = {"long": "x" * 50_000}

PIECE = 1_000
"""Members whom one transaction adds."""

Json = dict[str, Any]


class People:
    """An organization whose members are signed in, and the token of its administrator."""

    def __init__(self, installation: Installation, count: int) -> None:
        self.organization = uuid4()
        self.users = [uuid4() for _ in range(count)]
        self.sessions: list[str] = []
        self.session_ids: list[UUID] = []
        self.token = ""
        self.organization_id = installation.in_database(self._found)
        for start in range(0, count, PIECE):
            self._piece = self.users[start : start + PIECE]
            installation.in_database(self._add)

    @property
    def path(self) -> str:
        """The organization's notifications, below the base URL."""
        return f"organizations/{self.organization}/notifications"

    def stream(self, number: int) -> str:
        """The path of a member's stream."""
        return f"{inbox(self.organization, self.users[number])}/stream"

    def _found(self, connection: Connection) -> int:
        now, name, mail = now_ms(), "People", "admin@example.com"
        organization_id = directory.add_organization(connection, self.organization, name, "us-east-1", now)
        admin = directory.NewMember(uuid4(), mail, "Administrator", Role.ADMIN)
        directory.add_members(connection, organization_id, [admin], now)
        self.token, token = mint_token("us-east-1", token_bytes)
        user_id = directory.find_user(connection, organization_id, mail)
        assert user_id is not None
        tokens.add_token(connection, user_id, token, "test", now)
        return organization_id

    def _add(self, connection: Connection) -> None:
        now = now_ms()
        new = [directory.NewMember(user, f"{user}@example.com", "Member") for user in self._piece]
        for member in directory.add_members(connection, self.organization_id, new, now):
            pair, session = first_pair("us-east-1", token_bytes), uuid4()
            sessions.add_session(connection, self.organization_id, member, session, pair, 60, now)
            self.sessions.append(pair.token)
            self.session_ids.append(session)


@contextmanager
def following(installation: Installation, people: People, number: int) -> Iterator[Iterator[Json]]:
    """The events of a member's stream, as they come."""
    headers = {"Authorization": f"Bearer {people.sessions[number]}"}
    url = f"http://127.0.0.1:{installation.port}{people.stream(number)}"
    with httpx.stream("GET", url, headers=headers, timeout=PATIENCE_SECONDS) as answer:
        assert answer.status_code == 200
        yield _events(answer)


def _events(answer: httpx.Response) -> Iterator[Json]:
    event: Json = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if line:
            event[name] = value
        elif event.keys() & {"event"}:
            yield event | {"data": json.loads(event["data"])}
            event = {}


def texts(event: Json) -> list[str]:
    """What the items of an event say."""
    return [item["content"]["text"] for item in event["data"]["items"]]


@pytest.fixture
def alone(tmp_path: Path) -> Installation:
    """A migrated, empty installation."""
    made = Installation(tmp_path, {"CLARION_SERVER_REQUESTS_PER_SECOND": "1000000"})
    made.migrate()
    return made


def test_what_the_worker_releases_reaches_the_streams(alone: Installation) -> None:
    people = People(alone, 1)
    with alone.serve() as process, alone.caller(people.token) as caller:
        process.worker()
        with following(alone, people, 0) as events:
            assert texts(next(events)) == []
            assert caller.post(people.path, json=HELLO | {"startAt": now_ms() + 1_500}).status_code == 201
            assert texts(next(events)) == ["Hi"]


def test_a_stream_ends_with_its_session(alone: Installation) -> None:
    people = People(alone, 1)
    with (
        alone.serve("--role", "api"),
        alone.caller(people.token) as caller,
        following(alone, people, 0) as events,
    ):
        next(events)
        path = f"organizations/{people.organization}/members/{people.users[0]}/sessions"
        assert caller.delete(f"{path}/{people.session_ids[0]}").status_code == 204
        assert next(events) == {"event": "bye", "data": {"reason": "signed_out"}}
        assert list(events) == []


@pytest.mark.parametrize("reads_at_last", [True, False])
def test_a_reader_who_does_not_read_delays_nobody(alone: Installation, *, reads_at_last: bool) -> None:
    people = People(alone, 2)
    with (
        alone.serve() as process,
        alone.caller(people.token) as caller,
        following(alone, people, 0) as events,
        _stuck(alone, people, 1) as stuck,
    ):
        next(events)
        for number in range(MORE_THAN_FITS):
            body = {"content": {"text": f"number {number}", "inputs": LONG}, "scope": "ORG"}
            assert caller.post(people.path, json=body).status_code == 201
            assert texts(next(events)) == [f"number {number}"]
        if reads_at_last:
            told, rest = _read(stuck)
            assert told == [f"number {number}" for number in range(len(told))]
            assert 0 < len(told) < MORE_THAN_FITS
            assert rest.endswith("event: hint\ndata: {}\n\n\r\n")
        process.kill(signal.SIGTERM)
        assert next(events) == {"event": "bye", "data": {"reason": "restart"}}
        assert process.wait(GRACE_SECONDS - 1) == 0, "its streams end at once, whoever reads them"
        assert "Traceback" not in process.said()


def _read(reader: socket.socket) -> tuple[list[str], str]:
    """Read until there is a hint; returns the texts that were told, and all that was read."""
    reader.settimeout(PATIENCE_SECONDS)
    octets = b""
    while b"event: hint\ndata: {}\n\n\r\n" not in octets:
        octets += reader.recv(1 << 20)
    text = octets.decode()
    return re.findall(r'"text":"(number \d+)"', text), text


def test_two_apis_on_one_postgresql_tell_each_other(tmp_path: Path, postgresql_cluster: Cluster) -> None:
    url = postgresql_cluster.url("streams", create=True)
    settings = {"CLARION_STORE_URL": url}
    one = Installation(tmp_path / "one", dict(settings))
    other = Installation(tmp_path / "other", dict(settings), port=free_port())
    for installation in (one, other):
        installation.folder.mkdir()
    one.migrate()
    people = People(one, 1)
    with (
        one.serve("--role", "api") as first,
        other.serve("--role", "api") as second,
        other.start("worker") as worker,
        one.caller(people.token) as caller,
        one.caller(people.sessions[0]) as app,
        following(other, people, 0) as events,
    ):
        next(events)
        sent = caller.post(people.path, json=HELLO).json()["notificationId"]
        assert texts(next(events)) == ["Hi"]
        own = f"organizations/{people.organization}/members/{people.users[0]}/notifications/{sent}"
        assert app.patch(own, json={"state": "READ"}).status_code == 200
        [read] = next(events)["data"]["items"]
        assert read["state"] == "READ"
        caller.post(people.path, json=HELLO | {"startAt": now_ms() + 1_500})
        assert texts(next(events)) == ["Hi"]
        for process in (first, second, worker):
            assert process.popen.poll() is None, process.said()
            assert "hints_interrupted" not in process.said()
            assert "Traceback" not in process.said()


def test_ten_thousand_streams_of_one_process_are_all_told(alone: Installation) -> None:
    count = _allowed_streams()
    people = People(alone, count)
    with (
        alone.serve("--role", "api") as process,
        _stuck(alone, people, 0),
        alone.caller(people.token) as caller,
    ):
        uvloop.run(_tell_all(alone, people, caller))
        figures = httpx.get(f"http://127.0.0.1:{alone.port}/metrics").text
        assert "clarion_live_streams" in figures
        assert "Traceback" not in process.said()
        eventually(
            lambda: _live_streams(alone), "those who hung up are forgotten", lambda open_now: open_now <= 1
        )


async def _tell_all(installation: Installation, people: People, caller: httpx.Client) -> None:
    """Everybody follows their stream; one notification for all and one for each of a few reach whom they are for."""
    crowd = Crowd(installation.port)
    requests = [get(people.stream(number), token) for number, token in enumerate(people.sessions)]
    await crowd.gather(requests)
    assert _live_streams(installation) == len(requests) + 1
    for _ in range(2):
        crowd.expect()
        sent = await asyncio.to_thread(caller.post, people.path, json=HELLO)
        assert sent.status_code == 201
        await crowd.all_heard(120)
        assert crowd.hinted == []
    crowd.close()


def _allowed_streams() -> int:
    """As many as the machine lets two processes have; fewer than ten thousand where open files are few."""
    for count in (MOST_STREAMS, 4_000, 500):
        try:
            raise_limit(count + 2_000)
        except MeasureError:
            continue
        return count
    pytest.skip("this machine allows too few open files")


def _live_streams(installation: Installation) -> int:
    figures = httpx.get(f"http://127.0.0.1:{installation.port}/metrics", timeout=PATIENCE_SECONDS).text
    [line] = [line for line in figures.splitlines() if line.startswith("clarion_live_streams ")]
    return int(float(line.split()[1]))


@contextmanager
def _stuck(installation: Installation, people: People, number: int) -> Iterator[socket.socket]:
    """A member's app that opens a stream and reads nothing of it."""
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_024)
        reader.connect(("127.0.0.1", installation.port))
        reader.sendall(get(people.stream(number), people.sessions[number]))
        eventually(lambda: _live_streams(installation), "its stream is open")
        yield reader
