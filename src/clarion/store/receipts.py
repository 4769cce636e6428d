"""Receipts: what devices tell of notifications, once per device, notification and event, and how many there are.

The counts have slots, so that processes which take receipts of the same broadcast at the same time do not wait for
one another's row. Called by `service/receipts.py`.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, func, select, text

from clarion.store.schema import memberships, notifications, receipt_tallies, receipts, stream_entries
from clarion.store.streams import EntryKind
from clarion.store.upsert import insert_or_update

SLOTS: Final = 16
KEPT_MS: Final = 30 * 86_400_000
"""So long a receipt is kept; the counts stay."""


class ReceiptEvent(StrEnum):
    """What a device tells."""

    DISPLAYED = "displayed"
    OPENED = "opened"


class Seen(NamedTuple):
    """A notification as a member can see it."""

    id: int
    released_at: int


class NewReceipt(NamedTuple):
    """One event of one device. `device_id` is the device's number."""

    notification_id: int
    device_id: int
    event: ReceiptEvent
    at: int


class _Stay(NamedTuple):
    member_id: int
    stream_id: int
    joined_seq: int
    left_seq: int | None

    def covers(self, seq: int) -> bool:
        return self.joined_seq < seq and (self.left_seq is None or self.left_seq >= seq)


def find_seen(
    connection: Connection, organization_id: int, member_ids: Collection[int], uuids: Collection[UUID]
) -> dict[tuple[int, UUID], Seen]:
    """By member and notification: what was released to whom."""
    stays_of: dict[int, list[_Stay]] = {}
    stays = {"organization": organization_id, "members": sorted(member_ids)}
    for row in connection.execute(_STAYS, stays):
        stays_of.setdefault(row.stream_id, []).append(_Stay(*row))
    entries = {"organization": organization_id, "uuids": list(uuids), "streams": sorted(stays_of)}
    return {
        (stay.member_id, row.uuid): Seen(row.id, row.released_at)
        for row in connection.execute(_ENTRIES, entries)
        for stay in stays_of[row.stream_id]
        if stay.covers(row.seq)
    }


_STAYS: Final = select(
    memberships.c.member_id, memberships.c.stream_id, memberships.c.joined_seq, memberships.c.left_seq
).where(
    memberships.c.organization_id == bindparam("organization"),
    memberships.c.member_id.in_(bindparam("members", expanding=True)),
)

_ENTRIES: Final = (
    select(
        notifications.c.uuid,
        notifications.c.id,
        notifications.c.seq,
        notifications.c.released_at,
        stream_entries.c.stream_id,
    )
    .join(
        stream_entries,
        (stream_entries.c.organization_id == notifications.c.organization_id)
        & (stream_entries.c.notification_id == notifications.c.id)
        & (stream_entries.c.kind == EntryKind.RELEASE),
    )
    .where(
        notifications.c.organization_id == bindparam("organization"),
        notifications.c.uuid.in_(bindparam("uuids", expanding=True)),
        stream_entries.c.stream_id.in_(bindparam("streams", expanding=True)),
    )
)


def add_receipts(
    connection: Connection, organization_id: int, new: Iterable[NewReceipt], slot: int, now: int
) -> int:
    """Keep what was not known, and count it; returns how many that were.

    In the order of their keys, so that two processes never wait for each other in a circle.
    """
    rows = [
        {"organization_id": organization_id, **receipt._asdict(), "received_at": now}
        for receipt in sorted(new)
    ]
    if not rows:
        return 0
    statement = insert_or_update(connection, receipts).on_conflict_do_nothing()
    added = connection.execute(statement.returning(receipts.c.notification_id, receipts.c.event), rows).all()
    _count(connection, organization_id, added, slot)
    return len(added)


def _count(connection: Connection, organization_id: int, added: Sequence[Any], slot: int) -> None:
    counts: dict[int, Counter[str]] = {}
    for notification_id, event in added:
        counts.setdefault(notification_id, Counter())[event] += 1
    for notification_id in sorted(counts):
        counted = {event.value: counts[notification_id][event] for event in ReceiptEvent}
        key = {"organization": organization_id, "notification": notification_id, "slot": slot}
        connection.execute(_ADD, key | counted)


_ADD: Final = text(
    """
    INSERT INTO receipt_tallies (organization_id, notification_id, slot, displayed, opened)
    VALUES (:organization, :notification, :slot, :displayed, :opened)
    ON CONFLICT (organization_id, notification_id, slot)
    DO UPDATE SET displayed = receipt_tallies.displayed + excluded.displayed,
                  opened = receipt_tallies.opened + excluded.opened
    """
)


def count_receipts(connection: Connection, organization_id: int, notification_id: int) -> Counter[str]:
    """How many devices told of each event."""
    query = select(func.sum(receipt_tallies.c.displayed), func.sum(receipt_tallies.c.opened)).where(
        receipt_tallies.c.organization_id == organization_id,
        receipt_tallies.c.notification_id == notification_id,
    )
    displayed, opened = connection.execute(query).one()
    return Counter(displayed=int(displayed or 0), opened=int(opened or 0))


def forget_old_receipts(connection: Connection, now: int, limit: int) -> int:
    """Forget some receipts that came long ago; returns how many."""
    key = (receipts.c.organization_id, receipts.c.notification_id, receipts.c.device_id, receipts.c.event)
    old = select(*key).where(receipts.c.received_at <= now - KEPT_MS).limit(limit)
    rows = [
        {"organization": row[0], "notification": row[1], "device": row[2], "name": row[3]}
        for row in connection.execute(old)
    ]
    if rows:
        connection.execute(_FORGET, rows)
    return len(rows)


_FORGET: Final = delete(receipts).where(
    receipts.c.organization_id == bindparam("organization"),
    receipts.c.notification_id == bindparam("notification"),
    receipts.c.device_id == bindparam("device"),
    receipts.c.event == bindparam("name"),
)
