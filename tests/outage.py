"""A database that goes away: the real one, whose transactions fail to begin while a test says so."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from clarion.store.database import Database


@dataclass(eq=False)
class Outage:
    """How many transactions still begin before the database is away, and how many then failed."""

    after: int = 0
    failed: list[int] = field(default_factory=list)

    def __call__(self, _connection: Connection) -> None:
        """Refuse a transaction, once `after` others have begun."""
        if self.after:
            self.after -= 1
            return
        self.failed.append(1)
        raise OperationalError("BEGIN", {}, sqlite3.OperationalError("disk I/O error"))


@contextmanager
def outage(database: Database, *, after: int = 0) -> Iterator[Outage]:
    """Let the database be away while the block lasts, from the transaction on that follows `after` others."""
    away = Outage(after)
    event.listen(database.engine, "begin", away)
    try:
        yield away
    finally:
        event.remove(database.engine, "begin", away)
