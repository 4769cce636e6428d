"""Migrating an empty database equals creating it from the schema, on both databases."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, text

from clarion.store.database import Database
from clarion.store.migrate import SchemaError, check_schema, migrate
from clarion.store.schema import metadata
from tests.postgresql import Cluster

SQLITE_CATALOG = """
SELECT 'table', name, (sql LIKE '%AUTOINCREMENT%') || (sql LIKE '%WITHOUT ROWID%')
  FROM sqlite_master WHERE type = 'table'
UNION ALL
SELECT 'column', tables.name || '.' || columns.name,
       columns.type || columns."notnull" || columns.pk || coalesce(columns.dflt_value, '')
  FROM sqlite_master AS tables, pragma_table_xinfo(tables.name) AS columns WHERE tables.type = 'table'
UNION ALL
SELECT 'index', indexes.name, coalesce(indexes.sql, group_concat(columns.name))
  FROM sqlite_master AS indexes, pragma_index_info(indexes.name) AS columns WHERE indexes.type = 'index'
 GROUP BY indexes.name
"""

CATALOG = """
SELECT 'column', table_name || '.' || column_name,
       concat_ws(' ', data_type, is_nullable, column_default, is_identity)
  FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL
SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database without a table."""
    if request.param == "sqlite":
        with _opened(f"sqlite:///{tmp_path / 'empty.db'}") as engine:
            yield engine
    else:
        cluster: Cluster = request.getfixturevalue("postgresql_cluster")
        with cluster.fresh_database("template1") as url, _opened(url) as engine:
            yield engine


@contextmanager
def _opened(url: str) -> Iterator[Engine]:
    database = Database(url)
    yield database.engine
    database.close()


def described(engine: Engine) -> dict[tuple[str, str], str]:
    """Everything that the database's own catalog says about the schema, except Alembic's table."""
    catalog = SQLITE_CATALOG if engine.dialect.name == "sqlite" else CATALOG
    with engine.connect() as connection:
        rows = connection.execute(text(catalog)).all()
    return {
        (kind, name): re.sub(r"\s+", " ", definition or "").strip()
        for kind, name, definition in rows
        if "alembic_version" not in name
    }


def test_migrating_equals_creating(empty: Engine) -> None:
    migrate(empty)
    migrated = described(empty)
    with empty.connect().execution_options(writes=True) as connection, connection.begin():
        metadata.drop_all(connection)
        metadata.create_all(connection)
    assert "ix_push_runs_retry" in {name for _, name in migrated}
    assert migrated == described(empty)


def test_alembic_finds_nothing_to_change_after_migrating(empty: Engine) -> None:
    migrate(empty)
    with empty.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_migrating_twice_changes_nothing(empty: Engine) -> None:
    migrate(empty)
    before = described(empty)
    migrate(empty)
    assert described(empty) == before


def test_an_empty_database_is_refused_with_the_command_that_helps(empty: Engine) -> None:
    with pytest.raises(SchemaError, match=r"database is empty\. Run: clarion migrate"):
        check_schema(empty)


def test_a_migrated_database_is_accepted(empty: Engine) -> None:
    migrate(empty)
    check_schema(empty)


def test_a_database_of_another_version_is_refused_with_both_versions(empty: Engine) -> None:
    migrate(empty)
    with empty.connect() as connection, connection.begin():
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaError, match=r"at revision 9999, this version needs \d{4}"):
        check_schema(empty)


def test_a_migration_that_fails_leaves_the_database_as_it_was(empty: Engine) -> None:
    with empty.connect() as connection, connection.begin():
        connection.execute(text("CREATE TABLE users (id INTEGER)"))
    before = described(empty)
    with pytest.raises(Exception, match="already exists"):
        migrate(empty)
    assert described(empty) == before
