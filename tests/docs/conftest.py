"""A service with the demonstration in it, for the examples of the pages."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from clarion import demo
from clarion.bootstrap import base_url, now_ms
from clarion.settings import Settings, load_settings
from clarion.store.database import Database
from clarion.store.migrate import migrate
from tests.conftest import missing


@dataclass(frozen=True)
class Shell:
    """A shell in which the variables of the examples have the demonstration's values."""

    folder: Path
    environment: dict[str, str]

    @property
    def settings(self) -> dict[str, str]:
        """The part of its environment that is Clarion's."""
        return {name: value for name, value in self.environment.items() if name.startswith("CLARION_")}

    def run(self, script: str, **variables: str) -> str:
        """Run a script, every command of which must succeed; returns what it printed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def notify(self) -> str:
        """Send a plain notification to everybody; returns its id."""
        variables = self.environment
        url = f"{variables['BASE_URL']}/tool/organizations/{variables['ORGANIZATION']}/notifications"
        body = {"content": {"text": "Hello"}, "scope": "ORG"}
        answer = httpx.post(url, json=body, headers={"Authorization": f"BEARER {variables['TOKEN']}"})
        return str(answer.raise_for_status().json()["notificationId"])

    def begin_session(self) -> dict[str, str]:
        """Begin the only session of the member; returns the variables of the examples that are about one."""
        variables = self.environment
        members = f"{variables['BASE_URL']}/tool/organizations/{variables['ORGANIZATION']}/members"
        path, token = (
            f"{members}/{variables['MEMBER']}/sessions",
            {"Authorization": f"BEARER {variables['TOKEN']}"},
        )
        httpx.delete(path, headers=token).raise_for_status()
        told = httpx.post(path, headers=token).raise_for_status().json()
        return {
            "SESSION": told["sessionId"], "SESSION_TOKEN": told["token"], "REFRESH_TOKEN": told["refreshToken"],
        }  # fmt: skip

    def watermark(self) -> str:
        """How far the member's inbox goes."""
        variables = self.environment
        member = f"{variables['BASE_URL']}/tool/organizations/{variables['ORGANIZATION']}/members/{variables['MEMBER']}"
        token = {"Authorization": f"BEARER {variables['TOKEN']}"}
        return str(httpx.get(f"{member}/notifications", headers=token).raise_for_status().json()["watermark"])

    def register_device(self) -> dict[str, str]:
        """Register the only device of the member; returns the variables of the examples that are about one."""
        variables = self.environment
        member = f"{variables['BASE_URL']}/tool/organizations/{variables['ORGANIZATION']}/members/{variables['MEMBER']}"
        token = {"Authorization": f"BEARER {variables['TOKEN']}"}
        for one in httpx.get(f"{member}/devices", headers=token).raise_for_status().json()["items"]:
            httpx.delete(f"{member}/devices/{one['deviceId']}", headers=token).raise_for_status()
        first, *_ = httpx.get(f"{member}/channels", headers=token).raise_for_status().json()["items"]
        body = {
            "channelId": first["channelId"], "installationId": "phone", "address": {"token": "abcd"},
            "name": "Phone", "platform": "ios",
        }  # fmt: skip
        told = httpx.post(f"{member}/devices", json=body, headers=token).raise_for_status().json()
        return {
            "CHANNEL": first["channelId"],
            "DEVICE": told["deviceId"],
            "DEVICE_TOKEN": told["deviceToken"],
        }


@pytest.fixture(scope="session")
def make_shell(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Shell]:
    """Makes shells with folders of their own, `clarion` on the path, and no setting of this machine."""

    def make() -> Shell:
        folder = tmp_path_factory.mktemp("shell")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CLARION_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
        return Shell(folder, kept | {"PATH": path, "CLARION_STORE_FOLDER": str(folder / "var")})

    return make


@pytest.fixture(scope="session")
def demonstration(make_shell: Callable[[], Shell]) -> Iterator[Shell]:
    """The demonstration, served on a free port; what curl prints ends with the status."""
    if shutil.which("curl") is None:
        missing("curl")
    shell = make_shell()
    with socket.create_server(("127.0.0.1", 0)) as free:
        shell.environment["CLARION_SERVER_PORT"] = str(free.getsockname()[1])
    _seed(shell)
    (shell.folder / ".curlrc").write_text('silent\nshow-error\nwrite-out = "\\n%{http_code}"\n')
    shell.environment.update(_variables(json.loads((shell.folder / "var" / "demo.json").read_text())))
    shell.environment["CURL_HOME"] = str(shell.folder)
    command = [sys.executable, "-m", "clarion", "serve", "--role", "api"]
    with subprocess.Popen(
        command, cwd=shell.folder, env=shell.environment, stderr=subprocess.PIPE, text=True
    ) as service:
        assert service.stderr is not None
        first = service.stderr.readline()
        assert "serving" in first, first
        yield shell
        service.terminate()
        service.stderr.read()


def _seed(shell: Shell) -> None:
    """What `clarion seed-demo` does, without the time that a process takes to start."""
    settings = load_settings(shell.settings)
    migrate_store(settings)
    phones = f"http://127.0.0.1:{settings.sandbox.page_port}/"
    with (
        closing(Database(settings.database_url)) as database,
        database.engine.connect().execution_options(writes=True) as connection,
        connection.begin(),
    ):
        demo.seed(connection, settings, base_url(settings), phones, now_ms())


def migrate_store(settings: Settings) -> None:
    """What `clarion migrate` does."""
    settings.store.folder.mkdir(parents=True)
    with closing(Database(settings.database_url)) as database:
        migrate(database.engine)


def _variables(facts: dict[str, Any]) -> dict[str, str]:
    return {
        "BASE_URL": facts["baseUrl"],
        "TOKEN": facts["token"],
        "ORGANIZATION": facts["organizationId"],
        "SOLUTION": facts["groups"]["sales"],
        "PROMOTIONS": facts["groups"]["customers"],
        "MEMBER": facts["members"][1]["userId"],
    }
