"""Push runs: what is still to be offered to the push services, claimed under a lease.

A run is (notification, channel, range of members). It is born whole; whoever claims it takes the first
members and puts the rest back behind the runs that wait, so a broadcast never stands in the way of a single
push. A run in the phase `retry` stands for the deliveries of its notification that are due again.

Guarded by the lease: a worker that lost it changes nothing. A settled range moves `after_member_id` and
`after_device_id`; killing a worker therefore offers again exactly the pages that were open.

Retries are locked in the order of their keys, `_IN_ORDER` (`store/__init__.py` tells why and the whole order).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, bindparam, case, delete, func, insert, select, text, update

from clarion.model.delivery import PushKind
from clarion.model.notification import DEFAULT_TTL_SECONDS
from clarion.store.schema import LARGEST_NUMBER, memberships, notifications, push_runs, stream_entries
from clarion.store.streams import EntryKind
from clarion.store.upsert import insert_or_update

MOST_RUNS: Final = 200
"""How many small runs one claim takes at most."""

MOST_REACH: Final = 2_000
"""How many members one claim covers at most, per stream."""

UNKNOWN_REACH: Final = 1 << 40
"""The reach of an audience whose size is not known: larger than any claim."""


class Phase(StrEnum):
    """Whether a run walks through members or through deliveries that are due again."""

    RANGE = "range"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be born: `reach` is the most members that it can have."""

    notification_id: int
    channel_id: int
    reach: int
    due_at: int
    kind: PushKind = PushKind.ALERT


@dataclass(frozen=True, slots=True)
class Run:
    """A claimed run."""

    id: int
    organization_id: int
    notification_id: int
    channel_id: int
    kind: PushKind
    phase: Phase
    after_member_id: int
    last_member_id: int | None
    reach: int


def add_runs(connection: Connection, organization_id: int, new: Sequence[NewRun]) -> None:
    """Let runs be born, whole."""
    rows = [
        {
            "organization_id": organization_id,
            "notification_id": run.notification_id,
            "channel_id": run.channel_id,
            "kind": run.kind,
            "phase": Phase.RANGE,
            "reach": run.reach,
            "due_at": run.due_at,
        }
        for run in new
    ]
    if rows:
        connection.execute(insert(push_runs), rows)


def schedule_retries(connection: Connection, due: Iterable[tuple[Run, int]]) -> None:
    """See to it that the retries of each run's notification on its channel are looked at no later than its moment."""
    earliest: dict[tuple[int, int, int, PushKind], int] = {}
    for run, due_at in due:
        key = (run.organization_id, run.notification_id, run.channel_id, run.kind)
        earliest[key] = min(due_at, earliest.get(key, due_at))
    for key in sorted(earliest):
        _schedule_retry(connection, dict(zip(_RETRY_KEY, key, strict=True)), earliest[key])


_RETRY_KEY: Final = ("organization_id", "notification_id", "channel_id", "kind")


def _schedule_retry(connection: Connection, key: dict[str, Any], due_at: int) -> None:
    statement = insert_or_update(connection, push_runs).values(
        **key, phase=Phase.RETRY, reach=MOST_REACH, due_at=due_at
    )
    earlier = case(
        (statement.excluded.due_at < push_runs.c.due_at, statement.excluded.due_at), else_=push_runs.c.due_at
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=_RETRY_KEY,
            index_where=text("phase = 'retry'"),  # spelt out: a parameter fits no index in a generic plan
            set_={"due_at": earlier},
        )
    )


# ── Claiming ─────────────────────────────────────────────────────────────────────────────────────────────


def claim(
    connection: Connection,
    channel_id: int,
    owner: str,
    now: int,
    lease_until: int,
    *,
    expired_only: bool = False,
) -> list[Run]:
    """Take one large run's beginning, or many small runs, of a channel; empty when nothing is due.

    `expired_only`: only what need not be offered any more, for a lane whose service is away.
    """
    due = _DUE_EXPIRED if expired_only else _DUE
    rows = connection.execute(due, {"channel": channel_id, "owner": owner, "now": now})
    taken = _first_within_reach([_run(row) for row in rows])
    if not taken:
        return []
    lease = {"runs": [run.id for run in taken], "lease_owner": owner, "lease_until": lease_until}
    connection.execute(_LEASE, lease)
    return [_split(connection, run, now) if run.reach > MOST_REACH else run for run in taken]


_LEASE: Final = (
    update(push_runs)
    .where(push_runs.c.id.in_(bindparam("runs", expanding=True)))
    .values(lease_owner=bindparam("lease_owner"), lease_until=bindparam("lease_until"))
)

_alerts = push_runs.alias("alerts")

