"""How long to let a peer rest that could not be reached. Pure: no timer."""

from collections.abc import Callable
from typing import Final

from clarion.http2.errors import ConnectFailed

MOST_DOUBLINGS: Final = 32


class Backoff:
    """A pause after each failure that doubles, with jitter, until a success."""

    def __init__(
        self,
        first_seconds: float,
        longest_seconds: float,
        clock: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._clock = clock
        self._jitter = jitter
        self._failures = 0
        self._until = clock()
        self._failure: ConnectFailed | None = None

    @property
    def failure(self) -> ConnectFailed | None:
        """Why there is a pause, or None when there is none."""
        return self._failure if self._clock() < self._until else None

    def fail(self, failure: ConnectFailed) -> None:
        """Begin a pause."""
        pause = min(self._longest_seconds, self._first_seconds * 2.0**self._failures)
        self._failures = min(self._failures + 1, MOST_DOUBLINGS)
        self._failure = failure
        self._until = self._clock() + pause * (0.5 + self._jitter() / 2)

    def succeed(self) -> None:
        """End the pause; the next one is the shortest again."""
        self._failures = 0
        self._failure = None
