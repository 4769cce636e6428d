"""Inbox entries that nobody can see any more, found and deleted in pieces.

What a member did to them goes with them; the notification itself stays in the sender's list. Called by the sweep.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Delete, Select, Table, bindparam, delete, exists, select

from clarion.store.schema import inbox_states, notifications, organizations, push_runs, stream_entries

LOOKED_AT: Final = 200


@dataclass(frozen=True, slots=True)
class OldEntries:
    """Some notifications whose entries are to go; `after` is where to look on, None at the end."""

    notification_ids: list[int]
    after: int | None


def list_organizations(connection: Connection) -> Sequence[int]:
    """Every organization's id."""
    return connection.scalars(select(organizations.c.id)).all()


def find_old_entries(
    connection: Connection, organization_id: int, after: int, oldest: int, now: int
) -> OldEntries:
    """Look at some notifications that have entries, in the order of their numbers.

    Old are those that were released at `oldest` or before, and that are not to be pushed any more.
    """
    wanted = {"organization": organization_id, "after": after, "looked_at": LOOKED_AT}
    numbers = connection.scalars(_WITH_ENTRIES, wanted).all()
    among = {"organization": organization_id, "numbers": numbers}
    rows = connection.execute(_MOMENTS, among).all() if numbers else []
    old = [
        row.id
        for row in rows
        if row.released_at <= oldest and row.expires_at <= now and not row.is_to_be_pushed
    ]
    is_end = len(numbers) < LOOKED_AT or any(row.created_at > oldest for row in rows)
    return OldEntries(old, None if is_end else numbers[-1])


_WITH_ENTRIES: Final = (
    select(stream_entries.c.notification_id)
    .where(
        stream_entries.c.organization_id == bindparam("organization"),
        stream_entries.c.notification_id > bindparam("after"),
    )
    .distinct()
    .order_by(stream_entries.c.notification_id)
    .limit(bindparam("looked_at"))
)
_MOMENTS: Final = select(
    notifications.c.id,
    notifications.c.created_at,
    notifications.c.released_at,
    notifications.c.expires_at,
    exists()
    .where(
        push_runs.c.organization_id == notifications.c.organization_id,
        push_runs.c.notification_id == notifications.c.id,
    )
    .label("is_to_be_pushed"),
).where(
    notifications.c.organization_id == bindparam("organization"),
    notifications.c.id.in_(bindparam("numbers", expanding=True)),
)


def forget_entries(connection: Connection, organization_id: int, notification_id: int, rows: int) -> bool:
    """Delete at most so many rows of a notification's entries; whether any may be left.

    What members did goes first: as long as an entry is there, the sweep finds the rest again.
    """
    wanted = {"organization": organization_id, "notification": notification_id, "rows": rows // 2}
    return any(connection.execute(statement, wanted).rowcount for statement in _FORGET)


def _forget(table: Table, name: str) -> Delete:
    """Deletes the rows of some members, or of some streams, each of which has two at most."""
    some = _of_notification(table, select(table.c[name])).limit(bindparam("rows"))
    of_some = delete(table).where(table.c[name].in_(some))
    return of_some.where(
        table.c.organization_id == bindparam("organization"),
        table.c.notification_id == bindparam("notification"),
    )


def _of_notification(table: Table, query: Select[Any]) -> Select[Any]:
    return query.where(
        table.c.organization_id == bindparam("organization"),
        table.c.notification_id == bindparam("notification"),
    )


_FORGET: Final = (_forget(inbox_states, "member_id"), _forget(stream_entries, "stream_id"))
