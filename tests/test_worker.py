"""The worker: a channel whose secret does not open rests with the reason, and the others go on."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_bytes
from uuid import uuid4

import pytest
from sqlalchemy import Connection, select
from structlog.testing import capture_logs

from clarion.model.push import InvalidChannel, Provider
from clarion.service.lane import LaneContext
from clarion.store import channels
from clarion.store.channels import Channel, NewChannel
from clarion.store.hints import HintListener
from clarion.store.masterkeys import KeysError, MasterKeys, Opener
from clarion.store.schema import channels as table
from clarion.store.sealing import Keyring, MasterKey, Place, SealingError
from clarion.worker import RENEW_SECONDS, Worker
from tests.service.lanes import Notes, ScriptedProvider
from tests.world import World

LOST = Keyring((MasterKey(b"L" * 32),))


class Bench:
    """A worker over the world, with providers in memory that need an opened secret."""

    def __init__(self, world: World, keys: MasterKeys, hint: Callable[[], None]) -> None:
        self.world = world
        self.providers: dict[int, ScriptedProvider] = {}
        self.secrets: list[str] = []
        self.hint = hint
        self.ended = asyncio.Event()
        self._opener = Opener(keys)

    def make(self, channel: Channel) -> Provider:
        try:
            self.secrets.append(self._opener.open(channel))
        except (SealingError, KeysError) as error:
            raise InvalidChannel(str(error)) from None
        self.providers[channel.id] = ScriptedProvider()
        return self.providers[channel.id]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.hint()
                await asyncio.sleep(0.01)


@asynccontextmanager
async def working(
    world: World, keys: MasterKeys, renew_seconds: float = RENEW_SECONDS
) -> AsyncIterator[Bench]:
    reading, writing = os.pipe()
    bench = Bench(world, keys, lambda: _write(writing))
    context = LaneContext(world.database, "worker", world.clock, lambda: 0.5, Notes())
    worker = Worker(context, HintListener(pipe=reading), bench.make, renew_seconds=renew_seconds)
    task = asyncio.create_task(worker.run())
    task.add_done_callback(lambda _: bench.ended.set())
    try:
        yield bench
    finally:
        os.close(writing)
        try:
            await task
        finally:
            os.close(reading)


def _write(pipe: int) -> None:
    os.write(pipe, b"!")


async def seal(world: World, channel_id: int, keyring: Keyring, secret: str) -> None:
    """Give a channel of the world a sealed secret, as a command would have."""

    def work(connection: Connection) -> None:
        [found] = channels.find_channels(connection, [channel_id])
        place = Place(found.organization_id, found.uuid)
        new = NewChannel(found.uuid, "apns", found.name, {}, keyring.seal(secret, place, token_bytes))
        channels.renew_channel(connection, channel_id, new, world.clock())

    await world.write(work)


async def test_a_lost_key_holds_its_channel_and_no_other_until_it_is_back(
    world: World, tmp_path: Path
) -> None:
    keys = MasterKeys(tmp_path / "master.key")
    here = await world.write(keys.ensure, token_bytes)
    broken, good = world.channel_id, await world.add_channel()
    await seal(world, broken, LOST, "lost")
    await seal(world, good, here, "here")
    member = await world.add_member("one@example.com")
    await world.add_phone(member, good)
    async with working(world, keys) as bench:
        await world.publish(world.draft())
        await bench.until(lambda: good in bench.providers and bool(bench.providers[good].offers))
        await bench.until(lambda: _held(world, broken) is not None)
        reason = _held(world, broken) or ""
        assert LOST.first.id in reason
        assert "clarion channel renew" in reason
        assert broken not in bench.providers
        keys.write(Keyring((*here.keys, *LOST.keys)))
        await bench.until(lambda: _goes_on(bench, broken))
        assert bench.secrets == ["here", "lost"]


async def test_a_secret_sealed_anew_keeps_the_lane_and_another_one_does_not(
    world: World, tmp_path: Path
) -> None:
    keys = MasterKeys(tmp_path / "master.key")
    here = await world.write(keys.ensure, token_bytes)
    await seal(world, world.channel_id, here, "first")
    await world.add_member("one@example.com")
    async with working(world, keys) as bench:
        await world.publish(world.draft())
        await bench.until(lambda: world.channel_id in bench.providers)
        provider = bench.providers[world.channel_id]
        await bench.until(lambda: len(provider.offers) == 1)
        [found] = await world.read(channels.find_channels, [world.channel_id])
        again = here.seal("first", Place(found.organization_id, found.uuid), token_bytes)
        [stored] = await world.read(channels.secrets_not_under, "x", 0, 1)
        assert await world.write(channels.replace_secret, stored, again)
        await world.publish(world.draft())
        await bench.until(lambda: len(provider.offers) == 2)
        world.clock.move(seconds=1)
        await seal(world, world.channel_id, here, "second")
        async with asyncio.timeout(20):
            while not provider.is_closed:  # the old lane may take what comes before it is looked at
                await world.publish(world.draft())
                bench.hint()
                await asyncio.sleep(0.01)
        await world.publish(world.draft())
        await bench.until(lambda: bench.providers[world.channel_id] is not provider)
        assert bench.secrets == ["first", "second"]


async def test_the_lane_of_a_removed_channel_ends_and_the_others_go_on(world: World, tmp_path: Path) -> None:
    keys = MasterKeys(tmp_path / "master.key")
    here = await world.write(keys.ensure, token_bytes)
    removed, kept = world.channel_id, await world.add_channel()
    for channel_id in (removed, kept):
        await seal(world, channel_id, here, "secret")
    await world.add_phone(await world.add_member("one@example.com"), kept)
    async with working(world, keys, renew_seconds=0.01) as bench:
        await world.publish(world.draft())
        await bench.until(lambda: _has_offered(bench, removed, 1) and _has_offered(bench, kept, 1))
        await world.write(channels.mark_removed, removed, world.clock())
        await bench.until(lambda: bench.providers[removed].is_closed)
        await world.publish(world.draft())
        await bench.until(lambda: _has_offered(bench, kept, 2))
        assert not bench.providers[kept].is_closed
        assert len(bench.providers[removed].offers) == 1


async def test_a_lane_that_takes_long_to_end_delays_its_own_channel_alone(
    world: World, tmp_path: Path
) -> None:
    keys = MasterKeys(tmp_path / "master.key")
    here = await world.write(keys.ensure, token_bytes)
    slow, other = world.channel_id, await world.add_channel()
    for channel_id in (slow, other):
        await seal(world, channel_id, here, "first")
    member = await world.add_member("one@example.com")
    async with working(world, keys) as bench:
        await world.publish(world.draft())
        await bench.until(lambda: _has_offered(bench, slow, 1))
        old = bench.providers[slow]
        answering, may_answer = asyncio.Event(), asyncio.Event()

        async def answer_late(_call: int) -> None:
            answering.set()
            await may_answer.wait()

        old.before_call = answer_late
        await world.publish(world.draft())
        await bench.until(answering.is_set)
        world.clock.move(seconds=1)
        await seal(world, slow, here, "second")
        await world.add_phone(member, other)
        await world.publish(world.draft())  # both are due at the same look
        await bench.until(lambda: _has_offered(bench, other, 1))
        assert bench.providers[slow] is old
        may_answer.set()
        await bench.until(lambda: bench.providers[slow] is not old and _has_offered(bench, slow, 1))
        assert old.is_closed
        assert len(old.offers) == 2


async def test_a_lane_that_fails_to_end_ends_the_worker(world: World, tmp_path: Path) -> None:
    keys = MasterKeys(tmp_path / "master.key")
    await seal(world, world.channel_id, await world.write(keys.ensure, token_bytes), "secret")
    await world.add_member("one@example.com")

    async def work() -> None:
        async with working(world, keys, renew_seconds=0.01) as bench:
            await world.publish(world.draft())
            await bench.until(lambda: _has_offered(bench, world.channel_id, 1))
            bench.providers[world.channel_id].fault_at_close = RuntimeError("stuck")
            await world.write(channels.mark_removed, world.channel_id, world.clock())
            await bench.until(bench.ended.is_set)

    with pytest.raises(ExceptionGroup) as raised:
        await work()
    assert raised.group_contains(RuntimeError, match="stuck")


async def test_the_worker_tells_at_its_start_of_credentials_that_end(world: World, tmp_path: Path) -> None:
    new = NewChannel(uuid4(), "apns", "ends", {}, "", expires_at=world.clock() + 1)
    await world.write(channels.add_channel, world.organization_id, new, world.clock())
    with capture_logs() as lines:
        async with working(world, MasterKeys(tmp_path / "master.key")) as bench:
            await bench.until(lambda: "credential_expires" in [line["event"] for line in lines])


def _has_offered(bench: Bench, channel_id: int, count: int) -> bool:
    return channel_id in bench.providers and len(bench.providers[channel_id].offers) >= count


def _goes_on(bench: Bench, channel_id: int) -> bool:
    """Whether a channel sends again, once its rest is over; time passes until then."""
    bench.world.clock.move(seconds=301)
    return channel_id in bench.providers and bool(bench.providers[channel_id].offers)


def _held(world: World, channel_id: int) -> str | None:
    with world.database.engine.connect() as connection:
        return connection.scalar(select(table.c.held_reason).where(table.c.id == channel_id))
