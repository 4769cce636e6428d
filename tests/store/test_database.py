"""The two verbs, and writing together."""

import asyncio
import sqlite3
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, event, func, insert, select, text
from sqlalchemy.exc import OperationalError

from clarion.model.errors import NotFound, Refusal, StoreUnavailable
from clarion.store.database import MOST_TOGETHER, Database, Together
from clarion.store.schema import users
from tests.outage import outage
from tests.world import World


class Batches:
    """Stores a row per item, answers with ten times the item, and notes who came together."""

    def __init__(self) -> None:
        self.tried: list[list[int]] = []

    def __call__(self, connection: Connection, items: Sequence[int]) -> list[int | Refusal]:
        self.tried.append(list(items))
        answers: list[int | Refusal] = []
        for item in items:
            if item < 0:
                answers.append(NotFound(f"no {item}"))
                continue
            connection.execute(insert(users).values(uuid=uuid_of(item), created_at=item))
            if item == 13:
                raise ZeroDivisionError("13")
            answers.append(item * 10)
        return answers


def uuid_of(number: int) -> object:
    from uuid import UUID  # noqa: PLC0415

    return UUID(int=number)


async def stored(database: Database) -> list[int]:
    query = select(users.c.created_at).order_by(users.c.created_at)
    return await database.read(lambda connection: list(connection.scalars(query)))


async def test_what_comes_together_shares_a_transaction(database: Database) -> None:
    batches = Batches()
    together = Together(database, batches)
    assert await asyncio.gather(*(together(item) for item in range(5))) == [0, 10, 20, 30, 40]
    assert batches.tried == [[0, 1, 2, 3, 4]]


async def test_what_comes_later_has_a_transaction_of_its_own(database: Database) -> None:
    batches = Batches()
    together = Together(database, batches)
    assert [await together(1), await together(2)] == [10, 20]
    assert batches.tried == [[1], [2]]


async def test_a_crowd_is_written_in_batches_of_a_bounded_size(database: Database) -> None:
    batches = Batches()
    together = Together(database, batches)
    crowd = range(20, 20 + 2 * MOST_TOGETHER + 1)
    assert await asyncio.gather(*(together(item) for item in crowd)) == [item * 10 for item in crowd]
    assert [len(batch) for batch in batches.tried] == [MOST_TOGETHER, MOST_TOGETHER, 1]


async def test_a_refusal_is_for_its_own_request_alone(database: Database) -> None:
    together = Together(database, Batches())
    answers = await asyncio.gather(together(1), together(-2), together(3), return_exceptions=True)
    assert [answers[0], answers[2]] == [10, 30]
    assert isinstance(answers[1], NotFound)
    assert await stored(database) == [1, 3]


async def test_one_bad_item_fails_alone_and_is_not_stored(database: Database) -> None:
    batches = Batches()
    together = Together(database, batches)
    answers = await asyncio.gather(*(together(item) for item in (12, 13, 14)), return_exceptions=True)
    assert [answers[0], answers[2]] == [120, 140]
    assert isinstance(answers[1], ZeroDivisionError)
    assert await stored(database) == [12, 14]
    assert batches.tried == [[12, 13, 14], [12], [13], [14]]


async def test_everybody_hears_that_the_store_is_away_and_nothing_is_tried_again(database: Database) -> None:
    batches = Batches()
    together = Together(database, batches)
    with outage(database) as away:
        answers = await asyncio.gather(together(1), together(2), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable, StoreUnavailable]
    assert len(away.failed) == 1
    assert await together(3) == 30
    assert await stored(database) == [3]


