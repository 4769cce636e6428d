"""A notification's figures: whom it was for, which devices took it, and what people did with it.

Called by `api/stats.py`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from clarion.model.errors import NotFound
from clarion.model.notification import Notification
from clarion.store import notifications, receipts, stats
from clarion.store.database import Database
from clarion.store.stats import Failure

PIECE_MEMBERS: Final = 5_000
MOST_MEMBERS: Final = 100_000
"""Beyond so many, members are not counted one by one."""


@dataclass(frozen=True, slots=True)
class Stats:
    """The figures. `are_all`: whether `recipients` and `read` are of all members rather than of the first ones."""

    notification: Notification
    recipients: int
    read: int
    are_all: bool
    pushes: dict[str, int]
    failures: Sequence[Failure]
    displayed: int
    opened: int


async def figures(database: Database, organization_id: int, uuid: UUID) -> Stats:
    """The figures of a notification as they are now; raises NotFound."""
    notification, pushes, failures, told = await database.read(_of_devices, organization_id, uuid)
    recipients = read = after = 0
    while recipients < MOST_MEMBERS:
        piece = await database.read(
            stats.count_members, organization_id, notification.id, after, PIECE_MEMBERS
        )
        recipients += piece.members
        read += piece.read
        if piece.last_member_id is None or piece.members < PIECE_MEMBERS:
            are_all = True
            break
        after = piece.last_member_id
        await asyncio.sleep(0)
    else:
        are_all = False
    return Stats(notification, recipients, read, are_all, pushes, failures, told["displayed"], told["opened"])


def _of_devices(
    connection: Connection, organization_id: int, uuid: UUID
) -> tuple[Notification, dict[str, int], list[Failure], dict[str, int]]:
    found = notifications.find_notification(connection, organization_id, uuid)
    if found is None:
        raise NotFound("There is no such notification in this organization.")
    return (
        found,
        stats.count_pushes(connection, organization_id, found.id),
        stats.list_failures(connection, organization_id, found.id),
        receipts.count_receipts(connection, organization_id, found.id),
    )
