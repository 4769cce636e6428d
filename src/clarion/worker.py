"""The worker: a process of its own that releases what is due and keeps one lane per channel.

It wakes at a hint or after a tick of one second, which finds the work all the same. `bootstrap.py` starts
it; everything that it knows it reads from the store, so it may be killed at any line.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from clarion.model.errors import StoreUnavailable
from clarion.model.outcome import Misconfigured, Outcome
from clarion.model.push import InvalidChannel, Parcel, Provider, Push
from clarion.service.expiry import warn_of_expiry
from clarion.service.lane import LEASE_MS, Lane, LaneContext
from clarion.service.release import release_due
from clarion.service.sweep import sweep
from clarion.store import channels, notifications, runs
from clarion.store.channels import Channel
from clarion.store.hints import HintListener, SourceGone
from clarion.store.inbox import USUAL_DAYS

logger = structlog.get_logger()

TICK_SECONDS: Final = 1.0
RENEW_SECONDS: Final = LEASE_MS / 3000
SWEEP_SECONDS: Final = 600.0
EXPIRY_SECONDS: Final = 86_400.0
"""How often the log tells of credentials that end soon."""

FAREWELL_SECONDS: Final = 2.0
"""How long open pages may take when the worker is asked to stop."""

ProviderFactory = Callable[[Channel], Provider]
"""Opens a channel's secret and makes its provider; raises InvalidChannel."""


@dataclass(slots=True)
class _Tended:
    """A lane with the channel as it was when the lane was made, and the task that drains it."""

    channel: Channel
    is_usable: bool
    lane: Lane
    task: asyncio.Task[None]

    def is_of(self, channel: Channel) -> bool:
        """Whether the lane still stands for the channel. What could not be used may have been mended elsewhere."""
        same = (self.channel.settings, self.channel.renewed_at) == (channel.settings, channel.renewed_at)
        return same and self.is_usable and not self.task.done()


