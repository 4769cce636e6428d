"""Publishing: from drafts to durable notifications.

`publish` is the door's one write. It takes all the requests that wait, and in one transaction resolves their
audiences, numbers and stores them, and releases those whose moment is now; what it returned is durable.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from clarion.model.access import Access
from clarion.model.errors import Conflict, Refusal
from clarion.model.notification import Draft, Notification, NotificationState
from clarion.service.audience import Resolved, Resolver
from clarion.service.release import Releasing, release
from clarion.store import idempotency, notifications


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """One accepted draft on its way into the store."""

    access: Access
    draft: Draft
    uuid: UUID
    now: int
    idempotency_key: str | None = None
    body_hash: bytes = b""

    @property
    def is_due(self) -> bool:
        """Its moment is now or in the past."""
        return self.draft.start_at is None or self.draft.start_at <= self.now


@dataclass(frozen=True, slots=True)
class Published:
    """A notification that is durable. `replayed`: it was so already, under the same Idempotency-Key."""

    notification: Notification
    unmatched_emails: tuple[str, ...] = ()
    replayed: bool = False


def publishing_weight(request: PublishRequest) -> int:
    """What a request costs beside others in one transaction: a member is looked up and written per address."""
    return max(1, len(request.draft.audience.emails))


def publish(connection: Connection, requests: Sequence[PublishRequest]) -> list[Published | Refusal]:
    """Store a batch; answers in the order of the requests, a Refusal where one cannot be accepted.

    Organizations are written in the order of their ids, so that two writers never wait for each other.
    """
    answers: dict[UUID, Published | Refusal] = {}
    organization = attrgetter("access.organization_id")
    for organization_id, group in groupby(sorted(requests, key=organization), key=organization):
        batch = _Batch(connection, organization_id)
        batch.publish(list(group))
        answers |= batch.answers
    return [answers[request.uuid] for request in requests]


@dataclass(slots=True)
class _Batch:
    """One organization's requests in one transaction; `answers` fills as they are decided."""

    connection: Connection
    organization_id: int
    answers: dict[UUID, Published | Refusal] = field(default_factory=dict)

    def publish(self, requests: Sequence[PublishRequest]) -> None:
        firsts, twins = _without_twins(requests)
        if any(request.idempotency_key is not None for request in firsts):
            # Locks the counters: a twin that another node is storing is durable before its key is looked up.
            notifications.take_numbers(self.connection, self.organization_id, 0, 0)
        fresh = [request for request in firsts if not self._was_answered(request)]
        resolved = list(self._resolve(fresh))
        if resolved:
            self._store(resolved)
        for request, first in twins:
            self.answers[request.uuid] = self._answer_twin(request, first)

    # ── Idempotency ──────────────────────────────────────────────────────────────────────────────────────

    def _was_answered(self, request: PublishRequest) -> bool:
        """Answer a request whose key was seen in the last 24 hours as it was answered then."""
        if request.idempotency_key is None:
            return False
        first = idempotency.find_first_answer(
            self.connection,
            self.organization_id,
            request.access.user_id,
            request.idempotency_key,
            request.now,
        )
        if first is not None:
            self.answers[request.uuid] = self._replay(request, first)
        return first is not None

    def _replay(self, request: PublishRequest, first: idempotency.FirstAnswer) -> Published | Refusal:
        if first.body_hash != request.body_hash:
            return _key_was_used()
        stored = notifications.find_notification_by_id(
            self.connection, self.organization_id, first.notification
        )
        as_it_was = replace(
            stored,
            state=NotificationState(first.state),
            updated_at=stored.created_at,
            updated_by=stored.created_by,
        )
        return Published(as_it_was, first.unmatched, replayed=True)

    def _answer_twin(self, request: PublishRequest, first: PublishRequest) -> Published | Refusal:
        """The answer to a request whose key came with another one in this very transaction."""
        answer = self.answers[first.uuid]
        if first.body_hash != request.body_hash:
            return _key_was_used()
        return answer if isinstance(answer, Refusal) else replace(answer, replayed=True)

    # ── The store ────────────────────────────────────────────────────────────────────────────────────────

    def _resolve(self, requests: Sequence[PublishRequest]) -> Iterable[tuple[PublishRequest, Resolved]]:
        """Find the streams of every audience; refuse where there are none."""
        if not requests:
            return
        audiences = (request.draft.audience for request in requests)
        resolver = Resolver.look_up(self.connection, self.organization_id, audiences)
        for request in requests:
            try:
                yield request, resolver.resolve(request.draft.audience)
            except Refusal as refusal:
                self.answers[request.uuid] = refusal

    def _store(self, batch: Sequence[tuple[PublishRequest, Resolved]]) -> None:
        """Number, release and write notifications."""
        due = sum(request.is_due for request, _ in batch)
        last_number, last_seq = notifications.take_numbers(
            self.connection, self.organization_id, len(batch), due
        )
        numbered = list(enumerate(batch, start=last_number + 1))
        releasing = [
            Releasing(
                number,
                request.draft.audience.scope,
                resolved.solution_id,
                resolved.streams,
                request.draft.options.ttl_seconds,
            )
            for number, (request, resolved) in numbered
            if request.is_due
        ]
        now = batch[0][0].now
        released = (
            release(self.connection, self.organization_id, releasing, last_seq, now) if releasing else {}
        )
        rows: list[dict[str, Any]] = []
        for number, (request, resolved) in numbered:
            state = released[number]["state"] if number in released else NotificationState.QUEUED
            notification = _notification(request, number, state)
            row = notifications.to_row(
                notification,
                self.organization_id,
                request.access.user_id,
                resolved.solution_id,
                resolved.streams,
            )
            rows.append({**row, **released.get(number, {})})
            self._answer(request, notification, resolved.unmatched_emails)
        notifications.add_notifications(self.connection, rows)

    def _answer(
        self, request: PublishRequest, notification: Notification, unmatched: tuple[str, ...]
    ) -> None:
        """Answer a request, and keep the answer under its key."""
        self.answers[request.uuid] = Published(notification, unmatched)
        if request.idempotency_key is not None:
            idempotency.keep_first_answer(
                self.connection,
                self.organization_id,
                request.access.user_id,
                request.idempotency_key,
                idempotency.FirstAnswer(request.body_hash, notification.id, notification.state, unmatched),
                request.now,
            )


def _without_twins(
    requests: Sequence[PublishRequest],
) -> tuple[list[PublishRequest], list[tuple[PublishRequest, PublishRequest]]]:
    """The requests without those that repeat another one's key, and these beside the other one."""
    firsts: list[PublishRequest] = []
    twins: list[tuple[PublishRequest, PublishRequest]] = []
    seen: dict[tuple[int, str], PublishRequest] = {}
    for request in requests:
        key = (request.access.user_id, request.idempotency_key or "")
        if request.idempotency_key is not None and key in seen:
            twins.append((request, seen[key]))
        else:
            seen[key] = request
            firsts.append(request)
    return firsts, twins


def _key_was_used() -> Refusal:
    return Conflict(
        "This Idempotency-Key was used with another body in the last 24 hours; use a new key for a new request.",
        code="idempotency_key_reused",
    )


def _notification(request: PublishRequest, number: int, state: NotificationState) -> Notification:
    draft, access = request.draft, request.access
    audience = draft.audience
    return Notification(
        organization=access.organization,
        region=access.region,
        uuid=request.uuid,
        id=number,
        scope=audience.scope,
        content=draft.content,
        state=state,
        start_at=request.now if request.is_due or draft.start_at is None else draft.start_at,
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
