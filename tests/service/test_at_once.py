"""Transactions that run at the same moment on PostgreSQL: none of them is rolled back for a deadlock.

Threads go in lockstep: after each statement a transaction waits until the others have executed one too, or are
kept waiting by a lock. So what each locks first is locked before any of them goes on.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from sqlalchemy import Connection, event, select, update

from clarion.model.delivery import DeliveryState, PushKind
from clarion.model.notification import Notification, NotificationState
from clarion.model.outcome import ACCEPTED, Outcome, Refused, Unavailable
from clarion.service.push import TO_SENDING, Segment, Settlement, by_phase, decide, settle
from clarion.service.recall import recall
from clarion.service.release import release_due
from clarion.store import deliveries, notifications, runs
from clarion.store.database import Database
from clarion.store.deliveries import Deviation
from clarion.store.runs import Phase, Run
from clarion.store.schema import deliveries as deliveries_table
from clarion.store.schema import devices, push_runs
from tests.clock import Clock
from tests.service.lanes import strikes, tally
from tests.world import World

KEPT_WAITING_SECONDS = 0.03
AWAY = Unavailable("TooManyRequests", whole_service=False)
DOUBT = Refused("BadDeviceToken", doubts_device=True)

Story = Sequence[Callable[[Connection], object]]
"""Transactions that follow each other."""


@pytest.fixture
async def here(postgresql_url: str) -> Any:
    """A world on PostgreSQL with three phones."""
    database = Database(postgresql_url)
    world = await World.make(database, Clock())
    await world.add_members(3)
    yield world
    database.close()


@contextmanager
def lockstep(database: Database, parties: int) -> Iterator[None]:
    """Let threads that use the database go on together, statement by statement."""
    barrier = Barrier(parties)

    def wait(*_: object) -> None:
        with suppress(BrokenBarrierError):
            barrier.wait(KEPT_WAITING_SECONDS)
        if barrier.broken:
            barrier.reset()

    event.listen(database.engine, "after_cursor_execute", wait)
    try:
        yield
    finally:
        event.remove(database.engine, "after_cursor_execute", wait)


async def at_once(world: World, *stories: Story) -> None:
    """Run stories beside each other; raises what the database says to any of their transactions."""
    loop = asyncio.get_running_loop()

    def tell(story: Story) -> None:
        for transaction in story:
            with world.database.engine.connect() as connection, connection.begin():
                transaction(connection)

    with ThreadPoolExecutor(len(stories)) as threads, lockstep(world.database, len(stories)):
        async with asyncio.timeout(60):
            await asyncio.gather(*(loop.run_in_executor(threads, tell, story) for story in stories))


def hold(connection: Connection, number: int, phase: Phase, owner: str, until: int) -> Run:
    """Lease a notification's one run of a phase to a worker."""
    of_phase = (push_runs.c.notification_id == number) & (push_runs.c.phase == phase)
    connection.execute(update(push_runs).where(of_phase).values(lease_owner=owner, lease_until=until))
    row = connection.execute(select(push_runs).where(of_phase)).one()
    return Run(
        row.id, row.organization_id, number, row.channel_id, PushKind(row.kind), phase, 0, None, row.reach
    )


def let_a_device_wait(connection: Connection, run: Run, now: int) -> None:
    """Make a retry due for the first device, beside the range that is still to be offered."""
    first = connection.scalars(select(devices.c.id).order_by(devices.c.id)).all()[0]
    deliveries.keep_deviations(connection, run, [Deviation(first, DeliveryState.RETRY, 1, "away", now)], now)
    runs.schedule_retries(connection, [(run, now)])


async def answered(world: World, told: Notification, phase: Phase, owner: str, answer: Outcome) -> Settlement:
    """A run of a worker whose devices, of a range all but the first, answered alike."""
    now = world.clock()
    run = await world.write(hold, told.id, phase, owner, now + 30_000)
    targets = (await world.targets([run]))[1 if phase is Phase.RANGE else 0 :]
    segment = Segment(run, targets, begins_run=True, ends_run=True, answers=[answer] * len(targets))
    decided = [decide(answer, target, now=now, expires_at=now + 10**9, random=0.5) for target in targets]
    return Settlement(segment, decided)


