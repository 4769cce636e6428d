"""Claims: who gets which push run, for how long, and how large runs make room for small ones."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Connection

from clarion.model.audience import Scope
from clarion.model.delivery import PushKind
from clarion.store import channels, runs
from clarion.store.database import Database
from clarion.store.runs import MOST_REACH, MOST_RUNS, NewRun, Run
from clarion.store.schema import push_runs
from tests.clock import Clock
from tests.world import SOLUTION, World


async def tell_one(world: World, email: str) -> int:
    """A notification to one person; its number."""
    return (await world.publish(world.draft(Scope.USERS, emails=(email,)))).notification.id


def notified(claimed: list[Run]) -> list[int]:
    return [run.notification_id for run in claimed]


async def test_a_claimed_run_is_nobody_elses_until_its_lease_has_run_out(world: World) -> None:
    await world.add_member("ann@example.com")
    number = await tell_one(world, "ann@example.com")
    assert notified(await world.claim("first")) == [number]
    assert await world.claim("second") == []
    world.clock.move(seconds=29.999)
    assert await world.claim("second") == []
    world.clock.move(milliseconds=1)
    assert notified(await world.claim("second")) == [number]


async def test_a_renewed_lease_goes_on(world: World) -> None:
    await world.add_member("ann@example.com")
    await tell_one(world, "ann@example.com")
    await world.claim("first")
    world.clock.move(seconds=29)
    await world.write(runs.renew_leases, "first", world.clock() + 30_000)
    world.clock.move(seconds=29)
    assert await world.claim("second") == []


async def test_a_worker_that_was_late_to_renew_is_not_given_its_own_run_again(world: World) -> None:
    await world.add_member("ann@example.com")
    await tell_one(world, "ann@example.com")
    await world.claim("first")
    world.clock.move(seconds=60)
    assert await world.claim("first") == []
    await world.write(runs.renew_leases, "first", world.clock() + 30_000)
    assert await world.claim("second") == []


async def test_a_released_run_can_be_claimed_at_once_by_anybody(world: World) -> None:
    await world.add_member("ann@example.com")
    number = await tell_one(world, "ann@example.com")
    await world.claim("first")
    await world.write(runs.release_leases, "second", world.channel_id)
    assert await world.claim("second") == []
    await world.write(runs.release_leases, "first", world.channel_id)
    assert notified(await world.claim("second")) == [number]


async def test_the_only_worker_of_a_machine_takes_over_from_its_predecessor(world: World) -> None:
    await world.add_member("ann@example.com")
    number = await tell_one(world, "ann@example.com")
    await world.claim("killed")
    await world.write(runs.take_over_leases)
    assert notified(await world.claim("next")) == [number]


async def test_who_lost_a_lease_no_longer_owns_the_run(world: World) -> None:
    await world.add_member("ann@example.com")
    await tell_one(world, "ann@example.com")
    [run] = await world.claim("slow")
    assert await world.write(runs.lock_owned, "slow", [run.id]) == {run.id: (0, 0)}
    world.clock.move(seconds=31)
    await world.claim("quick")
    assert await world.write(runs.lock_owned, "slow", [run.id]) == {}
    assert await world.write(runs.lock_owned, "quick", [run.id]) == {run.id: (0, 0)}


async def test_many_small_runs_are_one_claim(world: World) -> None:
    await world.add_member("ann@example.com")
    numbers = [await tell_one(world, "ann@example.com") for _ in range(MOST_RUNS + 5)]
    assert notified(await world.claim()) == numbers[:MOST_RUNS]
    assert notified(await world.claim()) == numbers[MOST_RUNS:]
    assert await world.claim() == []


async def test_a_claim_reaches_no_more_members_than_one_round_should(world: World) -> None:
    sizes = [MOST_REACH - 1, 1, 1, MOST_REACH, 3]
    new = [NewRun(number, world.channel_id, reach, world.clock()) for number, reach in enumerate(sizes, 1)]
    await world.write(runs.add_runs, world.organization_id, new)
    claims = [notified(await world.claim()) for _ in range(4)]
    assert claims == [[1, 2], [3], [4], [5]]


async def test_what_is_not_due_or_on_another_channel_is_not_claimed(world: World) -> None:
    second = await world.add_channel()
    later = NewRun(1, world.channel_id, 1, world.clock() + 1)
    elsewhere = NewRun(2, second, 1, world.clock())
    await world.write(runs.add_runs, world.organization_id, [later, elsewhere])
    assert await world.claim() == []
    assert notified(await world.claim(channel_id=second)) == [2]
    world.clock.move(milliseconds=1)
    assert notified(await world.claim()) == [1]


async def test_the_rest_of_a_broadcast_waits_behind_what_came_meanwhile(world: World) -> None:
    await world.add_members(MOST_REACH + 10, phones=0)
    broadcast = (await world.tell("to all")).id
    world.clock.move(milliseconds=1)
    one = NewRun(1_000, world.channel_id, 1, world.clock())
    await world.write(runs.add_runs, world.organization_id, [one])
    claims = [notified(await world.claim()) for _ in range(4)]
    assert claims == [[broadcast], [1_000], [broadcast], []]


async def test_split_claims_address_every_device_of_a_broadcast_exactly_once(world: World) -> None:
    people = await world.add_members(2 * MOST_REACH + 500, SOLUTION)
    await world.tell("to all")
    offered: list[str] = []
    sizes: list[int] = []
    while claimed := await world.claim():
        targets = await world.targets(claimed)
        sizes.append(len(targets))
        offered += [target.address for target in targets]
    assert sizes == [MOST_REACH - 1, MOST_REACH, 501]  # the administrator, who comes first, has no phone
    assert Counter(offered) == Counter(address for person in people for address in person.addresses)


async def test_a_split_run_keeps_its_part_when_it_is_taken_over(world: World) -> None:
    await world.add_members(MOST_REACH + 10)
    await world.tell("to all")
    first = await world.claim("killed")
    world.clock.move(seconds=31)
    parts = [await world.claim("next") for _ in range(2)]
    assert first in parts
    sizes = [len(await world.targets(part)) for part in parts]
    assert sorted(sizes) == [11, MOST_REACH - 1]


async def test_a_run_goes_on_behind_what_was_settled(world: World) -> None:
    [ann, bob] = await world.add_members(2, phones=3)
    await world.tell("to all")
    claimed = await world.claim("killed")
    targets = await world.targets(claimed)
    assert [t.address for t in targets] == [*ann.addresses, *bob.addresses]
    await world.write(runs.advance, claimed[0].id, targets[1].member_id, targets[1].device_id)
    world.clock.move(seconds=31)
    rest = await world.targets(await world.claim("next"))
    assert [t.address for t in rest] == [ann.addresses[2], *bob.addresses]


async def test_a_returned_run_is_due_again_at_its_moment(world: World) -> None:
    await world.add_member("ann@example.com")
    await tell_one(world, "ann@example.com")
    [run] = await world.claim("first")
    await world.write(runs.give_back, [run.id], world.clock() + 5_000)
    assert await world.claim("first") == []
    world.clock.move(seconds=5)
    assert await world.claim("first") == [run]


async def test_a_recall_drops_what_nobody_holds_and_names_the_channels_of_the_rest(world: World) -> None:
    second = await world.add_channel()
    both = [NewRun(1, channel, 1, world.clock()) for channel in (world.channel_id, second)]
    withdrawal = NewRun(1, second, 1, world.clock() + 1, PushKind.WITHDRAWAL)
    await world.write(runs.add_runs, world.organization_id, [*both, withdrawal])
    await world.claim()
    dropped, held = await world.write(runs.drop_unclaimed, world.organization_id, 1, world.clock())
    assert (dropped, held) == ({second}, {world.channel_id})
    left = [(run.channel_id, run.kind) for run in await world.rows(push_runs)]
    assert left == [(world.channel_id, PushKind.ALERT), (second, PushKind.WITHDRAWAL)]


async def test_a_channel_is_due_when_a_run_of_it_is_and_nothing_holds_either(world: World) -> None:
    second = await world.add_channel()
    due_at = world.clock() + 10

    async def due() -> list[int]:
        return await world.read(channels.due_channels, world.clock())

    await world.write(runs.add_runs, world.organization_id, [NewRun(1, second, 1, due_at)])
    assert await due() == []
    world.clock.move(milliseconds=10)
    assert await due() == [second]
    await world.write(channels.hold_channel, second, world.clock() + 10, "credential refused")
    assert await due() == []
    world.clock.move(milliseconds=10)
    assert await due() == [second]
    await world.claim(channel_id=second)
    assert await due() == []


async def test_changed_settings_end_a_channels_rest(world: World) -> None:
    await world.add_member("ann@example.com")
    await tell_one(world, "ann@example.com")
    await world.write(channels.hold_channel, world.channel_id, world.clock() + 300_000, "credential refused")
    assert await world.read(channels.due_channels, world.clock()) == []
    await world.write(channels.change_settings, world.channel_id, {"topic": "com.example"})
    assert await world.read(channels.due_channels, world.clock()) == [world.channel_id]
    [channel] = await world.read(channels.find_channels, [world.channel_id])
    assert channel.settings == {"topic": "com.example"}


async def test_the_age_of_the_queue_counts_from_what_waits_longest(world: World) -> None:
    assert await world.read(runs.oldest_due, world.clock()) is None
    began = world.clock()
    for wait in (5, 0, 10):
        await world.write(
            runs.add_runs, world.organization_id, [NewRun(1, world.channel_id, 1, began + wait)]
        )
    world.clock.move(milliseconds=7)
    assert await world.read(runs.oldest_due, world.clock()) == began


async def test_workers_that_ask_at_once_never_get_the_same_run(postgresql_url: str) -> None:
    database, clock = Database(postgresql_url), Clock()
    world = await World.make(database, clock)
    new = [NewRun(number, world.channel_id, 100, clock()) for number in range(1, 101)]
    await world.write(runs.add_runs, world.organization_id, new)
    now = clock()

    def work(owner: str) -> list[int]:
        taken: list[int] = []
        while True:
            with database.engine.connect() as connection, connection.begin():
                claimed = runs.claim(connection, world.channel_id, owner, now, now + 30_000)
            if not claimed and not queue_is_left():
                return taken
            taken += notified(claimed)

    def queue_is_left() -> bool:
        with database.engine.connect() as connection, connection.begin():
            return runs.oldest_due(connection, now) is not None

    with ThreadPoolExecutor(4) as workers:
        loop = asyncio.get_running_loop()
        shares = await asyncio.gather(*(loop.run_in_executor(workers, work, f"w{n}") for n in range(4)))
    assert sorted(number for share in shares for number in share) == list(range(1, 101))
    database.close()


async def test_a_worker_does_not_wait_for_another_that_is_just_claiming(postgresql_url: str) -> None:
    database, clock = Database(postgresql_url), Clock()
    world = await World.make(database, clock)
    new = [NewRun(number, world.channel_id, MOST_REACH, clock()) for number in range(1, MOST_RUNS + 2)]
    await world.write(runs.add_runs, world.organization_id, new)

    def claim(connection: Connection, owner: str) -> list[int]:
        return notified(runs.claim(connection, world.channel_id, owner, clock(), clock() + 30_000))

    with database.engine.connect() as first, first.begin(), database.engine.connect() as second:
        assert claim(first, "first") == [1]
        with second.begin():
            assert claim(second, "second") == [
                MOST_RUNS + 1
            ]  # what the first looked at is locked, and skipped
    database.close()
