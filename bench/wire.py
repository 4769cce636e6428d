"""`wire`: how many requests a second our HTTP/2 client sends over one connection, beside C and beside a library.

One burst of 100,000 POSTs, with the headers that Apple gets and 200 octets of body, with a deadline for each and
an outcome of each, over TLS. The peers: h2load, a client in C that sends as many requests of the same size; and
aioapns, an APNs library for Python on the usual `h2`. Servers: nginx, whose log must hold every path of ours
exactly once, and nghttpd. Fair: the same server at the same time, on a core of its own; the clients take turns on
the other. Ours repeats its headers in every request; h2load names them by their place in a table, which is the
server's to keep and which APNs keeps small. aioapns gets an nginx of its own, which repeats the `apns-id` that it
needs, one connection as well, and as many callers as are good for it.
"""

import asyncio
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from bench import h2load, nghttpd, nginx
from bench.figure import Figure, Goal, MeasureError, Peer
from bench.machine import Machine, folder_on_disk, require
from bench.nginx import Nginx
from bench.processes import run
from bench.report import say

OURS: Final = "bench.wire_client"
AIOAPNS: Final = "bench.wire_aioapns"
HOME: Final = Path(__file__).parent.parent
BODY: Final = b"x" * 200
COUNT: Final = 100_000
COUNT_OF_AIOAPNS: Final = 5_000
ROUNDS: Final = 7
MOST_SECONDS: Final = 120.0
APNS_PATH: Final = "/3/device/"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the clients run, and the servers."""

    machine: Machine
    folder: Path
    stand_in: Nginx
    echoing: Nginx
    nghttpd_port: int

    async def client(self, module: str, *words: object) -> float:
        """Run a client on the measured core; returns its requests per second."""
        command = [sys.executable, "-m", module, *map(str, words)]
        output = await run(command, core=self.machine.measured_core, folder=HOME, seconds=MOST_SECONDS)
        return float(output)


async def measure(machine: Machine) -> list[Figure]:
    """Measure all in turns."""
    require("nginx", "nghttpd", "h2load")
    core = machine.measuring_core
    with (
        folder_on_disk() as folder,
        folder_on_disk() as other,
        nginx.serving(core, folder) as stand_in,
        nginx.serving(core, other, answer="add_header apns-id $http_apns_id;") as echoing,
        nghttpd.serving(core, folder, stand_in.certificates) as nghttpd_port,
    ):
        place = _Place(machine, folder, stand_in, echoing, nghttpd_port)
        turns = [await _turn(place) for _ in range(ROUNDS)]
    ours, theirs, ours_nghttpd, theirs_nghttpd, aioapns = (
        median(rates) for rates in zip(*turns, strict=True)
    )
    goal = Goal(least_ratio=0.8)
    return [
        Figure("wire", "requests/s", ours, goal, Peer("h2load, nginx", theirs)),
        Figure("wire", "requests/s", ours_nghttpd, goal, Peer("h2load, nghttpd", theirs_nghttpd)),
        Figure("wire", "requests/s", ours, Goal(least_ratio=20), Peer("aioapns, nginx", aioapns)),
    ]


async def _turn(place: _Place) -> tuple[float, float, float, float, float]:
    ours, theirs = await _ours_at_nginx(place), await _h2load(place, place.stand_in.port, APNS_PATH)
    ca_file, port = place.stand_in.certificates.ca, place.nghttpd_port
    ours_nghttpd = await place.client(OURS, port, ca_file, nghttpd.PATH, COUNT)
    theirs_nghttpd = await _h2load(place, port, nghttpd.PATH)
    aioapns = await place.client(AIOAPNS, place.echoing.port, place.echoing.certificates.ca, COUNT_OF_AIOAPNS)
    say(
        f"nginx: ours {ours:,.0f}/s, h2load {theirs:,.0f}/s, aioapns {aioapns:,.0f}/s; "
        f"nghttpd: ours {ours_nghttpd:,.0f}/s, h2load {theirs_nghttpd:,.0f}/s"
    )
    return ours, theirs, ours_nghttpd, theirs_nghttpd, aioapns


async def _ours_at_nginx(place: _Place) -> float:
    """Send with ours, and ask nginx's log what arrived."""
    await asyncio.sleep(0.5)  # nginx writes a request's line a moment after its answer
    place.stand_in.new_paths()
    rate = await place.client(OURS, place.stand_in.port, place.stand_in.certificates.ca, APNS_PATH, COUNT)
    await asyncio.sleep(0.5)
    found = Counter(place.stand_in.new_paths())
    if len(found) != COUNT or found.total() != COUNT:
        raise MeasureError(f"{found.total()} requests for {len(found)} paths arrived, and {COUNT} were sent")
    return rate


async def _h2load(place: _Place, port: int, path: str) -> float:
    url = f"https://localhost:{port}{path}{'0' * 64}"
    return await h2load.requests_per_second(place.machine, place.folder, url, BODY, COUNT)
