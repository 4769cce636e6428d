"""The release: a notification gets its place in the order, its stream entries and its push runs.

It writes one entry per stream and one push run per channel, however many members there are. `release` is
part of the door's transaction for what is sent now; `release_due` is the worker's, for what was scheduled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final, TypedDict

from sqlalchemy import Connection

from clarion.model.audience import Scope
from clarion.model.notification import NotificationState
from clarion.store import channels, devices, notifications, runs, streams

RELEASED_TOGETHER: Final = 200
STREAMS_TOGETHER: Final = 10_000
"""How many scheduled notifications, and how many streams of theirs, one transaction releases."""

LEAST_TTL_SECONDS: Final = 60
"""How long a push that may not be stored for its device (`ttl` 0) is offered to its push service all the same."""


@dataclass(frozen=True, slots=True)
class Releasing:
    """What a release needs to know of a notification."""

    id: int
    scope: Scope
    solution_id: int | None
    streams: tuple[int, ...]
    ttl_seconds: int


class Released(TypedDict):
    """The columns that a notification gets by its release."""

    seq: int
    released_at: int
    last_device_id: int
    expires_at: int
    state: NotificationState


def release(
    connection: Connection, organization_id: int, batch: Sequence[Releasing], last_seq: int, now: int
) -> dict[int, Released]:
    """Write the entries and runs of a batch, numbered from after `last_seq`; returns the columns by notification.

    A notification that no channel can carry to anybody is SENT at once.
    """
    last_device = devices.last_device_id(connection)
    carriers = _carriers(connection, organization_id, batch)
    entries: list[tuple[int, int, int]] = []
    new_runs: list[runs.NewRun] = []
    released: dict[int, Released] = {}
    for seq, item in enumerate(batch, start=last_seq + 1):
        entries += [(stream, seq, item.id) for stream in item.streams]
        reach = len(item.streams) if item.scope is Scope.USERS else runs.UNKNOWN_REACH
        new_runs += [runs.NewRun(item.id, channel, reach, now) for channel in carriers[item.id]]
        released[item.id] = {
            "seq": seq,
            "released_at": now,
            "last_device_id": last_device,
            "expires_at": now + max(item.ttl_seconds, LEAST_TTL_SECONDS) * 1000,
            "state": NotificationState.QUEUED if carriers[item.id] else NotificationState.SENT,
        }
    streams.add_entries(connection, organization_id, streams.EntryKind.RELEASE, entries)
    runs.add_runs(connection, organization_id, new_runs)
    return released


def release_due(connection: Connection, now: int) -> int:
    """Release some of the scheduled notifications whose moment has come; returns how many, 0 when none is left."""
    waiting = _first_within_reach(notifications.find_waiting(connection, now, RELEASED_TOGETHER))
    for organization_id, group in groupby(waiting, key=attrgetter("organization_id")):
        batch = [Releasing(w.id, w.scope, w.solution_id, w.streams, w.options.ttl_seconds) for w in group]
        _, last_seq = notifications.take_numbers(connection, organization_id, 0, len(batch))
        for number, columns in release(connection, organization_id, batch, last_seq, now).items():
            notifications.mark_released(connection, organization_id, number, {**columns})
    return len(waiting)


def _first_within_reach(waiting: Sequence[notifications.Waiting]) -> Sequence[notifications.Waiting]:
    count = streams_so_far = 0
    for item in waiting:
        streams_so_far += len(item.streams)
        if count and streams_so_far > STREAMS_TOGETHER:
            break
        count += 1
    return waiting[:count]


def _carriers(
    connection: Connection, organization_id: int, batch: Sequence[Releasing]
) -> dict[int, list[int]]:
    """By notification: the channels that may carry it.

    For named people only those on which somebody has a device; for a broad audience every channel, because
    looking would cost as much as sending. A channel of one solution carries only what names that solution.
    """
    own_streams = {stream for item in batch if item.scope is Scope.USERS for stream in item.streams}
    in_use = streams.channels_of_streams(connection, organization_id, own_streams)
    is_broad = any(item.scope is not Scope.USERS for item in batch)
    limited_to = (
        dict(channels.channels_by_solution(connection, organization_id)) if in_use or is_broad else {}
    )
    carriers = {}
    for item in batch:
        if item.scope is Scope.USERS:
            candidates = {channel for stream in item.streams for channel in in_use.get(stream, ())}
        else:
            candidates = set(limited_to)
        carriers[item.id] = sorted(c for c in candidates if limited_to[c] in {None, item.solution_id})
    return carriers
