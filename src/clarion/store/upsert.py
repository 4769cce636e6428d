"""INSERT … ON CONFLICT, which SQLite and PostgreSQL spell alike and SQLAlchemy keeps in two dialects."""

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert


def insert_or_update(connection: Connection, table: Table) -> Any:
    """An insert with `on_conflict_do_update` and `excluded`, for the database at hand."""
    return SqliteInsert(table) if connection.dialect.name == "sqlite" else PostgresqlInsert(table)
