"""The sweep: what has outlived its use is removed, in pieces that never hold the store for long.

Called by the worker now and then.
"""

import asyncio
from typing import Final

from clarion.store.database import Database
from clarion.store.idempotency import forget_old_answers

PIECE_ROWS: Final = 1_000


async def sweep(database: Database, now: int) -> None:
    """Remove answers under Idempotency-Keys that are older than a day."""
    while await database.write(forget_old_answers, now, PIECE_ROWS) == PIECE_ROWS:  # noqa: ASYNC110 - the lanes' turn
        await asyncio.sleep(0)
