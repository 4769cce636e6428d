"""What all tests share: both databases, a clock that tests move, and a small organization to act in."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from clarion.store.database import Database
from clarion.store.schema import metadata
from tests.clock import Clock
from tests.postgresql import Cluster, find_binaries, run_cluster
from tests.world import World

# A slow machine is not a fault, and CI finds the same examples every time.
settings.register_profile("clarion", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("clarion")


def missing(what: str) -> None:
    """A missing service skips at home and fails in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is needed in CI")
    pytest.skip(f"{what} is not installed; scripts/test installs it where it may")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of this machine reaches a test."""
    for name in [name for name in os.environ if name.startswith("CLARION_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgresql_cluster() -> Iterator[Cluster]:
    """A PostgreSQL of the tests' own, on a socket in a temporary folder."""
    binaries = find_binaries()
    if binaries is None:
        missing("PostgreSQL")
    assert binaries is not None
    with run_cluster(binaries) as cluster:
        engine = create_engine(cluster.url("template_clarion", create=True), poolclass=NullPool)
        metadata.create_all(engine)
        yield cluster


@pytest.fixture(scope="session")
def postgresql_database(postgresql_cluster: Cluster) -> Iterator[str]:
    """One PostgreSQL database with the schema."""
    with postgresql_cluster.fresh_database("template_clarion") as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_cluster: Cluster, postgresql_database: str) -> str:
    """A PostgreSQL database with the schema and without a row; its numbers go on from test to test."""
    postgresql_cluster.empty(postgresql_database, metadata)
    return postgresql_database


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """The store, once on each database: the same suite runs over both."""
    if request.param == "sqlite":
        opened = Database("sqlite://")
        with opened.engine.connect().execution_options(writes=True) as connection, connection.begin():
            metadata.create_all(connection)
    else:
        opened = Database(request.getfixturevalue("postgresql_url"))
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    """A clock that only tests move."""
    return Clock()


@pytest.fixture
async def world(database: Database, clock: Clock) -> World:
    """An organization with an administrator, two solutions, groups, one channel, and nobody else."""
    return await World.make(database, clock)
