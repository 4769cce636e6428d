"""A PostgreSQL of the tests' own: started from Debian's binaries in a temporary folder, ended with the tests."""

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from sqlalchemy import MetaData, create_engine, make_url, text
from sqlalchemy.pool import NullPool


@dataclass
class Cluster:
    """A running server; every name is a database of it."""

    socket_folder: Path
    user: str
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def url(self, name: str, *, create: bool = False) -> str:
        """The SQLAlchemy URL of a database, which is created on request."""
        if create:
            self._administer(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg://{self.user}@/{name}?host={self.socket_folder}"

    @contextmanager
    def fresh_database(self, template: str) -> Iterator[str]:
        """A database made from a template, dropped at the end."""
        name = f"test_{next(self.numbers)}"
        self._administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield self.url(name)
        self._administer(f'DROP DATABASE "{name}" WITH (FORCE)')

    def empty(self, url: str, metadata: MetaData) -> None:
        """Delete every row, whoever else still has the database open: far quicker than a new database."""
        name = make_url(url).database
        self._administer(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        with create_engine(url, poolclass=NullPool).begin() as connection:
            for table in metadata.sorted_tables:
                connection.execute(table.delete())

    def _administer(self, statement: str) -> None:
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.execute(text(statement))


def find_binaries() -> Path | None:
    """The folder with initdb and postgres."""
    found = shutil.which("initdb")
    candidates = [Path(found).resolve().parent] if found else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in candidates if (folder / "initdb").exists()), None)


@contextmanager
def run_cluster(binaries: Path) -> Iterator[Cluster]:
    """Start a server and stop it again. PostgreSQL refuses to run as root, so root lends it to `postgres`."""
    user = "postgres" if os.geteuid() == 0 else getpass.getuser()
    with tempfile.TemporaryDirectory(prefix="clarion-postgresql-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, user, user)
        data = folder / "data"
        _run(user, binaries / "initdb", "-D", data, "-U", user, "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-k {folder} -h '' -c fsync=off -c max_connections=60"
        control = (binaries / "pg_ctl", "-D", data, "-w", "-o", options, "-l", folder / "log")
        _run(user, *control, "start")
        try:
            yield Cluster(folder, user)
        finally:
            _run(user, *control, "-m", "immediate", "stop")


def _run(user: str, *arguments: object) -> None:
    as_user = user if os.geteuid() == 0 else None
    command = [str(argument) for argument in arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", user=as_user, group=as_user)
