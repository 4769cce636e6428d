"""nghttpd as a stand-in for a push service: the server of nghttp2, which h2load comes from. An empty 200 at `PATH`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.machine import find_program
from bench.processes import free_port, running
from clarion.sandbox.certificates import Certificates

PATH: Final = "/push?"
"""What follows the question mark is anybody's."""


@contextmanager
def serving(core: int, folder: Path, certificates: Certificates) -> Iterator[int]:
    """Run nghttpd on a core; yields its port."""
    own = folder / "nghttpd"
    own.mkdir()
    (own / "push").touch()
    program, port = find_program("nghttpd"), free_port()
    assert program is not None
    command = [program, "-n1", "--address=127.0.0.1", f"--htdocs={own}", str(port)]
    command += [str(certificates.key), str(certificates.server)]
    with running(command, core=core, port=port, folder=own):
        yield port
