"""The machine: one core for what is measured, another for what measures it, and a real disk.

Pinning keeps the scheduler out of the figures, and a file system in memory would make a commit free.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.figure import MeasureError

_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_PACKAGES: Final = {"nginx": "nginx", "h2load": "nghttp2-client", "nghttpd": "nghttp2-server"}
"""Debian's package for each program that a figure may need."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where things run. With a single core both are the same one."""

    measured_core: int
    measuring_core: int

    @property
    def has_two_cores(self) -> bool:
        """Whether the load has a core of its own."""
        return self.measured_core != self.measuring_core


def look_around() -> Machine:
    """Choose two cores and take the measuring one for this process."""
    if sys.platform != "linux":
        raise MeasureError(
            "The figures need Linux: processes are pinned to cores, and /proc tells of memory."
        )
    cores = sorted(os.sched_getaffinity(0))
    machine = Machine(cores[0], cores[min(1, len(cores) - 1)])
    os.sched_setaffinity(0, {machine.measuring_core})
    return machine


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started inside inherits this core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def require(*programs: str) -> None:
    """Raise MeasureError that says what to install, unless every program is there."""
    if missing := [program for program in programs if find_program(program) is None]:
        packages = " ".join(_PACKAGES[program] for program in missing)
        raise MeasureError(f"needs {' and '.join(missing)}; on Debian: apt-get install {packages}")


def find_program(name: str) -> str | None:
    """Where a program is; servers are often outside of a user's PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")


@contextmanager
def folder_on_disk() -> Iterator[Path]:
    """A temporary folder that is not in memory, removed at the end."""
    candidates = [Path(tempfile.gettempdir()), Path("/var/tmp"), Path.cwd()]
    parent = next(
        (each for each in candidates if each.is_dir() and file_system(each) not in _IN_MEMORY), None
    )
    if parent is None:
        raise MeasureError(
            "No folder on a real disk; name one in the environment: TMPDIR=/path scripts/bench"
        )
    with tempfile.TemporaryDirectory(prefix="clarion-bench-", dir=parent) as folder:
        yield Path(folder)


def file_system(folder: Path) -> str:
    """The type of the file system that a folder is on, such as ext4."""
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    above = {str(parent) for parent in (folder.resolve(), *folder.resolve().parents)}
    _, kind = max((point, kind) for point, kind in mounts if point in above)
    return kind
