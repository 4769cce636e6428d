"""h2load, the peer in C: sends as many requests of the same size to the same server."""

import json
import re
from pathlib import Path
from typing import Final

from bench.figure import MeasureError
from bench.machine import Machine, find_program
from bench.processes import run
from bench.pushes import HEADERS, PAYLOAD

STREAMS: Final = 128
MOST_SECONDS: Final = 120.0


async def pushes_per_second(machine: Machine, folder: Path, port: int, count: int) -> float:
    """Send as many requests, of the same size, as Clarion sends for a notification to `count` devices."""
    url = f"https://localhost:{port}/3/device/{'0' * 64}"
    body = json.dumps(PAYLOAD, separators=(",", ":")).encode()
    return await requests_per_second(machine, folder, url, body, count)


async def requests_per_second(machine: Machine, folder: Path, url: str, body: bytes, count: int) -> float:
    """Send `count` POSTs over one connection, all of which must succeed."""
    program = find_program("h2load")
    assert program is not None
    file = folder / "h2load-body"
    file.write_bytes(body)
    headers = [word for name, value in HEADERS.items() for word in ("-H", f"{name}: {value}")]
    command = [program, "-c1", f"-m{STREAMS}", f"-n{count}", "-d", str(file), *headers, url]
    output = await run(command, core=machine.measured_core, folder=folder, seconds=MOST_SECONDS)
    rate = re.search(r"([\d.]+) req/s", output)
    if rate is None or f"{count} succeeded" not in output:
        raise MeasureError(f"h2load did not succeed:\n{output}")
    return float(rate[1])
