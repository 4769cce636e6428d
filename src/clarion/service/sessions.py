"""Member sessions: a backend begins one for a member's app, the app renews it, and either ends it.

Called by `api/sessions.py`. Only a person with the role OWNER or ADMIN begins one, and a session has no power over
other sessions. Ending takes effect within a second (`service/access.py`).
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import Connection

from clarion.model.access import Access
from clarion.model.errors import Forbidden, NotFound
from clarion.model.refresh import SALT_OCTETS, Pair, RefreshText, first_pair, next_pair
from clarion.store import sessions, tokens
from clarion.store.sessions import SessionRow

logger = structlog.get_logger()

MOST_SESSIONS: Final = 50
"""Live sessions of one member; one more ends the one that was used longest ago."""

RETRY_MS: Final = 10_000
"""A refresh token that is shown again within this time is a repeated request and answered alike, not a theft."""

RandomOctets = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Opened:
    """What the app gets; the texts are told once."""

    session: UUID
    token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: int


def begin_session(
    connection: Connection,
    access: Access,
    user: UUID,
    minutes: int,
    uuid: UUID,
    random_octets: RandomOctets,
    now: int,
) -> Opened:
    """Begin a session of a member; raises NotFound. `access` may send: the door has seen to it."""
    member_id = _member(connection, access, user)
    sessions.lock_member(connection, access.organization_id, member_id)
    live = sessions.list_live(connection, access.organization_id, member_id, now)
    sessions.end(connection, [row.id for row in live[MOST_SESSIONS - 1 :]], now)
    pair = first_pair(access.region, random_octets)
    expires_at = sessions.add_session(connection, access.organization_id, member_id, uuid, pair, minutes, now)
    return _opened(uuid, pair, expires_at)


def refresh_session(
    connection: Connection, shown: RefreshText, organization: UUID, random_octets: RandomOctets, now: int
) -> Opened | None:
    """Exchange a refresh token for a new pair; None when it is good for nothing.

    One that was exchanged already has been copied: that ends the session for everybody who has a token of it.
    """
    row = sessions.find_session(connection, shown.key, lock=True)
    if row is None or not row.is_live(now) or not hmac.compare_digest(row.family_hash, shown.family_hash):
        return None
    if tokens.find_member_access(connection, row.member_id, organization) is None:
        return None
    if hmac.compare_digest(row.refresh_hash, shown.refresh_hash):
        salt = random_octets(SALT_OCTETS)
        pair = next_pair(shown, salt)
        return _opened(row.uuid, pair, sessions.rotate(connection, row, pair, salt, now))
    if _is_repeat(row, shown, now):
        assert row.salt is not None
        return _opened(row.uuid, next_pair(shown, row.salt), row.expires_at)
    sessions.end(connection, [row.id], now)
    logger.warning("refresh_token_reused", session=str(row.uuid))
    return None


def list_sessions(connection: Connection, access: Access, user: UUID, now: int) -> list[SessionRow]:
    """The live sessions of a member; raises Forbidden for a session, NotFound."""
    _check_person(access)
    return sessions.list_live(connection, access.organization_id, _member(connection, access, user), now)


def end_session(connection: Connection, access: Access, user: UUID, session: UUID, now: int) -> None:
    """End a session; raises NotFound when it is not there, which for a session is every one but itself."""
    live = sessions.list_live(connection, access.organization_id, _member(connection, access, user), now)
    own = access.session
    found = [row.id for row in live if row.uuid == session and (own is None or own.id == row.id)]
    if not found:
        raise NotFound("There is no such session of this member.")
    sessions.end(connection, found, now)


def end_sessions(connection: Connection, access: Access, user: UUID, now: int) -> None:
    """End all sessions of a member; raises Forbidden for a session, NotFound."""
    rows = list_sessions(connection, access, user, now)
    sessions.end(connection, [row.id for row in rows], now)


def _is_repeat(row: SessionRow, shown: RefreshText, now: int) -> bool:
    former = row.former_refresh_hash
    return (
        former is not None
        and hmac.compare_digest(former, shown.refresh_hash)
        and abs(now - row.refreshed_at) < RETRY_MS  # another process's clock may be a little behind
    )


def _opened(session: UUID, pair: Pair, expires_at: int) -> Opened:
    return Opened(session, pair.token, pair.refresh_token, expires_at)


def _check_person(access: Access) -> None:
    if access.session is not None:
        raise Forbidden("A session may end itself, and nothing else of a member's sessions.")


def _member(connection: Connection, access: Access, user: UUID) -> int:
    member = tokens.find_access_by_user(connection, user, access.organization)
    if member is None:
        raise NotFound("There is no such member in this organization.")
    return member.member_id
