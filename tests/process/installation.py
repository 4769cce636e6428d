"""A Clarion of the tests' own: real processes on free ports, with their files in a temporary folder.

Processes are ended by their ids, never by a name. Waiting means to look again until a deadline.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_bytes, token_hex
from threading import Event
from time import monotonic
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
from sqlalchemy import Connection, func, select

from clarion.bootstrap import now_ms
from clarion.demo import KEY_ID, PHONE_APP, TEAM
from clarion.model.access import Role, mint_token
from clarion.store import channels, devices, directory, tokens
from clarion.store.database import Database
from clarion.store.masterkeys import MasterKeys
from clarion.store.migrate import migrate
from clarion.store.schema import push_tallies
from clarion.store.sealing import Place

T = TypeVar("T")
Json = dict[str, Any]

PATIENCE_SECONDS = 30.0
"""How long anything may take on a machine that is busy with other tests."""

HELLO: Json = {"content": {"text": "Hi"}, "scope": "ORG"}


def eventually(
    ask: Callable[[], T], what: str, is_so: Callable[[T], object] = bool, seconds: float = PATIENCE_SECONDS
) -> T:
    """Ask every 20 ms until the answer is as wished; returns it, or fails with what was awaited."""
    pause, end = Event(), monotonic() + seconds
    while not is_so(answer := ask()):
        assert monotonic() < end, (
            f"in {seconds:g} seconds it did not happen that {what}; last: {answer!r:.500}"
        )
        pause.wait(0.02)
    return answer


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@dataclass
class Process:
    """A process that was started here, with everything that it wrote."""

    popen: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        """Its id."""
        return self.popen.pid

    def said(self) -> str:
        """What it wrote until now."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def children(self) -> list[int]:
        """The ids of its children that still run."""
        return children_of(self.pid)

    def worker(self) -> int:
        """The id of the worker that `serve` started; waits until there is one that is ready to be killed."""
        return eventually(self._workers, "there is a worker")[0]

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal."""
        self.popen.send_signal(number)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for its end; returns the exit status."""
        return self.popen.wait(seconds)

    def close(self) -> None:
        """End it, and what it started."""
        children = self.children()
        self.popen.kill()
        self.popen.wait()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def _workers(self) -> list[int]:
        return [pid for pid in self.children() if b"worker" in _command(pid)]


def children_of(pid: int) -> list[int]:
    """The ids of a process's children that still run."""
    numbers = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return [number for number in numbers if parent_of(number) == pid]


