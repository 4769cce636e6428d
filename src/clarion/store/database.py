"""A database with two verbs, `read(fn, *args)` and `write(fn, *args)`, `peek` and `Together` for what is hot.

`fn` is a plain function that takes a SQLAlchemy `Connection` first; each call is one transaction. No error
tells a statement's parameters, which may be people's data.

On SQLite everything runs in short slices on the event loop itself. A thread would have to win the GIL back
after every sqlite3 call, which beside a busy loop costs far more than the call (`docs/adr/0002-writes-on-the-loop.md`).
There is one writer per process; `BEGIN IMMEDIATE` and a busy time-out queue the writers of several processes.

On PostgreSQL waiting is real, so reads run in a small pool of threads and writes in one thread: an
organization always meets the same writer of a process, so its counter is locked in one order.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from sqlite3 import SQLITE_READONLY
from sqlite3 import Connection as SqliteConnection
from sqlite3 import Error as SqliteError
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection, Engine, Select, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.pool import StaticPool
from sqlalchemy.sql.compiler import SQLCompiler

from clarion.model.errors import Refusal, StoreUnavailable

P = ParamSpec("P")
R = TypeVar("R")
Item = TypeVar("Item")

logger = structlog.get_logger()

POSTGRESQL_LIMITS: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "options": "-c lock_timeout=5s -c statement_timeout=30s -c idle_in_transaction_session_timeout=15s",
}
"""Nobody waits without end for a node that vanished with a lock, nor for a database that does not answer."""

BUSY_TIMEOUT_SECONDS: Final = 10
READ_THREADS: Final = 4
MOST_TOGETHER: Final = 64
MOST_WEIGHT: Final = 2_000
"""How many requests, and how much of their weight, share one transaction: bounds how long a write lasts."""


class Database:
    """One process's door to the store. `close` it when done."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        self.engine = _sqlite_engine(url) if self.is_sqlite else _postgresql_engine(url)
        self._compiled: dict[Select[Any], SQLCompiler] = {}
        self._readers = None if self.is_sqlite else ThreadPoolExecutor(READ_THREADS, "store-read")
        self._writer = None if self.is_sqlite else ThreadPoolExecutor(1, "store-write")

    async def read(
        self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run a function that only reads. Raises StoreUnavailable when the database does not answer."""

        def transaction() -> R:
            with self.engine.connect() as connection, connection.begin():
                return function(connection, *args, **kwargs)

        return await self._run(self._readers, transaction)

    async def peek(self, statement: Select[Any], values: dict[str, Any]) -> Sequence[Any] | None:
        """The first row of one small statement, whose values and columns are numbers and text alone.

        For what is asked so often that the ways of SQLAlchemy would cost ten times as much as the statement. Raises
        StoreUnavailable when the database does not answer.
        """
        if self.is_sqlite:
            with suppress(SqliteError, DBAPIError):  # what is wrong is told by the usual way
                return self._peek_sqlite(statement, values)
        return await self.read(lambda connection: connection.execute(statement, values).first())

    def _peek_sqlite(self, statement: Select[Any], values: dict[str, Any]) -> Sequence[Any] | None:
        compiled = self._compiled.get(statement)
        if compiled is None:
            compiled = statement.compile(self.engine)
            assert isinstance(compiled, SQLCompiler)
            self._compiled[statement] = compiled
        ordered = [values[name] for name in compiled.positiontup or ()]
        borrowed = self.engine.raw_connection()
        try:
            cursor = borrowed.cursor()
            cursor.execute(compiled.string, ordered)
            row: Sequence[Any] | None = cursor.fetchone()
        finally:
            borrowed.close()
        return row

    async def write(
        self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run a function that writes: all of it is durable when this returns, or none of it happened.

        Raises StoreUnavailable when the database cannot write: read-only, full, locked for too long, away. Its
        sentence tells when a database that went away during the commit leaves open which of the two it was.
        """

        def transaction() -> R:
            is_committing = False
            try:
                with self.engine.connect().execution_options(writes=True) as connection, connection.begin():
                    answer = function(connection, *args, **kwargs)
                    is_committing = True
            except _AWAY as error:
                if is_committing and not self.is_sqlite:  # SQLite has rolled back
                    raise _unavailable(error, in_doubt=True) from error
                raise
            return answer

        return await self._run(self._writer, transaction)

    def close(self) -> None:
        """End the threads and close the connections."""
        for executor in filter(None, (self._readers, self._writer)):
            executor.shutdown()
        self.engine.dispose()

    async def _run(self, threads: ThreadPoolExecutor | None, transaction: Callable[[], R]) -> R:
        try:
            if threads is None:
                return transaction()
            return await asyncio.get_running_loop().run_in_executor(threads, transaction)
        except _AWAY as error:
            if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == SQLITE_READONLY:
                self.engine.dispose()  # a file that was opened read-only stays so for its connections
            raise _unavailable(error) from error


_AWAY: Final = (OperationalError, InterfaceError, InternalError)


def _unavailable(error: DBAPIError, *, in_doubt: bool = False) -> StoreUnavailable:
    logger.error("store_unavailable", error=str(error.orig), in_doubt=in_doubt)
    return StoreUnavailable(in_doubt=in_doubt)


class Together(Generic[Item, R]):
    """Gathers the items that wait and hands them to one function in one transaction.

    `function(connection, items)` answers with one value or one Refusal per item, in order. While a
    transaction runs, the next one gathers, so under load a commit is shared by many requests. A batch that
    fails is rolled back and its items run one at a time, so that one bad item cannot fail the others.
    """

    def __init__(
        self,
        database: Database,
        function: Callable[[Connection, Sequence[Item]], Sequence[R | Refusal]],
        weight: Callable[[Item], int] = lambda _item: 1,
    ) -> None:
        self._database = database
        self._function = function
        self._weight = weight
        self._waiting: list[tuple[Item, asyncio.Future[R]]] = []
        self._flusher: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> R:
        """Write one item, whoever else it shares the transaction with; returns when it is durable."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, future))
        if self._flusher is None:
            self._flusher = loop.create_task(self._flush())
        return await future

    async def _flush(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                count = self._count_within_limits()
                batch = self._waiting[:count]
                del self._waiting[:count]
                await self._write(batch)
        finally:
            self._flusher = None

    def _count_within_limits(self) -> int:
        """How many of those that wait go into one transaction: a few heavy ones or many light ones."""
        weight = 0
        for count, (item, _) in enumerate(self._waiting[:MOST_TOGETHER]):
            weight += self._weight(item)
            if count and weight > MOST_WEIGHT:
                return count
        return min(len(self._waiting), MOST_TOGETHER)

    async def _gather(self) -> None:
        """Let the requests that have already arrived join, as long as more do at every turn of the loop."""
        gathered = 0
        while gathered < len(self._waiting) < MOST_TOGETHER:
            gathered = len(self._waiting)
            await asyncio.sleep(0)

    async def _write(self, batch: list[tuple[Item, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._database.write(self._function, [item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it was, every caller must hear of it
            if len(batch) > 1 and not isinstance(error, StoreUnavailable):
                for one in batch:
                    await self._write([one])
                return
            answers = [error for _ in batch]  # type: ignore[misc]
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():  # the caller went away; what is stored is stored
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that writes, for commands, which have no loop."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection


def _sqlite_engine(url: str) -> Engine:
    in_memory = make_url(url).database in {None, "", ":memory:"}
    pool: dict[str, Any] = {"poolclass": StaticPool} if in_memory else {}
    arguments = {"check_same_thread": False, "timeout": BUSY_TIMEOUT_SECONDS}
    engine = create_engine(url, connect_args=arguments, hide_parameters=True, **pool)

    @event.listens_for(engine, "connect")
    def prepare(connection: SqliteConnection, _record: object) -> None:
        connection.isolation_level = None  # transactions are ours to begin
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a 201 survives the power plug
        connection.execute("PRAGMA cache_size = -32000")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql_engine(url: str) -> Engine:
    return create_engine(
        url,
        pool_size=READ_THREADS + 1,
        max_overflow=2,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args=POSTGRESQL_LIMITS,
    )
