"""Those who watch the page live: each gets what changed, in bounded memory.

Written to by `stage.py`, read by `web.py`, which sends it on as server-sent events. A watcher holds names of
phones, not their content: a slow reader skips the states in between and sees the newest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

KEPT_ENTRIES = 50


@dataclass(slots=True)
class Changes:
    """What happened since the last look."""

    phones: dict[str, str] = field(default_factory=dict)
    """Address of a phone -> the latest reason why its screen changed."""
    entries: list[dict[str, Any]] = field(default_factory=list)
    """New lines of the log, oldest first."""
    reread: bool = False
    """Too much happened, or something else: read everything anew."""
    closed: bool = False


class Watcher:
    """One reader."""

    def __init__(self) -> None:
        self._changes = Changes()
        self._something = asyncio.Event()

    def phone(self, token: str, reason: str) -> None:
        """Note that a phone's screen changed."""
        self._changes.phones[token] = reason
        self._something.set()

    def entry(self, entry: dict[str, Any]) -> None:
        """Note a new line of the log."""
        if len(self._changes.entries) < KEPT_ENTRIES:
            self._changes.entries.append(entry)
        else:
            self._changes.reread = True
        self._something.set()

    def reread(self) -> None:
        """Note that everything must be read anew."""
        self._changes.reread = True
        self._something.set()

    def close(self) -> None:
        """End the reader's loop."""
        self._changes.closed = True
        self._something.set()

    async def next(self, patience: float) -> Changes:
        """Return what happened as soon as something did, or nothing after `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                await self._something.wait()
        except TimeoutError:
            return Changes()
        return self.take()

    def take(self) -> Changes:
        """Return what happened since the last look, at once."""
        changes, self._changes = self._changes, Changes()
        self._something.clear()
        return changes


class Watchers:
    """All readers."""

    def __init__(self) -> None:
        self._all: set[Watcher] = set()
        self._closed = False

    def __iter__(self) -> Iterator[Watcher]:
        return iter(tuple(self._all))

    @contextmanager
    def one(self) -> Iterator[Watcher]:
        """Watch while the block lasts."""
        watcher = Watcher()
        self._all.add(watcher)
        if self._closed:
            watcher.close()
        try:
            yield watcher
        finally:
            self._all.discard(watcher)

    def close(self) -> None:
        """End all readers, also those to come."""
        self._closed = True
        for watcher in self:
            watcher.close()
