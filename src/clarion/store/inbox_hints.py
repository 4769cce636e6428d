"""Hints to the live streams of an API process: "some inbox has changed, look again".

What this process changed itself it hints at directly (`hints.py`). What others changed arrives on PostgreSQL as a
NOTIFY, whose payload names the inboxes that their members changed; without names something was released or recalled.
On SQLite the others are the worker, which releases what was scheduled, and commands. They share the file and
nothing else, and the file tells: `PRAGMA data_version` is another number after every commit of another connection.
To ask costs a few microseconds, is done only while streams are open, needs nothing of who commits, and misses nobody.

Waited for by `service/live.py`, whose tick of one second finds what a lost hint hid.
"""

import asyncio
import sqlite3
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psycopg
from sqlalchemy import make_url

from clarion.store.database import Database
from clarion.store.lasting import end, while_connected

INBOXES: Final = "clarion_inboxes"
"""The channel of the NOTIFY."""

MOST_NAMED: Final = 300
"""How many inboxes a payload names, which may have 8,000 octets; beyond, it says "everybody's"."""

POLL_SECONDS: Final = 0.05
"""How often SQLite is asked."""

_EVERYBODY: Final = "*"

Inbox = tuple[int, int]
"""An organization and a member of it."""


@dataclass(frozen=True, slots=True)
class Hinted:
    """What hints said: whose own changes to look at, besides what was released and recalled; None: everybody's."""

    inboxes: frozenset[Inbox] | None


class InboxHints:
    """The waiting end. `postgresql` is a URL; without it a SQLite file is asked, unless it is in memory."""

    def __init__(self, database: Database, *, postgresql: str | None = None) -> None:
        self._inboxes: set[Inbox] = set()
        self._everybody = False
        self._hinted = asyncio.Event()
        self._file = _open(database)
        self._listening = None if postgresql is None else asyncio.create_task(self._listen(postgresql))

    def hint(self, *inboxes: Inbox) -> None:
        """Something was released or recalled, or these members changed their own inboxes."""
        self._inboxes.update(inboxes)
        self._hinted.set()

    async def wait(self, seconds: float, version: int | None = None) -> Hinted:
        """Return at a hint, when the file's version is no longer this one, or after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if version is None:
                    await self._hinted.wait()
                else:
                    await self._poll(version)
        self._hinted.clear()
        inboxes, self._inboxes = self._inboxes, set()
        everybody, self._everybody = self._everybody, False
        return Hinted(None if everybody else frozenset(inboxes))

    def version(self) -> int | None:
        """A number that is another one whenever anything was committed; None where that cannot be known."""
        if self._file is None:
            return None
        try:
            (version,) = self._file.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            return None
        return int(version)

    async def close(self) -> None:
        """Wait no more."""
        await end(self._listening)
        if self._file is not None:
            self._file.close()

    async def _poll(self, version: int) -> None:
        while not self._hinted.is_set() and self.version() == version:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._hinted.wait()

    async def _listen(self, url: str) -> None:
        async def work(connection: psycopg.AsyncConnection) -> None:
            await connection.execute(f"LISTEN {INBOXES}")
            async for notification in connection.notifies():
                self._hear(notification.payload)

        await while_connected(url, work)

    def _hear(self, payload: str) -> None:
        if payload == _EVERYBODY:
            self._everybody = True
            self.hint()
        else:
            self.hint(*(_read_name(name) for name in payload.split()))


def name_inboxes(inboxes: Collection[Inbox]) -> str:
    """The payload that names inboxes."""
    if len(inboxes) > MOST_NAMED:
        return _EVERYBODY
    return " ".join(f"{organization}.{member}" for organization, member in sorted(inboxes))


def _read_name(name: str) -> Inbox:
    organization, _, member = name.partition(".")
    return int(organization), int(member)


def _open(database: Database) -> sqlite3.Connection | None:
    """A connection that does nothing but ask for the version: one's own commits do not change it."""
    path = make_url(database.url).database
    if not database.is_sqlite or path in {None, "", ":memory:"}:
        return None
    return sqlite3.connect(str(path))
