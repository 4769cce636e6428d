"""One host and port: a live connection when one is needed, and safe resends.

Only what is surely not processed is sent again; `Unknown` never is. A failed attempt is followed by a pause
that doubles, with jitter, so that a dead provider costs one attempt per pause however many bursts ask for it,
and a live one never sees rapid reconnects (which Apple treats as an attack).
"""

import asyncio
import random
import ssl
import time
from collections.abc import Callable, Sequence

from clarion.http2.connection import Connection
from clarion.http2.errors import ConnectFailed
from clarion.http2.headers import Hole, Template
from clarion.http2.limits import DEFAULT_LIMITS, Limits
from clarion.http2.results import NotProcessed, Result


class Origin:
    """A host and port that outlives its connections. One connection at a time."""

    def __init__(  # noqa: PLR0913 - three of them are the world, injected
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext,
        limits: Limits = DEFAULT_LIMITS,
        attempts: int = 3,
        first_pause_seconds: float = 0.5,
        longest_pause_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._limits = limits
        self._attempts = attempts
        self._first_pause_seconds = first_pause_seconds
        self._longest_pause_seconds = longest_pause_seconds
        self._clock = clock
        self._jitter = jitter
        self._connecting = asyncio.Lock()
        self._connection: Connection | None = None
        self._leaving: list[Connection] = []
        self._failures = 0
        self._failed_because = ""
        self._paused_until = clock()
        self._closed = False

    async def connect(self) -> None:
        """Make sure that a live connection exists, or raise `ConnectFailed`; within a pause, at once."""
        await self._live()

    async def burst(self, template: Template, holes: Sequence[Hole]) -> list[Result]:
        """Send one request per hole and return their results in the same order.

        What is surely not processed moves on to a live connection, until that has settled nothing `attempts`
        times in a row or no connection can be made; then it ends as `NotProcessed`. Raises nothing but for a
        wrong `hole`.
        """
        results: list[Result] = [NotProcessed("never sent")] * len(holes)
        places: Sequence[int] = range(len(holes))
        fruitless = 0
        while places and fruitless < self._attempts:
            try:
                connection = await self._live()
            except ConnectFailed as error:
                for place in places:
                    results[place] = NotProcessed(str(error))
                return results
            answers = await connection.burst(template, [holes[place] for place in places])
            for place, result in zip(places, answers, strict=True):
                results[place] = result
            left = [place for place in places if isinstance(results[place], NotProcessed)]
            fruitless = fruitless + 1 if len(left) == len(places) else 0
            places = left
            if not fruitless:
                self._failures = 0
        if fruitless:
            self._pause(_reason(results[places[0]]))
        return results

    async def close(self) -> None:
        """Close for good; requests in flight end as `Unknown`."""
        self._closed = True
        async with self._connecting:
            connections = [*self._leaving, *([self._connection] if self._connection else [])]
            self._connection, self._leaving = None, []
            await asyncio.gather(*(connection.close() for connection in connections))

    async def _live(self) -> Connection:
        if self._connection is not None and self._connection.usable:
            return self._connection
        async with self._connecting:
            if self._closed:
                raise ConnectFailed("closed by us")
            if self._connection is not None and self._connection.usable:
                return self._connection
            if self._clock() < self._paused_until:
                raise ConnectFailed(self._failed_because)
            try:
                connection = await Connection.open(self._host, self._port, tls=self._tls, limits=self._limits)
            except ConnectFailed as error:
                self._pause(str(error))
                raise
            self._replace(connection)
            return connection

    def _replace(self, connection: Connection) -> None:
        """The predecessor stays until it has answered what it took."""
        self._leaving = [each for each in self._leaving if not each.ended]
        if self._connection is not None and not self._connection.ended:
            self._leaving.append(self._connection)
        self._connection = connection

    def _pause(self, reason: str) -> None:
        pause = min(self._longest_pause_seconds, self._first_pause_seconds * 2.0**self._failures)
        self._failures = min(self._failures + 1, 32)
        self._failed_because = reason
        self._paused_until = self._clock() + pause * (0.5 + self._jitter() / 2)


def _reason(result: Result) -> str:
    return result.reason if isinstance(result, NotProcessed) else "no progress"
