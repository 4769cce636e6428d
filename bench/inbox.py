"""`inbox-page`: the first page of an inbox whose organization has a million members, and a release into all of them.

The member belongs to 20 streams, which hold 10,000 notifications; a page is 50 entries. The time is that of the
service's own function with its transaction, from a SQLite database on the disk. The peer is the same page in an
organization with a thousand members and the same history: the ratio says what a thousand times as many members cost.
Fair: one process, one core, in turns, and both pages are checked.

`release-1m` is how long it takes to accept one notification to everybody of the large organization: resolved, stored,
put into every inbox and durable. It must write as many rows as the same notification to the small one.
"""

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final
from uuid import UUID, uuid4

from bench.figure import Figure, Goal, MeasureError, Peer
from bench.machine import Machine, file_system, folder_on_disk
from bench.pushes import CONTENT
from bench.report import say
from bench.service import REGION, Installation
from clarion.bootstrap import now_ms
from clarion.model.access import Access, Role
from clarion.model.audience import Audience, Scope
from clarion.model.notification import Content, Draft
from clarion.model.watermark import Filter
from clarion.service.inbox import list_inbox
from clarion.service.publish import PublishRequest, publish
from clarion.store import directory
from clarion.store.database import Database, writing
from clarion.store.inbox import USUAL_DAYS, Horizon

LARGE: Final = 1_000_000
SMALL: Final = 1_000
HISTORY: Final = 10_000
GROUPS: Final = 17
PAGE: Final = 50
ROUNDS: Final = 200
WARM_UP: Final = 5
RELEASES: Final = 50
TOGETHER: Final = 50


@dataclass(frozen=True, slots=True)
class Side:
    """An organization in a database of its own, and a member of it who belongs to everything."""

    database: Database
    path: Path
    access: Access


async def measure(machine: Machine) -> list[Figure]:
    """Seed both, then measure in turns."""
    os.sched_setaffinity(0, {machine.measured_core})
    try:
        with folder_on_disk() as folder:
            say(f"the databases are on {file_system(folder)}")
            large, small = (_seed(folder / str(count), count) for count in (LARGE, SMALL))
            with closing(large.database), closing(small.database):
                page, peer = await _pages(large, small)
                release = await _releases(large, small)
    finally:
        os.sched_setaffinity(0, {machine.measuring_core})
    if page > 2 * peer:
        raise MeasureError(
            f"a page takes {page:.2f} ms, {page / peer:.1f} times as long as with {SMALL:,} members"
        )
    return [
        Figure("inbox-page", "ms", page, Goal(below=5), Peer(f"with {SMALL:,} members", peer)),
        Figure("release-1m", "ms", release, Goal(below=30)),
    ]


async def _pages(large: Side, small: Side) -> tuple[float, float]:
    times: dict[Path, list[float]] = {large.path: [], small.path: []}
    for _ in range(ROUNDS + WARM_UP):
        for side in (large, small):
            horizon = Horizon(now_ms(), USUAL_DAYS)
            started = time.perf_counter()
            listing = await side.database.read(
                list_inbox, side.access, side.access.user, Filter.USUAL, PAGE, horizon
            )
            times[side.path].append((time.perf_counter() - started) * 1_000)
            if len(listing.entries) != PAGE or listing.rest is None:
                raise MeasureError(f"a page of {len(listing.entries)} entries")
    return median(times[large.path][WARM_UP:]), median(times[small.path][WARM_UP:])


async def _releases(large: Side, small: Side) -> float:
    times: list[float] = []
    written: set[int] = set()
    for _ in range(RELEASES):
        for side in (large, small):
            request = _request(side, Audience(Scope.ORGANIZATION))
            before = _rows_written(side.database)
            started = time.perf_counter()
            await side.database.write(publish, [request])
            took = (time.perf_counter() - started) * 1_000
            written.add(_rows_written(side.database) - before)
            if side is large:
                times.append(took)
    if len(written) != 1:
        raise MeasureError(f"a release wrote {sorted(written)} rows, depending on the members")
    say(f"a release wrote {written.pop()} rows; the slowest took {max(times):.1f} ms")
    return median(times)


def _rows_written(database: Database) -> int:
    """How many rows the writer's connection has written so far; the pool hands out the one that was used last."""
    with database.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        return raw.total_changes


# ── Seeding ──────────────────────────────────────────────────────────────────────────────────────────────