def settling(world: World, owner: str, settlements: Sequence[Settlement]) -> Story:
    """How a lane settles."""
    now = world.clock()
    return [lambda c, some=some: settle(c, owner, some, now) for some in by_phase(settlements)]  # type: ignore[misc]


async def test_two_workers_settle_each_the_range_of_what_the_other_one_retries(here: World) -> None:
    one, other = await here.tell("one"), await here.tell("other")
    for told in (one, other):
        run = await here.write(hold, told.id, Phase.RANGE, "", 0)
        await here.write(let_a_device_wait, run, here.clock())
    first = [
        await answered(here, one, Phase.RANGE, "first", AWAY),
        await answered(here, other, Phase.RETRY, "first", ACCEPTED),
    ]
    second = [
        await answered(here, other, Phase.RANGE, "second", AWAY),
        await answered(here, one, Phase.RETRY, "second", ACCEPTED),
    ]
    await at_once(here, settling(here, "first", first), settling(here, "second", second))
    for told in (one, other):
        assert await tally(here, told.id) == {"accepted": 1, "retried": 1}
        open_again = await here.rows(deliveries_table, notification_id=told.id)
        assert [row.state for row in open_again] == ["retry", "retry"]
        [retry] = await here.rows(push_runs, notification_id=told.id)
        assert (retry.phase, retry.lease_owner) == ("retry", None)


async def test_two_workers_settle_the_same_devices_and_notifications_in_opposite_orders(here: World) -> None:
    told = [await here.tell(str(number)) for number in range(4)]
    by_worker = {
        owner: [await answered(here, one, Phase.RANGE, owner, DOUBT) for one in told[place::2]]
        for place, owner in enumerate(("first", "second"))
    }
    await at_once(
        here,
        settling(here, "first", by_worker["first"]),
        settling(here, "second", by_worker["second"][::-1]),
    )
    assert sorted((await strikes(here)).values()) == [4, 4]
    assert [(await here.stored(one.uuid)).state for one in told] == [NotificationState.FAILED] * 4


async def test_two_workers_schedule_the_same_retries_in_opposite_orders(here: World) -> None:
    told = [await here.tell(str(number)) for number in range(4)]
    held = [await here.write(hold, one.id, Phase.RANGE, "", 0) for one in told]
    now = here.clock()

    def schedule(order: Sequence[Run]) -> Story:
        return [lambda connection: runs.schedule_retries(connection, [(run, now) for run in order])]

    await at_once(here, schedule(held), schedule(held[::-1]))
    rows = await here.rows(push_runs, phase=Phase.RETRY)
    assert [row.notification_id for row in rows] == [one.id for one in told]


async def test_a_recall_a_release_and_a_claim_of_the_same_notification(here: World) -> None:
    told = (await here.publish(here.draft(start_at=here.clock() + 1_000))).notification
    here.clock.move(seconds=1)
    now, claimed = here.clock(), list[Run]()

    def claim(connection: Connection) -> None:
        if some := runs.claim(connection, here.channel_id, "worker", now, now + 30_000):
            notifications.change_state(connection, here.organization_id, [told.id], TO_SENDING, now)
            claimed.extend(some)

    release: Story = [lambda connection: release_due(connection, now)]
    # behind the release, which has the notification
    recalling: Story = [
        lambda c: c.scalar(select(1)),
        lambda c: c.scalar(select(1)),
        lambda c: recall(c, here.admin, told.uuid, now),
    ]
    await at_once(here, release, recalling, [claim] * 40)
    assert (await here.stored(told.uuid)).state is NotificationState.CANCELLED
    alerts = await here.rows(push_runs, kind=PushKind.ALERT)
    assert [row.id for row in alerts] == [run.id for run in claimed if run.kind is PushKind.ALERT]


async def test_a_recall_beside_the_settlement_of_its_last_page(here: World) -> None:
    told = await here.tell("to all")
    part = [await answered(here, told, Phase.RANGE, "worker", ACCEPTED)]
    now = here.clock()
    await at_once(
        here,
        settling(here, "worker", part),
        [lambda connection: recall(connection, here.admin, told.uuid, now)],
    )
    assert (await here.stored(told.uuid)).state is NotificationState.CANCELLED
    [withdrawal] = await here.rows(push_runs)
    assert withdrawal.kind == PushKind.WITHDRAWAL
