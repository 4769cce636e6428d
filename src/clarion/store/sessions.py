"""Sessions of members' apps: hashes of their tokens, when each ends, and which were ended.

Called by `service/access.py`, which looks tokens up, and by `service/sessions.py`, which begins, renews and ends
sessions. An ended session stays for an hour, so that whoever holds a connection open for it can see that it ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update

from clarion.model.access import TokenText
from clarion.model.refresh import Pair
from clarion.store.schema import members, sessions

REFRESH_MS: Final = 30 * 86_400_000
"""How long a refresh token is good. A session that is not renewed meanwhile is over."""

ENDED_SHOWN_MS: Final = 60_000
ENDED_KEPT_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as stored."""

    id: int
    organization_id: int
    uuid: UUID
    member_id: int
    minutes: int
    secret_hash: bytes = field(repr=False)
    expires_at: int
    former_secret_hash: bytes | None = field(repr=False)
    former_expires_at: int | None
    family_hash: bytes = field(repr=False)
    refresh_hash: bytes = field(repr=False)
    former_refresh_hash: bytes | None = field(repr=False)
    salt: bytes | None = field(repr=False)
    refreshed_at: int
    created_at: int
    last_used_at: int
    ended_at: int | None

    def is_live(self, now: int) -> bool:
        """Neither ended nor over because nobody renewed it."""
        return self.ended_at is None and now < self.refreshed_at + REFRESH_MS

    def proven_until(self, token: TokenText, now: int) -> int | None:
        """When a token of this session ends; None when it is none, or has ended with or without the session."""
        if not self.is_live(now):
            return None
        if token.proves(self.secret_hash):
            ends_at: int | None = self.expires_at
        elif self.former_secret_hash is not None and token.proves(self.former_secret_hash):
            ends_at = self.former_expires_at
        else:
            return None
        return ends_at if ends_at is not None and now < ends_at else None


_COLUMNS: Final = [sessions.c[part.name] for part in fields(SessionRow)]


def lock_member(connection: Connection, organization_id: int, member_id: int) -> None:
    """Let one transaction at a time begin sessions of a member, so that their number is right."""
    query = select(members.c.id).where(
        members.c.organization_id == organization_id, members.c.id == member_id
    )
    connection.execute(query.with_for_update())


def add_session(
    connection: Connection,
    organization_id: int,
    member_id: int,
    uuid: UUID,
    pair: Pair,
    minutes: int,
    now: int,
) -> int:
    """Keep a new session; returns when its token ends."""
    expires_at = now + minutes * 60_000
    connection.execute(
        insert(sessions).values(
            organization_id=organization_id,
            member_id=member_id,
            uuid=uuid,
            key=pair.key,
            minutes=minutes,
            secret_hash=pair.secret_hash,
            expires_at=expires_at,
            family_hash=pair.family_hash,
            refresh_hash=pair.refresh_hash,
            refreshed_at=now,
            created_at=now,
            last_used_at=now,
        )
    )
    return expires_at


def find_session(connection: Connection, key: str, *, lock: bool = False) -> SessionRow | None:
    """The session with this public part, live or not; `lock` keeps it to this transaction."""
    query = select(*_COLUMNS).where(sessions.c.key == key)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else SessionRow(*row)


def rotate(connection: Connection, row: SessionRow, pair: Pair, salt: bytes, now: int) -> int:
    """Give a locked session its next pair; the former token stays good until its end. Returns when the new one ends."""
    expires_at = now + row.minutes * 60_000
    connection.execute(
        update(sessions)
        .where(sessions.c.id == row.id)
        .values(
            secret_hash=pair.secret_hash,
            expires_at=expires_at,
            former_secret_hash=row.secret_hash,
            former_expires_at=row.expires_at,
            refresh_hash=pair.refresh_hash,
            former_refresh_hash=row.refresh_hash,
            salt=salt,
            refreshed_at=now,
            last_used_at=now,
        )
    )
    return expires_at


def note_use(connection: Connection, session_id: int, now: int) -> None:
    """Remember that a session is in use."""
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(last_used_at=now))


def list_live(connection: Connection, organization_id: int, member_id: int, now: int) -> list[SessionRow]:
    """The live sessions of a member, the one used last first."""
    query = (
        select(*_COLUMNS)
        .where(*_live(organization_id, member_id, now))
        .order_by(sessions.c.last_used_at.desc(), sessions.c.id.desc())
    )
    return [SessionRow(*row) for row in connection.execute(query)]


def list_ended(connection: Connection, now: int) -> frozenset[int]:
    """The ids of the sessions that were ended within the last minute."""
    query = select(sessions.c.id).where(sessions.c.ended_at > now - ENDED_SHOWN_MS)
    return frozenset(connection.scalars(query))


def end(connection: Connection, ids: Sequence[int], now: int) -> None:
    """End sessions; those that have ended already stay as they are."""
    connection.execute(
        update(sessions).where(sessions.c.id.in_(ids), sessions.c.ended_at.is_(None)).values(ended_at=now)
    )


def forget_ended(connection: Connection, now: int, limit: int) -> int:
    """Remove up to `limit` sessions that ended an hour ago or that nobody renewed; returns how many."""
    over = or_(
        sessions.c.ended_at <= now - ENDED_KEPT_MS,
        sessions.c.refreshed_at <= now - REFRESH_MS,
    )
    old = select(sessions.c.id).where(over).limit(limit).subquery()
    return connection.execute(delete(sessions).where(sessions.c.id.in_(select(old)))).rowcount


def _live(organization_id: int, member_id: int, now: int) -> tuple[ColumnElement[bool], ...]:
    return (
        sessions.c.organization_id == organization_id,
        sessions.c.member_id == member_id,
        sessions.c.ended_at.is_(None),
        sessions.c.refreshed_at > now - REFRESH_MS,
    )
