"""`hand-off`: how long after a sender starts its POST the push reaches the push service.

An idle `clarion serve` with its worker, one person with one device, a hundred sends at a distance of 50 ms.
The clock starts before the first octet of the POST is written and stops when the stand-in for Apple has read
the request's head, so it holds authentication, the commit, the hint to the worker, the claim, the page and
HTTP/2 over TLS. The peer is what the sender waits for: the POST's own 201, which comes before the push.
"""

import asyncio
import time
from statistics import median
from typing import Final

from bench import phone_service
from bench.figure import Figure, Goal, Peer
from bench.load import Conversation, post
from bench.machine import Machine, folder_on_disk
from bench.phone_service import PhoneService
from bench.pushes import CONTENT
from bench.report import say
from bench.service import Installation

SENDS: Final = 100
WARM_UP: Final = 10
PAUSE_SECONDS: Final = 0.05
MOST_SECONDS: Final = 10.0
MEMBERS: Final = 100


async def measure(machine: Machine) -> list[Figure]:
    """Send one by one."""
    with folder_on_disk() as folder:
        async with phone_service.serving(folder) as phones:
            installation = Installation(folder, ca_file=phones.certificates.ca)
            organization = installation.add_organization(MEMBERS)
            channel = installation.add_channel(organization, phones.port)
            installation.add_devices(organization, channel, organization.member_ids[-1:])
            path = f"/v2.0/tool/organizations/{organization.uuid}/notifications"
            body = {"content": CONTENT, "scope": "USR", "emails": organization.emails[-1:]}
            request = post(path, body, {"authorization": f"BEARER {organization.token}"})
            with installation.serving(machine.measured_core):
                answered, arrived = await _send(installation.port, request, phones)
    say(f"slowest of {SENDS}: {max(arrived):.1f} ms")
    return [
        Figure(
            "hand-off", "ms", median(arrived), Goal(below=25), Peer("the POST's own answer", median(answered))
        )
    ]


async def _send(port: int, request: bytes, phones: PhoneService) -> tuple[list[float], list[float]]:
    """Send one after the other; returns how long each answer and each arrival took, in milliseconds."""
    conversation = await Conversation.open(port)
    answered, arrived = [], []
    for _ in range(WARM_UP + SENDS):
        await asyncio.sleep(PAUSE_SECONDS)
        started = time.perf_counter()
        await conversation.ask(request)
        answered.append((time.perf_counter() - started) * 1000)
        arrived.append((await phones.next_arrival(MOST_SECONDS) - started) * 1000)
    conversation.close()
    return answered[WARM_UP:], arrived[WARM_UP:]
