"""The sweep: what has outlived its use is removed, in pieces that never hold the store for long.

Called by the worker now and then.
"""

import asyncio
from typing import Final

from clarion.store.database import Database
from clarion.store.idempotency import forget_old_answers
from clarion.store.inbox import USUAL_DAYS, Horizon
from clarion.store.installations import forget_retired
from clarion.store.old_entries import find_old_entries, forget_entries, list_organizations
from clarion.store.receipts import forget_old_receipts
from clarion.store.sessions import forget_ended
from clarion.store.withdrawals import forget_old

PIECE_ROWS: Final = 1_000


async def sweep(database: Database, now: int, inbox_days: int = USUAL_DAYS) -> None:
    """Remove what has outlived its use.

    Answers under Idempotency-Keys older than a day, sessions that are over, devices that were retired 90 days ago,
    receipts of 30 days, banners that could not be withdrawn, and old inbox entries.
    """
    for forget in (forget_old_answers, forget_ended, forget_retired, forget_old_receipts, forget_old):
        while await database.write(forget, now, PIECE_ROWS) == PIECE_ROWS:  # noqa: ASYNC110 - the lanes' turn
            await asyncio.sleep(0)
    for organization_id in await database.read(list_organizations):
        await _sweep_inboxes(database, organization_id, Horizon(now, inbox_days))


async def _sweep_inboxes(database: Database, organization_id: int, horizon: Horizon) -> None:
    """Remove entries beyond the horizon and what members did to them; the sender's list keeps the notifications."""
    after: int | None = 0
    while after is not None:
        old = await database.read(find_old_entries, organization_id, after, horizon.oldest, horizon.now)
        for number in old.notification_ids:
            while await database.write(forget_entries, organization_id, number, PIECE_ROWS):  # noqa: ASYNC110
                await asyncio.sleep(0)
        after = old.after
