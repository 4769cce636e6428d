"""A connection to PostgreSQL that lasts: made anew whenever it breaks. For hints, which may be lost meanwhile.

Called by `hints.py` and `inbox_hints.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import psycopg
import structlog
from sqlalchemy import make_url

logger = structlog.get_logger()


async def while_connected(url: str, work: Callable[[psycopg.AsyncConnection], Awaitable[None]]) -> None:
    """Do work on a connection of its own, and on a new one when it breaks."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(plain, autocommit=True) as connection:
                await work(connection)
        except psycopg.Error as error:
            logger.warning("hints_interrupted", error=str(error))
            await asyncio.sleep(1)


async def end(task: asyncio.Task[None] | None) -> None:
    """End what works on such a connection."""
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
