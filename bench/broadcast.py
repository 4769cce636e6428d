"""`broadcast-100k`: how fast one POST to a whole organization reaches 100,000 devices.

From the 201 until the notification is SENT, that is until the last page is settled and durable. Pushes go
through `clarion serve`, its worker and our HTTP/2 client over TLS to nginx. The peer is h2load, a client in C
that sends as many requests of the same size to the same nginx over one connection, without a database. Fair:
nginx has the same core both times, the sender has the other, they take turns. nginx's log must hold the path
of every device exactly once per broadcast.
"""

import asyncio
import json
import time
from statistics import median
from typing import Final

from bench import h2load, nginx
from bench.figure import Figure, Goal, MeasureError, Peer
from bench.load import Conversation, post
from bench.machine import Machine, folder_on_disk, require
from bench.nginx import Nginx
from bench.processes import children, peak_megabytes
from bench.pushes import CONTENT
from bench.report import say
from bench.service import Installation, Organization

MEMBERS: Final = 80_000
DEVICES: Final = 100_000
ROUNDS: Final = 3
POLL_SECONDS: Final = 0.02
MOST_SECONDS: Final = 120.0


async def measure(machine: Machine) -> list[Figure]:
    """Measure both in turns, and the memory of both processes."""
    require("nginx", "h2load")
    with folder_on_disk() as folder, nginx.serving(machine.measuring_core, folder) as stand_in:
        installation = Installation(folder, ca_file=stand_in.certificates.ca)
        say(f"seeding {MEMBERS:,} members with {DEVICES:,} devices")
        organization = installation.add_organization(MEMBERS)
        channel = installation.add_channel(organization, stand_in.port)
        owners = organization.member_ids + organization.member_ids[: DEVICES - MEMBERS]
        addresses = installation.add_devices(organization, channel, owners)
        with installation.serving(machine.measured_core) as api:
            ours, peer = [], []
            for number in range(ROUNDS):
                ours.append(await _broadcast(installation, organization, stand_in, addresses))
                peer.append(await h2load.pushes_per_second(machine, folder, stand_in.port, DEVICES))
                say(f"round {number + 1}: ours {ours[-1]:,.0f}/s, h2load {peer[-1]:,.0f}/s")
            memory = {"api": peak_megabytes(api), "worker": peak_megabytes(_worker(api))}
    return [
        Figure(
            "broadcast-100k", "devices/s", median(ours), Goal(least_ratio=0.4), Peer("h2load", median(peer))
        ),
        *(Figure(f"{name}-memory", "MB", value, Goal(below=200)) for name, value in memory.items()),
    ]


async def _broadcast(
    installation: Installation, organization: Organization, stand_in: Nginx, addresses: list[str]
) -> float:
    """Send one broadcast and check that it reached every device once; returns devices per second."""
    path = f"/v2.0/tool/organizations/{organization.uuid}/notifications"
    body = {"content": CONTENT, "scope": "ORG"}
    request = post(path, body, {"authorization": f"BEARER {organization.token}"})
    stand_in.new_paths()
    conversation = await Conversation.open(installation.port)
    answer = await conversation.ask(request)
    started = time.perf_counter()
    conversation.close()
    created = json.loads(answer.partition(b"\r\n\r\n")[2])
    await _until_sent(installation, created["notificationId"].replace("-", ""))
    elapsed = time.perf_counter() - started
    await asyncio.sleep(0.5)  # nginx writes a request's line a moment after its answer
    stand_in.check_devices(addresses)
    return len(addresses) / elapsed


async def _until_sent(installation: Installation, uuid: str) -> None:
    async with asyncio.timeout(MOST_SECONDS):
        while installation.ask("SELECT state FROM notifications WHERE uuid = ?", uuid) != "sent":  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)


def _worker(api: int) -> int:
    """The worker's process, which the API started."""
    found = children(api)
    if len(found) != 1:
        raise MeasureError(f"clarion serve has {len(found)} children, not one worker")
    return found[0]
