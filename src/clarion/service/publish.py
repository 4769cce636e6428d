"""Publishing: from drafts to durable notifications, and the release into streams and push runs.

`publish` is the door's one write. It takes all the requests that wait, and in one transaction resolves their
audiences, numbers and stores them, and releases those whose moment is now; what it returned is durable.
`release_due` is the worker's: it releases scheduled notifications when their moment comes.

A release writes one entry per stream and one push run per channel, however many members there are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection

from clarion.model.access import Access
from clarion.model.audience import Scope, fold_email
from clarion.model.errors import Conflict, Fault, Invalid, NotFound, Refusal
from clarion.model.notification import Draft, Notification, NotificationState, Options
from clarion.store import channels, devices, directory, idempotency, notifications, runs, streams

RELEASED_PER_TICK: Final = 200


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """One accepted draft on its way into the store."""

    access: Access
    draft: Draft
    uuid: UUID
    now: int
    idempotency_key: str | None = None
    body_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Published:
    """A notification that is durable. `replayed`: it was so already, under the same Idempotency-Key."""

    notification: Notification
    unmatched_emails: tuple[str, ...] = ()
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Resolved:
    """A request whose audience was found."""

    request: PublishRequest
    streams: tuple[int, ...]
    solution_id: int | None
    unmatched_emails: tuple[str, ...]

    @property
    def is_due(self) -> bool:
        """Its moment is now or in the past."""
        start_at = self.request.draft.start_at
        return start_at is None or start_at <= self.request.now


@dataclass(frozen=True, slots=True)
class _Releasing:
    """What a release needs to know of a notification."""

    id: int
    scope: Scope
    solution_id: int | None
    streams: tuple[int, ...]
    options: Options


def publish(connection: Connection, requests: Sequence[PublishRequest]) -> list[Published | Refusal]:
    """Store a batch; answers in the order of the requests, a Refusal where one cannot be accepted.

    Organizations are written in the order of their ids, so that two writers never wait for each other.
    """
    answers: dict[UUID, Published | Refusal] = {}
    by_organization = sorted(requests, key=attrgetter("access.organization_id"))
    for organization_id, group in groupby(by_organization, key=attrgetter("access.organization_id")):
        fresh = list(_without_replays(connection, organization_id, group, answers))
        resolved = list(_resolve(connection, organization_id, fresh, answers))
        if resolved:
            _store(connection, organization_id, resolved, answers)
    return [answers[request.uuid] for request in requests]


def release_due(connection: Connection, now: int) -> int:
    """Release scheduled notifications whose moment has come; returns how many, at most `RELEASED_PER_TICK`."""
    waiting = notifications.find_waiting(connection, now, RELEASED_PER_TICK)
    for organization_id, group in groupby(waiting, key=attrgetter("organization_id")):
        batch = [_Releasing(w.id, w.scope, w.solution_id, w.streams, w.options) for w in group]
        _, seq = notifications.take_numbers(connection, organization_id, 0, len(batch))
        for number, columns in _release(connection, organization_id, batch, seq, now).items():
            notifications.mark_released(connection, organization_id, number, columns)
    return len(waiting)


# ── Idempotency ──────────────────────────────────────────────────────────────────────────────────────────


def _without_replays(
    connection: Connection, organization_id: int, requests: Iterable[PublishRequest], answers: dict[UUID, Any]
) -> Iterable[PublishRequest]:
    """Answer the requests whose key was seen before; let the others pass."""
    seen: dict[tuple[int, str], PublishRequest] = {}
    for request in requests:
        if request.idempotency_key is None:
            yield request
            continue
        key = (request.access.user_id, request.idempotency_key)
        first = idempotency.find_first_answer(connection, organization_id, *key, request.now)
        if first is not None:
            answers[request.uuid] = _replay(connection, organization_id, request, first)
        elif key in seen:
            answers[request.uuid] = _twin(request, seen[key])
        else:
            seen[key] = request
            yield request


def _replay(
    connection: Connection, organization_id: int, request: PublishRequest, first: idempotency.FirstAnswer
) -> Published | Refusal:
    if first.body_hash != request.body_hash:
        return _key_was_used()
    stored = notifications.find_notification_by_id(connection, organization_id, first.notification)
    as_it_was = replace(
        stored,
        state=NotificationState(first.state),
        updated_at=stored.created_at,
        updated_by=stored.created_by,
    )
    return Published(as_it_was, first.unmatched, replayed=True)


def _twin(request: PublishRequest, first: PublishRequest) -> Refusal:
    """The answer to a second request with a key that is being stored in this very transaction."""
    if first.body_hash != request.body_hash:
        return _key_was_used()
    return Conflict(
        "A request with this Idempotency-Key is being stored at this moment; send it again for its answer.",
        code="idempotency_key_in_use",
    )


def _key_was_used() -> Refusal:
    return Conflict(
        "This Idempotency-Key was used with another body in the last 24 hours; use a new key for a new request.",
        code="idempotency_key_reused",
    )


# ── Audiences ────────────────────────────────────────────────────────────────────────────────────────────


def _resolve(
    connection: Connection, organization_id: int, requests: Sequence[PublishRequest], answers: dict[UUID, Any]
) -> Iterable[Resolved]:
    """Find the streams of every audience with one look-up per kind; refuse where there are none."""
    audiences = [request.draft.audience for request in requests]
    emails = {fold_email(email) for a in audiences if a.scope is Scope.USERS for email in a.emails}
    member_streams = directory.find_member_streams(connection, organization_id, emails)
    solutions = directory.find_solutions(
        connection, organization_id, {a.solution for a in audiences if a.solution is not None}
    )
    groups = directory.find_groups(
        connection,
        organization_id,
        {solutions[a.solution].id for a in audiences if a.scope is Scope.GROUPS and a.solution in solutions},
    )
    known = _Directory(
        directory.organization_stream(connection, organization_id), member_streams, solutions, groups
    )
    for request in requests:
        try:
            yield known.resolve(request)
        except Refusal as refusal:
            answers[request.uuid] = refusal


@dataclass(frozen=True, slots=True)
class _Directory:
    """What a batch needs of the directory, looked up once."""

    organization_stream: int
    member_streams: dict[str, int]
    solutions: dict[UUID, directory.Solution]
    groups: dict[int, dict[str, int]]

    def resolve(self, request: PublishRequest) -> Resolved:
        audience = request.draft.audience
        solution = self._solution(audience.solution)
        found: tuple[int, ...]
        unmatched: tuple[str, ...] = ()
        match audience.scope:
            case Scope.ORGANIZATION:
                found = (self.organization_stream,)
            case Scope.SOLUTION:
                assert solution is not None
                found = (solution.stream,)
            case Scope.GROUPS:
                assert solution is not None
                found = self._group_streams(solution, audience.groups)
            case Scope.USERS:
                found, unmatched = self._member_streams(audience.emails)
        return Resolved(request, found, None if solution is None else solution.id, unmatched)

    def _solution(self, uuid: UUID | None) -> directory.Solution | None:
        if uuid is None:
            return None
        if uuid not in self.solutions:
            message = f"There is no solution {uuid} in this organization."
            raise NotFound(message, code="solution_not_found", faults=[Fault("solutionId", message)])
        return self.solutions[uuid]

    def _group_streams(self, solution: directory.Solution, names: tuple[str, ...]) -> tuple[int, ...]:
        existing = self.groups[solution.id]
        known = ", ".join(sorted(existing)) or "none yet"
        faults = [
            Fault(f"groups[{index}]", f"is not a group of this solution: {name!r}; its groups: {known}")
            for index, name in enumerate(names)
            if name not in existing
        ]
        if faults:
            raise Invalid.because(faults)
        return tuple(sorted(existing[name] for name in names))

    def _member_streams(self, emails: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[str, ...]]:
        found = {
            self.member_streams[folded] for e in emails if (folded := fold_email(e)) in self.member_streams
        }
        if not found:
            raise Invalid.because([Fault("emails", "none of these addresses belongs to a member")])
        unmatched = tuple(email for email in emails if fold_email(email) not in self.member_streams)
        return tuple(sorted(found)), unmatched


# ── The store ────────────────────────────────────────────────────────────────────────────────────────────


def _store(
    connection: Connection, organization_id: int, resolved: Sequence[Resolved], answers: dict[UUID, Any]
) -> None:
    """Number and write notifications, with the releases of those that are due."""
    due = [item for item in resolved if item.is_due]
    number, seq = notifications.take_numbers(connection, organization_id, len(resolved), len(due))
    rows: dict[int, dict[str, Any]] = {}
    releasing: list[_Releasing] = []
    for id_, item in enumerate(resolved, start=number + 1):
        request = item.request
        notification = _notification(item, id_)
        answers[request.uuid] = Published(notification, item.unmatched_emails)
        rows[id_] = notifications.to_row(
            notification, organization_id, request.access.user_id, item.solution_id, item.streams
        )
        if item.is_due:
            scope, options = request.draft.audience.scope, request.draft.options
            releasing.append(_Releasing(id_, scope, item.solution_id, item.streams, options))
    released = _release(connection, organization_id, releasing, seq, resolved[0].request.now) if due else {}
    for id_, columns in released.items():
        rows[id_].update(columns)
    notifications.add_notifications(connection, list(rows.values()))
    for (id_, row), item in zip(rows.items(), resolved, strict=True):
        _answer(connection, organization_id, item, NotificationState(row["state"]), id_, answers)


def _answer(
    connection: Connection,
    organization_id: int,
    item: Resolved,
    state: NotificationState,
    number: int,
    answers: dict[UUID, Any],
) -> None:
    """Correct the answer where nobody has a device, and keep it under its key."""
    request = item.request
    published: Published = answers[request.uuid]
    if state is not published.notification.state:
        answers[request.uuid] = replace(published, notification=replace(published.notification, state=state))
    if request.idempotency_key is not None:
        first = idempotency.FirstAnswer(request.body_hash, number, state, item.unmatched_emails)
        idempotency.keep_first_answer(
            connection, organization_id, request.access.user_id, request.idempotency_key, first, request.now
        )


def _notification(item: Resolved, number: int) -> Notification:
    request, draft = item.request, item.request.draft
    audience, access = draft.audience, request.access
    return Notification(
        organization=access.organization,
        region=access.region,
        uuid=request.uuid,
        id=number,
        scope=audience.scope,
        content=draft.content,
        state=NotificationState.QUEUED,
        start_at=request.now if item.is_due or draft.start_at is None else draft.start_at,
        created_at=request.now,
        created_by=access.user,
        updated_at=request.now,
        updated_by=access.user,
        emails=audience.emails or None,
        groups=audience.groups or None,
        solution=audience.solution,
        description=draft.description,
        options=draft.options,
    )


def _release(
    connection: Connection, organization_id: int, releasing: Sequence[_Releasing], seq: int, now: int
) -> dict[int, dict[str, Any]]:
    """Write stream entries and push runs; returns the columns that each notification gets by its release."""
    last_device = devices.last_device_id(connection)
    carriers = _carriers(connection, organization_id, releasing)
    entries: list[tuple[int, int, int]] = []
    new_runs: list[runs.NewRun] = []
    columns: dict[int, dict[str, Any]] = {}
    for place, item in enumerate(releasing, start=seq + 1):
        entries.extend((stream, place, item.id) for stream in item.streams)
        reach = len(item.streams) if item.scope is Scope.USERS else runs.UNKNOWN_REACH
        new_runs.extend(runs.NewRun(item.id, channel, reach, now) for channel in carriers[item.id])
        columns[item.id] = {
            "seq": place,
            "released_at": now,
            "last_device_id": last_device,
            "expires_at": now + item.options.ttl_seconds * 1000,
            "state": NotificationState.QUEUED if carriers[item.id] else NotificationState.SENT,
        }
    streams.add_entries(connection, organization_id, streams.EntryKind.RELEASE, entries)
    runs.add_runs(connection, organization_id, new_runs)
    return columns


def _carriers(
    connection: Connection, organization_id: int, releasing: Sequence[_Releasing]
) -> dict[int, list[int]]:
    """By notification: the channels that may carry it.

    For named people only those on which somebody has a device; for a broad audience every channel, because
    looking would cost as much as sending. A channel of one solution carries only what names that solution.
    """
    limited_to = dict(channels.channels_by_solution(connection, organization_id))
    own_streams = [stream for item in releasing if item.scope is Scope.USERS for stream in item.streams]
    in_use = streams.channels_of_streams(connection, organization_id, own_streams) if own_streams else {}
    carriers = {}
    for item in releasing:
        candidates = (
            set().union(*(in_use.get(stream, ()) for stream in item.streams))
            if item.scope is Scope.USERS
            else set(limited_to)
        )
        carriers[item.id] = sorted(c for c in candidates if limited_to[c] in {None, item.solution_id})
    return carriers
