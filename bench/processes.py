"""What the figures start, and end: processes on a core of their own, waited for by their port."""

import asyncio
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.figure import MeasureError
from bench.machine import on_core

START_SECONDS: Final = 30.0
END_SECONDS: Final = 15.0


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str],
    *,
    core: int,
    port: int,
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Run a server on a core, from the moment it answers on its port; yields its process id.

    What it prints goes to a file in the folder, which is also where it runs.
    """
    log = folder / f"{Path(command[0]).name}-{port}.log"
    with log.open("wb") as output, on_core(core):
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
    try:
        _wait_for(process, port, log)
        yield process.pid
    finally:
        _end(process)


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    said = log.read_text(errors="replace")[-2000:]
    raise MeasureError(f"{process.args!r} did not start; it said:\n{said}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def run(command: Sequence[str], *, core: int, folder: Path, seconds: float) -> str:
    """Run a program to its end on a core; returns what it printed."""
    with on_core(core):
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        raise MeasureError(f"{command[0]} did not end within {seconds:g} s") from None
    text = output.decode(errors="replace")
    if process.returncode:
        raise MeasureError(f"{command[0]} failed:\n{text[-2000:]}")
    return text


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def peak_megabytes(pid: int) -> float:
    """The most memory that a process has had in RAM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise MeasureError(f"process {pid} has no peak of memory")
