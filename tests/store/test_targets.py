"""Targets: which devices a run addresses, by the rules of the audience and of the release."""

from collections import Counter

from clarion.model.audience import Scope
from clarion.model.delivery import DeliveryState
from clarion.store import deliveries, devices, runs
from clarion.store.deliveries import Deviation
from clarion.store.runs import Phase, Run
from clarion.store.schema import devices as devices_table
from tests.world import OTHER_SOLUTION, SOLUTION, World


async def addressed(world: World, channel_id: int | None = None) -> Counter[str]:
    """The addresses of everything that is due, with how often each is offered."""
    claimed = await world.claim(channel_id=channel_id)
    return Counter(target.address for target in await world.targets(claimed))


async def device_id(world: World, address: str) -> int:
    [row] = await world.rows(devices_table, address=address)
    return int(row.id)


async def test_a_member_of_two_groups_is_addressed_once(world: World) -> None:
    ann = await world.add_member("ann@example.com", "sales", "finance", phones=2)
    draft = world.draft(Scope.GROUPS, groups=("sales", "finance"), solution=world.solutions[SOLUTION])
    await world.publish(draft)
    assert await addressed(world) == Counter(ann.addresses)


async def test_each_scope_addresses_its_audience_and_nobody_else(world: World) -> None:
    seller = await world.add_member("seller@example.com", SOLUTION, "sales")
    clerk = await world.add_member("clerk@example.com", SOLUTION, "finance")
    shopper = await world.add_member("shopper@example.com", OTHER_SOLUTION, "customers")
    crm = world.solutions[SOLUTION]
    audiences = [
        (world.draft(Scope.USERS, emails=("clerk@example.com",)), [clerk]),
        (world.draft(Scope.GROUPS, groups=("sales",), solution=crm), [seller]),
        (world.draft(Scope.SOLUTION, solution=crm), [seller, clerk]),
        (world.draft(Scope.ORGANIZATION), [seller, clerk, shopper]),
    ]
    for draft, members in audiences:
        await world.publish(draft)
        claimed = await world.claim()
        targets = await world.targets(claimed)
        assert [t.address for t in targets] == [address for m in members for address in m.addresses]
        await world.write(runs.finish, [run.id for run in claimed])


