"""A member's inbox: the merge of their streams, minus their exceptions.

Nothing is written per member when a notification is released. A member sees an entry of a stream when it was
released during one of their stays; somebody in two groups sees a notification once. Rows exist only for what
they read, dismissed or deleted. Called by `service/inbox.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Select, func, select, union_all

from clarion.model.notification import Content, NotificationState
from clarion.store.notifications import SIZE, content_from_json
from clarion.store.schema import (
    LARGEST_NUMBER,
    inbox_states,
    members,
    memberships,
    notifications,
    stream_entries,
    users,
)
from clarion.store.slices import count_fitting
from clarion.store.streams import EntryKind

_STAYS_PER_QUERY: Final = 100


class CopyState(StrEnum):
    """The state of a member's copy. Deleted ones are hidden from that member alone."""

    SENT = "sent"
    READ = "read"
    DISMISSED = "dismissed"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class InboxMember:
    """The owner of an inbox."""

    id: int
    read_through_seq: int


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """One notification as its member sees it."""

    seq: int
    notification: UUID
    state: CopyState
    content: Content
    start_at: int
    created_at: int
    created_by: UUID
    updated_at: int


@dataclass(frozen=True, slots=True)
class InboxPage:
    """One page, newest first; `next_before` is where the next one starts, None at the end."""

    entries: list[InboxEntry]
    next_before: int | None


class _Place(NamedTuple):
    """Where an entry stands in the release order."""

    seq: int
    notification_id: int


def find_inbox_member(connection: Connection, organization_id: int, user: UUID) -> InboxMember | None:
    """The member behind a user's id."""
    row = connection.execute(
        select(members.c.id, members.c.read_through_seq)
        .join(users, users.c.id == members.c.user_id)
        .where(members.c.organization_id == organization_id, users.c.uuid == user)
    ).one_or_none()
    return None if row is None else InboxMember(*row)


def list_entries(
    connection: Connection, organization_id: int, member: InboxMember, limit: int, before: int | None
) -> InboxPage:
    """At most `limit` entries, fewer when they are long; `before` is the release number where the last page ended."""
    below = LARGEST_NUMBER if before is None else before
    stays = _stays(connection, organization_id, member)
    found: set[_Place] = set()
    for start in range(0, len(stays), _STAYS_PER_QUERY):
        pages = [
            _newest(organization_id, member, stay, below, limit + 1).subquery()
            for stay in stays[start : start + _STAYS_PER_QUERY]
        ]
        rows = connection.execute(union_all(*(select(page) for page in pages)))
        found.update(_Place(*row) for row in rows)
    places = sorted(found, reverse=True)[: limit + 1]
    fitting = places[: count_fitting(_sizes(connection, organization_id, places), limit)]
    entries = _entries(connection, organization_id, member, fitting)
    return InboxPage(entries, fitting[-1].seq if len(fitting) < len(places) else None)


def find_entry(
    connection: Connection, organization_id: int, member: InboxMember, notification: UUID
) -> InboxEntry | None:
    """One entry; None when it never was, or is no longer, in this inbox."""
    query = (
        select(stream_entries.c.seq, stream_entries.c.notification_id)
        .select_from(notifications)
        .join(
            stream_entries,
            (stream_entries.c.organization_id == notifications.c.organization_id)
            & (stream_entries.c.notification_id == notifications.c.id)
            & (stream_entries.c.kind == EntryKind.RELEASE),
        )
        .join(
            memberships,
            (memberships.c.organization_id == notifications.c.organization_id)
            & (memberships.c.stream_id == stream_entries.c.stream_id)
            & (memberships.c.member_id == member.id)
            & (memberships.c.joined_seq < stream_entries.c.seq)
            & (func.coalesce(memberships.c.left_seq, LARGEST_NUMBER) >= stream_entries.c.seq),
        )
        .where(
            notifications.c.organization_id == organization_id,
            notifications.c.uuid == notification,
            notifications.c.state != NotificationState.CANCELLED,
        )
        .limit(1)
    )
    places = [_Place(*row) for row in connection.execute(query)]
    entries = _entries(connection, organization_id, member, places)
    return next((entry for entry in entries if entry.state is not CopyState.DELETED), None)


