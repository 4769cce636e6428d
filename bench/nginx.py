"""nginx as a stand-in for a push service: one worker, TLS, HTTP/2, a fast 200, and a log that is the witness.

It answers before it has read a body, which is legal, and writes the path of every request to its access log.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.figure import MeasureError
from bench.machine import find_program
from bench.processes import free_port, running
from clarion.sandbox.certificates import Certificates, ensure_certificates

_SETTINGS: Final = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
    log_format paths $request_uri;
    access_log {folder}/access.log paths;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    http2_max_concurrent_streams {streams};
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {certificates.server};
        ssl_certificate_key {certificates.key};
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {{ {answer} return 200; }}
    }}
}}
"""


@dataclass(slots=True)
class Nginx:
    """A running nginx."""

    port: int
    certificates: Certificates
    log: Path
    read_to: int = 0

    def check_devices(self, addresses: Sequence[str]) -> None:
        """Raise MeasureError unless every device was pushed to exactly once since the last call."""
        wanted = Counter(f"/3/device/{address}" for address in addresses)
        found = Counter(self.new_paths())
        if found != wanted:
            missing, more = (wanted - found).total(), (found - wanted).total()
            raise MeasureError(
                f"of {len(addresses)} devices {missing} were not reached; {more} requests too many"
            )

    def new_paths(self) -> list[str]:
        """The paths that were asked for since the last call."""
        with self.log.open() as file:
            file.seek(self.read_to)
            paths = file.read().split()
            self.read_to = file.tell()
        return paths


@contextmanager
def serving(core: int, folder: Path, streams: int = 128, answer: str = "") -> Iterator[Nginx]:
    """Run nginx on a core, in a folder of its own inside this one, with so many streams on a connection.

    `answer` are directives that add to every answer.
    """
    own = folder / "nginx"
    own.mkdir()
    program = find_program("nginx")
    assert program is not None
    nginx = Nginx(free_port(), ensure_certificates(own / "certificates"), own / "access.log")
    settings = own / "nginx.conf"
    settings.write_text(
        _SETTINGS.format(
            folder=own, port=nginx.port, certificates=nginx.certificates, streams=streams, answer=answer
        )
    )
    command = [program, "-p", str(own), "-c", str(settings), "-e", str(own / "error.log")]
    with running(command, core=core, port=nginx.port, folder=own):
        yield nginx
