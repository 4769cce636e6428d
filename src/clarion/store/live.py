"""What live streams read: one reading for all the streams that a process has open, not one per stream.

`service/live_look.py` calls these with the members whose streams are open here. Two of them ask about several
organizations at once, as the worker's claim does; the others about one.

Whom an entry is for is decided by the stays, exactly as in `changes.py`: a notification is a member's when it was
released during one of their stays in the stream, and so is its recall. A stay that begins or ends later than the
numbers that are asked about has a larger number itself, so it changes no answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, bindparam, literal_column, select, text

from clarion.model.access import Role
from clarion.model.audience import StreamKind
from clarion.model.notification import NotificationState
from clarion.store.inbox import CopyState
from clarion.store.schema import (
    LARGEST_NUMBER,
    inbox_states,
    members,
    memberships,
    notifications,
    organizations,
    stream_entries,
    streams,
    tokens,
)
from clarion.store.slices import slices
from clarion.store.stays import Place, Stay
from clarion.store.streams import EntryKind

SMALL_AUDIENCE: Final = 2_000
"""Up to so many stays of a stream are read whole; of more, those of the members in question."""


class Position(NamedTuple):
    """How far an organization has got."""

    last_seq: int
    epoch: int


class Standing(NamedTuple):
    """What a member is, and how often they changed their own inbox."""

    state_seq: int
    read_through_seq: int
    role: Role


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What was released or recalled into a stream; `released_seq` is when it was released."""

    place: Place
    stream: int
    is_own: bool
    released_seq: int


def begin_snapshot(connection: Connection) -> None:
    """Make the rest of the transaction read one moment; SQLite does so anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))


def find_positions(connection: Connection, organization_ids: Sequence[int]) -> dict[int, Position]:
    """How far these organizations have got; those that are gone are not in the answer."""
    found: dict[int, Position] = {}
    for some in slices(organization_ids):
        rows = connection.execute(_POSITIONS, {"organizations": some})
        found.update((row.id, Position(row.last_seq, row.epoch)) for row in rows)
    return found


_POSITIONS: Final = select(organizations.c.id, organizations.c.last_seq, organizations.c.epoch).where(
    organizations.c.id.in_(bindparam("organizations", expanding=True))
)


def find_standings(connection: Connection, member_ids: Sequence[int]) -> dict[int, Standing]:
    """How these members stand; those who are gone are not in the answer."""
    found: dict[int, Standing] = {}
    for some in slices(member_ids):
        rows = connection.execute(_STANDINGS, {"members": some}).tuples()
        found.update((member, Standing(state, read, _ROLES[role])) for member, state, read, role in rows)
    return found


_ROLES: Final = {role.value: role for role in Role}
_STANDINGS: Final = select(
    members.c.id, members.c.state_seq, members.c.read_through_seq, members.c.role
).where(members.c.id.in_(bindparam("members", expanding=True)))


def find_own_stream(connection: Connection, organization_id: int, member_id: int) -> int:
    """The stream that is the member's alone."""
    stream: int = connection.scalars(
        _OWN_STREAM, {"organization": organization_id, "member": member_id}
    ).one()
    return stream


_OWN_STREAM: Final = select(members.c.stream_id).where(
    members.c.organization_id == bindparam("organization"), members.c.id == bindparam("member")
)


def find_log(
    connection: Connection, organization_id: int, after: int, upto: int, oldest: int, limit: int
) -> list[LogEntry]:
    """The first entries between these numbers, whoever they are for; not releases that were recalled since."""
    wanted = {
        "organization": organization_id,
        "after": after,
        "upto": upto,
        "oldest": oldest,
        "limit": limit,
    }
    return [
        LogEntry(
            Place(row.seq, row.notification_id, EntryKind(row.kind)),
            row.stream_id,
            row.stream_kind == StreamKind.MEMBER,
            row.released_seq,
        )
        for row in connection.execute(_LOG, wanted)
    ]


