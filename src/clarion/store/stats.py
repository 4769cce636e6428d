"""What became of a notification, in numbers: of its devices, and of the members it was for.

Called by `service/stats.py`. Devices are counted as they are settled; members are counted when somebody asks, in
pieces, because nothing is written for a member when a notification is released.
"""

from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select, text

from clarion.model.delivery import OPEN_STATES, PushKind
from clarion.store.deliveries import COUNTS
from clarion.store.inbox import CopyState
from clarion.store.schema import channels, deliveries, push_tallies

MOST_REASONS: Final = 50


class Failure(NamedTuple):
    """So many devices failed in one way: the provider's own word for it."""

    provider: str
    state: str
    reason: str
    devices: int


class Piece(NamedTuple):
    """Some of the members that a notification was released to, how many have read it, and the last of them."""

    members: int
    read: int
    last_member_id: int | None


def count_pushes(connection: Connection, organization_id: int, notification_id: int) -> dict[str, int]:
    """The counts of an alert's settled pages on all channels (`deliveries.COUNTS`), and `open` ones still to come."""
    alert = (
        (push_tallies.c.organization_id == organization_id)
        & (push_tallies.c.notification_id == notification_id)
        & (push_tallies.c.kind == PushKind.ALERT)
    )
    row = connection.execute(select(*(func.sum(push_tallies.c[name]) for name in COUNTS)).where(alert)).one()
    still_open = (
        select(func.count())
        .select_from(deliveries)
        .where(_deviations(organization_id, notification_id), deliveries.c.state.in_(OPEN_STATES))
    )
    counted = {name: int(value or 0) for name, value in zip(COUNTS, row, strict=True)}
    return counted | {"open": connection.scalars(still_open).one()}


def list_failures(connection: Connection, organization_id: int, notification_id: int) -> list[Failure]:
    """Why devices were not reached, the commonest first."""
    devices = func.count().label("devices")
    query = (
        select(channels.c.provider, deliveries.c.state, deliveries.c.reason, devices)
        .join(channels, channels.c.id == deliveries.c.channel_id)
        .where(
            _deviations(organization_id, notification_id),
            deliveries.c.state.not_in(OPEN_STATES),
        )
        .group_by(channels.c.provider, deliveries.c.state, deliveries.c.reason)
        .order_by(devices.desc(), channels.c.provider, deliveries.c.state, deliveries.c.reason)
        .limit(MOST_REASONS)
    )
    return [Failure(*row) for row in connection.execute(query)]


def _deviations(organization_id: int, notification_id: int) -> ColumnElement[bool]:
    return (
        (deliveries.c.organization_id == organization_id)
        & (deliveries.c.notification_id == notification_id)
        & (deliveries.c.kind == PushKind.ALERT)
    )


def count_members(
    connection: Connection, organization_id: int, notification_id: int, after: int, limit: int
) -> Piece:
    """Count at most so many members beyond one, in the order of their ids."""
    place = {
        "organization": organization_id,
        "notification": notification_id,
        "after": after,
        "most": limit,
        "read": CopyState.READ,
    }
    members, read, last = connection.execute(_MEMBERS, place).one()
    return Piece(members, int(read or 0), last)


_MEMBERS: Final = text(
    # Read is what a member marked so, or released before their "mark all read" and not marked otherwise.
    """
    SELECT count(*), sum(CASE WHEN coalesce(copy.state, '') = :read
                                OR (copy.state IS NULL AND member.read_through_seq >= person.seq)
                              THEN 1 ELSE 0 END), max(person.member_id)
    FROM (
        SELECT DISTINCT stay.member_id AS member_id, notification.seq AS seq
        FROM notifications AS notification
        CROSS JOIN stream_entries AS entry
        CROSS JOIN memberships AS stay
        WHERE notification.organization_id = :organization
          AND notification.id = :notification
          AND entry.organization_id = :organization
          AND entry.notification_id = :notification
          AND entry.kind = 'release'
          AND stay.organization_id = :organization
          AND stay.stream_id = entry.stream_id
          AND stay.member_id > :after
          AND stay.joined_seq < notification.seq
          AND coalesce(stay.left_seq, notification.seq) >= notification.seq
        ORDER BY stay.member_id
        LIMIT :most
    ) AS person
    JOIN members AS member ON member.id = person.member_id
    LEFT JOIN inbox_states AS copy
      ON copy.organization_id = :organization AND copy.member_id = person.member_id
     AND copy.notification_id = :notification
    """
)
