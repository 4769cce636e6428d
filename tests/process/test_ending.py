"""Ending: a signal ends the service cleanly, with its worker, and nobody waits long."""

import signal
import socket
from collections import Counter
from time import monotonic

import pytest

from tests.process.installation import HELLO, Installation, Sandbox, add_crowd, eventually, is_running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_service_and_worker_cleanly(
    installation: Installation, sandbox: Sandbox, number: signal.Signals
) -> None:
    crowd = add_crowd(installation, sandbox, 1)
    with installation.serve() as process, installation.caller(crowd.token) as caller:
        worker = process.worker()
        assert caller.post(crowd.path, json=HELLO).status_code == 201
        with socket.create_connection(("127.0.0.1", installation.port)):  # idle, as browsers keep them
            started = monotonic()
            process.kill(number)
            assert process.wait(15) == 0
            assert monotonic() - started < 12
        assert not is_running(worker)
        assert "Traceback" not in process.said()


def test_a_signal_in_the_middle_of_a_broadcast_repeats_nothing(
    installation: Installation, sandbox: Sandbox
) -> None:
    crowd = add_crowd(installation, sandbox, 4_000)
    mark = sandbox.mark()
    with installation.serve() as process, installation.caller(crowd.token) as caller:
        process.worker()
        with sandbox.trouble("slow", 300):
            sent = caller.post(crowd.path, json=HELLO).json()["notificationId"]
            eventually(lambda: sandbox.mark() > mark, "it has begun")
            process.kill(signal.SIGTERM)
            assert process.wait(20) == 0
    assert sandbox.mark() - mark < 4_000
    with installation.serve(), installation.caller(crowd.token) as caller:
        eventually(
            lambda: caller.get(f"{crowd.path}/{sent}").json()["state"], "it is sent", lambda s: s == "SENT"
        )
    assert Counter(push["token"] for push in sandbox.received(mark)) == dict.fromkeys(crowd.addresses, 1)


def test_a_service_whose_worker_cannot_start_ends_within_seconds_as_well(
    installation: Installation, sandbox: Sandbox
) -> None:
    with installation.start("worker") as alone:
        eventually((installation.folder / "clarion.db.worker").exists, "the worker has the file")
        with installation.serve() as process:
            eventually(lambda: process.said().count("worker_died") >= 3, "its own worker has given up thrice")
            assert "Another worker has" in process.said()
            started = monotonic()
            process.kill(signal.SIGINT)
            assert process.wait(15) == 0
            assert monotonic() - started < 5
        alone.kill(signal.SIGTERM)
        assert alone.wait(15) == 0
        assert "Traceback" not in alone.said()
