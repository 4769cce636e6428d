"""Migrations: bring a database to the schema of this version, and refuse to work on another.

Called by `clarion migrate` and, as a check, before anything listens or works.
"""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

_FOLDER: Final = Path(__file__).parent / "migrations"


class SchemaError(Exception):
    """The database is not at the schema of this version; the message says what to do."""


def migrate(engine: Engine) -> None:
    """Bring the database to this version's schema; does nothing when it is there already."""
    config = _config()
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":  # a migration may take its time
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check_schema(engine: Engine) -> None:
    """Raise SchemaError unless the database is at exactly this version's schema."""
    wanted = ScriptDirectory.from_config(_config()).get_current_head()
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found is None:
        raise SchemaError("The database is empty. Run: clarion migrate")
    if found != wanted:
        raise SchemaError(
            f"The database is at revision {found}, this version needs {wanted}. "
            "Run: clarion migrate (a newer database needs a newer Clarion)"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config
