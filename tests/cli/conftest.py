"""Commands as people call them, in this process, on a database of their own; and files that hold credentials."""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID
from sqlalchemy import Table, select

from clarion.bootstrap import now_ms
from clarion.cli import main
from clarion.store import devices, directory
from clarion.store.database import Database, writing
from clarion.store.schema import channels, members, organizations

ADDRESS = "ab" * 32
TOPIC = "com.example.app"


@dataclass(frozen=True)
class Desk:
    """A data folder and whoever types commands."""

    folder: Path
    organization: str = ""

    def run(self, *arguments: object, typed: str | None = None) -> Result:
        """Run a command to its end; a fault of ours is a failure here."""
        words = [str(argument) for argument in arguments]
        result = CliRunner().invoke(main, words, input=typed, catch_exceptions=False)
        assert "Traceback" not in result.output
        return result

    def done(self, *arguments: object, typed: str | None = None) -> str:
        """Run a command that must succeed; returns its standard output."""
        result = self.run(*arguments, typed=typed)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refused(self, *arguments: object) -> str:
        """Run a command that must not succeed; returns what it said."""
        result = self.run(*arguments)
        assert result.exit_code != 0, result.output
        return result.stderr

    def rows(self, table: Table) -> list[Any]:
        """What is in the database."""
        with closing(self._database()) as database, database.engine.connect() as connection:
            return list(connection.execute(select(table).order_by(table.c.id)))

    def change(self, table: Table, **values: Any) -> None:
        """Change every row."""
        with closing(self._database()) as database, writing(database.engine) as connection:
            connection.execute(table.update().values(**values))

    def add_phone(self, address: str = ADDRESS) -> str:
        """A phone of the administrator on the first channel; returns its id."""
        [channel, *_], [member, *_] = self.rows(channels), self.rows(members)
        new = devices.NewDevice(channel.uuid, member.id, channel.id, address, "phone")
        with closing(self._database()) as database, writing(database.engine) as connection:
            devices.add_devices(connection, channel.organization_id, [new], now_ms())
        return str(new.uuid)

    def add_solution(self, name: str) -> str:
        """A solution of the organization; returns its id."""
        [organization], uuid = self.rows(organizations), uuid4()
        with closing(self._database()) as database, writing(database.engine) as connection:
            directory.add_solution(connection, organization.id, uuid, name, now_ms())
        return str(uuid)

    def add_apns(self, name: str = "iPhone", *more: object) -> str:
        """An APNs channel with a fresh key; returns its id."""
        return self.done("channel", "add", "apns", *self.whose(name), *self.key(), *more).strip()

    def whose(self, name: str = "iPhone") -> list[object]:
        """The options that every channel needs."""
        return ["--organization", self.organization, "--name", name]

    def key(self) -> list[object]:
        """The options of a key."""
        path = self.file("AuthKey.p8", to_pem(ec.generate_private_key(ec.SECP256R1())))
        ids = ["--team-id", "ABCDE12345", "--key-id", "FGHIJ67890"]
        return [*ids, "--topic", TOPIC, "--key-file", path]

    def file(self, name: str, content: bytes) -> Path:
        """A file beside the data folder."""
        path = self.folder.parent / name
        path.write_bytes(content)
        return path

    def _database(self) -> Database:
        return Database(f"sqlite:///{self.folder / 'clarion.db'}")


@pytest.fixture
def empty_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Nothing is there yet. Commands set the umask and the log of their process, which is this one."""
    mask, log = os.umask(0o022), structlog.get_config()
    monkeypatch.setenv("CLARION_STORE_FOLDER", str(tmp_path / "var"))
    monkeypatch.setenv("CLARION_LOG_LEVEL", "error")
    monkeypatch.chdir(tmp_path)
    yield Desk(tmp_path / "var")
    os.umask(mask)
    structlog.configure(**log)


@pytest.fixture
def desk(empty_desk: Desk) -> Desk:
    """A migrated database with an organization and its administrator."""
    empty_desk.done("migrate")
    added = empty_desk.done("organization", "add", "--name", "Example", "--admin-email", "admin@example.com")
    return Desk(empty_desk.folder, added.strip())


def to_pem(key: Any) -> bytes:
    """A private key as Apple and browsers' tools hand it out."""
    octets: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return octets


@dataclass(frozen=True)
class Certificate:
    """A certificate as Apple makes one, with its key."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        """Both, without a password."""
        return self.certificate.public_bytes(Encoding.PEM) + to_pem(self.key)

    def encrypted_pem(self, password: bytes) -> bytes:
        """Both, the key under a password."""
        encryption = BestAvailableEncryption(password)
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        return self.certificate.public_bytes(Encoding.PEM) + key

    def p12(self, password: bytes) -> bytes:
        """Both, as the keychain exports them."""
        encryption = BestAvailableEncryption(password)
        return pkcs12.serialize_key_and_certificates(b"x", self.key, self.certificate, None, encryption)


def make_certificate(days: float = 365, topic: str | None = TOPIC) -> Certificate:
    """A certificate that ends in so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    uid = [] if topic is None else [x509.NameAttribute(NameOID.USER_ID, topic)]
    name = x509.Name([*uid, x509.NameAttribute(NameOID.COMMON_NAME, "Apple Push Services")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
    )
    return Certificate(key, made.sign(key, hashes.SHA256()))
