"""A member's inbox: the merge of their streams, minus their exceptions.

Nothing is written per member when a notification is released. Somebody in two groups sees a notification once.
Rows exist only for what a member read, dismissed or deleted. Called by `service/inbox.py`; what changed since a
watermark is in `store/changes.py`, and what a member does to an entry in `store/inbox_states.py`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, func, or_, select

from clarion.model.notification import Content, NotificationState
from clarion.model.watermark import Filter, Watermark
from clarion.store.notifications import SIZE, content_from_json
from clarion.store.schema import (
    LARGEST_NUMBER,
    inbox_states,
    members,
    memberships,
    notifications,
    organizations,
    stream_entries,
    users,
)
from clarion.store.slices import count_fitting
from clarion.store.stays import Place, Question, ask, find_stays, logged
from clarion.store.streams import EntryKind

DAY_MS: Final = 86_400_000
USUAL_DAYS: Final = 90
LONGEST_STEP: Final = 1_000


class CopyState(StrEnum):
    """The state of a member's copy. Deleted ones are hidden from that member alone."""

    SENT = "sent"
    READ = "read"
    DISMISSED = "dismissed"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Horizon:
    """Now, and how long an entry stays in an inbox."""

    now: int
    days: int

    @property
    def oldest(self) -> int:
        """What was released then or earlier is in no inbox any more."""
        return self.now - self.days * DAY_MS


@dataclass(frozen=True, slots=True)
class InboxMember:
    """The owner of an inbox, with the counters of its changes as they were when this was read."""

    id: int
    state_seq: int
    read_through_seq: int
    last_seq: int
    epoch: int

    def watermark(self, now: int) -> Watermark:
        """The watermark of who has seen everything until now."""
        return Watermark(self.epoch, self.id, self.last_seq, self.state_seq, self.read_through_seq, now)


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """One notification as its member sees it; from `expires_at` on it is in the inbox no more."""

    seq: int
    number: int
    notification: UUID
    state: CopyState
    content: Content
    start_at: int
    created_at: int
    created_by: UUID
    updated_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class InboxPage:
    """One page, newest first; `next_before` is where the next one starts, None at the end."""

    entries: list[InboxEntry]
    next_before: int | None


def find_inbox_member(connection: Connection, organization_id: int, user: UUID) -> InboxMember | None:
    """The member behind a user's id."""
    wanted = {"organization": organization_id, "user": user}
    row = connection.execute(_MEMBER_OF_USER, wanted).one_or_none()
    return None if row is None else InboxMember(*row)


def find_inbox_members(
    connection: Connection, organization_id: int, member_ids: Collection[int]
) -> list[InboxMember]:
    """Members by their ids; those who are no longer there are not in the answer."""
    wanted = {"organization": organization_id, "members": sorted(member_ids)}
    return [InboxMember(*row) for row in connection.execute(_MEMBERS, wanted)]


COUNTERS: Final = (
    select(
        members.c.id,
        members.c.state_seq,
        members.c.read_through_seq,
        organizations.c.last_seq,
        organizations.c.epoch,
    )
    .join(organizations, organizations.c.id == members.c.organization_id)
    .where(members.c.organization_id == bindparam("organization"))
)
"""Selects the columns of an `InboxMember`."""

_MEMBER_OF_USER: Final = COUNTERS.join(users, users.c.id == members.c.user_id).where(
    users.c.uuid == bindparam("user")
)
COUNTERS_OF_MEMBER: Final = COUNTERS.where(members.c.id == bindparam("member"))
_MEMBERS: Final = COUNTERS.where(members.c.id.in_(bindparam("members", expanding=True)))


def list_entries(
    connection: Connection,
    organization_id: int,
    member: InboxMember,
    limit: int,
    before: int,
    shown: Filter,
    horizon: Horizon,
) -> InboxPage:
    """At most `limit` entries, fewer when they are long; `before` is where the last page ended."""
    places = list_places(connection, organization_id, member, limit + 1, before, shown, horizon)
    fitting = places[: count_fitting(sizes(connection, organization_id, places), limit)]
    entries = entries_at(connection, organization_id, member, fitting, horizon)
    return InboxPage(entries, fitting[-1].seq if len(fitting) < len(places) else None)


def list_places(
    connection: Connection,
    organization_id: int,
    member: InboxMember,
    most: int,
    before: int,
    shown: Filter,
    horizon: Horizon,
) -> list[Place]:
    """The newest places below a release number, newest first.

    The logs alone say which entries are next; only those are looked at closely. Where few of them are shown, the
    steps become longer.
    """
    stays = find_stays(connection, organization_id, member.id)
    found: list[Place] = []
    below, step = before, most
    while len(found) < most:
        bounds = [(stay, stay.joined, min(stay.left, below - 1)) for stay in stays]
        nearest = ask(connection, _RELEASES, bounds, step, {"organization": organization_id})
        visible = _visible(connection, organization_id, member, nearest, shown, horizon)
        found += [place for place in nearest if place.notification_id in visible]
        if len(nearest) < step:
            break
        below, step = nearest[-1].seq, min(2 * step, LONGEST_STEP)
    return found[:most]


_RELEASES: Final = Question(
    lambda number: logged(number).where(stream_entries.c.kind == EntryKind.RELEASE), newest_first=True
)


