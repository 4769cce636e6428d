"""Hints: "look again", without content. A lost hint costs at most a tick of who waits for it.

Two wait. The *worker* looks for push runs: from `clarion serve` to the worker that it started, a hint is an octet on a
pipe; when the pipe closes, the service is gone and the worker ends. The *live streams* of every API process look at
inboxes (`inbox_hints.py`). On PostgreSQL, where all of them may be anywhere, they get a NOTIFY as well, sent after the
commit on a connection of its own (inside a transaction it would take a cluster-wide lock) and coalesced.
"""

import asyncio
import os
from contextlib import suppress
from typing import Final

import psycopg

from clarion.store.inbox_hints import INBOXES, Inbox, InboxHints, name_inboxes
from clarion.store.lasting import end, while_connected

COALESCE_SECONDS: Final = 0.02
"""At most one NOTIFY per channel and this long."""

_CHANNEL: Final = "clarion_push_runs"


class SourceGone(Exception):  # noqa: N818 - it is news, not an error
    """The process that sent the hints has ended; so should the worker that it started."""


class HintSender:
    """The side of who changed something.

    `pipe` is the end to write to, `postgresql` a URL, `inboxes` what this process's own live streams wait for. Each may
    be absent.
    """

    def __init__(
        self, *, pipe: int | None = None, postgresql: str | None = None, inboxes: InboxHints | None = None
    ) -> None:
        self._pipe = pipe
        self._inboxes = inboxes
        self._wanted = asyncio.Event()
        self._is_work = False
        self._changed: set[Inbox] = set()
        self._notifying = None if postgresql is None else asyncio.create_task(self._notify(postgresql))
        if pipe is not None:
            os.set_blocking(pipe, False)

    def send(self) -> None:
        """Say that something was stored, released or recalled; never waits and never fails.

        A full pipe holds hints enough.
        """
        self._is_work = True
        self._wanted.set()
        if self._inboxes is not None:
            self._inboxes.hint()
        if self._pipe is not None:
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(self._pipe, b"!")

    def send_inbox(self, organization_id: int, member_id: int) -> None:
        """Say that a member changed their own inbox: read, dismissed, deleted, all read. Does not wake the worker."""
        if self._notifying is not None:
            self._changed.add((organization_id, member_id))
            self._wanted.set()
        if self._inboxes is not None:
            self._inboxes.hint((organization_id, member_id))

    async def close(self) -> None:
        """Send no more; the pipe is left to its owner."""
        await end(self._notifying)

    async def _notify(self, url: str) -> None:
        async def work(connection: psycopg.AsyncConnection) -> None:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                await self._tell(connection)
                await asyncio.sleep(COALESCE_SECONDS)

        await while_connected(url, work)

    async def _tell(self, connection: psycopg.AsyncConnection) -> None:
        is_work, self._is_work = self._is_work, False
        changed, self._changed = self._changed, set()
        if is_work:
            await connection.execute(f"NOTIFY {_CHANNEL}")
        await connection.execute("SELECT pg_notify(%s, %s)", (INBOXES, name_inboxes(changed)))


class HintListener:
    """The worker's side. `pipe` is the inherited end to read, `postgresql` a URL; either may be absent."""

    def __init__(self, *, pipe: int | None = None, postgresql: str | None = None) -> None:
        self._pipe = pipe
        self._hinted = asyncio.Event()
        self._is_gone = False
        self._listening = None if postgresql is None else asyncio.create_task(self._listen(postgresql))
        if pipe is not None:
            os.set_blocking(pipe, False)
            asyncio.get_running_loop().add_reader(pipe, self._read, pipe)

    async def wait(self, seconds: float) -> None:
        """Return at a hint, or after so many seconds. Raises SourceGone when the pipe was closed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hinted.wait()
        self._hinted.clear()
        if self._is_gone:
            raise SourceGone

    async def close(self) -> None:
        """Listen no more."""
        if self._pipe is not None:
            asyncio.get_running_loop().remove_reader(self._pipe)
        await end(self._listening)

    def _read(self, pipe: int) -> None:
        with suppress(BlockingIOError):
            if not os.read(pipe, 4096):
                self._is_gone = True
                asyncio.get_running_loop().remove_reader(pipe)
        self._hinted.set()

    async def _listen(self, url: str) -> None:
        async def work(connection: psycopg.AsyncConnection) -> None:
            await connection.execute(f"LISTEN {_CHANNEL}")
            async for _ in connection.notifies():
                self._hinted.set()

        await while_connected(url, work)
