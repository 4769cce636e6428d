"""What a member does to entries of their inbox, and forgetting it.

Every change takes the next number of the member's own counter, whose row lock lasts until the transaction ends, so
the numbers of a member's changes commit in order. Called by `service/inbox.py` and the sweep.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from clarion.store.inbox import COUNTERS_OF_MEMBER, CopyState, InboxMember
from clarion.store.schema import inbox_states, members, notifications
from clarion.store.upsert import insert_or_update


def lock_member(connection: Connection, organization_id: int, member_id: int) -> InboxMember | None:
    """A member as they are now; until the transaction ends nobody else changes their inbox."""
    wanted = {"organization": organization_id, "member": member_id}
    row = connection.execute(_LOCKED, wanted).one_or_none()
    return None if row is None else InboxMember(*row)


_LOCKED: Final = COUNTERS_OF_MEMBER.with_for_update(of=members)


def find_state(
    connection: Connection, organization_id: int, member_id: int, notification_id: int
) -> str | None:
    """The exception that a member made of a notification."""
    return connection.scalar(
        select(inbox_states.c.state).where(
            inbox_states.c.organization_id == organization_id,
            inbox_states.c.member_id == member_id,
            inbox_states.c.notification_id == notification_id,
        )
    )


def set_states(
    connection: Connection,
    organization_id: int,
    member_id: int,
    notification_ids: Sequence[int],
    state: CopyState,
    now: int,
) -> None:
    """Give entries of a locked member a state; each is a change of its own."""
    if not notification_ids:
        return
    count = len(notification_ids)
    taken = {"organization": organization_id, "member": member_id, "count": count}
    last: int = connection.scalars(_TAKE_CHANGES, taken).one()
    rows = [
        {
            "organization_id": organization_id,
            "member_id": member_id,
            "notification_id": notification_id,
            "state": state,
            "changed_seq": changed_seq,
            "changed_at": now,
        }
        for changed_seq, notification_id in enumerate(notification_ids, start=last - count + 1)
    ]
    statement = insert_or_update(connection, inbox_states)
    changed = {name: statement.excluded[name] for name in ("state", "changed_seq", "changed_at")}
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(inbox_states.primary_key.columns), set_=changed),
        rows,
    )


_TAKE_CHANGES: Final = (
    update(members)
    .where(members.c.organization_id == bindparam("organization"), members.c.id == bindparam("member"))
    .values(state_seq=members.c.state_seq + bindparam("count"))
    .returning(members.c.state_seq)
)


def find_unread_again(connection: Connection, organization_id: int, member_id: int, up_to: int) -> list[int]:
    """The entries released up to a number that an exception makes unread, oldest first."""
    wanted = {"organization": organization_id, "member": member_id, "up_to": up_to}
    return list(connection.scalars(_UNREAD_AGAIN, wanted))


_UNREAD_AGAIN: Final = (
    select(inbox_states.c.notification_id)
    .join(
        notifications,
        (notifications.c.organization_id == inbox_states.c.organization_id)
        & (notifications.c.id == inbox_states.c.notification_id),
    )
    .where(
        inbox_states.c.organization_id == bindparam("organization"),
        inbox_states.c.member_id == bindparam("member"),
        inbox_states.c.state == CopyState.SENT,
        notifications.c.seq <= bindparam("up_to"),
    )
    .order_by(notifications.c.seq)
)


def read_through(connection: Connection, organization_id: int, member_id: int, seq: int) -> None:
    """Make everything up to a release number READ that no exception holds; never goes back."""
    connection.execute(
        update(members)
        .where(
            members.c.organization_id == organization_id,
            members.c.id == member_id,
            members.c.read_through_seq < seq,
        )
        .values(read_through_seq=seq)
    )
