"""The worker: a process of its own that releases what is due and keeps one lane per channel.

It wakes at a hint or after a tick of one second, which finds the work all the same. `bootstrap.py` starts
it; everything that it knows it reads from the store, so it may be killed at any line.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog

from clarion.model.errors import StoreUnavailable
from clarion.model.push import InvalidChannel, Provider
from clarion.service.lane import LEASE_MS, Lane, LaneContext
from clarion.service.push import MISCONFIGURED_HOLD_MS
from clarion.service.release import release_due
from clarion.service.sweep import sweep
from clarion.store import channels, notifications, runs
from clarion.store.channels import Channel
from clarion.store.hints import HintListener, SourceGone

logger = structlog.get_logger()

TICK_SECONDS: Final = 1.0
RENEW_SECONDS: Final = LEASE_MS / 3000
SWEEP_SECONDS: Final = 600.0
FAREWELL_SECONDS: Final = 5.0
"""How long open pages may take when the worker is asked to stop."""

ProviderFactory = Callable[[str, dict[str, Any], str], Provider]


@dataclass(slots=True)
class _Tended:
    """A lane with the channel as it was when the lane was made, and the task that drains it."""

    channel: Channel
    lane: Lane
    wanted: asyncio.Event
    task: asyncio.Task[None]


class Worker:
    """Tends the lanes until it is stopped."""

    def __init__(self, context: LaneContext, hints: HintListener, make_provider: ProviderFactory) -> None:
        self._context = context
        self._hints = hints
        self._make_provider = make_provider
        self._lanes: dict[int, _Tended] = {}

    async def run(self) -> None:
        """Work until cancelled, or until the service that started this worker is gone."""
        if self._context.database.is_sqlite:
            await self._context.database.write(runs.take_over_leases)
        try:
            async with (
                asyncio.TaskGroup() as group
            ):  # a chore that fails ends the worker, and a new one is started
                chores = [
                    group.create_task(_every(RENEW_SECONDS, self._renew)),
                    group.create_task(_every(SWEEP_SECONDS, self._sweep)),
                ]
                await self._watch()
                for chore in chores:
                    chore.cancel()
        finally:
            await self._stop()

    async def _watch(self) -> None:
        """Look at every hint and every tick; returns when the service that started this worker is gone."""
        while True:
            with suppress(StoreUnavailable):  # the store has logged it; the next tick tries again
                await self._look()
            try:
                await self._hints.wait(TICK_SECONDS)
            except SourceGone:
                logger.info("worker_ends", because="the service that started it has ended")
                return

    async def _look(self) -> None:
        """Release what is due, and wake the lanes that have work."""
        database, now = self._context.database, self._context.clock()
        while await database.read(notifications.has_waiting, now):
            await database.write(release_due, now)
        due = await database.read(channels.due_channels, now)
        for channel in await database.read(channels.find_channels, due) if due else []:
            await self._wake(channel)

    async def _wake(self, channel: Channel) -> None:
        tended = self._lanes.get(channel.id)
        if tended is not None and not _same_credential(tended.channel, channel):
            await self._end(self._lanes.pop(channel.id))
            tended = None
        if tended is None:
            tended = await self._start(channel)
        if tended is not None:
            tended.wanted.set()

    async def _start(self, channel: Channel) -> _Tended | None:
        try:
            provider = self._make_provider(channel.provider, channel.settings, channel.secret)
        except InvalidChannel as error:
            until = self._context.clock() + MISCONFIGURED_HOLD_MS
            await self._context.database.write(channels.hold_channel, channel.id, until, str(error))
            logger.error("channel_invalid", channel=channel.id, reason=str(error))
            return None
        lane, wanted = Lane(channel.id, channel.provider, provider, self._context), asyncio.Event()
        task = asyncio.create_task(self._tend(channel.id, lane, wanted), name=f"lane-{channel.id}")
        self._lanes[channel.id] = _Tended(channel, lane, wanted, task)
        return self._lanes[channel.id]

    async def _tend(self, channel_id: int, lane: Lane, wanted: asyncio.Event) -> None:
        """Drain a lane whenever it is wanted, until it is stopped."""
        while not lane.is_stopping:
            await wanted.wait()
            wanted.clear()
            try:
                await lane.drain()
            except StoreUnavailable:  # the store has logged it; the lane kept its open pages
                await asyncio.sleep(TICK_SECONDS)
                wanted.set()
            except Exception as error:
                # A fault of ours must neither end the worker nor repeat pushes in a loop.
                logger.exception("lane_failed", channel=channel_id)
                try:
                    await lane.abandon(error)
                except StoreUnavailable:  # its leases are given back when the store is there again
                    await asyncio.sleep(TICK_SECONDS)
                    wanted.set()

    async def _renew(self) -> None:
        until = self._context.clock() + LEASE_MS
        await self._context.database.write(runs.renew_leases, self._context.owner, until)

    async def _sweep(self) -> None:
        await sweep(self._context.database, self._context.clock())

    async def _stop(self) -> None:
        """Let open pages end, then close. What is not settled is offered again by the next worker."""
        await asyncio.gather(*(self._end(tended) for tended in self._lanes.values()))
        self._lanes.clear()
        await self._hints.close()

    async def _end(self, tended: _Tended) -> None:
        tended.lane.stop()
        tended.wanted.set()
        with suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await tended.task
        await tended.lane.close()
        with suppress(StoreUnavailable):
            await self._context.database.write(runs.release_leases, self._context.owner, tended.channel.id)


async def _every(seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        with suppress(StoreUnavailable):  # the store has logged it; the next time tries again
            await chore()


def _same_credential(one: Channel, other: Channel) -> bool:
    return (one.settings, one.secret) == (other.settings, other.secret)
