"""The log of accepted pushes: every one, as a test or a measurement asks for it afterwards.

Written by `stage.py`, read through the page's API. It forgets the oldest when it is full.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

from clarion.sandbox.push import Push

KEPT = 200_000
PAGE = 10_000


class Received:
    """A ring of accepted pushes, numbered from 1 for as long as the process lives."""

    def __init__(self, kept: int = KEPT) -> None:
        self._ring: deque[tuple[str, str, str, str, str | None, int]] = deque(maxlen=kept)
        self._last = 0

    def add(self, push: Push, at: int) -> None:
        """Append a push, accepted at `at` (epoch milliseconds)."""
        self._ring.append((push.provider, push.id, push.token, push.push_type, push.collapse_id, at))
        self._last += 1

    def after(self, number: int, limit: int = PAGE) -> dict[str, Any]:
        """Return the entries behind a number; `last` in the answer is where the next question begins.

        `total` counts all that was ever accepted; `forgotten`, how many of the entries asked for are gone.
        """
        first = self._last - len(self._ring) + 1
        start = max(number + 1, first)
        rows = list(islice(self._ring, start - first, start - first + limit))
        names = ("provider", "id", "token", "pushType", "collapseId", "at")
        return {
            "last": start + len(rows) - 1,
            "total": self._last,
            "forgotten": max(0, first - (number + 1)),
            "items": [{"n": n, **dict(zip(names, row, strict=True))} for n, row in enumerate(rows, start)],
        }

    def clear(self) -> None:
        """Forget all entries; the numbers go on."""
        self._ring.clear()
