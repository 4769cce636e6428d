"""Credentials that end some day: who must renew one hears of it a month before. Called by the worker and `check`."""

from typing import Final

import structlog

from clarion.model.moment import to_rfc3339
from clarion.store.channels import Expiry, list_expiries
from clarion.store.database import Database

logger = structlog.get_logger()

WARN_DAYS: Final = 30
DAY_MS: Final = 86_400_000


def days_left(expires_at: int, now: int) -> float:
    """How many days a credential still has; below zero when it has ended."""
    return (expires_at - now) / DAY_MS


async def warn_of_expiry(database: Database, now: int) -> None:
    """Log every credential that ends within a month or has ended."""
    for expiry in await database.read(list_expiries):
        if (left := days_left(expiry.expires_at, now)) < WARN_DAYS:
            _log(expiry, left)


def _log(expiry: Expiry, left: float) -> None:
    logger.warning(
        "credential_expires",
        channel=expiry.channel_id,
        provider=expiry.provider,
        days_left=int(left // 1),
        expires_at=to_rfc3339(expiry.expires_at),
    )