def parent_of(pid: int) -> int | None:
    """The id of a process's parent; None when it is gone or waits to be buried."""
    with suppress(OSError):
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        return None if state == "Z" else int(parent)
    return None


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    return parent_of(pid) is not None


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@dataclass
class Installation:
    """A data folder, ports, and the environment that names them."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    apns_port: int = field(default_factory=free_port)
    fcm_port: int = field(default_factory=free_port)
    webpush_port: int = field(default_factory=free_port)
    webpush_http1_port: int = field(default_factory=free_port)
    page_port: int = field(default_factory=free_port)

    @property
    def environment(self) -> dict[str, str]:
        """What its processes see: nothing of this machine's own settings."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLARION_")}
        return inherited | {
            "CLARION_STORE_FOLDER": str(self.folder),
            "CLARION_SERVER_PORT": str(self.port),
            "CLARION_SANDBOX_APNS_PORT": str(self.apns_port),
            "CLARION_SANDBOX_FCM_PORT": str(self.fcm_port),
            "CLARION_SANDBOX_WEBPUSH_PORT": str(self.webpush_port),
            "CLARION_SANDBOX_WEBPUSH_HTTP1_PORT": str(self.webpush_http1_port),
            "CLARION_SANDBOX_PAGE_PORT": str(self.page_port),
            "NO_COLOR": "1",
            **self.settings,
        }

    @property
    def database_url(self) -> str:
        """Where its processes keep everything."""
        return self.settings.get("CLARION_STORE_URL", f"sqlite:///{self.folder / 'clarion.db'}")

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "clarion", *arguments],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
            check=False,
        )  # fmt: skip

    @contextmanager
    def start(
        self, *arguments: str, prefix: Sequence[str] = (), output: int | None = None
    ) -> Iterator[Process]:
        """Start a command; it has ended when the block has. It writes into its log, unless told otherwise."""
        log = self.folder / f"{'-'.join(arguments)}-{token_hex(4)}.log"
        with log.open("wb") as file:
            popen = subprocess.Popen(
                [*prefix, sys.executable, "-m", "clarion", *arguments],
                cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=file if output is None else output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        process = Process(popen, log)
        try:
            yield process
        finally:
            process.close()

    @contextmanager
    def serve(
        self, *arguments: str, prefix: Sequence[str] = (), output: int | None = None
    ) -> Iterator[Process]:
        """The API, ready."""
        with self.start("serve", *arguments, prefix=prefix, output=output) as process:
            self.await_readiness(process)
            yield process

    def await_readiness(self, process: Process) -> None:
        """Wait until the API answers."""
        address = f"http://127.0.0.1:{self.port}/readyz"
        await_answer(process, address)

    @contextmanager
    def caller(self, token: str | None) -> Iterator[httpx.Client]:
        """A client of the API, with a token."""
        headers = {} if token is None else {"Authorization": f"BEARER {token}"}
        address = f"http://127.0.0.1:{self.port}/v2.0/tool/"
        with httpx.Client(base_url=address, headers=headers, timeout=PATIENCE_SECONDS) as client:
            yield client

    def in_database(self, function: Callable[[Connection], T]) -> T:
        """One transaction beside the processes, or before them."""
        with (
            closing(Database(self.database_url)) as database,
            database.engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            return function(connection)

    def migrate(self) -> None:
        """As `clarion migrate` does."""
        with closing(Database(self.database_url)) as database:
            migrate(database.engine)


def await_answer(process: Process, address: str) -> None:
    """Wait until a process that was started answers at an address."""

    def answers() -> bool:
        assert process.popen.poll() is None, f"it ended with {process.popen.returncode}: {process.said()}"
        with suppress(httpx.TransportError):
            return httpx.get(address).is_success
        return False

    eventually(answers, f"{address} answers")


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox, and what it was sent."""

    installation: Installation
    http: httpx.Client

    @property
    def ca_file(self) -> Path:
        """Whom to trust when talking to it."""
        return self.installation.folder / "sandbox" / "ca.pem"

    def mark(self) -> int:
        """How many pushes it has accepted until now."""
        total: int = self.http.get("/api/received", params={"limit": 1}).json()["total"]
        return total

    def received(self, mark: int) -> list[Json]:
        """The pushes that it accepted after a mark."""
        found: list[Json] = []
        while True:
            page = self.http.get("/api/received", params={"after": mark}).json()
            found += page["items"]
            mark = page["last"]
            if not page["items"]:
                return found

    @contextmanager
    def trouble(self, mode: str, value: int) -> Iterator[None]:
        """A fault for all requests while the block lasts."""
        self.http.post("/api/faults", json={"mode": mode, "value": value}).raise_for_status()
        try:
            yield
        finally:
            self.http.post("/api/faults", json={"mode": "none"}).raise_for_status()


@dataclass(frozen=True)
class Crowd:
    """An organization with many phones, and the token of its administrator, who has none."""

    organization: UUID
    token: str
    addresses: frozenset[str]

    @property
    def path(self) -> str:
        """Its notifications, below the base URL."""
        return f"organizations/{self.organization}/notifications"


def add_crowd(installation: Installation, sandbox: Sandbox, size: int) -> Crowd:
    """Fill a migrated database with one organization of so many phones, on a channel to the sandbox."""
    secret = (sandbox.installation.folder / "sandbox" / "apns-key.p8").read_text()
    settings = {
        "team_id": TEAM, "key_id": KEY_ID, "topic": PHONE_APP, "environment": "development",
        "host": "localhost", "port": sandbox.installation.apns_port,
    }  # fmt: skip
    addresses = [f"{token_hex(28)}{number:08x}" for number in range(size)]
    organization = uuid4()
    text, token = mint_token("us-east-1", token_bytes)

    def fill(connection: Connection) -> None:
        now = now_ms()
        organization_id = directory.add_organization(connection, organization, "Crowd", "us-east-1", now)
        uuid = uuid4()
        keyring = MasterKeys(installation.folder / "master.key").ensure(connection, token_bytes)
        sealed = keyring.seal(secret, Place(organization_id, uuid), token_bytes)
        new_channel = channels.NewChannel(uuid, "apns", "phones", settings, sealed)
        channel = channels.add_channel(connection, organization_id, new_channel, now)
        people = [directory.NewMember(uuid4(), "admin@example.com", "Administrator", Role.ADMIN)]
        people += [directory.NewMember(uuid4(), f"{n}@example.com", f"Member {n}") for n in range(size)]
        member_ids = directory.add_members(connection, organization_id, people, now)
        phones = [
            devices.NewDevice(uuid4(), member_id, channel, address, "phone")
            for member_id, address in zip(member_ids[1:], addresses, strict=True)
        ]
        devices.add_devices(connection, organization_id, phones, now)
        user_id = directory.find_user(connection, organization_id, "admin@example.com")
        assert user_id is not None
        tokens.add_token(connection, user_id, token, "test", now)

    installation.in_database(fill)
    return Crowd(organization, text, frozenset(addresses))


def tallied(connection: Connection) -> int:
    """How many pushes the settled pages of all notifications counted as accepted."""
    return connection.scalar(select(func.coalesce(func.sum(push_tallies.c.accepted), 0))) or 0


def facts(installation: Installation) -> Json:
    """What `clarion seed-demo` told scripts."""
    told: Json = json.loads((installation.folder / "demo.json").read_text())
    return told
