"""What became of pushes: counts per notification and channel, and a row per device that deviates.

Success is the default: it is counted and has no row, so a million devices write hundreds of rows. Called by
`service/push.py` when a page is settled; only settled pages count.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, func, select, text

from clarion.model.delivery import OPEN_STATES, DeliveryState, PushKind
from clarion.model.notification import NotificationState
from clarion.store.runs import Run
from clarion.store.schema import deliveries, notifications, push_tallies
from clarion.store.upsert import insert_or_update

COUNTS = ("accepted", "refused", "gone", "expired", "superseded", "retried", "repeats")
"""What a tally counts: devices by their final state, tries beyond the first, and possible repeats."""

LATELY: Final = 20
"""So many of a channel's last notifications tell whether it works."""


class TallyKey(NamedTuple):
    """What one tally is about."""

    organization_id: int
    notification_id: int
    channel_id: int
    kind: PushKind


@dataclass(frozen=True, slots=True)
class Deviation:
    """A delivery that is not simply accepted. `due_at` is set for the open states only."""

    device_id: int
    state: DeliveryState
    attempts: int
    reason: str
    due_at: int | None = None


def add_counts(connection: Connection, counts: Mapping[TallyKey, Counter[str]]) -> None:
    """Add to tallies, in the order of their keys, so that two workers never wait for each other in a circle."""
    for key in sorted(counts):
        counted = {name: counts[key][name] for name in COUNTS}
        connection.execute(_ADD_COUNTS, key._asdict() | counted)


# As text, because SQLAlchemy compiles an ON CONFLICT anew each time, which took longer than running it.
_ADD_COUNTS: Final = text(
    f"""
    INSERT INTO push_tallies ({", ".join(TallyKey._fields + COUNTS)})
    VALUES ({", ".join(f":{name}" for name in TallyKey._fields + COUNTS)})
    ON CONFLICT ({", ".join(TallyKey._fields)})
    DO UPDATE SET {", ".join(f"{name} = push_tallies.{name} + excluded.{name}" for name in COUNTS)}
    """  # noqa: S608 - made of the constants above
)


def keep_deviations(connection: Connection, run: Run, deviations: Sequence[Deviation], now: int) -> None:
    """Write or overwrite the rows of deliveries that deviate."""
    if not deviations:
        return
    statement = insert_or_update(connection, deliveries)
    changing = ("state", "attempts", "reason", "due_at", "updated_at")
    statement = statement.on_conflict_do_update(
        index_elements=["organization_id", "notification_id", "device_id", "kind"],
        set_={name: statement.excluded[name] for name in changing},
    )
    rows = [
        {
            "organization_id": run.organization_id,
            "notification_id": run.notification_id,
            "device_id": deviation.device_id,
            "kind": run.kind,
            "channel_id": run.channel_id,
            "state": deviation.state,
            "attempts": deviation.attempts,
            "reason": deviation.reason,
            "due_at": deviation.due_at,
            "updated_at": now,
        }
        for deviation in deviations
    ]
    connection.execute(statement, rows)


def forget_deviations(connection: Connection, run: Run, device_ids: Sequence[int]) -> None:
    """Remove the rows of deliveries that were accepted after all."""
    if device_ids:
        connection.execute(
            delete(deliveries).where(
                deliveries.c.organization_id == run.organization_id,
                deliveries.c.notification_id == run.notification_id,
                deliveries.c.kind == run.kind,
                deliveries.c.device_id.in_(device_ids),
            )
        )


def open_attempts(connection: Connection, run: Run, device_ids: Sequence[int]) -> dict[int, int]:
    """How often each of these devices was tried, of those whose delivery is due again."""
    query = select(deliveries.c.device_id, deliveries.c.attempts).where(
        deliveries.c.organization_id == run.organization_id,
        deliveries.c.notification_id == run.notification_id,
        deliveries.c.kind == run.kind,
        deliveries.c.device_id.in_(device_ids),
        deliveries.c.state.in_(OPEN_STATES),
    )
    return {row.device_id: row.attempts for row in connection.execute(query)}


def next_due(connection: Connection, run: Run) -> int | None:
    """When the next retry of a notification on a channel is due; None when none is open."""
    query = select(func.min(deliveries.c.due_at)).where(
        deliveries.c.organization_id == run.organization_id,
        deliveries.c.notification_id == run.notification_id,
        deliveries.c.channel_id == run.channel_id,
        deliveries.c.kind == run.kind,
        deliveries.c.state.in_(OPEN_STATES),
    )
    due_at: int | None = connection.scalar(query)
    return due_at


def count_devices(
    connection: Connection, organization_id: int, notification_ids: Iterable[int]
) -> dict[int, tuple[int, int]]:
    """By notification: how many devices accepted its alert, and how many were tried in all."""
    tried = push_tallies.c.accepted + push_tallies.c.refused + push_tallies.c.gone + push_tallies.c.expired
    query = (
        select(push_tallies.c.notification_id, func.sum(push_tallies.c.accepted), func.sum(tried))
        .where(
            push_tallies.c.organization_id == organization_id,
            push_tallies.c.notification_id.in_(list(notification_ids)),
            push_tallies.c.kind == PushKind.ALERT,
        )
        .group_by(push_tallies.c.notification_id)
    )
    return {number: (int(accepted), int(all_)) for number, accepted, all_ in connection.execute(query)}


def channels_that_took(connection: Connection, organization_id: int, notification_id: int) -> list[int]:
    """The channels on which a page of the alert was settled."""
    query = select(push_tallies.c.channel_id).where(
        push_tallies.c.organization_id == organization_id,
        push_tallies.c.notification_id == notification_id,
        push_tallies.c.kind == PushKind.ALERT,
    )
    return list(connection.scalars(query))


def accepted_lately(connection: Connection, organization_id: int, channel_id: int) -> bool:
    """Whether a device accepted one of the last notifications that were pushed on a channel."""
    of_channel = (push_tallies.c.organization_id == organization_id) & (
        push_tallies.c.channel_id == channel_id
    )
    last = select(push_tallies.c.accepted).where(of_channel)
    last = last.order_by(push_tallies.c.notification_id.desc()).limit(LATELY)
    return bool(connection.scalar(select(func.max(last.subquery().c.accepted))))


def is_superseded(connection: Connection, organization_id: int, notification_id: int) -> bool:
    """Whether a newer notification with the same collapse key was released to the same audience."""
    newer = notifications.alias("newer")
    query = select(
        select(newer.c.id)
        .join(
            notifications,
            (notifications.c.organization_id == newer.c.organization_id)
            & (notifications.c.collapse_key == newer.c.collapse_key)
            & (notifications.c.audience == newer.c.audience)
            & (notifications.c.seq < newer.c.seq),
        )
        .where(
            newer.c.organization_id == organization_id,
            newer.c.state != NotificationState.CANCELLED,
            notifications.c.id == notification_id,
        )
        .exists()
    )
    return bool(connection.scalar(query))
