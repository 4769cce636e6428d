"""`accept`: how many notifications a second become durable, beside FastAPI storing nothing.

Ours authenticates, validates, resolves one member of ten thousand, and commits to SQLite with
`synchronous = FULL` before it answers 201; 32 callers wait for their answers. The peer validates the same
body and answers 201 with the same JSON. Fair: same machine, same core, same caller, in many short turns; and
at the end the database must hold exactly what was accepted.
"""

import sys
from pathlib import Path
from statistics import median
from typing import Final

from bench.figure import Figure, Goal, MeasureError, Peer
from bench.load import post, requests_per_second
from bench.machine import Machine, file_system, folder_on_disk
from bench.processes import free_port, running
from bench.pushes import CONTENT
from bench.report import say
from bench.service import Installation

PEER: Final = Path(__file__).with_name("fastapi_peer.py")
MEMBERS: Final = 10_000
CONNECTIONS: Final = 32
WARM_UP: Final = 2_000
COUNT: Final = 4_000
ROUNDS: Final = 15
SECONDS: Final = 120.0
"""More than any round may take."""


async def measure(machine: Machine) -> list[Figure]:
    """Measure both in turns."""
    with folder_on_disk() as folder:
        say(f"the database is on {file_system(folder)}")
        installation = Installation(folder)
        organization = installation.add_organization(MEMBERS)
        path = f"/v2.0/tool/organizations/{organization.uuid}/notifications"
        body = {"content": CONTENT, "scope": "USR", "emails": [organization.emails[MEMBERS // 2]]}
        request = post(path, body, {"authorization": f"BEARER {organization.token}"})
        peer_port = free_port()
        with (
            installation.serving(machine.measured_core, role="api"),
            running(
                [sys.executable, str(PEER), str(peer_port)],
                core=machine.measured_core, port=peer_port, folder=folder,
            ),
        ):  # fmt: skip
            ours, peer = await _in_turns(installation.port, peer_port, request)
        _check_rows(installation)
    return [
        Figure("accept", "requests/s", ours, Goal(least_ratio=0.8), Peer("FastAPI, stores nothing", peer))
    ]


async def _in_turns(our_port: int, peer_port: int, request: bytes) -> tuple[float, float]:
    rates: dict[int, list[float]] = {our_port: [], peer_port: []}
    for port in rates:
        await requests_per_second(port, request, connections=CONNECTIONS, count=WARM_UP, seconds=SECONDS)
    for number in range(ROUNDS):
        for port, found in rates.items():
            found.append(
                await requests_per_second(
                    port, request, connections=CONNECTIONS, count=COUNT, seconds=SECONDS
                )
            )
        say(f"round {number + 1}: ours {rates[our_port][-1]:,.0f}/s, FastAPI {rates[peer_port][-1]:,.0f}/s")
    return median(rates[our_port]), median(rates[peer_port])


def _check_rows(installation: Installation) -> None:
    accepted = WARM_UP + ROUNDS * COUNT
    stored = installation.ask("SELECT count(*) FROM notifications")
    if stored != accepted:
        raise MeasureError(f"{accepted} notifications were accepted, and {stored} are stored")
