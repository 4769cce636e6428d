"""Banners to be taken away from single devices, because their member has dealt with the notification elsewhere.

A row is (device, notification). It waits until the alert has been offered to the device, and until the device may
be woken again; then a lane claims everything that waits for the device at once. The claim moves `due_at` on, which
is its lease: what nobody settles is claimed again.

Called by `service/withdrawals.py`.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, func, or_, select, text, update

from clarion.model.delivery import NEVER_WITHDRAW, OPEN_STATES, PushKind
from clarion.model.notification import DEFAULT_TTL_SECONDS, NotificationState
from clarion.store import deliveries
from clarion.store.runs import Phase
from clarion.store.schema import (
    LARGEST_NUMBER,
    devices,
    notifications,
    organizations,
    push_runs,
    withdrawals,
)
from clarion.store.schema import deliveries as deliveries_table

SPACING_MS: Final = 300_000
"""A device is woken for withdrawals no more often than this; what comes meanwhile rides together."""

LIFE_MS: Final = DEFAULT_TTL_SECONDS * 1000
"""A banner that could not be withdrawn for so long stays."""

MOST_BANNERS: Final = 25
"""How many banners one push takes away: so many fit into it at every push service."""

LEASE_MS: Final = 60_000
PENDING_MS: Final = 30_000
"""How often it is looked whether an alert that was still to be offered has been."""

MOST_ROWS: Final = 500


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """One claimed banner of one device: its notification, and the device's number, present row and address."""

    organization_id: int
    organization: UUID
    device_id: int
    row_id: int
    address: str
    notification_id: int
    notification: UUID
    collapse_key: str | None


def ask(
    connection: Connection,
    organization_id: int,
    member_id: int,
    notification_ids: Collection[int],
    now: int,
) -> None:
    """Ask for the banners of these notifications to be taken away from a member's devices.

    Only from those that the release covered and where the banner may stand: neither where its push was refused,
    nor where it was opened, nor once its time has run out.
    """
    values = {
        "organization": organization_id,
        "member": member_id,
        "notifications": sorted(notification_ids),
        "now": now,
        "never": sorted(NEVER_WITHDRAW),
        "cancelled": NotificationState.CANCELLED,
        "alert": PushKind.ALERT,
        "open": OPEN_STATES,
    }
    connection.execute(_ASK, values)


_ASK: Final = text(
    """
    INSERT INTO withdrawals (organization_id, device_id, notification_id, channel_id, due_at, asked_at)
    SELECT device.organization_id, coalesce(device.first_id, device.id), notification.id, device.channel_id,
           :now, :now
    FROM devices AS device
    JOIN channels AS channel ON channel.id = device.channel_id
    JOIN notifications AS notification
      ON notification.organization_id = device.organization_id AND notification.id IN :notifications
    WHERE device.organization_id = :organization
      AND device.member_id = :member
      AND device.retired_at IS NULL
      AND channel.removed_at IS NULL
      AND channel.provider NOT IN :never
      AND (channel.solution_id IS NULL OR channel.solution_id = notification.solution_id)
      AND coalesce(device.first_id, device.id) <= notification.last_device_id
      AND notification.expires_at > :now
      AND notification.state <> :cancelled
      AND NOT EXISTS (
          SELECT 1 FROM deliveries AS delivery
          WHERE delivery.organization_id = device.organization_id
            AND delivery.notification_id = notification.id
            AND delivery.device_id = coalesce(device.first_id, device.id)
            AND delivery.kind = :alert
            AND delivery.state NOT IN :open)
      AND NOT EXISTS (
          SELECT 1 FROM receipts AS receipt
          WHERE receipt.organization_id = device.organization_id
            AND receipt.notification_id = notification.id
            AND receipt.device_id = coalesce(device.first_id, device.id)
            AND receipt.event = 'opened')
    ON CONFLICT (organization_id, device_id, notification_id) DO NOTHING
    """
).bindparams(
    bindparam("notifications", expanding=True),
    bindparam("never", expanding=True),
    bindparam("open", expanding=True),
)