def _seed(folder: Path, count: int) -> Side:
    """An organization of so many members, of whom the one in the middle belongs to 20 streams with a history."""
    folder.mkdir()
    installation = Installation(folder)
    organization = installation.add_organization(1)
    path = folder / "clarion.db"
    with closing(sqlite3.connect(path)) as raw:
        _add_members(raw, organization.id, count - 1)
        user, member_id, email = raw.execute(_MIDDLE).fetchone()
        user_id = raw.execute("SELECT min(id) FROM users").fetchone()[0]
    access = Access(organization.id, organization.uuid, REGION, user_id, UUID(user), member_id, Role.ADMIN)
    side = Side(Database(installation.database_url), path, access)
    _add_history(side, email)
    installation.add_channel(organization, 1)
    say(f"{count:,} members, {HISTORY:,} notifications, {path.stat().st_size / 1e6:,.0f} MB")
    return side


_MIDDLE: Final = (
    "SELECT users.uuid, members.id, email FROM members JOIN users ON users.id = members.user_id "
    "WHERE members.id = (SELECT max(id) / 2 + 1 FROM members)"
)
_NUMBERS: Final = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) "
_SEEDING: Final = (
    f"INSERT INTO users (id, uuid, created_at) {_NUMBERS}"
    "SELECT :users + i, lower(hex(randomblob(16))), :now FROM n",
    f"INSERT INTO streams (id, organization_id, kind) {_NUMBERS}"
    "SELECT :streams + i, :organization, 'member' FROM n",
    "INSERT INTO members (id, organization_id, user_id, stream_id, email, email_folded, name, role, created_at) "
    f"{_NUMBERS}SELECT :members + i, :organization, :users + i, :streams + i, 'seeded-' || i || '@example.com', "
    "'seeded-' || i || '@example.com', 'Seeded', 'user', :now FROM n",
    f"INSERT INTO memberships (organization_id, stream_id, member_id, joined_seq) {_NUMBERS}"
    "SELECT :organization, :everybody, :members + i, 0 FROM n",
    f"INSERT INTO memberships (organization_id, stream_id, member_id, joined_seq) {_NUMBERS}"
    "SELECT :organization, :streams + i, :members + i, 0 FROM n",
)


def _add_members(raw: sqlite3.Connection, organization_id: int, count: int) -> None:
    """The rows that `directory.add_members` writes, a million in seconds."""
    wanted = {"count": count, "organization": organization_id, "now": now_ms()}
    for table in ("users", "streams", "members"):
        wanted[table] = raw.execute(f"SELECT max(id) FROM {table}").fetchone()[0]
    wanted["everybody"] = raw.execute("SELECT stream_id FROM organizations").fetchone()[0]
    raw.execute("PRAGMA synchronous = OFF")
    for statement in _SEEDING:
        raw.execute(statement, wanted)
    raw.commit()


def _add_history(side: Side, email: str) -> None:
    """A solution with groups, which the member joins, and notifications to all of the member's streams in turn."""
    organization_id, now, uuid = side.access.organization_id, now_ms(), uuid4()
    groups = [f"group-{number}" for number in range(GROUPS)]
    with writing(side.database.engine) as connection:
        solution = directory.add_solution(connection, organization_id, uuid, "Solution", now)
        for name in groups:
            directory.add_group(connection, organization_id, solution, name, now)
        streams = [
            directory.solution_streams(connection, organization_id)[solution],
            *directory.group_streams(connection, organization_id).values(),
        ]
        directory.join(connection, organization_id, [(stream, side.access.member_id) for stream in streams])
    audiences = [
        Audience(Scope.ORGANIZATION),
        Audience(Scope.USERS, emails=(email,)),
        Audience(Scope.SOLUTION, solution=uuid),
        *(Audience(Scope.GROUPS, groups=(name,), solution=uuid) for name in groups),
    ]
    for start in range(0, HISTORY, TOGETHER):
        numbers = range(start, start + TOGETHER)
        with writing(side.database.engine) as connection:
            publish(connection, [_request(side, audiences[number % len(audiences)]) for number in numbers])


def _request(side: Side, audience: Audience) -> PublishRequest:
    content = Content(CONTENT["text"], CONTENT["title"], CONTENT["screen"])
    return PublishRequest(side.access, Draft(content, audience), uuid4(), now_ms())
