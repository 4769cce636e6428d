"""Whether a credential works: until the service took it once, one device goes ahead of the others.

Apple counts refusals against a sender, Google against a project's quota. So a credential that may not send must not be
shown five hundred times: once it was refused, everything is, until `begin_anew`. Used by `apns.py` and `fcm.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Refused, Unavailable
from clarion.model.push import Parcel

Ask = Callable[[Sequence[Parcel]], Awaitable[list[Outcome]]]
"""Asks the service: one outcome per parcel, in their order."""


class Proving:
    """What is known of one channel's credential. `is_address` tells which addresses can be one; `impossible` is what
    the others are told, about whom the service need not be asked."""

    def __init__(self, is_address: Callable[[str], bool], impossible: Refused) -> None:
        self._is_address = is_address
        self._impossible = impossible
        self._is_proven = False
        self._refusal: Misconfigured | None = None
        self._going_ahead = asyncio.Lock()

    def begin_anew(self) -> None:
        """What was refused may have been mended: it is shown once more, by one device."""
        if self._refusal is not None:
            self._is_proven, self._refusal = False, None

    def doubt(self) -> None:
        """Let one device go ahead of the next page."""
        self._is_proven = False

    async def offer(self, parcels: Sequence[Parcel], ask: Ask) -> list[Outcome]:
        """Offer a page; one outcome per parcel, in order."""
        possible = [parcel for parcel in parcels if self._is_address(parcel.address)]
        outcomes = await self._offer(possible, ask) if possible else []
        if len(possible) == len(parcels):
            return outcomes
        asked = iter(outcomes)
        return [next(asked) if self._is_address(each.address) else self._impossible for each in parcels]

    async def _offer(self, parcels: Sequence[Parcel], ask: Ask) -> list[Outcome]:
        async with self._going_ahead:
            may_go = self._is_proven or self._refusal is not None
            ahead = [] if may_go else await self._ask(parcels[:1], ask)
        if self._refusal is not None:
            return ahead + [self._refusal] * (len(parcels) - len(ahead))
        if ahead and _is_whole_service(ahead[0]):
            return ahead * len(parcels)
        others = parcels[len(ahead) :]
        return ahead + await self._ask(others, ask) if others else ahead

    async def _ask(self, parcels: Sequence[Parcel], ask: Ask) -> list[Outcome]:
        outcomes = await ask(parcels)
        refused = [outcome for outcome in outcomes if isinstance(outcome, Misconfigured)]
        if refused:
            # Beside many that were taken it may be an odd one: the next page shows it again, by one device.
            self._is_proven = False
            self._refusal = refused[0] if len(refused) * 2 >= len(outcomes) else self._refusal
        elif any(isinstance(outcome, Accepted | Gone) for outcome in outcomes):
            self._is_proven = True
        return outcomes


def _is_whole_service(outcome: Outcome) -> bool:
    """Whether what one device was answered would be answered to all."""
    return isinstance(outcome, Unavailable) and outcome.whole_service
