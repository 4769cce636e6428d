"""`streams`: ten thousand live streams on one process and one core, and a broadcast to all of them.

Every member's app has a session of its own and follows its own stream. A POST goes to the whole organization; the
clock starts before its first octet is written. `streams-broadcast` stops when the last stream has its event. The event
carries the notification, so an app that got it is up to date; one that got a mere hint pulls, and `streams-up-to-date`
stops when the last of them has its answer. `streams-all-pull` has no goal: as if all had got a hint, every app pulls
with the watermark that it had before, over some connections that are kept alive. `streams-memory` is the most that the
API process ever had in RAM.
"""

import asyncio
import time
from collections.abc import Sequence
from statistics import median
from typing import Final
from uuid import UUID

from bench.figure import Figure, Goal, MeasureError
from bench.listeners import Crowd, get, inbox, raise_limit
from bench.load import Caller, Conversation, post
from bench.machine import Machine, folder_on_disk
from bench.processes import peak_megabytes
from bench.pushes import CONTENT
from bench.report import say
from bench.service import Installation, Organization

STREAMS: Final = 10_000
ROUNDS: Final = 3
PULLING: Final = 32
"""Connections over which the apps pull."""

MOST_SECONDS: Final = 180.0


async def measure(machine: Machine) -> list[Figure]:
    """Open the streams, and broadcast some times."""
    raise_limit(STREAMS + 2_000)
    with folder_on_disk() as folder:
        installation = Installation(folder)
        organization = installation.add_organization(STREAMS)
        signed_in = installation.add_sessions(organization)
        with installation.serving(machine.measured_core) as pid:
            crowd = Crowd(installation.port)
            requests = [get(f"{inbox(organization.uuid, user)}/stream", token) for user, token in signed_in]
            seconds = await crowd.gather(requests)
            say(f"opened {STREAMS:,} streams in {seconds:.1f} s; {peak_megabytes(pid):.0f} MB")
            rounds = [
                await _broadcast(installation.port, organization, crowd, signed_in) for _ in range(ROUNDS)
            ]
            memory = peak_megabytes(pid)
            crowd.close()
    told, level, pulled = zip(*rounds, strict=True)
    say("told after " + ", ".join(f"{seconds:.2f} s" for seconds in told))
    return [
        Figure("streams-broadcast", "s", median(told), Goal(below=1.2)),
        Figure("streams-up-to-date", "s", median(level), Goal(below=6)),
        Figure("streams-all-pull", "s", median(pulled), Goal()),
        Figure("streams-memory", "MB", memory, Goal(below=350)),
    ]


async def _broadcast(
    port: int, organization: Organization, crowd: Crowd, signed_in: Sequence[tuple[UUID, str]]
) -> tuple[float, float, float]:
    """Send to all; returns the seconds until the last event, the last app is up to date, and all have pulled."""
    path = f"/v2.0/tool/organizations/{organization.uuid}/notifications"
    body = {"content": CONTENT, "scope": "ORG"}
    request = post(path, body, {"authorization": f"BEARER {organization.token}"})
    pulls = [
        get(f"{inbox(organization.uuid, user)}?syncToken={listener.watermark}", token)
        for (user, token), listener in zip(signed_in, crowd.listeners, strict=True)
    ]
    conversation = await Conversation.open(port)
    crowd.expect()
    started = time.perf_counter()
    answered = asyncio.create_task(conversation.ask(request))
    await crowd.all_heard(MOST_SECONDS)
    told = time.perf_counter() - started
    await answered
    await _Pulling([pulls[number] for number in crowd.hinted]).run(port)
    level = time.perf_counter() - started
    await _Pulling(pulls).run(port)
    conversation.close()
    return told, level, time.perf_counter() - started - level + told


class _Pulling:
    """Requests that are sent over some connections, each of which must be answered with what is new."""

    def __init__(self, requests: list[bytes]) -> None:
        self._requests = requests
        self._left = len(requests)
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, port: int) -> None:
        """Send them all."""
        if not self._requests:
            return
        loop = asyncio.get_running_loop()
        callers = [
            (await loop.create_connection(lambda: Caller(self._answered, self._lost), "127.0.0.1", port))[1]
            for _ in range(min(PULLING, self._left))
        ]
        for caller in callers:
            caller.send(self._requests.pop())
        try:
            async with asyncio.timeout(MOST_SECONDS):
                await self._done
        except TimeoutError:
            raise MeasureError(f"{self._left} pulls were not answered within {MOST_SECONDS:g} s") from None
        for caller in callers:
            caller.close()

    def _answered(self, caller: Caller, answer: bytes) -> None:
        self._left -= 1
        if not answer.startswith(b"HTTP/1.1 200 ") or b'"notificationId"' not in answer:
            self._fail(f"a pull that tells nothing new:\n{answer[:500].decode(errors='replace')}")
        elif self._requests:
            caller.send(self._requests.pop())
        elif not self._left and not self._done.done():
            self._done.set_result(None)

    def _lost(self) -> None:
        self._fail("the server closed a connection")

    def _fail(self, reason: str) -> None:
        if not self._done.done():
            self._done.set_exception(MeasureError(reason))