class Worker:
    """Tends the lanes until it is stopped."""

    def __init__(
        self,
        context: LaneContext,
        hints: HintListener,
        make_provider: ProviderFactory,
        inbox_days: int = USUAL_DAYS,
        tell_released: Callable[[], None] = lambda: None,
        renew_seconds: float = RENEW_SECONDS,
    ) -> None:
        self._context = context
        self._hints = hints
        self._make_provider = make_provider
        self._inbox_days = inbox_days
        self._tell_released = tell_released
        self._renew_seconds = renew_seconds
        self._lanes: dict[int, _Tended] = {}
        self._ending: dict[int, asyncio.Task[None]] = {}
        """A channel's old lane, which the next one waits for: a channel is in one of the two at most."""

    async def run(self) -> None:
        """Work until cancelled, or until the service that started this worker is gone."""
        if self._context.database.is_sqlite:
            await self._context.database.write(runs.take_over_leases)
        with suppress(StoreUnavailable):  # the store has logged it; the next day tells
            await self._warn_of_expiry()
        try:
            # A chore or the end of a lane that fails ends the worker, and a new one is started.
            async with asyncio.TaskGroup() as group:
                chores = [
                    group.create_task(_every(self._renew_seconds, self._renew)),
                    group.create_task(_every(SWEEP_SECONDS, self._sweep)),
                    group.create_task(_every(EXPIRY_SECONDS, self._warn_of_expiry)),
                ]
                await self._watch()
                for chore in chores:
                    chore.cancel()
        finally:
            await self._stop()

    async def _watch(self) -> None:
        """Look at every hint and every tick; returns when the service that started this worker is gone."""
        while True:
            self._forget_ended()
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
        try:
            await self._release(now)
        except StoreUnavailable:  # the store has logged it; what is already released must go out all the same
            pass
        except Exception:
            logger.exception("release_failed")
        due = await database.read(channels.due_channels, now)
        for channel in await database.read(channels.find_channels, due) if due else []:
            self._wake(channel)

    async def _release(self, now: int) -> None:
        """Release all that is due; what another worker is releasing is not waited for."""
        database = self._context.database
        if await database.read(notifications.has_waiting, now):
            while await database.write(release_due, now):
                self._tell_released()
                await asyncio.sleep(0)  # a turn for the lanes

    def _wake(self, channel: Channel) -> None:
        """Let a channel's lane work; while an old one ends, the channel waits for a later tick."""
        tended = self._lanes.get(channel.id)
        if tended is not None and not tended.is_of(channel):
            self._begin_end(channel.id)
        if channel.id not in self._ending:
            tended = self._lanes.get(channel.id) or self._start(channel)
            tended.lane.wanted.set()

    def _begin_end(self, channel_id: int) -> None:
        """End a lane beside the others, which must not wait for it."""
        ending = self._end(self._lanes.pop(channel_id))
        self._ending[channel_id] = asyncio.create_task(ending, name=f"end-of-lane-{channel_id}")

    def _forget_ended(self) -> None:
        """Let go of lanes that have ended; raises what one of them failed with."""
        for channel_id in [channel_id for channel_id, task in self._ending.items() if task.done()]:
            self._ending.pop(channel_id).result()

    def _start(self, channel: Channel) -> _Tended:
        provider, is_usable = self._provider_of(channel)
        lane = Lane(channel.id, channel.provider, provider, self._context)
        task = asyncio.create_task(self._tend(channel.id, lane), name=f"lane-{channel.id}")
        self._lanes[channel.id] = _Tended(channel, is_usable, lane, task)
        return self._lanes[channel.id]

    def _provider_of(self, channel: Channel) -> tuple[Provider, bool]:
        """The provider of a channel, and whether it can be used."""
        try:
            return self._make_provider(channel), True
        except InvalidChannel as error:
            logger.error("channel_invalid", channel=channel.id, name=channel.name, reason=str(error))
            return _Unusable(str(error)), False

    async def _tend(self, channel_id: int, lane: Lane) -> None:
        """Drain a lane whenever it is wanted, until it is stopped."""
        while not lane.is_stopping:
            await lane.wanted.wait()
            lane.wanted.clear()
            try:
                await lane.drain()
            except StoreUnavailable:  # the store has logged it; the lane kept its open pages
                await asyncio.sleep(TICK_SECONDS)
                lane.wanted.set()
            except Exception as error:
                # A fault of ours must neither end the worker nor repeat pushes in a loop.
                logger.exception("lane_failed", channel=channel_id)
                await self._abandon(lane, error)

    async def _abandon(self, lane: Lane, error: Exception) -> None:
        try:
            await lane.abandon(error)
        except Exception:  # its leases are given back at the next drain
            logger.exception("lane_not_abandoned")
            await asyncio.sleep(TICK_SECONDS)
            lane.wanted.set()

    async def _renew(self) -> None:
        until = self._context.clock() + LEASE_MS
        await self._context.database.write(runs.renew_leases, self._context.owner, until)
        await self._end_removed()

    async def _end_removed(self) -> None:
        """End the lanes of channels that were removed: neither connections nor secrets outlive them."""
        for channel_id in await self._context.database.read(channels.find_removed, list(self._lanes)):
            if channel_id in self._lanes:
                self._begin_end(channel_id)

    async def _sweep(self) -> None:
        await sweep(self._context.database, self._context.clock(), self._inbox_days)

    async def _warn_of_expiry(self) -> None:
        await warn_of_expiry(self._context.database, self._context.clock())

    async def _stop(self) -> None:
        """Let open pages end, then close. What is not settled is offered again by the next worker."""
        await asyncio.gather(*(self._end(tended) for tended in self._lanes.values()), *self._ending.values())
        self._lanes.clear()
        self._ending.clear()
        await self._hints.close()

    async def _end(self, tended: _Tended) -> None:
        """Stop a lane: its open pages may end; what is still in flight after a while becomes unknown."""
        tended.lane.stop()
        await asyncio.wait([tended.task], timeout=FAREWELL_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await tended.lane.close()
        await asyncio.wait([tended.task], timeout=FAREWELL_SECONDS)  # settles what was answered until now
        tended.task.cancel()
        await asyncio.wait([tended.task])
        with suppress(StoreUnavailable):
            await self._context.database.write(runs.release_leases, self._context.owner, tended.channel.id)


class _Unusable:
    """Stands for the provider of a channel that cannot be used: every drain meets the reason."""

    def __init__(self, reason: str) -> None:
        self._obstacle = Misconfigured(reason)

    async def connect(self) -> Misconfigured:
        return self._obstacle

    async def send(self, _push: Push, parcels: Sequence[Parcel]) -> list[Outcome]:
        return [self._obstacle] * len(parcels)

    async def close(self) -> None:
        """Nothing was opened."""


async def _every(seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        with suppress(StoreUnavailable):  # the store has logged it; the next time tries again
            await chore()
