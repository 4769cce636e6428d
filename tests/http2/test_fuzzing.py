"""The fuzzer runs for a while: the parser survives it, and faults planted on purpose do not."""

import os
import platform
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

RUNS = 60_000
SECONDS = 20
PATIENCE_SECONDS = 90
CAN_BE_INSTALLED = sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 14)
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def atheris() -> None:
    if find_spec("atheris"):
        return
    if os.environ.get("CI") == "true" and CAN_BE_INSTALLED:
        pytest.fail("atheris is not installed, and must be where CI runs")
    pytest.skip("atheris is not installed")


def fuzz(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Fuzz with a fixed seed, until the runs or the seconds are used up or something is found."""
    corpus = folder / "corpus"
    corpus.mkdir()
    bounds = ("-seed=1", f"-runs={RUNS}", f"-max_total_time={SECONDS}", "-max_len=300", "-timeout=5")
    command = (sys.executable, "-m", "tests.http2.fuzz_receiving", *options, str(corpus))
    return subprocess.run(
        (*command, *bounds, f"-artifact_prefix={folder}/"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_the_parser_survives(tmp_path: Path) -> None:
    ended = fuzz(tmp_path)
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert "Done " in ended.stderr


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("padding", "Broken: took Frame(kind=1"),
        ("continuation", "octets of a header block"),
        ("cut", "unread"),
    ],
)
def test_a_planted_fault_is_found(fault: str, found: str, tmp_path: Path) -> None:
    ended = fuzz(tmp_path, "--plant", fault)
    assert ended.returncode == 77, "libFuzzer's way of saying that it found something"
    assert "Broken: " in ended.stdout + ended.stderr
    assert found in ended.stdout + ended.stderr
