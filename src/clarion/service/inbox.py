"""The inbox of one member: read by themselves or by those who may send, changed by themselves alone.

Called by `api/inbox.py`. For anybody else a member's inbox does not exist. Every change locks the member's row, so
of two devices that change the same entry at once the later one wins, and each change has a number of its own.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from clarion.model.access import Access
from clarion.model.errors import Fault, Forbidden, Invalid, NotFound, TooOld
from clarion.model.watermark import Filter, Walk, Watermark
from clarion.service.withdrawals import withdraw_for_member
from clarion.store import changes, inbox, inbox_states
from clarion.store.changes import ChangePage
from clarion.store.database import Database
from clarion.store.inbox import CopyState, Horizon, InboxEntry, InboxMember
from clarion.store.schema import LARGEST_NUMBER

MOST_WITHDRAWN: Final = 100
"""How many banners "mark all read" takes away: more are on no screen."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of an inbox. The watermark is that of the walk's first page; `rest` leads to the next one."""

    entries: list[InboxEntry]
    watermark: Watermark
    rest: Walk | None


@dataclass(frozen=True, slots=True)
class Summary:
    """How many entries are unread, and a watermark."""

    unread: int
    watermark: Watermark


def list_inbox(
    connection: Connection, access: Access, user: UUID, start: Filter | Walk, limit: int, horizon: Horizon
) -> Listing:
    """A page of a member's inbox: the first one with a filter, or a later one.

    Raises NotFound for a stranger, and for a walk what `check_watermark` raises.
    """
    member = _readable(connection, access, user)
    if isinstance(start, Walk):
        check_watermark(start.watermark, member, horizon.now, "continuationToken")
        walk = start
    else:
        walk = Walk(member.watermark(horizon.now), LARGEST_NUMBER, start)
    page = inbox.list_entries(
        connection, access.organization_id, member, limit, walk.before, walk.filter, horizon
    )
    rest = None if page.next_before is None else Walk(walk.watermark, page.next_before, walk.filter)
    return Listing(page.entries, walk.watermark, rest)


async def has_seen_all(database: Database, access: Access, user: UUID, since: Watermark, now: int) -> bool:
    """Whether a member's own device surely has everything: nearly always, and found out with one look.

    It looks only at what moves with every change in the organization, so False means that `list_changes` must tell.
    """
    if access.user != user:
        return False
    wanted = {"organization": access.organization_id, "member": access.member_id}
    row = await database.peek(inbox.COUNTERS_OF_MEMBER, wanted)
    present = None if row is None else InboxMember(*row).watermark(now)
    return present is not None and since.is_level_with(present) and since.is_within(present)


def list_changes(
    connection: Connection, access: Access, user: UUID, since: Watermark, limit: int, horizon: Horizon
) -> ChangePage:
    """What changed since a watermark. Raises NotFound for a stranger, and what `check_watermark` raises."""
    member = _readable(connection, access, user)
    check_watermark(since, member, horizon.now, "syncToken")
    return changes.changes_since(connection, access.organization_id, member, since, limit, horizon)


def get_inbox_entry(
    connection: Connection, access: Access, user: UUID, notification: UUID, horizon: Horizon
) -> InboxEntry:
    """One entry of a member's inbox. Raises NotFound for a stranger, and for what is not in it."""
    member = _readable(connection, access, user)
    return _entry(connection, access, member, notification, horizon)


def summarize(connection: Connection, access: Access, user: UUID, horizon: Horizon) -> Summary:
    """The number of unread entries, and the present watermark. Raises NotFound for a stranger."""
    member = _readable(connection, access, user)
    unread = changes.unread_count(connection, access.organization_id, member, horizon)
    return Summary(unread, member.watermark(horizon.now))


def check_watermark(watermark: Watermark, member: InboxMember, now: int, path: str) -> None:
    """Whether changes since a watermark can be told to this member.

    Raises Invalid when it is not theirs, and TooOld when it is older than its lifetime, was made before a backup was
    restored, or is ahead of the database.
    """
    if watermark.member_id != member.id:
        fault = Fault(path, "is not of this member's inbox")
        raise Invalid(f"{path}: {fault.message}", code="invalid_sync_token", faults=[fault])
    if not watermark.is_within(member.watermark(now)):
        raise TooOld("What changed since this watermark is not known any more; list the inbox anew.")