# ── Claiming ─────────────────────────────────────────────────────────────────────────────────────────────


def is_due(connection: Connection, channel_id: int, now: int) -> bool:
    """Whether there may be something to claim on a channel."""
    due = (withdrawals.c.channel_id == channel_id) & (withdrawals.c.due_at <= now)
    return bool(connection.scalar(select(select(withdrawals.c.device_id).where(due).exists())))


def claim(connection: Connection, channel_id: int, now: int) -> list[Withdrawal]:
    """Take what is due on a channel, at most `MOST_BANNERS` per device; what cannot go yet is put off.

    What has nothing left to take away is dropped: the device is retired, the notification was recalled, or a newer
    one stands in the banner's place.
    """
    rows = connection.execute(_DUE, {"channel": channel_id, "now": now}).all()
    superseded = {
        key: deliveries.is_superseded(connection, *key)
        for key in {
            (row.organization_id, row.notification_id) for row in rows if row.collapse_key is not None
        }
    }
    taken: list[Any] = []
    over: list[Any] = []
    pending: list[Any] = []
    for row in rows:
        if _is_over(row, now) or superseded.get((row.organization_id, row.notification_id)):
            over.append(row)
        elif row.may_wake_at > now:
            _put_off(connection, [row], row.may_wake_at)
        elif row.is_pending:
            pending.append(row)
        else:
            taken.append(row)
    _put_off(connection, pending, now + PENDING_MS)
    _drop(connection, over)
    first, rest = _first_banners(taken)
    _put_off(connection, rest, now + SPACING_MS)
    _put_off(connection, first, now + LEASE_MS)
    _note_waking(connection, {row.device_id for row in first}, now)
    return [_withdrawal(row) for row in first]


_first, _live = devices.alias("first"), devices.alias("live")

_PENDING_RUN: Final = (
    select(push_runs.c.id)
    .where(
        push_runs.c.organization_id == withdrawals.c.organization_id,
        push_runs.c.notification_id == withdrawals.c.notification_id,
        push_runs.c.channel_id == withdrawals.c.channel_id,
        push_runs.c.kind == PushKind.ALERT.value,
        push_runs.c.phase == Phase.RANGE,
        func.coalesce(push_runs.c.last_member_id, LARGEST_NUMBER) >= _first.c.member_id,
        or_(
            push_runs.c.after_member_id < _first.c.member_id,
            (push_runs.c.after_member_id == _first.c.member_id)
            & (push_runs.c.after_device_id < withdrawals.c.device_id),
        ),
    )
    .exists()
)

_PENDING_RETRY: Final = (
    select(deliveries_table.c.state)
    .where(
        deliveries_table.c.organization_id == withdrawals.c.organization_id,
        deliveries_table.c.notification_id == withdrawals.c.notification_id,
        deliveries_table.c.device_id == withdrawals.c.device_id,
        deliveries_table.c.kind == PushKind.ALERT.value,
        deliveries_table.c.state.in_(OPEN_STATES),
    )
    .exists()
)

_DUE: Final = (  # with what tells whether it can go: the device as it is now, and whether the alert is still to come
    select(
        withdrawals.c.organization_id,
        organizations.c.uuid.label("organization"),
        withdrawals.c.device_id,
        withdrawals.c.notification_id,
        withdrawals.c.asked_at,
        notifications.c.uuid.label("notification"),
        notifications.c.collapse_key,
        notifications.c.state,
        _live.c.id.label("row_id"),
        _live.c.address,
        func.coalesce(_first.c.withdrew_at + SPACING_MS, 0).label("may_wake_at"),
        or_(_PENDING_RUN, _PENDING_RETRY).label("is_pending"),
    )
    .join(organizations, organizations.c.id == withdrawals.c.organization_id)
    .outerjoin(
        notifications,
        (notifications.c.organization_id == withdrawals.c.organization_id)
        & (notifications.c.id == withdrawals.c.notification_id),
    )
    .outerjoin(_first, _first.c.id == withdrawals.c.device_id)
    .outerjoin(
        _live,
        (_live.c.organization_id == _first.c.organization_id)
        & (_live.c.member_id == _first.c.member_id)
        & (_live.c.channel_id == _first.c.channel_id)
        & (func.coalesce(_live.c.first_id, _live.c.id) == _first.c.id)
        & _live.c.retired_at.is_(None),
    )
    .where(withdrawals.c.channel_id == bindparam("channel"), withdrawals.c.due_at <= bindparam("now"))
    .order_by(withdrawals.c.due_at, withdrawals.c.device_id, withdrawals.c.notification_id.desc())
    .limit(MOST_ROWS)
    .with_for_update(of=withdrawals, skip_locked=True)
)


