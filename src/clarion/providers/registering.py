"""What must be true of an address before it is stored: its provider's rules, and that an endpoint leads to the public.

An endpoint is looked up once more whenever it is used, because a name may lead elsewhere by then; here it is only so
that whoever registers hears of it. Called by the door, through `bootstrap.py`.
"""

import asyncio
from collections.abc import Collection
from typing import Final

from clarion.http2 import Resolve, look_up
from clarion.model.push import InvalidAddress
from clarion.providers import check_address
from clarion.providers.webpush_endpoints import ForbiddenAddress, make_resolver, read_address

LOOK_UP_SECONDS: Final = 2.0


class AddressCheck:
    """Checks what apps give as addresses. Endpoints at trusted hosts may lead anywhere."""

    def __init__(self, trusted_hosts: Collection[str], resolve: Resolve = look_up) -> None:
        self._trusted_hosts = trusted_hosts
        self._resolve = resolve

    async def __call__(self, provider: str, address: str) -> str:
        """The one spelling of an address, as the store keeps it; raises InvalidAddress."""
        kept = check_address(provider, address)
        if provider == "webpush":
            await self._look_up(kept)
        return kept

    async def _look_up(self, address: str) -> None:
        origin = read_address(address).origin
        resolve = make_resolver(origin, self._trusted_hosts, self._resolve)
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                found = await resolve(origin.bare_host, origin.port)
        except ForbiddenAddress:
            raise InvalidAddress("endpoint must not lead into a private network") from None
        except TimeoutError:
            raise InvalidAddress(
                f"endpoint must have a name that is looked up within {LOOK_UP_SECONDS:g} seconds"
            ) from None
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise InvalidAddress("endpoint must have a name that can be looked up") from None