async def test_a_device_that_was_registered_after_the_release_is_not_addressed(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    await world.tell("to all")
    await world.add_phone(ann)
    assert await addressed(world) == Counter(ann.addresses)


async def test_a_retired_device_is_not_addressed(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=2)
    await world.tell("to all")
    gone = await device_id(world, ann.addresses[0])
    await world.write(devices.retire_device, world.organization_id, gone, "gone", world.clock(), None)
    assert await addressed(world) == Counter(ann.addresses[1:])


async def test_who_joined_after_the_release_is_not_addressed(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    await world.tell("to the solution", SOLUTION)
    await world.join(ann, SOLUTION)
    assert await addressed(world) == Counter()


async def test_who_left_before_the_release_is_not_addressed(world: World) -> None:
    ann = await world.add_member("ann@example.com", SOLUTION)
    await world.leave(ann, SOLUTION)
    await world.tell("to the solution", SOLUTION)
    assert await addressed(world) == Counter()


async def test_who_left_after_the_release_is_still_addressed(world: World) -> None:
    ann = await world.add_member("ann@example.com", SOLUTION)
    await world.tell("to the solution", SOLUTION)
    await world.leave(ann, SOLUTION)
    assert await addressed(world) == Counter(ann.addresses)


async def test_who_left_and_came_back_is_addressed_once(world: World) -> None:
    ann = await world.add_member("ann@example.com", SOLUTION)
    await world.tell("to the solution", SOLUTION)
    await world.leave(ann, SOLUTION)
    await world.join(ann, SOLUTION)
    assert await addressed(world) == Counter(ann.addresses)


async def test_each_channel_addresses_its_own_devices(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    second = await world.add_channel()
    tablet = await world.add_phone(ann, second)
    await world.tell("to all")
    assert await addressed(world) == Counter(ann.addresses)
    assert await addressed(world, second) == Counter([tablet])


async def test_another_organizations_devices_are_never_addressed(world: World) -> None:
    other = await World.make(world.database, world.clock)
    await other.add_member("ann@example.com")
    ann = await world.add_member("ann@example.com")
    await world.tell("to all")
    assert await addressed(world) == Counter(ann.addresses)
    assert await addressed(other) == Counter()


async def test_targets_come_in_the_order_of_runs_members_and_devices(world: World) -> None:
    people = await world.add_members(5, phones=2)
    await world.add_phone(people[0])
    await world.tell("one")
    await world.write(runs.add_runs, world.organization_id, [runs.NewRun(1, world.channel_id, 10, 0)])
    claimed = [*await world.claim("one"), *await world.claim("two")]
    targets = await world.targets(claimed)
    places = [(t.run_id, t.member_id, t.device_id) for t in targets]
    assert places == sorted(places)
    assert len(places) == 22


# ── Retries ──────────────────────────────────────────────────────────────────────────────────────────────


async def claimed_range(world: World) -> Run:
    """A claimed run to one member with three phones, whose range is finished."""
    [run] = await world.claim()
    await world.write(runs.finish, [run.id])
    return run


async def put_off(world: World, run: Run, *dues: tuple[str, DeliveryState, int | None]) -> None:
    """Write deviations: (address, state, due in so many milliseconds), and schedule the retry."""
    now = world.clock()
    rows = [
        Deviation(await device_id(world, address), state, 1, "away", None if due is None else now + due)
        for address, state, due in dues
    ]
    await world.write(deliveries.keep_deviations, run, rows, now)
    open_again = [row.due_at for row in rows if row.due_at is not None]
    await world.write(runs.schedule_retries, [(run, min(open_again))])


async def test_a_retry_run_addresses_what_is_due_again_and_tells_what_was_unknown(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=4)
    await world.tell("to all")
    one, two, three, four = ann.addresses
    await put_off(
        world,
        await claimed_range(world),
        (one, DeliveryState.RETRY, 1_000),
        (two, DeliveryState.UNKNOWN, 500),
        (three, DeliveryState.RETRY, 5_000),
        (four, DeliveryState.REFUSED, None),
    )
    assert await world.claim() == []
    world.clock.move(milliseconds=1_000)
    [retry] = await world.claim()
    assert retry.phase is Phase.RETRY
    targets = await world.targets([retry])
    assert [(t.address, t.attempts, t.was_unknown, t.is_retired) for t in targets] == [
        (two, 1, True, False),
        (one, 1, False, False),
    ]


async def test_a_device_that_was_retired_meanwhile_is_marked_in_its_retry(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    await world.tell("to all")
    await put_off(world, await claimed_range(world), (ann.addresses[0], DeliveryState.RETRY, 0))
    gone = await device_id(world, ann.addresses[0])
    await world.write(devices.retire_device, world.organization_id, gone, "gone", world.clock(), None)
    [target] = await world.targets(await world.claim())
    assert target.is_retired


async def test_a_notification_has_one_retry_run_per_channel_and_the_earliest_moment_counts(
    world: World,
) -> None:
    ann = await world.add_member("ann@example.com", phones=3)
    await world.tell("to all")
    run = await claimed_range(world)
    for address, due in zip(ann.addresses, (3_000, 1_000, 2_000), strict=True):
        await put_off(world, run, (address, DeliveryState.RETRY, due))
    world.clock.move(milliseconds=999)
    assert await world.claim() == []
    world.clock.move(milliseconds=1)
    [retry] = await world.claim()
    assert [t.address for t in await world.targets([retry])] == [ann.addresses[1]]
    next_due = await world.read(deliveries.next_due, retry)
    assert next_due == world.clock()


async def test_a_retry_that_was_accepted_leaves_no_row(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    await world.tell("to all")
    run = await claimed_range(world)
    await put_off(world, run, (ann.addresses[0], DeliveryState.RETRY, 0))
    await world.write(deliveries.forget_deviations, run, [await device_id(world, ann.addresses[0])])
    assert await world.read(deliveries.next_due, run) is None
    assert await world.targets(await world.claim()) == []


# ── Devices ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_device_that_is_gone_is_retired_unless_it_registered_again_later(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=3)
    registered_at = world.clock()
    ids = [await device_id(world, address) for address in ann.addresses]
    for gone, since in zip(ids, (registered_at - 1, registered_at, None), strict=True):
        await world.write(
            devices.retire_device, world.organization_id, gone, "Unregistered", world.clock() + 5, since
        )
    rows = await world.rows(devices_table)
    assert [(row.retired_at, row.retired_reason) for row in rows] == [
        (None, None),
        (registered_at + 5, "Unregistered"),
        (registered_at + 5, "Unregistered"),
    ]


async def test_retiring_twice_keeps_the_first_moment(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    gone = await device_id(world, ann.addresses[0])
    for at, is_first in ((1, True), (2, False)):
        retired = await world.write(
            devices.retire_device, world.organization_id, gone, f"reason {at}", at, None
        )
        assert retired is is_first
    [row] = await world.rows(devices_table)
    assert (row.retired_at, row.retired_reason) == (1, "reason 1")


async def test_the_third_strike_retires_a_device(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    doubted = await device_id(world, ann.addresses[0])
    for strike in range(1, 4):
        [row] = await world.rows(devices_table)
        assert row.retired_at is None
        await world.write(
            devices.strike_device, world.organization_id, doubted, "BadDeviceToken", world.clock() + strike
        )
    [row] = await world.rows(devices_table)
    assert (row.strikes, row.retired_at, row.retired_reason) == (3, world.clock() + 3, "BadDeviceToken")


async def test_another_organization_can_neither_retire_nor_strike_a_device(world: World) -> None:
    other = await World.make(world.database, world.clock)
    ann = await world.add_member("ann@example.com")
    own = await device_id(world, ann.addresses[0])
    assert not await world.write(devices.retire_device, other.organization_id, own, "gone", 1, None)
    await world.write(devices.strike_device, other.organization_id, own, "doubt", 1)
    [row] = await world.rows(devices_table)
    assert (row.strikes, row.retired_at) == (0, None)


async def test_an_address_can_be_registered_again_when_its_device_was_retired(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    first = await device_id(world, ann.addresses[0])
    await world.write(devices.retire_device, world.organization_id, first, "gone", world.clock(), None)
    again = devices.NewDevice(ann.user, ann.id, world.channel_id, ann.addresses[0], "phone")
    await world.write(devices.add_devices, world.organization_id, [again], world.clock())
    last = await world.read(devices.last_device_id)
    assert last > first
    await world.tell("to all")
    assert await addressed(world) == Counter(ann.addresses)


async def test_retries_can_be_scheduled_as_often_as_it_takes(world: World) -> None:
    await world.tell("to all")
    run = await claimed_range(world)
    began = world.clock()
    for number in range(20):  # PostgreSQL plans a statement for all values after some uses
        await world.write(runs.schedule_retries, [(run, began - number)])
    assert await world.read(runs.oldest_due, began) == began - 19
