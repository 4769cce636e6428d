"""What changed in a member's inbox since a watermark, and how many entries are unread.

A change is told once per device and page, as the entry is now: a client upserts by id. There are three kinds, told
in this order: what the member did to single entries; what their "mark all read" reached; what was released or
recalled. Each has a number that rises in the order of commits, and a watermark holds the last one of each, so a page
may end anywhere and nothing is skipped.

The member's counters are read before everything else. What happens later is told later, or at once and then again.
Called by the inbox and by the live stream.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Select, and_, bindparam, func, or_, select

from clarion.model.notification import NotificationState
from clarion.model.watermark import Watermark
from clarion.store.inbox import (
    IS_EXCEPTION,
    CopyState,
    Horizon,
    InboxEntry,
    InboxMember,
    entries_at,
    sizes,
    state_of,
)
from clarion.store.schema import inbox_states, notifications, stream_entries
from clarion.store.slices import count_fitting
from clarion.store.stays import Place, Question, Stay, ask, bound, find_stays, logged
from clarion.store.streams import EntryKind

MOST_UNREAD: Final = 1_000
"""Nobody counts further."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """An entry that is there no more: recalled, or deleted by its member. The state is its last one."""

    notification: UUID
    state: CopyState


Change = InboxEntry | Tombstone


@dataclass(frozen=True, slots=True)
class ChangePage:
    """Some changes; `watermark` is how far they go, and `more` whether there are others beyond it."""

    items: list[Change]
    watermark: Watermark
    more: bool


def unread_count(connection: Connection, organization_id: int, member: InboxMember, horizon: Horizon) -> int:
    """How many entries of the inbox are SENT; at most `MOST_UNREAD`.

    Asked stay by stay, like everything else: one statement over all stays reads the log of the whole organization.
    """
    shared = {"organization": organization_id, "member": member.id, "oldest": horizon.oldest}
    after = member.read_through_seq
    stays = find_stays(connection, organization_id, member.id)
    bounds = ((stay, max(stay.joined, after), stay.left) for stay in stays)
    unread = {place.notification_id for place in ask(connection, _UNREAD, bounds, MOST_UNREAD, shared)}
    unread.update(connection.scalars(_UNREAD_AGAIN, {**shared, "read_through": after, "limit": MOST_UNREAD}))
    return min(len(unread), MOST_UNREAD)


class _Kind(IntEnum):
    """The kinds of changes in the order in which they are told."""

    OWN = 0
    FLIPPED = 1
    LOGGED = 2


class _Step(NamedTuple):
    """One change: its kind, the number by which its kind is ordered, and where the entry stands."""

    kind: _Kind
    number: int
    place: Place


def changes_since(
    connection: Connection,
    organization_id: int,
    member: InboxMember,
    watermark: Watermark,
    limit: int,
    horizon: Horizon,
) -> ChangePage:
    """At most `limit` changes since a watermark, which must be within the member's present one."""
    present = member.watermark(horizon.now)
    if watermark.is_level_with(present):
        return ChangePage([], watermark.at(horizon.now), more=False)
    asking = _Asking(connection, organization_id, member, watermark, horizon)
    steps = asking.steps(limit + 1)
    lengths = sizes(connection, organization_id, [step.place for step in steps])
    told = steps[: count_fitting(lengths, limit)]
    if len(told) == len(steps):
        return ChangePage(asking.render(told), present, more=False)
    return ChangePage(asking.render(told), _as_far_as(told[-1], watermark, present), more=True)


def _as_far_as(step: _Step, since: Watermark, present: Watermark) -> Watermark:
    """The watermark of who was told everything up to this step."""
    match step.kind:
        case _Kind.OWN:
            return replace(since, state_seq=step.number, made_at=present.made_at)
        case _Kind.FLIPPED:
            return replace(present, seq=since.seq, read_through_seq=step.number)
    return replace(present, seq=step.number)


