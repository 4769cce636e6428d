"""Starting: what stands in the way is said plainly, with what to do, and the status is 1."""

import socket
from pathlib import Path

import pytest

from tests.process.installation import Installation, Process, Sandbox, free_port


def refusal(installation: Installation, *arguments: str) -> str:
    """What a command says that must not start."""
    done = installation.run(*arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.usefixtures("sandbox")
def test_a_second_worker_on_the_same_sqlite_file_refuses(
    demo_installation: Installation, demo: Process
) -> None:
    demo.worker()
    said = refusal(demo_installation, "worker")
    assert "Another worker has" in said
    assert "clarion.db" in said
    assert "PostgreSQL" in said


def test_a_taken_port_is_told_with_the_setting_that_moves_it(
    installation: Installation, sandbox: Sandbox
) -> None:
    with socket.create_server(("127.0.0.1", installation.port)):
        said = refusal(installation, "serve")
    assert f"127.0.0.1:{installation.port}" in said
    assert "server.port" in said
    assert "CLARION_SERVER_PORT" in said
    port = free_port()
    installation.settings["CLARION_WORKER_METRICS_PORT"] = str(port)
    with socket.create_server(("127.0.0.1", port)):
        said = refusal(installation, "worker")
    assert f"127.0.0.1:{port}" in said
    assert "worker.metrics_port" in said
    with socket.create_server(("127.0.0.1", installation.apns_port)):
        said = refusal(installation, "sandbox")
    assert f"port {installation.apns_port} is taken" in said
    assert "apns_port" in said


@pytest.mark.parametrize("command", ["serve", "worker", "check"])
def test_an_empty_database_is_told_what_to_run(tmp_path: Path, command: str) -> None:
    assert "clarion migrate" in refusal(Installation(tmp_path), command)


def test_every_problem_of_the_settings_is_told_at_once(tmp_path: Path) -> None:
    installation = Installation(tmp_path, {"CLARION_SERVER_PROT": "1", "CLARION_LOG_FORMAT": "xml"})
    (tmp_path / "clarion.toml").write_text('[server]\nhots = "0.0.0.0"\n[stoer]\nfolder = "x"\n')
    said = refusal(installation, "serve")
    for words in (
        "CLARION_SERVER_PROT: is not a setting; did you mean CLARION_SERVER_PORT?",
        "server.hots: is not a setting; did you mean server.host?",
        "stoer: is not a setting; did you mean store?",
        "log.format",
    ):
        assert words in said


UNREACHABLE = "postgresql+psycopg://clarion:hunter2@127.0.0.1:1/clarion"


@pytest.mark.parametrize(
    ("command", "name", "value", "words"),
    [
        ("serve", "CLARION_STORE_URL", UNREACHABLE, "store.url cannot be opened"),
        ("migrate", "CLARION_STORE_URL", UNREACHABLE, "store.url cannot be opened"),
        ("migrate", "CLARION_STORE_URL", "hunter2", "store.url cannot be opened"),
        ("migrate", "CLARION_STORE_URL", "nosuch://clarion:hunter2@host/x", "store.url cannot be opened"),
        ("serve", "CLARION_PUSH_CA_FILE", "/no/such.pem", "push.ca_file /no/such.pem"),
    ],
)
def test_what_cannot_be_used_is_named_without_its_secrets(
    installation: Installation, command: str, name: str, value: str, words: str
) -> None:
    installation.settings[name] = value
    said = refusal(installation, command)
    assert words in said
    assert "hunter2" not in said


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "clarion.db").write_text(
        "This is not a database, but it is long enough to be taken for one.\n" * 50
    )
    installation = Installation(tmp_path)
    assert "not a database" in refusal(installation, "check")
    assert "not a database" in refusal(installation, "migrate")
