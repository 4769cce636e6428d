"""Which device calls: a device's own token, good for its receipts, its new address and its removal, and nothing else.

Called by the door. There is no cache: a device calls seldom, and one that was removed must be unknown at once.
"""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import Connection

from clarion.model.access import TokenKind, TokenText, parse_token
from clarion.model.errors import NotFound, Unauthenticated, WrongRegion
from clarion.service.allowance import Allowance
from clarion.store.database import Database
from clarion.store.installations import DeviceAccess, find_by_token, find_gone


class DeviceGatekeeper:
    """Answers which device a token belongs to. One per process."""

    def __init__(
        self, database: Database, region: str, base_urls: Mapping[str, str], allowance: Allowance
    ) -> None:
        self._database = database
        self.region = region
        self._base_urls = base_urls
        self._allowance = allowance

    async def access(self, token: str, organization: UUID, device: UUID) -> DeviceAccess:
        """The device that the token proves, which must be the one that the path names.

        A device that its push service called gone is known by its token until it is forgotten: it may come back at
        another address. Raises Unauthenticated for a token that proves nothing or whose device was given up,
        WrongRegion, NotFound for another device, and TooManyRequests. It spends nothing of its organization's
        allowance: a broadcast's receipts must not keep the organization from sending.
        """
        parsed = parse_token(token)
        if parsed is None or parsed.kind is not TokenKind.DEVICE:
            raise Unauthenticated
        if parsed.region != self.region:
            raise WrongRegion(parsed.region, self._base_urls.get(parsed.region))
        self._allowance.spend_token(parsed.key)
        found = await self._database.read(_find, organization, device, parsed)
        if found is None:
            raise Unauthenticated
        if (found.organization, found.device) != (organization, device):
            raise NotFound("There is no such device, or this token is another device's.")
        return found


def _find(connection: Connection, organization: UUID, device: UUID, token: TokenText) -> DeviceAccess | None:
    return find_by_token(connection, token) or find_gone(connection, organization, device, token)
