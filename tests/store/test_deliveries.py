"""Tallies and deviations: counts add up, and only what deviates has a row."""

from collections import Counter

from clarion.model.delivery import DeliveryState, PushKind
from clarion.store import deliveries, runs
from clarion.store.deliveries import Deviation, TallyKey
from clarion.store.runs import NewRun, Run, add_runs
from clarion.store.schema import deliveries as deliveries_table
from clarion.store.schema import push_tallies
from tests.world import World


async def add(world: World, key: TallyKey, **counts: int) -> None:
    await world.write(deliveries.add_counts, {key: Counter(counts)})


async def test_counts_of_several_pages_add_up(world: World) -> None:
    key = TallyKey(world.organization_id, 1, world.channel_id, PushKind.ALERT)
    await add(world, key, accepted=500)
    await add(world, key, accepted=480, gone=15, refused=5, retried=3, repeats=1)
    await add(world, key, expired=2, superseded=1)
    [row] = await world.rows(push_tallies)
    counted = {name: getattr(row, name) for name in deliveries.COUNTS}
    assert counted == {
        "accepted": 980, "refused": 5, "gone": 15, "expired": 2, "superseded": 1, "retried": 3, "repeats": 1,
    }  # fmt: skip


async def test_devices_are_counted_over_all_channels_and_without_withdrawals(world: World) -> None:
    second = await world.add_channel()
    organization = world.organization_id
    await add(world, TallyKey(organization, 1, world.channel_id, PushKind.ALERT), accepted=3, refused=1)
    await add(world, TallyKey(organization, 1, second, PushKind.ALERT), accepted=1, gone=1, expired=1)
    await add(world, TallyKey(organization, 1, second, PushKind.WITHDRAWAL), accepted=9)
    await add(world, TallyKey(organization, 2, second, PushKind.ALERT), refused=2)
    assert await world.read(deliveries.count_devices, organization, [1, 2, 3]) == {1: (4, 7), 2: (0, 2)}
    took = await world.read(deliveries.channels_that_took, organization, 1)
    assert sorted(took) == [world.channel_id, second]


async def claimed(world: World, kind: PushKind = PushKind.ALERT) -> Run:
    await world.write(add_runs, world.organization_id, [NewRun(1, world.channel_id, 1, 0, kind)])
    [run] = await world.claim()
    return run


async def test_a_later_try_overwrites_what_deviated(world: World) -> None:
    run = await claimed(world)
    first = Deviation(5, DeliveryState.UNKNOWN, 1, "no answer", 1_000)
    last = Deviation(5, DeliveryState.REFUSED, 2, "BadDeviceToken")
    await world.write(deliveries.keep_deviations, run, [first], 10)
    assert await world.read(deliveries.next_due, run) == 1_000
    await world.write(deliveries.keep_deviations, run, [last], 20)
    assert await world.read(deliveries.next_due, run) is None
    [row] = await world.rows(deliveries_table)
    assert (row.state, row.attempts, row.reason, row.due_at, row.updated_at) == (
        "refused", 2, "BadDeviceToken", None, 20,
    )  # fmt: skip


async def test_an_alert_and_its_withdrawal_deviate_apart(world: World) -> None:
    alert = await claimed(world)
    await world.write(runs.finish, [alert.id])  # a withdrawal waits for it
    withdrawal = await claimed(world, PushKind.WITHDRAWAL)
    for run in (alert, withdrawal):
        rows = [Deviation(5, DeliveryState.RETRY, 1, "away", 1_000 + run.kind)]
        await world.write(deliveries.keep_deviations, run, rows, 10)
    await world.write(deliveries.forget_deviations, withdrawal, [5])
    assert await world.read(deliveries.next_due, withdrawal) is None
    assert await world.read(deliveries.next_due, alert) == 1_000


async def test_only_a_newer_release_with_the_same_collapse_key_supersedes(world: World) -> None:
    async def publish(key: str | None) -> int:
        draft = world.draft(options=world.options(collapse_key=key))
        return (await world.publish(draft)).notification.id

    old, other, none, new = [await publish(key) for key in ("score", "weather", None, "score")]
    await world.publish(
        world.draft(options=world.options(collapse_key="weather"), start_at=world.clock() + 1_000)
    )
    answers = [
        await world.read(deliveries.is_superseded, world.organization_id, number)
        for number in (old, other, none, new)
    ]
    assert answers == [True, False, False, False]


async def test_another_organizations_collapse_key_supersedes_nothing(world: World) -> None:
    other = await World.make(world.database, world.clock)
    draft = world.draft(options=world.options(collapse_key="score"))
    number = (await world.publish(draft)).notification.id
    await other.publish(draft)
    assert not await world.read(deliveries.is_superseded, world.organization_id, number)