async def test_a_caller_that_goes_away_neither_stops_nor_changes_the_write(database: Database) -> None:
    together = Together(database, Batches())
    leaving = asyncio.create_task(together(1))
    staying = asyncio.create_task(together(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 20
    assert await stored(database) == [1, 2]


async def test_a_write_that_fails_leaves_nothing(database: Database) -> None:
    def fail(connection: Connection) -> None:
        connection.execute(insert(users).values(uuid=uuid_of(1), created_at=1))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(fail)
    assert await stored(database) == []


async def test_a_database_that_is_away_is_a_refusal_that_says_nothing_was_stored(database: Database) -> None:
    with outage(database):
        for verb in (database.read, database.write):
            with pytest.raises(StoreUnavailable, match="nothing was accepted"):
                await verb(lambda connection: connection.execute(text("SELECT 1")))


async def test_a_postgresql_that_was_ended_is_away_and_one_that_came_back_is_used(
    postgresql_url: str,
) -> None:
    database = Database(postgresql_url)

    def end_own_session(connection: Connection) -> None:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(StoreUnavailable):
        await database.write(end_own_session)
    assert await database.read(lambda connection: connection.scalar(text("SELECT 1"))) == 1
    database.close()


async def test_a_commit_that_postgresql_did_not_confirm_leaves_open_whether_it_was_accepted(
    postgresql_url: str,
) -> None:
    database, other = Database(postgresql_url), Database(postgresql_url)
    sessions: list[int] = []

    def store(connection: Connection) -> None:
        connection.execute(insert(users).values(uuid=uuid_of(1), created_at=1))
        sessions.append(connection.scalars(text("SELECT pg_backend_pid()")).one())

    def end_that_session(_connection: Connection) -> None:
        with other.engine.connect() as connection:
            connection.execute(text("SELECT pg_terminate_backend(:session, 5000)"), {"session": sessions[0]})

    event.listen(database.engine, "commit", end_that_session)
    with pytest.raises(StoreUnavailable, match="unknown whether this was accepted") as refusal:
        await database.write(store)
    assert refusal.value.code == "store_unavailable"
    event.remove(database.engine, "commit", end_that_session)
    assert await database.write(lambda connection: connection.scalar(text("SELECT 1"))) == 1
    for opened in (database, other):
        opened.close()


async def test_a_commit_that_sqlite_refuses_left_nothing(tmp_path: object) -> None:
    database = Database(f"sqlite:///{tmp_path}/clarion.db")

    def refuse(_connection: Connection) -> None:
        raise OperationalError("COMMIT", {}, sqlite3.OperationalError("database or disk is full"))

    await database.write(lambda connection: connection.execute(text("CREATE TABLE kept (n INTEGER)")))
    event.listen(database.engine, "commit", refuse)
    with pytest.raises(StoreUnavailable, match="nothing was accepted"):
        await database.write(lambda connection: connection.execute(text("INSERT INTO kept VALUES (7)")))
    event.remove(database.engine, "commit", refuse)
    assert await database.read(lambda connection: connection.scalar(text("SELECT count(*) FROM kept"))) == 0
    database.close()


async def test_a_sqlite_file_survives_its_process(tmp_path: object) -> None:
    url = f"sqlite:///{tmp_path}/clarion.db"
    database = Database(url)
    await database.write(lambda connection: connection.execute(text("CREATE TABLE kept (n INTEGER)")))
    await database.write(lambda connection: connection.execute(text("INSERT INTO kept VALUES (7)")))
    database.close()
    again = Database(url)
    assert await again.read(lambda connection: connection.scalar(text("SELECT n FROM kept"))) == 7
    settings = {
        pragma: await again.read(lambda c, p=pragma: c.scalar(text(f"PRAGMA {p}")))  # type: ignore[misc]
        for pragma in ("journal_mode", "synchronous")
    }
    assert settings == {"journal_mode": "wal", "synchronous": 2}
    again.close()


async def test_two_organizations_rows_are_counted_apart(world: World) -> None:
    other = await World.make(world.database, world.clock)
    await world.tell("ours")
    count = select(func.count()).select_from(users)
    assert await other.read(lambda connection: connection.scalar(count)) == 2
    assert (await other.tell("theirs")).id == 1
    assert (await world.tell("ours")).id == 2
