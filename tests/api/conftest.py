"""The API over SQLite in memory, with callers of every kind."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from clarion.store.database import Database
from clarion.store.schema import metadata
from tests.api.caller import Caller, make_door, make_http, make_token
from tests.world import World


@pytest.fixture
def database() -> Iterator[Database]:
    """SQLite in memory alone: what the databases have in common is proven one layer below."""
    opened = Database("sqlite://")
    with opened.engine.connect().execution_options(writes=True) as connection, connection.begin():
        metadata.create_all(connection)
    yield opened
    opened.close()


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token."""
    async with make_http(make_door(world)) as client:
        yield client


@pytest.fixture
async def caller(http: httpx.AsyncClient, world: World) -> Caller:
    """The administrator of the small organization."""
    return Caller(http, world.organization, await make_token(world))
