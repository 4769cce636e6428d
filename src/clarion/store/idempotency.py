"""What was answered under an Idempotency-Key, for a day.

Called by `service/publish.py` inside the transaction that stores the notification: a key and what it stands
for become durable together.
"""

import json
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, tuple_

from clarion.store.schema import idempotency_keys

KEPT_MS = 86_400_000
"""A key is good for 24 hours."""


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """The notification that a key stands for, and what only the first answer knew."""

    body_hash: bytes
    notification: int
    state: str
    unmatched: tuple[str, ...]


def find_first_answer(
    connection: Connection, organization_id: int, user_id: int, key: str, now: int
) -> FirstAnswer | None:
    """What this user was answered under this key in the last 24 hours."""
    row = connection.execute(
        select(idempotency_keys.c.body_hash, idempotency_keys.c.answer).where(
            idempotency_keys.c.organization_id == organization_id,
            idempotency_keys.c.user_id == user_id,
            idempotency_keys.c.key == key,
            idempotency_keys.c.created_at > now - KEPT_MS,
        )
    ).one_or_none()
    if row is None:
        return None
    answer = json.loads(row.answer)
    return FirstAnswer(row.body_hash, answer["notification"], answer["state"], tuple(answer["unmatched"]))


def forget_old_answers(connection: Connection, now: int, limit: int) -> int:
    """Remove up to `limit` answers that are older than a day; returns how many."""
    old = (
        select(idempotency_keys.c.organization_id, idempotency_keys.c.user_id, idempotency_keys.c.key)
        .where(idempotency_keys.c.created_at <= now - KEPT_MS)
        .limit(limit)
        .subquery()
    )
    this = tuple_(idempotency_keys.c.organization_id, idempotency_keys.c.user_id, idempotency_keys.c.key)
    return connection.execute(delete(idempotency_keys).where(this.in_(select(old)))).rowcount


def keep_first_answer(
    connection: Connection, organization_id: int, user_id: int, key: str, first: FirstAnswer, now: int
) -> None:
    """Keep an answer under a key, in place of one that is older than a day."""
    connection.execute(
        delete(idempotency_keys).where(
            idempotency_keys.c.organization_id == organization_id,
            idempotency_keys.c.user_id == user_id,
            idempotency_keys.c.key == key,
            idempotency_keys.c.created_at <= now - KEPT_MS,
        )
    )
    answer = {"notification": first.notification, "state": first.state, "unmatched": list(first.unmatched)}
    connection.execute(
        insert(idempotency_keys).values(
            organization_id=organization_id,
            user_id=user_id,
            key=key,
            body_hash=first.body_hash,
            answer=json.dumps(answer),
            created_at=now,
        )
    )