@dataclass(frozen=True, slots=True)
class _Asking:
    """One question after changes."""

    connection: Connection
    organization_id: int
    member: InboxMember
    since: Watermark
    horizon: Horizon

    def steps(self, most: int) -> list[_Step]:
        """The first changes, of as many kinds as it takes."""
        steps = self._own(most)
        if len(steps) < most and self._is_behind_in_the_log:
            stays = find_stays(self.connection, self.organization_id, self.member.id)
            steps += self._flipped(stays, most - len(steps))
            if len(steps) < most:
                steps += self._logged(stays, most - len(steps))
        return steps

    @property
    def _is_behind_in_the_log(self) -> bool:
        seen, member = self.since, self.member
        return (seen.seq, seen.read_through_seq) != (member.last_seq, member.read_through_seq)

    def _own(self, most: int) -> list[_Step]:
        """What the member did to single entries. What was recalled is told by the log."""
        if self.since.state_seq == self.member.state_seq:
            return []
        bounds = {"after": self.since.state_seq, "upto": self.member.state_seq, "limit": most}
        rows = self.connection.execute(_OWN, self._shared | bounds)
        return [_Step(_Kind.OWN, row.changed_seq, Place(row.seq, row.id)) for row in rows]

    def _flipped(self, stays: Sequence[Stay], most: int) -> list[_Step]:
        """What "mark all read" made READ, as far as the device knows it; the rest comes from the log."""
        after, upto = self.since.read_through_seq, min(self.since.seq, self.member.read_through_seq)
        bounds = ((stay, max(stay.joined, after), min(stay.left, upto)) for stay in stays)
        found = ask(self.connection, _FLIPPED, bounds, most, self._shared)
        return [_Step(_Kind.FLIPPED, place.seq, place) for place in found]

    def _logged(self, stays: Sequence[Stay], most: int) -> list[_Step]:
        """What was released and recalled. An ended stay is asked for recalls of what was released during it."""
        after, upto = self.since.seq, self.member.last_seq
        bounds = ((stay, max(stay.joined, after), upto) for stay in stays)
        found = ask(self.connection, _LOGGED, bounds, most, self._shared)
        return [_Step(_Kind.LOGGED, place.seq, place) for place in found]

    @property
    def _shared(self) -> dict[str, Any]:
        return {
            "organization": self.organization_id,
            "member": self.member.id,
            "oldest": self.horizon.oldest,
        }

    def render(self, steps: Sequence[_Step]) -> list[Change]:
        """The changes themselves, as they are now."""
        is_gone = [step.place.kind == EntryKind.RECALL for step in steps]
        places = [step.place for step in steps]
        stones = self._tombstones([place for place, gone in zip(places, is_gone, strict=True) if gone])
        kept = [place for place, gone in zip(places, is_gone, strict=True) if not gone]
        entries = self._entries(kept)
        return [next(stones) if gone else next(entries) for gone in is_gone]

    def _entries(self, places: Sequence[Place]) -> Iterator[Change]:
        for entry in entries_at(self.connection, self.organization_id, self.member, places, self.horizon):
            if entry.state is CopyState.DELETED:
                yield Tombstone(entry.notification, entry.state)
            else:
                yield entry

    def _tombstones(self, places: Sequence[Place]) -> Iterator[Tombstone]:
        wanted = {
            "organization": self.organization_id,
            "member": self.member.id,
            "numbers": [place.notification_id for place in places],
        }
        rows = {row.id: row for row in self.connection.execute(_TOMBSTONES, wanted)} if places else {}
        for place in places:
            row = rows[place.notification_id]
            yield Tombstone(row.uuid, state_of(row.state, row.seq, self.member))


_OWN: Final = (
    select(inbox_states.c.changed_seq, notifications.c.id, notifications.c.seq)
    .join(notifications, IS_EXCEPTION)
    .where(
        inbox_states.c.organization_id == bindparam("organization"),
        inbox_states.c.member_id == bindparam("member"),
        inbox_states.c.changed_seq > bindparam("after"),
        inbox_states.c.changed_seq <= bindparam("upto"),
        or_(
            inbox_states.c.state == CopyState.DELETED,
            and_(
                notifications.c.state != NotificationState.CANCELLED,
                notifications.c.released_at > bindparam("oldest"),
            ),
        ),
    )
    .order_by(inbox_states.c.changed_seq)
    .limit(bindparam("limit"))
)

_TOMBSTONES: Final = (
    select(notifications.c.id, notifications.c.uuid, notifications.c.seq, inbox_states.c.state)
    .outerjoin(inbox_states, IS_EXCEPTION)
    .where(
        notifications.c.organization_id == bindparam("organization"),
        notifications.c.id.in_(bindparam("numbers", expanding=True)),
    )
)


def _visible(number: int) -> Select[Any]:
    """A stay's entries within its bounds, beside their notification and what the member did to it; not the old ones."""
    return (
        logged(number)
        .join(notifications, _IS_NOTIFICATION)
        .outerjoin(inbox_states, IS_EXCEPTION)
        .where(notifications.c.released_at > bindparam("oldest"))
    )


_IS_NOTIFICATION: Final = and_(
    notifications.c.organization_id == stream_entries.c.organization_id,
    notifications.c.id == stream_entries.c.notification_id,
)
_IS_RELEASED: Final = and_(
    stream_entries.c.kind == EntryKind.RELEASE, notifications.c.state != NotificationState.CANCELLED
)

_FLIPPED: Final = Question(
    lambda number: _visible(number).where(_IS_RELEASED, inbox_states.c.state.is_(None))
)
"""Places of a stay that no exception holds."""

_releases = stream_entries.alias("releases")


def _told(number: int) -> Select[Any]:
    """Releases and recalls in a stay's stream, of what was released during the stay."""
    return (
        _visible(number)
        .join(
            _releases,
            (_releases.c.organization_id == stream_entries.c.organization_id)
            & (_releases.c.notification_id == stream_entries.c.notification_id)
            & (_releases.c.kind == EntryKind.RELEASE)
            & (_releases.c.stream_id == stream_entries.c.stream_id),
        )
        .where(
            _releases.c.seq > bound("joined", number),
            _releases.c.seq <= bound("left", number),
            or_(stream_entries.c.kind == EntryKind.RECALL, _IS_RELEASED),
            func.coalesce(inbox_states.c.state, CopyState.SENT) != CopyState.DELETED,
        )
    )


_LOGGED: Final = Question(_told)


_UNREAD: Final = Question(
    lambda number: _visible(number).where(
        _IS_RELEASED, func.coalesce(inbox_states.c.state, CopyState.SENT) == CopyState.SENT
    )
)
"""Places of a stay, above "mark all read", that are SENT."""

_UNREAD_AGAIN: Final = (
    select(inbox_states.c.notification_id)
    .join(notifications, IS_EXCEPTION)
    .where(
        inbox_states.c.organization_id == bindparam("organization"),
        inbox_states.c.member_id == bindparam("member"),
        inbox_states.c.state == CopyState.SENT,
        notifications.c.seq <= bindparam("read_through"),
        notifications.c.state != NotificationState.CANCELLED,
        notifications.c.released_at > bindparam("oldest"),
    )
    .limit(bindparam("limit"))
)
"""Entries that "mark all read" has reached and that their member made unread since."""
