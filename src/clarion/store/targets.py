"""Whom claimed runs address: the devices of a range of members, or the deliveries that are due again.

Called by `service/lane.py` after a claim. The queries cost what the claim covers, however large the
organization is.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, func, select, text

from clarion.model.delivery import OPEN_STATES, DeliveryState
from clarion.store.runs import MOST_REACH, Phase, Run
from clarion.store.schema import deliveries, devices, push_runs


class Target(NamedTuple):
    """One device that a run offers its push to. `attempts` counts earlier tries, `was_unknown` tells of the last.

    `device_id` is the device's number, which it keeps; `row_id` is the row of its present address
    (`store/devices.py`), `strikes` how often that was doubted. A retired device has neither address nor row.
    """

    run_id: int
    member_id: int
    device_id: int
    row_id: int
    address: str
    strikes: int = 0
    attempts: int = 0
    was_unknown: bool = False
    is_retired: bool = False


def find_targets(connection: Connection, claimed: Sequence[Run], now: int) -> list[Target]:
    """Whom the claimed runs address, ordered by run, member and device; every device once per run."""
    ranges = [run.id for run in claimed if run.phase is Phase.RANGE]
    retries = [run.id for run in claimed if run.phase is Phase.RETRY]
    targets: list[Target] = []
    if ranges:
        rows = connection.execute(_RANGE_TARGETS, {"runs": ranges}).all()
        targets += [Target(*row) for row in rows]
    if retries:
        targets += [
            Target(
                run_id=row.run_id,
                member_id=row.member_id or 0,
                device_id=row.device_id,
                row_id=row.row_id or 0,
                address=row.address or "",
                strikes=row.strikes or 0,
                attempts=row.attempts,
                was_unknown=row.state == DeliveryState.UNKNOWN,
                is_retired=row.row_id is None,
            )
            for row in connection.execute(_retry_targets(retries, now))
        ]
    return targets


_RANGE_TARGETS: Final = text(
    # Distinct devices over the union of the streams: both stays of one person fall into one range. SQLite is
    # told the way by CROSS JOIN, which it keeps in order, and by the plus, without which it would look devices
    # up by the range of members instead of one by one. PostgreSQL reads the same query as ordinary joins.
    # A device is covered by the release if it began before, at whatever address it is now.
    """
    SELECT DISTINCT run.id, stay.member_id, coalesce(device.first_id, device.id) AS device_id, device.id AS row_id,
           device.address, device.strikes
    FROM push_runs AS run
    CROSS JOIN notifications AS notification
    CROSS JOIN stream_entries AS entry
    CROSS JOIN memberships AS stay
    CROSS JOIN devices AS device
    WHERE run.id IN :runs
      AND notification.organization_id = run.organization_id
      AND notification.id = run.notification_id
      AND entry.organization_id = run.organization_id
      AND entry.notification_id = run.notification_id
      AND entry.kind = 'release'
      AND stay.organization_id = run.organization_id
      AND stay.stream_id = entry.stream_id
      AND stay.member_id >= run.after_member_id
      AND stay.member_id <= coalesce(run.last_member_id, 9223372036854775807)
      AND stay.joined_seq < notification.seq
      AND coalesce(stay.left_seq, notification.seq) >= notification.seq
      AND device.organization_id = run.organization_id
      AND device.member_id = +stay.member_id
      AND device.channel_id = run.channel_id
      AND coalesce(device.first_id, device.id) <= notification.last_device_id
      AND device.retired_at IS NULL
      AND (stay.member_id > run.after_member_id OR coalesce(device.first_id, device.id) > run.after_device_id)
    ORDER BY run.id, stay.member_id, device_id
    """
).bindparams(bindparam("runs", expanding=True))


_first, _live = devices.alias("first"), devices.alias("live")


def _retry_targets(run_ids: Sequence[int], now: int) -> Any:
    """The deliveries of these runs that are due again, the longest due first, each with its device's live row.

    One without such a row is found all the same, or it would stay open without end.
    """
    return (
        select(
            push_runs.c.id.label("run_id"),
            _live.c.member_id,
            deliveries.c.device_id,
            _live.c.id.label("row_id"),
            _live.c.address,
            _live.c.strikes,
            deliveries.c.attempts,
            deliveries.c.state,
        )
        .join(
            deliveries,
            (deliveries.c.organization_id == push_runs.c.organization_id)
            & (deliveries.c.notification_id == push_runs.c.notification_id)
            & (deliveries.c.channel_id == push_runs.c.channel_id)
            & (deliveries.c.kind == push_runs.c.kind),
        )
        .outerjoin(_first, _first.c.id == deliveries.c.device_id)
        .outerjoin(
            _live,
            (_live.c.organization_id == _first.c.organization_id)
            & (_live.c.member_id == _first.c.member_id)
            & (_live.c.channel_id == _first.c.channel_id)
            & (func.coalesce(_live.c.first_id, _live.c.id) == _first.c.id)
            & _live.c.retired_at.is_(None),
        )
        .where(push_runs.c.id.in_(run_ids), deliveries.c.due_at <= now, deliveries.c.state.in_(OPEN_STATES))
        .order_by(push_runs.c.id, deliveries.c.due_at, deliveries.c.device_id)
        .limit(MOST_REACH)
    )
