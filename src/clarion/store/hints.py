"""Hints: "look again", without content. A lost hint costs at most a tick of the worker.

From `clarion serve` to the worker that it started, a hint is an octet on a pipe; when the pipe closes, the
service is gone and the worker ends. On PostgreSQL, where the door and the workers may be anywhere, it is a
NOTIFY as well, sent after the commit on a connection of its own (inside a transaction it would take a
cluster-wide lock) and coalesced.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import psycopg
import structlog
from sqlalchemy import make_url

logger = structlog.get_logger()

COALESCE_SECONDS: Final = 0.02
"""At most one NOTIFY per this long."""

_CHANNEL: Final = "clarion_push_runs"


class SourceGone(Exception):  # noqa: N818 - it is news, not an error
    """The process that sent the hints has ended; so should the worker that it started."""


class HintSender:
    """The door's side. `pipe` is the end to write to, `postgresql` a URL; either may be absent."""

    def __init__(self, *, pipe: int | None = None, postgresql: str | None = None) -> None:
        self._pipe = pipe
        self._wanted = asyncio.Event()
        self._notifying = None if postgresql is None else asyncio.create_task(self._notify(postgresql))
        if pipe is not None:
            os.set_blocking(pipe, False)

    def send(self) -> None:
        """Say "look again"; never waits and never fails. A full pipe holds hints enough."""
        self._wanted.set()
        if self._pipe is not None:
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(self._pipe, b"!")

    async def close(self) -> None:
        """Send no more; the pipe is left to its owner."""
        await _end(self._notifying)

    async def _notify(self, url: str) -> None:
        async def work(connection: psycopg.AsyncConnection) -> None:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                await connection.execute(f"NOTIFY {_CHANNEL}")
                await asyncio.sleep(COALESCE_SECONDS)

        await _while_connected(url, work)


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
        await _end(self._listening)

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

        await _while_connected(url, work)


async def _while_connected(url: str, work: Callable[[psycopg.AsyncConnection], Awaitable[None]]) -> None:
    """Do work on a connection of its own, and on a new one when it breaks."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(plain, autocommit=True) as connection:
                await work(connection)
        except psycopg.Error as error:
            logger.warning("hints_interrupted", error=str(error))
            await asyncio.sleep(1)


async def _end(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
