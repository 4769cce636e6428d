"""Doubted addresses: when a doubt is the device's own, and when it is the channel's (`service/judgement.py`)."""

from clarion.model.audience import Scope
from clarion.model.outcome import ACCEPTED, Refused
from clarion.service.judgement import MOST_DOUBTS
from clarion.service.push import MISCONFIGURED_HOLD_MS
from clarion.store.devices import MOST_STRIKES
from tests.service.lanes import ScriptedProvider, deviations, held, make_lane, retired, strikes, tally
from tests.world import Member, World

DOUBT = Refused("BadDeviceToken", doubts_device=True)


async def tell_one(world: World, member: Member) -> int:
    return (await world.publish(world.draft(Scope.USERS, emails=(member.email,)))).notification.id


async def is_held(world: World) -> bool:
    until, _ = await held(world)
    return until is not None and until > world.clock()


async def test_an_accepted_push_forgets_the_strikes_of_its_device(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=2)
    doubted, _ = ann.addresses
    provider = ScriptedProvider()
    provider.answers(doubted, DOUBT, DOUBT, ACCEPTED, DOUBT, DOUBT)
    seen = []
    for text in "12345":
        await world.tell(text)
        await make_lane(world, provider).drain()
        seen.append((await strikes(world))[doubted])
    assert seen == [1, 2, 0, 1, 2]
    assert await retired(world) == {}


async def test_a_retry_that_is_accepted_forgets_the_strikes_too(world: World) -> None:
    people = await world.add_members(3)
    provider = ScriptedProvider(usual=DOUBT)
    provider.answers(people[0].addresses[0], ACCEPTED)
    await world.tell("one")
    lane = make_lane(world, provider)
    await lane.drain()
    assert sum((await strikes(world)).values()) == 2
    told = await world.tell("all in doubt: held, and tried again")
    for person in people:
        provider.answers(person.addresses[0], DOUBT)
    await lane.drain()
    assert await is_held(world)
    provider.usual = ACCEPTED
    world.clock.move(milliseconds=MISCONFIGURED_HOLD_MS)
    await lane.drain()
    assert await tally(world, told.id) == {"accepted": 3, "retried": 3}
    assert await strikes(world) == {}


async def test_a_small_channel_that_never_took_anything_is_held_and_keeps_its_devices(world: World) -> None:
    await world.add_members(3)
    provider = ScriptedProvider(usual=DOUBT)
    told = [await world.tell(str(number)) for number in range(MOST_STRIKES + 2)]
    lane = make_lane(world, provider)
    for _ in told:
        await lane.drain()
        until, reason = await held(world)
        assert until == world.clock() + MISCONFIGURED_HOLD_MS
        assert reason is not None
        assert reason.startswith("BadDeviceToken for ")
        world.clock.move(milliseconds=MISCONFIGURED_HOLD_MS)
    assert (await retired(world), await strikes(world)) == ({}, {})
    provider.usual = ACCEPTED  # its environment was mended
    await lane.drain()
    assert [(await tally(world, one.id))["accepted"] for one in told] == [3] * len(told)


async def test_a_channel_that_never_took_anything_is_held_at_its_first_doubt_already(world: World) -> None:
    people = await world.add_members(5)
    provider = ScriptedProvider(usual=DOUBT)
    for _ in range(MOST_STRIKES):
        await tell_one(world, people[0])
        await make_lane(world, provider).drain()
    assert await is_held(world)
    assert (await retired(world), await strikes(world)) == ({}, {})


async def test_a_small_channel_that_worked_is_held_when_all_its_devices_are_doubted(world: World) -> None:
    await world.add_members(3)
    await world.tell("taken by all")
    provider = ScriptedProvider()
    lane = make_lane(world, provider)
    await lane.drain()
    provider.usual = DOUBT  # somebody has changed its environment
    for number in range(MOST_STRIKES + 1):
        await world.tell(str(number))
        await lane.drain()
        assert await is_held(world)
        world.clock.move(milliseconds=MISCONFIGURED_HOLD_MS)
    assert (await retired(world), await strikes(world)) == ({}, {})


async def test_a_channel_is_not_emptied_one_device_after_the_other(world: World) -> None:
    people = await world.add_members(4)
    provider = ScriptedProvider(usual=DOUBT)
    provider.answers(people[0].addresses[0], ACCEPTED)
    await tell_one(world, people[0])
    lane = make_lane(world, provider)
    await lane.drain()
    for person in people[1:]:  # one strike each, and nobody accepts
        await tell_one(world, person)
        await lane.drain()
    assert not await is_held(world)
    await tell_one(world, people[0])  # the last of them
    await lane.drain()
    assert await is_held(world)
    assert await strikes(world) == {person.addresses[0]: 1 for person in people[1:]}


async def test_one_dead_device_never_holds_a_channel_that_works(world: World) -> None:
    ann, bob = await world.add_member("ann@example.com"), await world.add_member("bob@example.com")
    provider = ScriptedProvider()
    provider.answers(ann.addresses[0], *[DOUBT] * MOST_STRIKES)
    await tell_one(world, bob)
    lane = make_lane(world, provider)
    await lane.drain()
    for strike in range(1, MOST_STRIKES + 1):
        number = await tell_one(world, ann)
        await lane.drain()
        assert await deviations(world, number) == {ann.addresses[0]: ("refused", 1, "BadDeviceToken")}
        assert await strikes(world) == {ann.addresses[0]: strike}
        assert not await is_held(world)
    assert await retired(world) == {ann.addresses[0]: "BadDeviceToken"}


async def test_many_pushes_to_one_dead_device_are_one_doubt_about_the_channel(world: World) -> None:
    ann, bob = await world.add_member("ann@example.com"), await world.add_member("bob@example.com")
    provider = ScriptedProvider()
    await tell_one(world, bob)
    lane = make_lane(world, provider)
    await lane.drain()
    provider.usual = DOUBT
    for _ in range(MOST_DOUBTS + 5):
        await tell_one(world, ann)
    await lane.drain()
    assert not await is_held(world)
    assert await retired(world) == {ann.addresses[0]: "BadDeviceToken"}


async def test_a_hold_for_doubts_ends_when_somebody_accepts_and_the_doubts_are_the_devices_own(
    world: World,
) -> None:
    ann, bob = await world.add_member("ann@example.com"), await world.add_member("bob@example.com")
    provider = ScriptedProvider()
    provider.answers(ann.addresses[0], DOUBT, DOUBT)
    first = await tell_one(world, ann)
    lane = make_lane(world, provider)
    await lane.drain()
    assert await is_held(world)
    second = await tell_one(world, bob)
    world.clock.move(milliseconds=MISCONFIGURED_HOLD_MS)
    await lane.drain()
    assert not await is_held(world)
    assert await tally(world, first) == {"refused": 1, "retried": 1}
    assert await tally(world, second) == {"accepted": 1}
    assert await strikes(world) == {ann.addresses[0]: 1}


async def test_another_channels_devices_and_successes_prove_nothing(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    second = await world.add_channel()
    await world.add_phone(ann, second)
    await world.tell("one")
    await make_lane(world, ScriptedProvider(), channel_id=second).drain()
    await make_lane(world, ScriptedProvider(usual=DOUBT)).drain()
    assert await is_held(world)
    assert await strikes(world) == {}
