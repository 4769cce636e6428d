"""How much one caller may ask: a token bucket per access token and one per organization.

Called by `service/access.py` once a caller is known. Each process keeps its own buckets, so a service with
several API processes allows as many times as much.
"""

from collections.abc import Callable
from typing import Final

from clarion.model.errors import TooManyRequests

BURST_SECONDS: Final = 10
"""An idle caller may spend this much of its rate at once."""

TOKENS_PER_ORGANIZATION: Final = 10
"""An organization may ask as much as this many of its tokens."""

MOST_BUCKETS: Final = 100_000


class Allowance:
    """Counts requests against `per_second`; the clock answers in milliseconds."""

    def __init__(self, per_second: int, clock: Callable[[], int]) -> None:
        self._per_second = per_second
        self._clock = clock
        self._buckets: dict[str | int, tuple[float, int]] = {}

    def spend_token(self, token: str) -> None:
        """Count a request of a token, whatever it asks for; raises TooManyRequests, which says how long to wait."""
        self._take(token, self._per_second)

    def spend_organization(self, organization_id: int) -> None:
        """Count a request to an organization; raises TooManyRequests."""
        self._take(organization_id, self._per_second * TOKENS_PER_ORGANIZATION)

    def _take(self, key: str | int, per_second: int) -> None:
        now = self._clock()
        most = float(per_second * BURST_SECONDS)
        left, seen_at = self._buckets.get(key, (most, now))
        left = min(most, left + max(now - seen_at, 0) * per_second / 1000)
        if left < 1:
            raise TooManyRequests(retry_after_seconds=max(1, round((1 - left) / per_second)))
        if len(self._buckets) >= MOST_BUCKETS:
            self._buckets.clear()
        self._buckets[key] = (left - 1, now)
