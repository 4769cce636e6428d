"""A limit on how long a caller may take, cheap enough for every request.

A timer of its own costs a request 10 µs, more than reading its body. Here one timer looks at all who are
waited for, so a limit is kept a little late, and never early.
"""

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

T = TypeVar("T")

MOST_SECONDS: Final = 30.0
LOOKS: Final = 30
"""How often the timer looks during one limit: a thirtieth of it is how late it may be."""


class Patience:
    """Waits up to `seconds` for anything. One per event loop."""

    def __init__(self, seconds: float = MOST_SECONDS) -> None:
        self.seconds = seconds
        self._deadlines: dict[asyncio.Timeout, float] = {}
        self._is_looking = False

    async def wait_for(self, awaitable: Awaitable[T]) -> T:
        """Wait; raises TimeoutError when it takes too long."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as limit:
            self._deadlines[limit] = loop.time() + self.seconds
            if not self._is_looking:
                self._look_later(loop)
            try:
                return await awaitable
            finally:
                del self._deadlines[limit]

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_looking = True
        loop.call_later(self.seconds / LOOKS, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """End what is overdue, and look again as long as anybody is waited for."""
        self._is_looking = False
        now = loop.time()
        for limit, deadline in self._deadlines.items():
            if deadline <= now and not limit.expired():
                limit.reschedule(now)
        if self._deadlines:
            self._look_later(loop)
