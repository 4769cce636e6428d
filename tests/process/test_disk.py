"""A store that cannot write: 503 with a time to come back, nothing lost, and recovery without a restart."""

import os
import resource
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import httpx
import pytest

from tests.process.installation import HELLO, Crowd, Installation, Sandbox, add_crowd, eventually, tallied


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "store_unavailable"
    assert int(answer.headers["retry-after"]) > 0


def assert_recovers(caller: httpx.Client, crowd: Crowd, sandbox: Sandbox, stored: list[str]) -> None:
    """The next request is accepted and sent, and what was refused left nothing behind."""
    mark = sandbox.mark()
    created = caller.post(crowd.path, json=HELLO)
    assert created.status_code == 201, created.text
    stored = [created.json()["notificationId"], *stored]
    eventually(lambda: sandbox.mark() > mark, "it arrives")
    assert [item["notificationId"] for item in caller.get(crowd.path).json()["items"]] == stored


def test_a_process_that_may_not_write_refuses_and_recovers(
    installation: Installation, sandbox: Sandbox
) -> None:
    crowd = add_crowd(installation, sandbox, 1)
    with installation.serve() as process, installation.caller(crowd.token) as caller:
        process.worker()
        before = caller.post(crowd.path, json=HELLO).json()["notificationId"]
        limits = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, limits[1]))  # its log cannot grow either
        for _ in range(3):
            assert_unavailable(caller.post(crowd.path, json=HELLO))
        assert_unavailable(caller.delete(f"{crowd.path}/{before}"))
        assert [item["notificationId"] for item in caller.get(crowd.path).json()["items"]] == [before]
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)
        assert_recovers(caller, crowd, sandbox, [before])


def test_a_worker_that_may_not_write_for_a_while_reaches_everybody_once_all_the_same(
    installation: Installation, sandbox: Sandbox
) -> None:
    crowd = add_crowd(installation, sandbox, 3_000)
    mark = sandbox.mark()
    with installation.serve() as process, installation.caller(crowd.token) as caller:
        worker = process.worker()
        with sandbox.trouble("slow", 200):
            sent = caller.post(crowd.path, json=HELLO).json()["notificationId"]
            eventually(lambda: sandbox.mark() > mark, "it has begun")
            limits = resource.prlimit(worker, resource.RLIMIT_FSIZE)
            resource.prlimit(worker, resource.RLIMIT_FSIZE, (0, limits[1]))
            accepted = sandbox.mark()
            eventually(lambda: sandbox.mark() > accepted, "what was in flight is answered")
        Event().wait(2)  # longer than a tick of the worker, which finds the store still away
        resource.prlimit(worker, resource.RLIMIT_FSIZE, limits)
        eventually(
            lambda: caller.get(f"{crowd.path}/{sent}").json()["state"], "it is sent", lambda s: s == "SENT"
        )
        assert process.worker() == worker, "it went on by itself"
    assert Counter(push["token"] for push in sandbox.received(mark)) == dict.fromkeys(crowd.addresses, 1)
    assert installation.in_database(tallied) == len(crowd.addresses)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of four megabytes, where this is allowed."""
    folder = Path(tempfile.mkdtemp(prefix="clarion-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


def test_a_full_disk_refuses_and_recovers(small_disk: Path, sandbox: Sandbox) -> None:
    installation = Installation(small_disk, {"CLARION_PUSH_CA_FILE": str(sandbox.ca_file)})
    installation.migrate()
    crowd = add_crowd(installation, sandbox, 1)
    with installation.serve() as process, installation.caller(crowd.token) as caller:
        process.worker()
        before = caller.post(crowd.path, json=HELLO).json()["notificationId"]
        eventually(
            lambda: caller.get(f"{crowd.path}/{before}").json()["state"], "it is sent", lambda s: s == "SENT"
        )
        ballast = small_disk / "ballast"
        with ballast.open("wb") as file:
            for size in (65_536, 4_096, 1):
                _fill(file.fileno(), size)
        large = HELLO | {"content": {"text": "Hi", "inputs": {"a": "x" * 500_000}}}
        for _ in range(3):
            assert_unavailable(caller.post(crowd.path, json=large))
        ballast.unlink()
        assert_recovers(caller, crowd, sandbox, [before])


def _fill(file: int, size: int) -> None:
    try:
        while True:
            os.write(file, b"\0" * size)
    except OSError:
        return


def test_a_read_only_file_refuses_and_recovers(installation: Installation, sandbox: Sandbox) -> None:
    crowd = add_crowd(installation, sandbox, 1)
    prefix: list[str] = []
    if os.geteuid() == 0:  # permissions do not bind root, unless root gives that up
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is not installed")
        prefix = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
    _permit(installation, 0o444)
    with installation.serve(prefix=prefix), installation.caller(crowd.token) as caller:
        for _ in range(3):
            assert_unavailable(caller.post(crowd.path, json=HELLO))
        _permit(installation, 0o644)
        assert_recovers(caller, crowd, sandbox, [])


def _permit(installation: Installation, mode: int) -> None:
    for path in installation.folder.glob("clarion.db*"):
        path.chmod(mode)


@pytest.mark.parametrize("level", ["debug", "info"])
def test_a_log_that_nobody_reads_any_more_fails_no_request(
    installation: Installation, sandbox: Sandbox, level: str
) -> None:
    crowd = add_crowd(installation, sandbox, 1)
    installation.settings["CLARION_LOG_LEVEL"] = level
    reading, writing = os.pipe()
    with installation.serve(output=writing), installation.caller(crowd.token) as caller:
        os.close(writing)
        os.close(reading)
        mark = sandbox.mark()
        assert caller.post(crowd.path, json=HELLO).status_code == 201
        assert caller.post(crowd.path, json={}).status_code == 400
        eventually(lambda: sandbox.mark() > mark, "it arrives")