def _visible(
    connection: Connection,
    organization_id: int,
    member: InboxMember,
    places: Sequence[Place],
    shown: Filter,
    horizon: Horizon,
) -> set[int]:
    """Which of these notifications a list with this filter shows."""
    wanted = {
        "organization": organization_id,
        "member": member.id,
        "numbers": [place.notification_id for place in places],
        "oldest": horizon.oldest,
        "read_through": member.read_through_seq,
    }
    return set(connection.scalars(_VISIBLE[shown], wanted)) if places else set()


IS_EXCEPTION: Final = and_(
    inbox_states.c.organization_id == notifications.c.organization_id,
    inbox_states.c.member_id == bindparam("member"),
    inbox_states.c.notification_id == notifications.c.id,
)
"""Joins what the member did to a notification."""


def _shows(is_shown: ColumnElement[bool]) -> Select[Any]:
    return (
        select(notifications.c.id)
        .outerjoin(inbox_states, IS_EXCEPTION)
        .where(
            notifications.c.organization_id == bindparam("organization"),
            notifications.c.id.in_(bindparam("numbers", expanding=True)),
            notifications.c.state != NotificationState.CANCELLED,
            notifications.c.released_at > bindparam("oldest"),
            is_shown,
        )
    )


_STATE: Final = func.coalesce(inbox_states.c.state, CopyState.SENT)
_IS_UNREAD: Final = or_(
    inbox_states.c.state == CopyState.SENT,
    inbox_states.c.state.is_(None) & (notifications.c.seq > bindparam("read_through")),
)
_VISIBLE: Final = {
    Filter.USUAL: _shows(_STATE.not_in([CopyState.DISMISSED, CopyState.DELETED])),
    Filter.UNREAD: _shows(_IS_UNREAD),
    Filter.ALL: _shows(_STATE != CopyState.DELETED),
}


def find_place(
    connection: Connection, organization_id: int, member: InboxMember, notification: UUID, horizon: Horizon
) -> Place | None:
    """Where a notification stands in this inbox, deleted or not; None when it is not there for other reasons."""
    wanted = {
        "organization": organization_id,
        "member": member.id,
        "notification": notification,
        "oldest": horizon.oldest,
    }
    row = connection.execute(_PLACE, wanted).one_or_none()
    return None if row is None else Place(*row)


_PLACE: Final = (
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
        & (memberships.c.member_id == bindparam("member"))
        & (memberships.c.joined_seq < stream_entries.c.seq)
        & (func.coalesce(memberships.c.left_seq, LARGEST_NUMBER) >= stream_entries.c.seq),
    )
    .where(
        notifications.c.organization_id == bindparam("organization"),
        notifications.c.uuid == bindparam("notification"),
        notifications.c.state != NotificationState.CANCELLED,
        notifications.c.released_at > bindparam("oldest"),
    )
    .limit(1)
)


def find_entry(
    connection: Connection, organization_id: int, member: InboxMember, notification: UUID, horizon: Horizon
) -> InboxEntry | None:
    """One entry; None when it never was, or is no longer, in this inbox."""
    place = find_place(connection, organization_id, member, notification, horizon)
    places = [] if place is None else [place]
    entries = entries_at(connection, organization_id, member, places, horizon)
    return next((entry for entry in entries if entry.state is not CopyState.DELETED), None)


def sizes(connection: Connection, organization_id: int, places: Sequence[Place]) -> list[int]:
    """How long the texts at these places are, in their order."""
    wanted = {"organization": organization_id, "numbers": [place.notification_id for place in places]}
    found = dict(connection.execute(_SIZES, wanted).tuples().all()) if places else {}
    return [found.get(place.notification_id, 0) for place in places]


_SIZES: Final = select(notifications.c.id, SIZE).where(
    notifications.c.organization_id == bindparam("organization"),
    notifications.c.id.in_(bindparam("numbers", expanding=True)),
)


def entries_at(
    connection: Connection,
    organization_id: int,
    member: InboxMember,
    places: Sequence[Place],
    horizon: Horizon,
) -> list[InboxEntry]:
    """The entries at these places, in their order, deleted ones too."""
    if not places:
        return []
    wanted = {
        "organization": organization_id,
        "member": member.id,
        "numbers": [place.notification_id for place in places],
    }
    rows = {row.id: row for row in connection.execute(_ENTRIES, wanted)}
    return [_entry(rows[place.notification_id], place.seq, member, horizon) for place in places]


_ENTRIES: Final = (
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
    .outerjoin(inbox_states, IS_EXCEPTION)
    .where(
        notifications.c.organization_id == bindparam("organization"),
        notifications.c.id.in_(bindparam("numbers", expanding=True)),
    )
)


def state_of(state: str | None, seq: int, member: InboxMember) -> CopyState:
    """The state of a copy: that of its exception, else whether "mark all read" has reached it."""
    if state is not None:
        return CopyState(state)
    return CopyState.READ if seq <= member.read_through_seq else CopyState.SENT


def _entry(row: Any, seq: int, member: InboxMember, horizon: Horizon) -> InboxEntry:
    return InboxEntry(
        seq=seq,
        number=row.id,
        notification=row.uuid,
        state=state_of(row.state, seq, member),
        content=content_from_json(row.content),
        start_at=row.start_at,
        created_at=row.created_at,
        created_by=row.creator,
        updated_at=row.changed_at or row.released_at,
        expires_at=row.released_at + horizon.days * DAY_MS,
    )