def _sizes(connection: Connection, organization_id: int, places: Sequence[_Place]) -> list[int]:
    """How long the texts at these places are, in their order."""
    query = select(notifications.c.id, SIZE).where(
        notifications.c.organization_id == organization_id,
        notifications.c.id.in_([place.notification_id for place in places]),
    )
    sizes = {row.id: row.size for row in connection.execute(query)} if places else {}
    return [sizes.get(place.notification_id, 0) for place in places]


def _stays(connection: Connection, organization_id: int, member: InboxMember) -> Sequence[Any]:
    query = select(memberships.c.stream_id, memberships.c.joined_seq, memberships.c.left_seq).where(
        memberships.c.organization_id == organization_id, memberships.c.member_id == member.id
    )
    return connection.execute(query).all()


def _newest(organization_id: int, member: InboxMember, stay: Any, below: int, limit: int) -> Select[Any]:
    """The newest visible places of one stay, read backwards along the stream's log."""
    last = below - 1 if stay.left_seq is None else min(stay.left_seq, below - 1)
    return (
        select(stream_entries.c.seq, stream_entries.c.notification_id)
        .join(
            notifications,
            (notifications.c.organization_id == stream_entries.c.organization_id)
            & (notifications.c.id == stream_entries.c.notification_id),
        )
        .outerjoin(
            inbox_states,
            (inbox_states.c.organization_id == stream_entries.c.organization_id)
            & (inbox_states.c.member_id == member.id)
            & (inbox_states.c.notification_id == stream_entries.c.notification_id),
        )
        .where(
            stream_entries.c.organization_id == organization_id,
            stream_entries.c.stream_id == stay.stream_id,
            stream_entries.c.seq > stay.joined_seq,
            stream_entries.c.seq <= last,
            stream_entries.c.kind == EntryKind.RELEASE,
            notifications.c.state != NotificationState.CANCELLED,
            func.coalesce(inbox_states.c.state, CopyState.SENT) != CopyState.DELETED,
        )
        .order_by(stream_entries.c.seq.desc())
        .limit(limit)
    )


def _entries(
    connection: Connection, organization_id: int, member: InboxMember, places: Sequence[_Place]
) -> list[InboxEntry]:
    """The entries at these places, in their order."""
    seqs = {place.notification_id: place.seq for place in places}
    query = (
        select(
            notifications.c.id,
            notifications.c.uuid,
            notifications.c.content,
            notifications.c.start_at,
            notifications.c.created_at,
            users.c.uuid.label("creator"),
            notifications.c.released_at,
            inbox_states.c.state,
            inbox_states.c.changed_at,
        )
        .join(users, users.c.id == notifications.c.created_by)
        .outerjoin(
            inbox_states,
            (inbox_states.c.organization_id == notifications.c.organization_id)
            & (inbox_states.c.member_id == member.id)
            & (inbox_states.c.notification_id == notifications.c.id),
        )
        .where(notifications.c.organization_id == organization_id, notifications.c.id.in_(seqs))
    )
    entries = [_entry(row, seqs[row.id], member) for row in connection.execute(query)] if seqs else []
    return sorted(entries, key=lambda entry: entry.seq, reverse=True)


def _entry(row: Any, seq: int, member: InboxMember) -> InboxEntry:
    if row.state is not None:
        state = CopyState(row.state)
    else:
        state = CopyState.READ if seq <= member.read_through_seq else CopyState.SENT
    return InboxEntry(
        seq=seq,
        notification=row.uuid,
        state=state,
        content=content_from_json(row.content),
        start_at=row.start_at,
        created_at=row.created_at,
        created_by=row.creator,
        updated_at=row.changed_at or row.released_at,
    )
