"""Killing any process at any moment costs time, never a notification (design §1)."""

import os
import signal
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import httpx

from tests.process.installation import (
    HELLO,
    Crowd,
    Installation,
    Sandbox,
    add_crowd,
    eventually,
    is_running,
    tallied,
)

DEVICES = 4_000


def await_sent(caller: httpx.Client, crowd: Crowd, notification: str) -> None:
    eventually(
        lambda: caller.get(f"{crowd.path}/{notification}").json()["state"],
        "the notification is sent",
        lambda state: state == "SENT",
        seconds=60,
    )


def ids_by_phone(sandbox: Sandbox, mark: int) -> dict[str, Counter[str]]:
    """What each phone received: how often under which apns-id."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for push in sandbox.received(mark):
        found[push["token"]][push["id"]] += 1
    return found


def test_a_broadcast_survives_the_death_of_its_worker_twice(
    installation: Installation, sandbox: Sandbox
) -> None:
    crowd = add_crowd(installation, sandbox, DEVICES)
    mark = sandbox.mark()
    with installation.serve() as process, installation.caller(crowd.token) as caller:
        process.worker()
        with sandbox.trouble("slow", 100):
            created = caller.post(crowd.path, json=HELLO).json()
            for share in (1 / 4, 1 / 2):
                eventually(lambda: sandbox.mark() - mark > DEVICES * share, "a part has arrived")  # noqa: B023
                os.kill(process.worker(), signal.SIGKILL)
        await_sent(caller, crowd, created["notificationId"])
        assert process.said().count("worker_died") == 2
    received = ids_by_phone(sandbox, mark)
    assert set(received) == crowd.addresses, "every phone was reached"
    assert {len(ids) for ids in received.values()} == {1}, (
        "a repeat has the same id, so it replaces the banner"
    )
    assert installation.in_database(tallied) == DEVICES, "each counts once, however often it was offered"


def test_a_201_survives_the_death_of_the_whole_service(installation: Installation, sandbox: Sandbox) -> None:
    crowd = add_crowd(installation, sandbox, 50)
    mark = sandbox.mark()
    with installation.serve() as process, installation.caller(crowd.token) as caller:
        os.kill(process.worker(), signal.SIGSTOP)  # so that nothing was sent when everything dies
        worker = process.worker()
        created = caller.post(crowd.path, json=HELLO)
        assert created.status_code == 201
        process.kill()
        process.wait()
        os.kill(worker, signal.SIGKILL)
    assert sandbox.mark() == mark
    with installation.serve(), installation.caller(crowd.token) as caller:
        await_sent(caller, crowd, created.json()["notificationId"])
    received = ids_by_phone(sandbox, mark)
    assert set(received) == crowd.addresses
    assert {sum(ids.values()) for ids in received.values()} == {1}


def test_every_201_that_a_client_saw_is_there_after_the_service_was_killed_under_load(
    installation: Installation, sandbox: Sandbox
) -> None:
    crowd = add_crowd(installation, sandbox, 1)
    mark, enough = sandbox.mark(), Event()
    accepted: list[str] = []

    def send() -> None:
        with installation.caller(crowd.token) as caller:
            while True:
                try:
                    answer = caller.post(crowd.path, json=HELLO)
                except httpx.TransportError:
                    return
                assert answer.status_code == 201, answer.text
                accepted.append(answer.json()["notificationId"])
                if len(accepted) >= 200:
                    enough.set()

    with installation.serve() as process, ThreadPoolExecutor(16) as senders:
        sending = [senders.submit(send) for _ in range(16)]
        assert enough.wait(30)
        process.kill()
        for future in sending:
            future.result()
    assert len(accepted) >= 200
    with installation.serve(), installation.caller(crowd.token) as caller:
        stored: dict[str, str] = {}
        query: dict[str, str] = {"limit": "200"}
        while True:
            page = caller.get(crowd.path, params=query).json()
            stored |= {item["notificationId"]: item["state"] for item in page["items"]}
            if "continuationToken" not in page:
                break
            query["continuationToken"] = page["continuationToken"]
        assert set(accepted) <= set(stored)
        (phone,) = crowd.addresses
        eventually(
            lambda: len(ids_by_phone(sandbox, mark).get(phone, ())),
            "each has arrived",
            lambda n: n == len(stored),
        )


def test_the_worker_ends_with_the_service_that_started_it(installation: Installation) -> None:
    with installation.serve() as process:
        worker = process.worker()
        process.kill()
        process.wait()
        eventually(lambda: not is_running(worker), "the worker has ended", seconds=10)
