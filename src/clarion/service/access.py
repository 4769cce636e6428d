"""Who calls, and what they may do: tokens are checked here, through a cache of one second.

Called by `api/auth.py` for every request. A revoked or lapsed token, or a changed role, therefore takes
effect within a second.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from clarion.model.access import Access, TokenText, parse_token
from clarion.model.errors import Forbidden, NotFound, StoreUnavailable, Unauthenticated, WrongRegion
from clarion.service.allowance import Allowance
from clarion.store import tokens
from clarion.store.database import Database

CACHE_MS: Final = 1_000
MOST_CACHED: Final = 10_000
LEASE_WRITE_MS: Final = 3_600_000
"""The lease is written at most once an hour, so that a busy token costs no write per request."""


class Gatekeeper:
    """Answers who a token belongs to. One per process."""

    def __init__(
        self,
        database: Database,
        region: str,
        base_urls: dict[str, str],
        allowance: Allowance,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._region = region
        self._base_urls = base_urls
        self._allowance = allowance
        self._clock = clock
        self._known: dict[tuple[str, UUID], tuple[int, Access | None]] = {}

    async def access(self, token: str, organization: UUID) -> Access:
        """What the token's owner is in this organization.

        Raises Unauthenticated for a token that proves nothing, WrongRegion for one of another region,
        NotFound when the organization is absent or not theirs, and TooManyRequests.
        """
        now = self._clock()
        known = self._known.get((token, organization))
        if known is None or known[0] <= now:
            known = (now + CACHE_MS, await self._look_up(token, organization, now))
            if len(self._known) >= MOST_CACHED:
                self._known.clear()
            self._known[token, organization] = known
        self._allowance.spend_token(token)
        if known[1] is None:
            raise NotFound("There is no such organization, or you are not a member of it.")
        self._allowance.spend_organization(known[1].organization_id)
        return known[1]

    async def sender(self, token: str, organization: UUID) -> Access:
        """Like `access`, for those who may send; raises Forbidden for a member whose role is USER."""
        access = await self.access(token, organization)
        if not access.role.may_send:
            raise Forbidden("Only an OWNER or ADMIN of the organization may send or list its notifications.")
        return access

    async def _look_up(self, token: str, organization: UUID, now: int) -> Access | None:
        parsed = parse_token(token)
        if parsed is None:
            raise Unauthenticated
        if parsed.region != self._region:
            raise WrongRegion(parsed.region, self._base_urls.get(parsed.region))
        row, access = await self._database.read(_find, parsed, organization)
        if row is None or not parsed.proves(row.secret_hash) or not row.is_valid(now):
            raise Unauthenticated
        if now - (row.last_used_at or 0) >= LEASE_WRITE_MS:
            with suppress(StoreUnavailable):  # reading must go on; a later use renews it
                await self._database.write(tokens.renew_lease, row.id, now)
        return access


def _find(
    connection: Connection, token: TokenText, organization: UUID
) -> tuple[tokens.TokenRow | None, Access | None]:
    row = tokens.find_token(connection, token.key)
    return row, None if row is None else tokens.find_access(connection, row.user_id, organization)