_DUE: Final = (
    select(
        push_runs.c.id,
        push_runs.c.organization_id,
        push_runs.c.notification_id,
        push_runs.c.channel_id,
        push_runs.c.kind,
        push_runs.c.phase,
        push_runs.c.after_member_id,
        push_runs.c.last_member_id,
        push_runs.c.reach,
    )
    .where(
        push_runs.c.channel_id == bindparam("channel"),
        push_runs.c.due_at <= bindparam("now"),
        push_runs.c.lease_until <= bindparam("now"),
        # whoever is late to renew still has the pages open
        push_runs.c.lease_owner.is_distinct_from(bindparam("owner")),
        # a withdrawal must not overtake an alert that is still on its way
        (push_runs.c.kind == PushKind.ALERT.value)
        | ~select(_alerts.c.id)
        .where(
            _alerts.c.organization_id == push_runs.c.organization_id,
            _alerts.c.notification_id == push_runs.c.notification_id,
            _alerts.c.channel_id == push_runs.c.channel_id,
            _alerts.c.kind == PushKind.ALERT.value,
        )
        .exists(),
    )
    .order_by(push_runs.c.due_at, push_runs.c.id)
    .limit(MOST_RUNS)
    .with_for_update(skip_locked=True)
)


_DUE_EXPIRED: Final = _DUE.where(
    select(notifications.c.id)
    .where(
        notifications.c.organization_id == push_runs.c.organization_id,
        notifications.c.id == push_runs.c.notification_id,
        case(
            (push_runs.c.kind == PushKind.ALERT.value, notifications.c.expires_at),
            else_=notifications.c.updated_at + DEFAULT_TTL_SECONDS * 1000,
        )
        <= bindparam("now"),
    )
    .exists()
)


def _run(row: Any) -> Run:
    return Run(
        id=row.id,
        organization_id=row.organization_id,
        notification_id=row.notification_id,
        channel_id=row.channel_id,
        kind=PushKind(row.kind),
        phase=Phase(row.phase),
        after_member_id=row.after_member_id,
        last_member_id=row.last_member_id,
        reach=row.reach,
    )


def _first_within_reach(due: Sequence[Run]) -> list[Run]:
    taken: list[Run] = []
    reach = 0
    for run in due:
        reach += min(run.reach, MOST_REACH)
        if taken and reach > MOST_REACH:
            break
        taken.append(run)
    return taken


def _split(connection: Connection, run: Run, now: int) -> Run:
    """Keep the first members of a run and put the rest back behind the runs that wait."""
    last = _member_at(connection, run, MOST_REACH)
    if last is None or (run.last_member_id is not None and last >= run.last_member_id):
        return run
    connection.execute(update(push_runs).where(push_runs.c.id == run.id).values(last_member_id=last))
    connection.execute(
        insert(push_runs).values(
            organization_id=run.organization_id,
            notification_id=run.notification_id,
            channel_id=run.channel_id,
            kind=run.kind,
            phase=Phase.RANGE,
            after_member_id=last,
            after_device_id=LARGEST_NUMBER,  # that member's devices are all in the first part
            last_member_id=run.last_member_id,
            reach=run.reach,
            due_at=now,
        )
    )
    return replace(run, last_member_id=last)


def _member_at(connection: Connection, run: Run, distance: int) -> int | None:
    """The nearest member that lies `distance` members on in one of the run's streams; None when none is so long."""
    place = {
        "organization": run.organization_id,
        "notification": run.notification_id,
        "after": run.after_member_id,
        "before": distance - 1,
    }
    last: int | None = connection.scalar(_MEMBER_AT, place)
    return last


_MEMBER_AT: Final = select(
    func.min(
        select(memberships.c.member_id)
        .where(
            memberships.c.organization_id == stream_entries.c.organization_id,
            memberships.c.stream_id == stream_entries.c.stream_id,
            memberships.c.member_id > bindparam("after"),
        )
        .order_by(memberships.c.member_id)
        .offset(bindparam("before"))
        .limit(1)
        .correlate(stream_entries)
        .scalar_subquery()
    )
).where(
    stream_entries.c.organization_id == bindparam("organization"),
    stream_entries.c.notification_id == bindparam("notification"),
    stream_entries.c.kind == EntryKind.RELEASE,
)


# ── Leases and ends ──────────────────────────────────────────────────────────────────────────────────────


def renew_leases(connection: Connection, owner: str, lease_until: int) -> None:
    """Keep everything that this worker holds."""
    held = _lock(connection, push_runs.c.lease_owner == owner)
    connection.execute(update(push_runs).where(push_runs.c.id.in_(held)).values(lease_until=lease_until))


def release_leases(connection: Connection, owner: str, channel_id: int) -> None:
    """Give back everything that this worker holds of a channel, to be claimed by anybody at once."""
    held = _lock(connection, push_runs.c.channel_id == channel_id, push_runs.c.lease_owner == owner)
    connection.execute(
        update(push_runs).where(push_runs.c.id.in_(held)).values(lease_owner=None, lease_until=0)
    )


