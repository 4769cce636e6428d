"""Programs from Debian's packages, each in a process group of its own. A missing one skips at home and fails in CI."""

import asyncio
import ctypes
import os
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import missing

FAREWELL_SECONDS = 5


@dataclass(frozen=True)
class Program:
    """A running program and the file that it writes into."""

    process: asyncio.subprocess.Process
    log: Path

    async def said(self) -> str:
        """What it wrote until now; fails when it has ended."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        assert self.process.returncode is None, f"it ended with {self.process.returncode}: {text[-2000:]}"
        return text


def find(name: str) -> str:
    """Where a program is."""
    found = shutil.which(name)
    if found is None:
        missing(name)
    assert found is not None
    return found


def need_library(name: str, package: str) -> None:
    """See that a shared library is there, which a program loads when it first needs it."""
    try:
        ctypes.CDLL(name)
    except OSError:
        missing(package)


@asynccontextmanager
async def running(
    command: Sequence[str], folder: Path, environment: dict[str, str], *, told_to_end: bool = False
) -> AsyncIterator[Program]:
    """Start a program; it has ended when the block has, or the tests are killed, with all that it started.

    `told_to_end`: the block asks it to go, so it has some seconds for it.
    """
    log = folder / f"{Path(command[0]).name}.log"
    not_longer_than_we = (find("setpriv"), "--pdeathsig", "KILL", "--")
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *not_longer_than_we, *command, cwd=folder, env=environment, start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield Program(process, log)
    finally:
        if told_to_end:
            with suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def home(folder: Path, bus: str) -> dict[str, str]:
    """The environment of a browser that knows nothing of this machine but where programs are."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "DBUS_SESSION_BUS_ADDRESS": bus,
    }
