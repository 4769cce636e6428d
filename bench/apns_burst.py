"""`apns-100k`: how fast 100,000 pushes go out through the APNs provider, with their outcomes settled.

A lane alone in its process claims a notification to a whole organization from a SQLite database, sends it to
100,000 devices through the APNs provider and our HTTP/2 client to nginx over TLS, and settles every page; the
clock stops when the last one is durable. The peer is h2load, a client in C that sends as many requests of the
same size to the same nginx over one connection, and forgets the answers. Fair: nginx has one core, the sender the
other, they take turns. nginx's log must hold the path of every device exactly once per burst, and the database
as many accepted devices.

`burst-memory` is the most memory that such a process had after a burst of 500,000, which must be at most a tenth
more than after 100,000. SQLite's page cache, 32 MB, is full before either, since it fills with whatever is read.
"""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from bench import h2load, nginx
from bench.figure import Figure, Goal, MeasureError, Peer
from bench.machine import Machine, folder_on_disk, require
from bench.nginx import Nginx
from bench.processes import run
from bench.report import say
from bench.service import Installation, Organization

DEVICES: Final = 100_000
MANY_DEVICES: Final = 500_000
DEVICES_PER_MEMBER: Final = 1.25
ROUNDS: Final = 5
MOST_SECONDS: Final = 300.0
MOST_GROWTH: Final = 1.1
HOME: Final = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class _Audience:
    """An organization with one channel, and the addresses of its devices."""

    organization: Organization
    channel_id: int
    addresses: list[str]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the lane runs, and what it reaches."""

    machine: Machine
    installation: Installation
    stand_in: Nginx


async def measure(machine: Machine) -> list[Figure]:
    """Measure the rate in turns with h2load, then the memory."""
    require("nginx", "h2load")
    with folder_on_disk() as folder, nginx.serving(machine.measuring_core, folder) as stand_in:
        place = _Place(machine, Installation(folder), stand_in)
        audience, large = _seed(place, DEVICES), _seed(place, MANY_DEVICES)
        ours, theirs, memory = [], [], []
        for number in range(ROUNDS):
            seconds, megabytes = await _burst(place, audience)
            ours.append(DEVICES / seconds)
            memory.append(megabytes)
            theirs.append(await h2load.pushes_per_second(machine, folder, stand_in.port, DEVICES))
            say(f"round {number + 1}: ours {ours[-1]:,.0f}/s, h2load {theirs[-1]:,.0f}/s")
        seconds, most = await _burst(place, large)
        say(f"{MANY_DEVICES:,} devices: {MANY_DEVICES / seconds:,.0f}/s")
    peer = Peer("h2load", median(theirs))
    goal = Goal(below=round(median(memory) * MOST_GROWTH, 1))
    return [
        Figure("apns-100k", "devices/s", median(ours), Goal(least_ratio=0.5), peer),
        Figure("burst-memory", "MB", most, goal, Peer("burst of 100,000", median(memory))),
    ]


def _seed(place: _Place, count: int) -> _Audience:
    members = int(count / DEVICES_PER_MEMBER)
    say(f"seeding {members:,} members with {count:,} devices")
    organization = place.installation.add_organization(members)
    channel_id = place.installation.add_channel(organization, place.stand_in.port)
    owners = organization.member_ids + organization.member_ids[: count - members]
    return _Audience(
        organization, channel_id, place.installation.add_devices(organization, channel_id, owners)
    )


async def _burst(place: _Place, audience: _Audience) -> tuple[float, float]:
    """Push to everybody and check that all were reached once; returns the seconds and the megabytes that it took."""
    installation, stand_in = place.installation, place.stand_in
    stand_in.new_paths()
    notification = installation.publish(audience.organization)
    words = [installation.database_url, audience.channel_id, stand_in.port, stand_in.certificates.ca]
    command = [sys.executable, "-m", "bench.lane_client", *map(str, words)]
    output = await run(command, core=place.machine.measured_core, folder=HOME, seconds=MOST_SECONDS)
    await asyncio.sleep(0.5)  # nginx writes a request's line a moment after its answer
    stand_in.check_devices(audience.addresses)
    accepted = installation.ask(
        "SELECT sum(accepted) FROM push_tallies AS tally JOIN notifications AS n "
        "ON n.organization_id = tally.organization_id AND n.id = tally.notification_id "
        "WHERE n.uuid = ? AND n.state = 'sent'",
        notification.hex,
    )
    if accepted != len(audience.addresses):
        raise MeasureError(f"{accepted} of {len(audience.addresses)} devices are settled as accepted")
    measured = json.loads(output)
    return measured["seconds"], measured["megabytes"]
