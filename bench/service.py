"""An installation of Clarion in a temporary folder: its database, people and phones, and its processes.

Everything is seeded through the functions of `clarion.store`, in pieces, and served by `clarion serve` as an
operator would start it: default settings, default log, `synchronous = FULL`. Only the allowance per access
token is raised, because one caller stands for many.
"""

import os
import secrets
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import Connection, select

from bench.processes import free_port, running
from bench.pushes import CONTENT, channel_settings
from clarion.bootstrap import now_ms
from clarion.model.access import Access, Role, mint_token
from clarion.model.audience import Audience, Scope
from clarion.model.notification import Content, Draft
from clarion.model.refresh import Pair, first_pair
from clarion.service.publish import Published, PublishRequest, publish
from clarion.store import channels, devices, directory, sessions, tokens
from clarion.store.database import Database
from clarion.store.directory import NewMember
from clarion.store.masterkeys import MasterKeys
from clarion.store.migrate import migrate
from clarion.store.schema import members, users
from clarion.store.sealing import Place

P = ParamSpec("P")
R = TypeVar("R")

PIECE: Final = 1_000
"""Rows per transaction when seeding, as the store asks for."""

REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True)
class Organization:
    """What was seeded."""

    id: int
    uuid: UUID
    token: str
    emails: list[str]
    member_ids: list[int]


class Installation:
    """A folder, a port and a database."""

    def __init__(self, folder: Path, ca_file: Path | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self._ca_file = ca_file
        self.database_url = f"sqlite:///{folder / 'clarion.db'}"
        self._database = Database(self.database_url)
        migrate(self._database.engine)

    @contextmanager
    def serving(self, core: int, *, role: str = "all") -> Iterator[int]:
        """Run `clarion serve`; yields its process id."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CLARION_")}
        environment |= {
            "CLARION_STORE_FOLDER": str(self.folder),
            "CLARION_SERVER_PORT": str(self.port),
            "CLARION_SERVER_REQUESTS_PER_SECOND": "1000000",
        }
        if self._ca_file is not None:
            environment["CLARION_PUSH_CA_FILE"] = str(self._ca_file)
        command = [sys.executable, "-m", "clarion", "serve", "--role", role]
        with running(command, core=core, port=self.port, folder=self.folder, environment=environment) as pid:
            yield pid

    def ask(self, question: str, *values: Any) -> Any:
        """One value out of the database, read only."""
        with closing(sqlite3.connect(f"file:{self.folder / 'clarion.db'}?mode=ro", uri=True)) as connection:
            row = connection.execute(question, values).fetchone()
        return None if row is None else row[0]

    # ── Seeding ──────────────────────────────────────────────────────────────────────────────────────────

    def add_organization(self, members: int) -> Organization:
        """Add an organization; its first member is an administrator, who has a token."""
        now, uuid = now_ms(), uuid4()
        organization_id = self._write(directory.add_organization, uuid, "Benchmark", REGION, now)
        emails = [f"member-{number:06d}@example.com" for number in range(members)]
        new = [NewMember(uuid4(), email, email.partition("@")[0]) for email in emails]
        new[0] = NewMember(uuid4(), emails[0], "Administrator", Role.ADMIN)
        member_ids: list[int] = []
        for start in range(0, members, PIECE):
            piece = new[start : start + PIECE]
            member_ids += self._write(directory.add_members, organization_id, piece, now)
        text, token = mint_token(REGION, secrets.token_bytes)
        user_id = self._write(directory.find_user, organization_id, emails[0])
        assert user_id is not None
        self._write(tokens.add_token, user_id, token, "benchmark", now)
        return Organization(organization_id, uuid, text, emails, member_ids)

    def add_sessions(self, organization: Organization) -> list[tuple[UUID, str]]:
        """Sign every member's app in; returns their ids and tokens."""
        now = now_ms()
        users = self._write(_users, organization.id)
        found = [
            (user, member, first_pair(REGION, secrets.token_bytes)) for member, user in sorted(users.items())
        ]
        for start in range(0, len(found), PIECE):
            self._write(_add_sessions, organization.id, found[start : start + PIECE], now)
        return [(user, pair.token) for user, _, pair in found]

    def add_channel(self, organization: Organization, port: int) -> int:
        """Add an APNs channel whose push service is a stand-in on this machine."""
        settings = channel_settings(port)
        key = ec.generate_private_key(ec.SECP256R1())
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        uuid, keys = uuid4(), MasterKeys(self.folder / "master.key")
        keyring = self._write(keys.ensure, secrets.token_bytes)
        sealed = keyring.seal(secret, Place(organization.id, uuid), secrets.token_bytes)
        new = channels.NewChannel(uuid, "apns", "Stand-in", settings, sealed)
        return self._write(channels.add_channel, organization.id, new, now_ms())

    def add_devices(self, organization: Organization, channel_id: int, member_ids: list[int]) -> list[str]:
        """Add a device per member; returns their addresses."""
        new = [
            devices.NewDevice(uuid4(), member_id, channel_id, secrets.token_hex(32), "Phone")
            for member_id in member_ids
        ]
        for start in range(0, len(new), PIECE):
            self._write(devices.add_devices, organization.id, new[start : start + PIECE], now_ms())
        return [device.address for device in new]

    # ── Sending ──────────────────────────────────────────────────────────────────────────────────────────

    def publish(self, organization: Organization) -> UUID:
        """Accept a notification to the whole organization, as the API does; returns its id."""
        user_id = self._write(directory.find_user, organization.id, organization.emails[0])
        assert user_id is not None
        access = Access(
            organization.id,
            organization.uuid,
            REGION,
            user_id,
            uuid4(),
            organization.member_ids[0],
            Role.ADMIN,
        )
        content = Content(CONTENT["text"], CONTENT["title"], CONTENT["screen"])
        draft = Draft(content, Audience(Scope.ORGANIZATION))
        [published] = self._write(publish, [PublishRequest(access, draft, uuid4(), now_ms())])
        assert isinstance(published, Published)
        return published.notification.uuid

    def _write(self, function: Callable[Concatenate[Any, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        with self._database.engine.connect().execution_options(writes=True) as connection, connection.begin():
            return function(connection, *args, **kwargs)


def _users(connection: Connection, organization_id: int) -> dict[int, UUID]:
    query = select(members.c.id, users.c.uuid).join(users, users.c.id == members.c.user_id)
    rows = connection.execute(query.where(members.c.organization_id == organization_id))
    return dict(rows.tuples().all())


def _add_sessions(
    connection: Connection, organization_id: int, found: Sequence[tuple[UUID, int, Pair]], now: int
) -> None:
    for _, member, pair in found:
        sessions.add_session(connection, organization_id, member, uuid4(), pair, 1_440, now)