def take_over_leases(connection: Connection) -> None:
    """End every lease: only for the one worker of a SQLite file, whose predecessor is surely dead."""
    connection.execute(
        update(push_runs).where(push_runs.c.lease_owner.is_not(None)).values(lease_owner=None, lease_until=0)
    )


def lock_owned(connection: Connection, owner: str, run_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """Which of these runs this worker still holds, locked until the transaction ends.

    Each with the (member, device) up to which it is settled.
    """
    rows = connection.execute(_OWNED, {"runs": sorted(run_ids), "owner": owner})
    return {run_id: (member_id, device_id) for run_id, member_id, device_id in rows}


_IN_ORDER: Final = (*(push_runs.c[name] for name in (*_RETRY_KEY, "phase")), push_runs.c.id)

_OWNED: Final = (
    select(push_runs.c.id, push_runs.c.after_member_id, push_runs.c.after_device_id)
    .where(
        push_runs.c.id.in_(bindparam("runs", expanding=True)), push_runs.c.lease_owner == bindparam("owner")
    )
    .order_by(*_IN_ORDER)
    .with_for_update()
)


def _lock(connection: Connection, *conditions: ColumnElement[bool]) -> Sequence[int]:
    """Lock runs until the transaction ends, in their order; returns their ids."""
    query = select(push_runs.c.id).where(*conditions).order_by(*_IN_ORDER).with_for_update()
    return connection.scalars(query).all()


def advance(connection: Connection, run_id: int, member_id: int, device_id: int) -> None:
    """Note that a locked run is settled up to this device."""
    connection.execute(_ADVANCE, {"run": run_id, "member": member_id, "device": device_id})


_ADVANCE: Final = (
    update(push_runs)
    .where(push_runs.c.id == bindparam("run"))
    .values(after_member_id=bindparam("member"), after_device_id=bindparam("device"))
)


def give_back(connection: Connection, run_ids: Collection[int], due_at: int) -> None:
    """Return locked runs unfinished, due again at a moment."""
    connection.execute(
        update(push_runs)
        .where(push_runs.c.id.in_(run_ids))
        .values(lease_owner=None, lease_until=0, due_at=due_at)
    )


def finish(connection: Connection, run_ids: Collection[int]) -> None:
    """End locked runs."""
    connection.execute(delete(push_runs).where(push_runs.c.id.in_(run_ids)))


def drop_unclaimed(
    connection: Connection, organization_id: int, notification_id: int, now: int
) -> tuple[set[int], set[int]]:
    """End a notification's alert runs that nobody holds; returns their channels, and those where one is left.

    What is being claimed or settled at this moment counts as held, and is not waited for.
    """
    alerts = (
        (push_runs.c.organization_id == organization_id)
        & (push_runs.c.notification_id == notification_id)
        & (push_runs.c.kind == PushKind.ALERT)
    )
    unclaimed = select(push_runs.c.id).where(alerts, push_runs.c.lease_until <= now)
    free = connection.scalars(unclaimed.with_for_update(skip_locked=True)).all()
    dropping = delete(push_runs).where(push_runs.c.id.in_(free)).returning(push_runs.c.channel_id)
    dropped = set(connection.scalars(dropping))
    return dropped, set(connection.scalars(select(push_runs.c.channel_id).where(alerts)))


def drop_of_channel(connection: Connection, channel_id: int, limit: int) -> list[Run]:
    """End the first runs of a removed channel, whoever holds them; those that are being settled are passed over."""
    query = (
        select(push_runs)
        .where(push_runs.c.channel_id == channel_id)
        .order_by(push_runs.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    dropped = [_run(row) for row in connection.execute(query)]
    finish(connection, [run.id for run in dropped])
    return dropped


def remaining_phases(
    connection: Connection, organization_id: int, notification_ids: Sequence[int]
) -> dict[int, set[Phase]]:
    """By notification: the phases in which it still has runs."""
    query = (
        select(push_runs.c.notification_id, push_runs.c.phase)
        .where(
            push_runs.c.organization_id == organization_id, push_runs.c.notification_id.in_(notification_ids)
        )
        .distinct()
    )
    found: dict[int, set[Phase]] = {}
    for notification, phase in connection.execute(query):
        found.setdefault(notification, set()).add(Phase(phase))
    return found


def oldest_due(connection: Connection, now: int) -> int | None:
    """When the run that waits longest was due; None when nothing waits. For the queue's age."""
    query = select(func.min(push_runs.c.due_at)).where(
        push_runs.c.due_at <= now, push_runs.c.lease_until <= now
    )
    due_at: int | None = connection.scalar(query)
    return due_at
