"""Who calls, and what they may do: tokens are checked here, through a cache of one second.

Called by `api/auth.py` for every request. A revoked or lapsed token, an ended session, or a changed role therefore
takes effect within a second. Three kinds of token prove something: a person's (`clr_`), a session's (`cls_`), and an
ID token of the issuer that the organization trusts, which is a member's session without a row of its own.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from clarion.model.access import Access, Session, TokenKind, TokenText, parse_token
from clarion.model.errors import Forbidden, NotFound, StoreUnavailable, Unauthenticated, WrongRegion
from clarion.model.refresh import RefreshText, parse_refresh_token
from clarion.service.allowance import Allowance
from clarion.service.oidc import IdTokens, looks_like_id_token
from clarion.store import sessions, tokens
from clarion.store.database import Database
from clarion.store.sessions import SessionRow
from clarion.store.tokens import TokenRow

CACHE_MS: Final = 1_000
MOST_CACHED: Final = 10_000
LONGEST_NAME: Final = 200
"""A longer token is known by its digest, so that the cache and the allowance stay small."""

LEASE_WRITE_MS: Final = 3_600_000
"""The lease is written at most once an hour, so that a busy token costs no write per request."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What a token is in an organization: None when its owner is no member there."""

    access: Access | None
    until: int


class Gatekeeper:
    """Answers who a token belongs to. One per process. Without `id_tokens` those of issuers prove nothing."""

    def __init__(
        self,
        database: Database,
        region: str,
        base_urls: dict[str, str],
        allowance: Allowance,
        clock: Callable[[], int],
        id_tokens: IdTokens | None = None,
    ) -> None:
        self._database = database
        self._region = region
        self._base_urls = base_urls
        self._allowance = allowance
        self._clock = clock
        self._id_tokens = id_tokens
        self._known: dict[tuple[str, UUID], _Known] = {}

    async def access(self, token: str, organization: UUID) -> Access:
        """What the token's owner is in this organization.

        Raises Unauthenticated for a token that proves nothing, WrongRegion for one of another region,
        NotFound when the organization is absent or not theirs, TooManyRequests, and IssuerUnavailable for an ID
        token that cannot be checked now.
        """
        now, name = self._clock(), _name(token)
        known = self._known.get((name, organization))
        if known is None or known.until <= now:
            known = await self._look_up(token, organization, now)
            if len(self._known) >= MOST_CACHED:
                self._known.clear()
            self._known[name, organization] = known
        self._allowance.spend_token(name)
        if known.access is None:
            raise NotFound("There is no such organization, or you are not a member of it.")
        self._allowance.spend_organization(known.access.organization_id)
        return known.access

    async def sender(self, token: str, organization: UUID) -> Access:
        """Like `access`, for those who may send; raises Forbidden for the role USER, which every session has."""
        access = await self.access(token, organization)
        if not access.role.may_send:
            raise Forbidden(
                "Only an OWNER or ADMIN of the organization may do this, with a personal access token."
                if access.session
                else "Only an OWNER or ADMIN of the organization may send or list its notifications."
            )
        return access

    async def member(self, token: str, organization: UUID, user: UUID) -> Access:
        """Like `access`, for what is one member's own: theirs, their session's, and for those who may send.

        Raises NotFound for everybody else: to them the member is absent.
        """
        access = await self.access(token, organization)
        if not access.may_see(user):
            raise NotFound("There is no such member in this organization.")
        return access

    def refreshing(self, text: object) -> RefreshText:
        """Read a refresh token, and count the request; raises Unauthenticated, WrongRegion, TooManyRequests."""
        shown = parse_refresh_token(text) if isinstance(text, str) else None
        if shown is None:
            raise Unauthenticated
        self._check_region(shown.region)
        self._allowance.spend_token(shown.key)
        return shown

    async def ended_sessions(self) -> frozenset[int]:
        """The ids (`Access.session.id`) of the sessions that were ended within the last minute.

        One small query, for whoever keeps connections open and asks every second: a stream closes when its
        session is in here, or when `Access.session.ends_at` has come.
        """
        return await self._database.read(sessions.list_ended, self._clock())

    async def _look_up(self, token: str, organization: UUID, now: int) -> _Known:
        if self._id_tokens is not None and looks_like_id_token(token):
            return _known(await self._id_tokens.access(token, organization), now)
        parsed = parse_token(token)
        if parsed is None or parsed.kind not in {TokenKind.PERSONAL, TokenKind.SESSION}:
            raise Unauthenticated
        self._check_region(parsed.region)
        if parsed.kind is TokenKind.SESSION:
            return _known(await self._session(parsed, organization, now), now)
        return _known(await self._person(parsed, organization, now), now)

    async def _person(self, token: TokenText, organization: UUID, now: int) -> Access | None:
        row, access = await self._database.read(_find_person, token, organization)
        if row is None or not token.proves(row.secret_hash) or not row.is_valid(now):
            raise Unauthenticated
        if now - (row.last_used_at or 0) >= LEASE_WRITE_MS:
            with suppress(StoreUnavailable):  # reading must go on; a later use renews it
                await self._database.write(tokens.renew_lease, row.id, now)
        return access

    async def _session(self, token: TokenText, organization: UUID, now: int) -> Access | None:
        row, access = await self._database.read(_find_session, token, organization)
        ends_at = None if row is None else row.proven_until(token, now)
        if row is None or ends_at is None:
            raise Unauthenticated
        if now - row.last_used_at >= LEASE_WRITE_MS:
            with suppress(StoreUnavailable):
                await self._database.write(sessions.note_use, row.id, now)
        return None if access is None else access.of_session(Session(ends_at, row.id))

    def _check_region(self, region: str) -> None:
        if region != self._region:
            raise WrongRegion(region, self._base_urls.get(region))


def _name(token: str) -> str:
    return token if len(token) <= LONGEST_NAME else sha256(token.encode("latin-1", "replace")).hexdigest()


def _known(access: Access | None, now: int) -> _Known:
    until = now + CACHE_MS
    return _Known(access, min(until, access.session.ends_at) if access and access.session else until)


def _find_person(
    connection: Connection, token: TokenText, organization: UUID
) -> tuple[TokenRow | None, Access | None]:
    row = tokens.find_token(connection, token.key)
    return row, None if row is None else tokens.find_access(connection, row.user_id, organization)


def _find_session(
    connection: Connection, token: TokenText, organization: UUID
) -> tuple[SessionRow | None, Access | None]:
    row = sessions.find_session(connection, token.key)
    return row, None if row is None else tokens.find_member_access(connection, row.member_id, organization)
