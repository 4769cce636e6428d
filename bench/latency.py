"""`latency-bound`: requests per second when the delay and the number of streams are the limit, not the processor.

nginx allows 100 streams on a connection, as FCM does, and is 50 ms away: a relay holds every octet back for 25 ms
in each direction. So one connection carries 2,000 requests/s at the very most, whatever the client. Ours is one
pool that opens as many connections as it finds it needs; the first round, in which it finds out, is told but does
not count. Beside it, in turns: our pool held to one connection, and h2load with one connection and with as many
as ours had opened. Fair: TLS from end to end, the same relay and nginx on the same core, the client on the other.
nginx's log must hold every path as often as it was sent.
"""

import asyncio
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from bench import nginx
from bench.figure import Figure, Goal, MeasureError, Peer
from bench.machine import Machine, find_program, folder_on_disk, require
from bench.nginx import Nginx
from bench.processes import run
from bench.relay import delaying
from bench.report import say

CLIENT: Final = Path(__file__).with_name("pool_client.py")
STREAMS: Final = 100
ONE_WAY_SECONDS: Final = 0.025
MOST_CONNECTIONS: Final = 20
COUNT: Final = 60_000
COUNT_OF_ONE: Final = 6_000
ROUNDS: Final = 3
TURNS: Final = 3
LEAST_PER_SECOND: Final = 15_000
MOST_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the clients run and what they reach."""

    machine: Machine
    folder: Path
    stand_in: Nginx
    port: int


async def measure(machine: Machine) -> list[Figure]:
    """Measure all four in turns."""
    require("nginx", "h2load")
    with (
        folder_on_disk() as folder,
        nginx.serving(machine.measuring_core, folder, streams=STREAMS) as stand_in,
    ):
        async with delaying(stand_in.port, ONE_WAY_SECONDS) as port:
            place = _Place(machine, folder, stand_in, port)
            turns = [await _turn(place) for _ in range(TURNS)]
    ours, h2load, our_one, h2load_one = (median(rates) for rates in zip(*turns, strict=True))
    return [
        Figure(
            "latency-bound", "requests/s", ours, Goal(least=LEAST_PER_SECOND),
            Peer("h2load", h2load),
        ),
        Figure("latency-bound-one", "requests/s", our_one, Goal(), Peer("h2load", h2load_one)),
    ]  # fmt: skip


async def _turn(place: _Place) -> tuple[float, float, float, float]:
    first, ours, connections = await _pool(place, MOST_CONNECTIONS, COUNT)
    h2load = await _h2load(place, connections, COUNT)
    _, our_one, _ = await _pool(place, 1, COUNT_OF_ONE)
    h2load_one = await _h2load(place, 1, COUNT_OF_ONE)
    say(
        f"{connections} connections: ours {ours:,.0f}/s (first round {first:,.0f}/s), h2load {h2load:,.0f}/s; "
        f"one: ours {our_one:,.0f}/s, h2load {h2load_one:,.0f}/s"
    )
    return ours, h2load, our_one, h2load_one


async def _pool(place: _Place, most: int, count: int) -> tuple[float, float, int]:
    """Send with our pool; returns the first round's rate, the median of the others, and its connections."""
    place.stand_in.new_paths()
    ca_file = str(place.stand_in.certificates.ca)
    numbers = [str(number) for number in (place.port, ca_file, most, count, ROUNDS)]
    command = [sys.executable, str(CLIENT), *numbers]
    output = await run(command, core=place.machine.measured_core, folder=place.folder, seconds=MOST_SECONDS)
    await asyncio.sleep(0.5)  # nginx writes a request's line a moment after its answer
    found = Counter(place.stand_in.new_paths())
    if len(found) != count or set(found.values()) != {ROUNDS}:
        raise MeasureError(f"{found.total()} requests arrived, and {count * ROUNDS} were sent")
    said = json.loads(output)
    first, *others = said["rates"]
    return first, median(others), said["connections"]


async def _h2load(place: _Place, connections: int, count: int) -> float:
    """Send as many requests of the same size with h2load; returns requests per second."""
    program = find_program("h2load")
    assert program is not None
    payload = place.folder / "payload.json"
    payload.write_text('{"aps":{"alert":"' + "x" * 180 + '"}}')
    headers = ["-H", "content-type: application/json", "-H", f"authorization: bearer {'0' * 200}"]
    url = f"https://localhost:{place.port}/3/device/{'0' * 64}"
    options = [f"-c{connections}", f"-m{STREAMS}", f"-n{count}", "-d", str(payload)]
    output = await run(
        [program, *options, *headers, url],
        core=place.machine.measured_core, folder=place.folder, seconds=MOST_SECONDS,
    )  # fmt: skip
    rate = re.search(r"([\d.]+) req/s", output)
    if rate is None or f"{count} succeeded" not in output:
        raise MeasureError(f"h2load did not succeed:\n{output}")
    return float(rate[1])
