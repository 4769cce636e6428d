"""Several processes on one PostgreSQL: one API, two workers, everybody reached exactly once."""

from collections import Counter
from pathlib import Path

from sqlalchemy import Connection, text

from tests.postgresql import Cluster
from tests.process.installation import HELLO, Installation, Sandbox, add_crowd, eventually, tallied

DEVICES = 5_000


def test_two_workers_share_a_broadcast_and_reach_everybody_once(
    tmp_path: Path, sandbox: Sandbox, postgresql_cluster: Cluster
) -> None:
    url = postgresql_cluster.url("processes", create=True)
    installation = Installation(
        tmp_path, {"CLARION_PUSH_CA_FILE": str(sandbox.ca_file), "CLARION_STORE_URL": url}
    )
    migrated = installation.run("migrate")
    assert migrated.returncode == 0, migrated.stderr
    crowd = add_crowd(installation, sandbox, DEVICES)
    mark = sandbox.mark()
    with (
        installation.serve("--role", "api") as serving,
        installation.start("worker") as one,
        installation.start("worker") as other,
        installation.caller(crowd.token) as caller,
    ):
        assert serving.children() == []
        sent = [caller.post(crowd.path, json=HELLO).json()["notificationId"] for _ in range(2)]
        for notification in sent:
            eventually(
                lambda: caller.get(f"{crowd.path}/{notification}").json()["state"],  # noqa: B023
                "it is sent",
                lambda state: state == "SENT",
            )
        for process in (serving, one, other):
            assert process.popen.poll() is None, process.said()
            assert "hints_interrupted" not in process.said()
            assert "Traceback" not in process.said()
    pushes = sandbox.received(mark)
    assert Counter(push["token"] for push in pushes) == dict.fromkeys(crowd.addresses, len(sent))
    assert len({push["id"] for push in pushes}) == DEVICES * len(sent)
    assert installation.in_database(tallied) == DEVICES * len(sent)


def test_a_service_that_loses_its_connections_finds_new_ones(
    tmp_path: Path, sandbox: Sandbox, postgresql_cluster: Cluster
) -> None:
    url = postgresql_cluster.url("connections", create=True)
    installation = Installation(
        tmp_path, {"CLARION_PUSH_CA_FILE": str(sandbox.ca_file), "CLARION_STORE_URL": url}
    )
    installation.migrate()
    crowd = add_crowd(installation, sandbox, 10)
    with installation.serve() as process, installation.caller(crowd.token) as caller:
        for _ in range(3):
            mark = sandbox.mark()
            answer = eventually(
                lambda: caller.post(crowd.path, json=HELLO), "it is accepted", lambda a: a.status_code == 201
            )
            path = f"{crowd.path}/{answer.json()['notificationId']}"
            eventually(lambda: caller.get(path).json()["state"], "it is sent", lambda s: s == "SENT")  # noqa: B023
            pushes = [push for push in sandbox.received(mark) if push["token"] in crowd.addresses]
            assert Counter(push["token"] for push in pushes) == dict.fromkeys(crowd.addresses, 1)
            installation.in_database(_end_all_others)
        assert "worker_died" not in process.said()
        assert "unexpected_error" not in process.said()


def _end_all_others(connection: Connection) -> None:
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    connection.execute(text(query))
