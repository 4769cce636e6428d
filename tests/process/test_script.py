"""`scripts/run`: the demonstration from nothing with one command, ended by Ctrl-C, found again at the next run."""

import json
import os
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.process.installation import Installation, children_of, eventually, facts, is_running

SCRIPT = Path(__file__).parents[2] / "scripts" / "run"


def descendants(pid: int) -> set[int]:
    """All that a process started, and what those started."""
    children = set(children_of(pid))
    return children.union(*map(descendants, children))


@pytest.mark.skipif(
    not (SCRIPT.parent.parent / ".venv" / "clarion-lock.sha256").exists(), reason="installs first"
)
def test_the_script_runs_the_demonstration_and_finds_it_again(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "data")
    known = []
    for number in (signal.SIGINT, signal.SIGTERM):
        output = tmp_path / "output"
        with output.open("wb") as file:
            script = subprocess.Popen(
                [SCRIPT], env=installation.environment, stdin=subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            eventually(lambda: "Ctrl-C ends it" in output.read_text(), "it is ready")  # noqa: B023
            started = descendants(script.pid)
            told = facts(installation)
            known.append(told)
            headers = {"Authorization": f"BEARER {told['token']}"}
            path = f"{told['baseUrl']}/tool/organizations/{told['organizationId']}/notifications"
            assert httpx.get(path, headers=headers).json()["count"] == len(known) - 1
            body = {"content": {"text": "Hi"}, "scope": "ORG"}
            sent = httpx.post(path, headers=headers, json=body).json()["notificationId"]
            eventually(
                lambda: httpx.get(f"{path}/{sent}", headers=headers).json()["state"],  # noqa: B023
                "it is sent",
                lambda state: state == "SENT",
            )
            assert httpx.get(told["phonesUrl"]).is_success
            os.killpg(script.pid, number)  # as a terminal does: everybody hears Ctrl-C
            assert script.wait(15) == 0
            eventually(lambda: not any(map(is_running, started)), "nobody is left", seconds=5)  # noqa: B023
        finally:
            for pid in (*descendants(script.pid), script.pid):
                if is_running(pid):
                    os.kill(pid, signal.SIGKILL)
            script.wait()
    assert json.dumps(known[0]) == json.dumps(known[1]), "the same ids and the same token"