def _is_over(row: Any, now: int) -> bool:
    is_cancelled = row.state in {None, NotificationState.CANCELLED}
    return row.row_id is None or is_cancelled or row.asked_at + LIFE_MS <= now


def _first_banners(rows: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The rows of each device that one push can carry, and the others."""
    first: list[Any] = []
    rest: list[Any] = []
    counts: dict[int, int] = {}
    for row in rows:
        counts[row.device_id] = counts.get(row.device_id, 0) + 1
        (first if counts[row.device_id] <= MOST_BANNERS else rest).append(row)
    return first, rest


def _withdrawal(row: Any) -> Withdrawal:
    return Withdrawal(
        organization_id=row.organization_id,
        organization=row.organization,
        device_id=row.device_id,
        row_id=row.row_id,
        address=row.address,
        notification_id=row.notification_id,
        notification=row.notification,
        collapse_key=row.collapse_key,
    )


def _note_waking(connection: Connection, device_ids: Iterable[int], now: int) -> None:
    waking = [{"device": device_id, "now": now} for device_id in sorted(device_ids)]
    if waking:
        connection.execute(_WAKE, waking)


_WAKE: Final = update(devices).where(devices.c.id == bindparam("device")).values(withdrew_at=bindparam("now"))


# ── Ends ─────────────────────────────────────────────────────────────────────────────────────────────────


def finish(connection: Connection, ended: Iterable[Withdrawal], claimed_at: int) -> None:
    """Forget withdrawals that were claimed at a moment and answered for good."""
    _drop(connection, ended, claimed_at + LEASE_MS)


def postpone(connection: Connection, open_still: Iterable[Withdrawal], claimed_at: int, now: int) -> None:
    """Let withdrawals that were claimed at a moment come again when their devices may be woken again."""
    _put_off(connection, open_still, now + SPACING_MS, claimed_at + LEASE_MS)


def forget_old(connection: Connection, now: int, limit: int) -> int:
    """Forget some of what nobody claimed within its life, as on a removed channel; returns how many."""
    old = select(*_KEY).where(withdrawals.c.asked_at <= now - LIFE_MS).limit(limit)
    rows = connection.execute(old).all()
    _drop(connection, rows)
    return len(rows)


_KEY: Final = (withdrawals.c.organization_id, withdrawals.c.device_id, withdrawals.c.notification_id)
_ONE: Final = (
    (withdrawals.c.organization_id == bindparam("organization"))
    & (withdrawals.c.device_id == bindparam("device"))
    & (withdrawals.c.notification_id == bindparam("notification"))
    & (withdrawals.c.due_at <= bindparam("lease"))
)
_DROP: Final = delete(withdrawals).where(_ONE)
_PUT_OFF: Final = update(withdrawals).where(_ONE).values(due_at=bindparam("until"))


def _drop(connection: Connection, rows: Iterable[Any], lease: int = LARGEST_NUMBER) -> None:
    if keys := [_key(row, lease) for row in rows]:
        connection.execute(_DROP, keys)


def _put_off(connection: Connection, rows: Iterable[Any], until: int, lease: int = LARGEST_NUMBER) -> None:
    if keys := [_key(row, lease) | {"until": until} for row in rows]:
        connection.execute(_PUT_OFF, keys)


def _key(row: Any, lease: int) -> dict[str, int]:
    return {
        "organization": row.organization_id,
        "device": row.device_id,
        "notification": row.notification_id,
        "lease": lease,
    }
