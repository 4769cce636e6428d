"""A run that is killed anywhere and resumed reaches every device (design §1.5, §3)."""

import asyncio
from collections import defaultdict

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from clarion.model.delivery import PushKind, pack_push_id
from clarion.model.notification import NotificationState
from clarion.model.outcome import Outcome, Unavailable, Unknown
from clarion.store.database import Database
from clarion.store.devices import NewDevice, register_device
from clarion.store.schema import devices, push_runs
from tests.clock import Clock
from tests.service.lanes import ScriptedProvider, deviations, make_lane, tally
from tests.world import World

FIRST_ANSWERS: list[Outcome | None] = [
    None,
    Unknown("no answer"),
    Unavailable("TooManyRequests", whole_service=False),
    Unavailable("ServiceUnavailable"),
]

lives = st.lists(st.integers(0, 80), max_size=4)
"""How many steps of the event loop each worker lives before it is killed."""

moves = st.lists(st.integers(0, 50), max_size=8)
"""Which devices get another address when a worker has died, two after each."""

moments = st.lists(st.integers(0, 40), min_size=1, max_size=4)
"""How many steps the push service takes to answer a page, one page after the other."""


async def move(world: World, place: int) -> None:
    """Let an installation register again at another address."""
    rows = await world.rows(devices, organization_id=world.organization_id)
    live = [row for row in rows if row.retired_at is None]
    row = live[place % len(live)]
    address = f"{next(world.numbers):064x}"
    again = NewDevice(row.uuid, row.member_id, row.channel_id, address, row.name)
    await world.write(register_device, world.organization_id, again, world.clock())


async def live_and_die(world: World, provider: ScriptedProvider, owner: str, steps: int) -> None:
    """Let a worker drain for so many steps of the event loop, then end it and all that it began at once."""
    before = asyncio.all_tasks()
    draining = asyncio.create_task(make_lane(world, provider, owner=owner).drain())
    for _ in range(steps):
        await asyncio.sleep(0)
    killed = asyncio.all_tasks() - before
    for task in killed:
        task.cancel()
    await asyncio.gather(*killed, return_exceptions=True)
    assert draining.done()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(members=2_010, phones=1, first_answers=FIRST_ANSWERS, moments=[0], lives=[5, 9, 14], moves=[7])
@example(members=300, phones=5, first_answers=[None], moments=[0, 40, 80], lives=[30, 30], moves=[0, 9])
@example(members=300, phones=5, first_answers=[None], moments=[40, 0, 0], lives=[30, 30], moves=[])
@given(
    members=st.integers(0, 40) | st.sampled_from([250, 499, 500, 501]),
    phones=st.integers(1, 4),
    first_answers=st.lists(st.sampled_from(FIRST_ANSWERS), min_size=1, max_size=5),
    moments=moments,
    lives=lives,
    moves=moves,
)
async def test_a_run_that_is_killed_anywhere_and_resumed_reaches_every_device(
    database: Database,
    members: int,
    phones: int,
    first_answers: list[Outcome | None],
    moments: list[int],
    lives: list[int],
    moves: list[int],
) -> None:
    world = await World.make(database, Clock())
    people = await world.add_members(members, phones=phones) if members else []
    told = await world.tell("to all")
    numbers = [row.id for row in await world.rows(devices, organization_id=world.organization_id)]
    late = await world.add_members(2)
    audience = [address for person in people for address in person.addresses]
    provider = ScriptedProvider()
    for place, address in enumerate(audience):
        if (first := first_answers[place % len(first_answers)]) is not None:
            provider.answers(address, first)

    async def take_a_moment(call: int) -> None:
        for _ in range(moments[call % len(moments)]):
            await asyncio.sleep(0)

    provider.before_call = take_a_moment
    for number, steps in enumerate(lives):
        await live_and_die(world, provider, f"worker-{number}", steps)
        world.clock.move(seconds=31)
        for place in moves[2 * number : 2 * number + 2]:
            await move(world, place)
    lane = make_lane(world, provider, owner="survivor")
    for _ in range(10):
        await lane.drain()
        world.clock.move(seconds=30)

    assert moves or set(provider.addresses) == set(audience)
    assert not set(provider.addresses) & {address for person in late for address in person.addresses}
    ids = defaultdict(set)
    for offer in provider.offers:
        ids[offer.address].add(offer.push_id)
    assert all(len(own) == 1 for own in ids.values())
    expected = {pack_push_id(told.id, number, PushKind.ALERT) for number in numbers}
    assert set[str]().union(*ids.values()) == expected
    counted = await tally(world, told.id)
    assert counted.get("accepted", 0) == len(audience)
    assert not counted.keys() & {"refused", "gone", "expired", "superseded"}
    assert await deviations(world, told.id) == {}
    assert await world.rows(push_runs, organization_id=world.organization_id) == []
    assert (await world.stored(told.uuid)).state is NotificationState.SENT
    live = [
        row for row in await world.rows(devices, organization_id=world.organization_id) if not row.retired_at
    ]
    assert len(live) == len(audience) + len(late)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives=lives, recall_after=st.integers(0, 4), members=st.sampled_from([1, 30, 600]))
async def test_a_recall_reaches_every_device_that_was_offered_something_whoever_dies(
    database: Database, lives: list[int], recall_after: int, members: int
) -> None:
    world = await World.make(database, Clock())
    await world.add_members(members)
    told = await world.tell("to all")
    provider = ScriptedProvider()
    for number, steps in enumerate([*lives, 1_000]):
        if number == min(recall_after, len(lives)):
            await world.recall(told)
        await live_and_die(world, provider, f"worker-{number}", steps)
        world.clock.move(seconds=31)
    for _ in range(3):
        await make_lane(world, provider, owner="survivor").drain()
        world.clock.move(seconds=30)
    shown = {offer.address for offer in provider.offers if offer.push.kind is PushKind.ALERT}
    withdrawn = {offer.address for offer in provider.offers if offer.push.kind is PushKind.WITHDRAWAL}
    assert shown <= withdrawn
    assert await world.rows(push_runs, organization_id=world.organization_id) == []
    assert (await world.stored(told.uuid)).state is NotificationState.CANCELLED
