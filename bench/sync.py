"""`sync`: how many apps a second learn that nothing is new, beside a Litestar handler that answers a constant.

Most requests of an app are these. Ours reads the watermark, checks the token, looks into the database and answers with
the watermark; the member belongs to the organization and has a history of a hundred notifications. The peer is the
same framework and server with the same answer, which it never makes anew. Fair: same machine, same core, same caller,
32 connections that are kept alive, in many short turns. Every answer must be 200, and must say that nothing is new.
"""

import json
import sys
from pathlib import Path
from statistics import median
from typing import Final
from urllib.request import Request, urlopen

from bench.figure import Figure, Goal, MeasureError, Peer
from bench.listeners import get, inbox
from bench.load import requests_per_second
from bench.machine import Machine, folder_on_disk
from bench.processes import free_port, running
from bench.report import say
from bench.service import Installation

PEER: Final = Path(__file__).with_name("litestar_peer.py")
MEMBERS: Final = 1_000
HISTORY: Final = 100
CONNECTIONS: Final = 32
WARM_UP: Final = 2_000
COUNT: Final = 5_000
ROUNDS: Final = 15
SECONDS: Final = 120.0
"""More than any round may take."""


async def measure(machine: Machine) -> list[Figure]:
    """Measure both in turns."""
    with folder_on_disk() as folder:
        installation = Installation(folder)
        organization = installation.add_organization(MEMBERS)
        for _ in range(HISTORY):
            installation.publish(organization)
        user, token = installation.add_sessions(organization)[MEMBERS // 2]
        peer_port = free_port()
        with (
            installation.serving(machine.measured_core, role="api"),
            running(
                [sys.executable, str(PEER), str(peer_port)],
                core=machine.measured_core, port=peer_port, folder=folder,
            ),
        ):  # fmt: skip
            path = inbox(organization.uuid, user)
            watermark = _ask(installation.port, path, token)["watermark"]
            path = f"{path}?syncToken={watermark}"
            if _ask(installation.port, path, token) != {"count": 0, "items": [], "watermark": watermark}:
                raise MeasureError("a sync that has something new")
            requests = {installation.port: get(path, token), peer_port: get(path, token)}
            ours, peer = await _in_turns(requests)
    return [Figure("sync", "requests/s", ours, Goal(least_ratio=0.5), Peer("Litestar, a constant", peer))]


def _ask(port: int, path: str, token: str) -> dict[str, object]:
    request = Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {token}"})
    with urlopen(request, timeout=10) as answer:
        told: dict[str, object] = json.load(answer)
    return told


async def _in_turns(requests: dict[int, bytes]) -> tuple[float, float]:
    rates: dict[int, list[float]] = {port: [] for port in requests}
    for number in range(ROUNDS + 1):
        for port, request in requests.items():
            rate = await requests_per_second(
                port,
                request,
                connections=CONNECTIONS,
                count=COUNT if number else WARM_UP,
                seconds=SECONDS,
                status=200,
            )
            if number:
                rates[port].append(rate)
        if number:
            ours, peer = (found[-1] for found in rates.values())
            say(f"round {number}: ours {ours:,.0f}/s, Litestar {peer:,.0f}/s")
    ours, peer = (median(found) for found in rates.values())
    return ours, peer
