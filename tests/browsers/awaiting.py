"""Waiting for what browsers do of their own: look again until a deadline, while the stand-ins go on answering."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 20.0


async def until(
    ask: Callable[[], Awaitable[T]],
    what: str,
    is_so: Callable[[T], object] = bool,
    seconds: float = PATIENCE_SECONDS,
) -> T:
    """Ask every 50 ms until the answer is as wished; returns it, or fails with what was awaited."""
    end = monotonic() + seconds
    while not is_so(answer := await ask()):
        assert monotonic() < end, f"in {seconds:g} s it did not happen that {what}; last: {answer!r:.500}"
        await asyncio.sleep(0.05)
    return answer