_LOG: Final = (
    select(
        stream_entries.c.seq,
        stream_entries.c.notification_id,
        stream_entries.c.kind,
        stream_entries.c.stream_id,
        streams.c.kind.label("stream_kind"),
        notifications.c.seq.label("released_seq"),
    )
    .join(streams, streams.c.id == stream_entries.c.stream_id)
    .join(
        notifications,
        (notifications.c.organization_id == stream_entries.c.organization_id)
        & (notifications.c.id == stream_entries.c.notification_id),
    )
    .where(
        stream_entries.c.organization_id == bindparam("organization"),
        stream_entries.c.seq > literal_column("-1"),  # leads to the index
        stream_entries.c.seq > bindparam("after"),
        stream_entries.c.seq <= bindparam("upto"),
        notifications.c.released_at > bindparam("oldest"),
        (stream_entries.c.kind == EntryKind.RECALL) | (notifications.c.state != NotificationState.CANCELLED),
    )
    .order_by(stream_entries.c.seq)
    .limit(bindparam("limit"))
)


def find_stays_in(
    connection: Connection, organization_id: int, stream: int, member_ids: Sequence[int]
) -> Iterable[tuple[int, Stay]]:
    """The stays of these members in a stream; of a small audience perhaps others' as well."""
    wanted = {"organization": organization_id, "stream": stream, "most": SMALL_AUDIENCE + 1}
    rows = connection.execute(_SMALL_AUDIENCE, wanted).tuples().all()
    if len(rows) > SMALL_AUDIENCE:
        rows = [
            row
            for some in slices(member_ids)
            for row in connection.execute(_STAYS_OF, wanted | {"members": some}).tuples()
        ]
    for member, joined, left in rows:
        yield member, Stay(stream, joined, LARGEST_NUMBER if left is None else left)


_STAYS: Final = select(memberships.c.member_id, memberships.c.joined_seq, memberships.c.left_seq).where(
    memberships.c.organization_id == bindparam("organization"),
    memberships.c.stream_id == bindparam("stream"),
)
_SMALL_AUDIENCE: Final = _STAYS.limit(bindparam("most"))
_STAYS_OF: Final = _STAYS.where(memberships.c.member_id.in_(bindparam("members", expanding=True)))


def find_exceptions(
    connection: Connection, organization_id: int, notification_id: int, member_ids: Sequence[int]
) -> dict[int, CopyState]:
    """What these members did to a notification, by member; those who did nothing are not in the answer."""
    found: dict[int, CopyState] = {}
    for some in slices(member_ids):
        wanted = {"organization": organization_id, "notification": notification_id, "members": some}
        rows = connection.execute(_EXCEPTIONS, wanted)
        found.update((row.member_id, CopyState(row.state)) for row in rows)
    return found


_EXCEPTIONS: Final = select(inbox_states.c.member_id, inbox_states.c.state).where(
    inbox_states.c.organization_id == bindparam("organization"),
    inbox_states.c.member_id.in_(bindparam("members", expanding=True)),
    inbox_states.c.notification_id == bindparam("notification"),
)


def find_uuids(
    connection: Connection, organization_id: int, notification_ids: Sequence[int]
) -> dict[int, UUID]:
    """The ids by which people know these notifications, by number."""
    found: dict[int, UUID] = {}
    for some in slices(notification_ids):
        rows = connection.execute(_UUIDS, {"organization": organization_id, "numbers": some})
        found.update((row.id, row.uuid) for row in rows)
    return found


_UUIDS: Final = select(notifications.c.id, notifications.c.uuid).where(
    notifications.c.organization_id == bindparam("organization"),
    notifications.c.id.in_(bindparam("numbers", expanding=True)),
)


def find_good_tokens(connection: Connection, keys: Sequence[str], now: int) -> set[str]:
    """Those of these personal access tokens, by their public parts, that are there, neither expired nor lapsed."""
    found: set[str] = set()
    for some in slices(keys):
        found.update(connection.scalars(_GOOD_TOKENS, {"keys": some, "now": now}))
    return found


_GOOD_TOKENS: Final = select(tokens.c.key).where(
    tokens.c.key.in_(bindparam("keys", expanding=True)),
    tokens.c.expires_at > bindparam("now"),
    tokens.c.lease_until > bindparam("now"),
)
