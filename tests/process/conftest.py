"""One sandbox and one demonstration for all process tests; those that break something make their own."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.process.installation import Installation, Process, Sandbox, await_answer


@pytest.fixture(scope="session")
def demo_installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A data folder with the demonstration, as `clarion seed-demo` makes it."""
    installation = Installation(tmp_path_factory.mktemp("demo"))
    installation.settings["CLARION_LOG_LEVEL"] = "debug"
    seeded = installation.run("seed-demo")
    assert seeded.returncode == 0, seeded.stderr
    installation.settings["CLARION_PUSH_CA_FILE"] = str(installation.folder / "sandbox" / "ca.pem")
    installation.settings["CLARION_PUSH_TRUSTED_HOSTS"] = "localhost"
    return installation


@pytest.fixture(scope="session")
def sandbox(demo_installation: Installation) -> Iterator[Sandbox]:
    """The stand-in for Apple."""
    address = f"http://127.0.0.1:{demo_installation.page_port}"
    with demo_installation.start("sandbox") as process, httpx.Client(base_url=address) as http:
        await_answer(process, f"{address}/healthz")
        yield Sandbox(demo_installation, http)


@pytest.fixture(scope="session")
def demo(demo_installation: Installation, sandbox: Sandbox) -> Iterator[Process]:
    """The demonstration's API and worker, running."""
    with demo_installation.serve() as process:
        yield process


@pytest.fixture
def installation(tmp_path: Path, sandbox: Sandbox) -> Installation:
    """A migrated, empty installation that trusts the sandbox."""
    made = Installation(tmp_path, {"CLARION_PUSH_CA_FILE": str(sandbox.ca_file)})
    made.migrate()
    return made
