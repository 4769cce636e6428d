"""One worker per SQLite file: it takes over its predecessor's leases, so there must not be a second."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url


class AnotherWorker(Exception):  # noqa: N818 - told to the operator as it is
    """Another worker has this SQLite file."""


@contextmanager
def single_worker(url: str) -> Iterator[None]:
    """Hold the file's lock while the worker runs, and no longer, however it ends; raises AnotherWorker."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        yield
        return
    path = Path(parsed.database + ".worker")
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AnotherWorker(
                f"Another worker has {parsed.database}. SQLite takes one; use PostgreSQL for several."
            ) from None
        yield