# ── Changes ──────────────────────────────────────────────────────────────────────────────────────────────


def change_state(
    connection: Connection,
    access: Access,
    user: UUID,
    notification: UUID,
    state: CopyState,
    horizon: Horizon,
) -> InboxEntry:
    """Make an entry READ, DISMISSED, or SENT again; what it is already is no change.

    Raises NotFound, and Forbidden for those who may only read this inbox.
    """
    member = _own(connection, access, user)
    entry = _entry(connection, access, member, notification, horizon)
    if entry.state is state:
        return entry
    _set(connection, access, member, entry.number, state, horizon.now)
    return _entry(connection, access, member, notification, horizon)


def delete_entry(
    connection: Connection, access: Access, user: UUID, notification: UUID, horizon: Horizon
) -> None:
    """Hide an entry from this member alone, for good; doing so again changes nothing.

    Raises NotFound, and Forbidden for those who may only read this inbox.
    """
    member = _own(connection, access, user)
    place = inbox.find_place(connection, access.organization_id, member, notification, horizon)
    if place is None:
        raise _no_entry()
    number = place.notification_id
    if inbox_states.find_state(connection, access.organization_id, member.id, number) != CopyState.DELETED:
        _set(connection, access, member, number, CopyState.DELETED, horizon.now)


def mark_all_read(
    connection: Connection, access: Access, user: UUID, up_to: Watermark, horizon: Horizon
) -> Summary:
    """Make READ what is SENT and was released up to a watermark; returns what is unread then.

    The watermark of the answer is the caller's own, so changes since then are still told. Raises NotFound,
    Forbidden, and what `check_watermark` raises.
    """
    member = _own(connection, access, user)
    check_watermark(up_to, member, horizon.now, "upTo")
    organization_id = access.organization_id
    newest = inbox.list_places(
        connection, organization_id, member, MOST_WITHDRAWN, up_to.seq + 1, Filter.UNREAD, horizon
    )
    again = inbox_states.find_unread_again(connection, organization_id, member.id, up_to.seq)
    inbox_states.set_states(connection, organization_id, member.id, again, CopyState.READ, horizon.now)
    inbox_states.read_through(connection, organization_id, member.id, up_to.seq)
    banners = [place.notification_id for place in newest]
    withdraw_for_member(connection, organization_id, member.id, banners, horizon.now)
    after = _own(connection, access, user)
    unread = changes.unread_count(connection, organization_id, after, horizon)
    return Summary(unread, up_to.at(horizon.now))


def _set(
    connection: Connection, access: Access, member: InboxMember, number: int, state: CopyState, now: int
) -> None:
    inbox_states.set_states(connection, access.organization_id, member.id, [number], state, now)
    if state is not CopyState.SENT:
        withdraw_for_member(connection, access.organization_id, member.id, [number], now)


def _entry(
    connection: Connection, access: Access, member: InboxMember, notification: UUID, horizon: Horizon
) -> InboxEntry:
    entry = inbox.find_entry(connection, access.organization_id, member, notification, horizon)
    if entry is None:
        raise _no_entry()
    return entry


def _no_entry() -> NotFound:
    return NotFound("There is no such notification in this inbox.")


def _readable(connection: Connection, access: Access, user: UUID) -> InboxMember:
    may_read = access.may_see(user)
    member = inbox.find_inbox_member(connection, access.organization_id, user) if may_read else None
    if member is None:
        raise _no_member()
    return member


def _own(connection: Connection, access: Access, user: UUID) -> InboxMember:
    """The member, locked, when the caller is that member."""
    if access.user != user:
        _readable(connection, access, user)
        raise Forbidden("Only the member changes their inbox.")
    member = inbox_states.lock_member(connection, access.organization_id, access.member_id)
    if member is None:
        raise _no_member()
    return member


def _no_member() -> NotFound:
    return NotFound("There is no such member in this organization.")
