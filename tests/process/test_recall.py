"""A recall in the middle of a broadcast stops it."""

from sqlalchemy import Connection, func, select

from clarion.model.delivery import PushKind
from clarion.store.schema import push_runs
from tests.process.installation import HELLO, Installation, Sandbox, add_crowd, eventually

DEVICES = 5_000


def alerts_left(connection: Connection) -> int:
    query = select(func.count()).select_from(push_runs).where(push_runs.c.kind == PushKind.ALERT)
    return connection.scalar(query) or 0


def test_a_recall_in_the_middle_of_a_broadcast_stops_it(installation: Installation, sandbox: Sandbox) -> None:
    crowd = add_crowd(installation, sandbox, DEVICES)
    mark = sandbox.mark()
    with installation.serve() as process, installation.caller(crowd.token) as caller:
        process.worker()
        with sandbox.trouble("slow", 500):
            created = caller.post(crowd.path, json=HELLO).json()
            path = f"{crowd.path}/{created['notificationId']}"
            eventually(lambda: sandbox.mark() > mark, "it has begun")
            assert caller.delete(path).status_code == 204
            eventually(lambda: installation.in_database(alerts_left) == 0, "nothing is left to send")
        alerted = {push["token"] for push in sandbox.received(mark) if push["pushType"] == "alert"}
        assert 0 < len(alerted) < DEVICES
        told = caller.get(path).json()
        assert told["state"] == "CANCELLED"
        inbox = caller.get(f"organizations/{crowd.organization}/members/{told['createdBy']}/notifications")
        assert inbox.json()["items"] == []
