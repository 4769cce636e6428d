"""`webpush`: how many messages a second are encrypted, sent and answered, beside OpenSSL's share of that.

Each message needs a key pair and an ECDH of its own: RFC 8291 demands it. The peer does these two by OpenSSL in a
loop, and nothing else: no key is read, nothing is derived, encrypted or sent. Ours is the whole path through the
provider, in pages as a lane sends them: render, take apart the stored subscriptions, check their keys, encrypt,
send over TLS to nginx, read the answers. nginx's log must hold the path of every subscription exactly once.
A second figure is the encryption alone beside pywebpush's, both from a browser's keys as octets to the body.
Fair: the same core, in turns, each subscription with keys of its own; nginx has the other core. OpenSSL's share is
more than half of the library's time as well, and the same for both.
"""

import asyncio
import sys
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Final

from bench import nginx
from bench.figure import Figure, Goal, MeasureError, Peer
from bench.machine import Machine, folder_on_disk, require
from bench.nginx import Nginx
from bench.processes import run
from bench.report import say

HOME: Final = Path(__file__).parent.parent
COUNT: Final = 20_000
ROUNDS: Final = 7
MOST_SECONDS: Final = 120.0


async def measure(machine: Machine) -> list[Figure]:
    """Measure all in turns."""
    require("nginx")
    with (
        folder_on_disk() as folder,
        nginx.serving(machine.measuring_core, folder, answer="return 201;") as stand_in,
    ):
        turns = [await _turn(machine, stand_in) for _ in range(ROUNDS)]
    whole, openssl, ours, pywebpush = (median(rates) for rates in zip(*turns, strict=True))
    return [
        Figure(
            "webpush",
            "messages/s",
            whole,
            Goal(least_ratio=0.4),
            Peer("OpenSSL, keys and ECDH alone", openssl),
        ),
        Figure("webpush-encryption", "messages/s", ours, Goal(least_ratio=1.7), Peer("pywebpush", pywebpush)),
    ]


async def _turn(machine: Machine, stand_in: Nginx) -> tuple[float, float, float, float]:
    whole = await _whole(machine, stand_in)
    openssl, ours, pywebpush = [await _client(machine, way) for way in ("openssl", "ours", "pywebpush")]
    say(
        f"whole path {whole:,.0f}/s, OpenSSL alone {openssl:,.0f}/s; "
        f"encryption: ours {ours:,.0f}/s, pywebpush {pywebpush:,.0f}/s"
    )
    return whole, openssl, ours, pywebpush


async def _whole(machine: Machine, stand_in: Nginx) -> float:
    """Send, and ask nginx's log what arrived."""
    stand_in.new_paths()
    rate = await _client(machine, "provider", stand_in.port, stand_in.certificates.ca)
    await asyncio.sleep(0.5)  # nginx writes a request's line a moment after its answer
    found = Counter(stand_in.new_paths())
    if len(found) != COUNT or found.total() != COUNT:
        raise MeasureError(f"{found.total()} requests for {len(found)} paths arrived, and {COUNT} were sent")
    return rate


async def _client(machine: Machine, way: str, *where: object) -> float:
    command = [sys.executable, "-m", "bench.webpush_client", way, str(COUNT), *map(str, where)]
    return float(await run(command, core=machine.measured_core, folder=HOME, seconds=MOST_SECONDS))
