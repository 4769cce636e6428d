"""A lane from claim to settlement, over the real store: what every outcome leads to (design §5)."""

import asyncio
from collections import Counter
from random import Random

import pytest

from clarion.model.audience import Scope
from clarion.model.delivery import PushKind, pack_push_id
from clarion.model.errors import StoreUnavailable
from clarion.model.notification import Notification, NotificationState
from clarion.model.outcome import ACCEPTED, Gone, Misconfigured, Outcome, Refused, Unavailable, Unknown
from clarion.model.push import Parcel, Push
from clarion.service.judgement import MOST_DOUBTS
from clarion.service.lane import LEASE_MS, PAGES_IN_FLIGHT, PAGES_UNSETTLED
from clarion.service.push import MISCONFIGURED_HOLD_MS, PAGE_DEVICES
from clarion.service.recall import OPEN_PAGES_MS, recall
from clarion.store import channels, devices, runs
from clarion.store.schema import devices as devices_table
from clarion.store.schema import push_runs
from tests.outage import outage
from tests.service.lanes import (
    Notes,
    ScriptedProvider,
    deviations,
    held,
    make_lane,
    retired,
    strikes,
    tally,
)
from tests.world import World

AWAY = Unavailable("ServiceUnavailable")
SLOW_DOWN = Unavailable("TooManyRequests", whole_service=False)
DOUBT = Refused("BadDeviceToken", doubts_device=True)
DAY_SECONDS = 86_400


async def state(world: World, notification: Notification) -> NotificationState:
    return (await world.stored(notification.uuid)).state


# ── Accepted ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_accepted_is_counted_and_leaves_no_row(world: World) -> None:
    people = await world.add_members(3, phones=2)
    told = await world.tell("to all")
    provider, notes = ScriptedProvider(), Notes()
    await make_lane(world, provider, notes=notes).drain()
    assert provider.addresses == Counter(address for person in people for address in person.addresses)
    assert await tally(world, told.id) == {"accepted": 6}
    assert await deviations(world, told.id) == {}
    assert await state(world, told) is NotificationState.SENT
    assert await world.rows(push_runs) == []
    assert notes.outcomes == {"apns accepted": 6}


async def test_a_push_carries_the_notification_and_the_id_that_names_device_and_kind(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    world.clock.move(seconds=1)
    draft = world.draft(
        Scope.USERS,
        emails=("ann@example.com",),
        solution=next(iter(world.solutions.values())),
        options=world.options(ttl_seconds=60),
    )
    told = (await world.publish(draft)).notification
    provider = ScriptedProvider()
    await make_lane(world, provider).drain()
    [offer] = provider.offers
    [phone] = await world.rows(devices_table, address=ann.addresses[0])
    assert offer.push_id == pack_push_id(told.id, phone.id, PushKind.ALERT)
    assert offer.push == Push(
        number=told.id,
        notification=told.uuid,
        organization=world.organization,
        solution=told.solution,
        content=told.content,
        options=told.options,
        kind=PushKind.ALERT,
        expires_at=world.clock() + 60_000,
    )


async def test_many_small_notifications_go_out_in_one_burst(world: World) -> None:
    people = await world.add_members(20)
    told = [
        (await world.publish(world.draft(Scope.USERS, emails=(person.email,)))).notification
        for person in people
    ]
    provider = ScriptedProvider()
    at_once = 0

    async def count(_call: int) -> None:
        nonlocal at_once
        at_once += 1
        await asyncio.sleep(0)

    provider.before_call = count
    await make_lane(world, provider).drain()
    assert [offer.address for offer in provider.offers] == [person.addresses[0] for person in people]
    assert at_once == 20
    assert [await tally(world, one.id) for one in told] == [{"accepted": 1}] * 20


async def test_an_audience_without_devices_is_sent_when_the_worker_has_looked(world: World) -> None:
    told = await world.tell("to all")
    assert told.state is NotificationState.QUEUED
    provider = ScriptedProvider()
    await make_lane(world, provider).drain()
    assert await state(world, told) is NotificationState.SENT
    assert provider.offers == []


async def test_a_notification_on_two_channels_is_sent_when_both_are_done(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    second = await world.add_channel()
    tablet = await world.add_phone(ann, second)
    told = await world.tell("to all")
    first, other = ScriptedProvider(), ScriptedProvider()
    await make_lane(world, first).drain()
    assert await state(world, told) is NotificationState.SENDING
    await make_lane(world, other, channel_id=second).drain()
    assert await state(world, told) is NotificationState.SENT
    assert (first.addresses, other.addresses) == (Counter(ann.addresses), Counter([tablet]))
    assert await tally(world, told.id, second) == {"accepted": 1}


async def test_the_time_to_hand_off_counts_from_the_release(world: World) -> None:
    await world.add_member("ann@example.com")
    await world.tell("to all")
    world.clock.move(milliseconds=250)
    notes = Notes()
    await make_lane(world, ScriptedProvider(), notes=notes).drain()
    assert notes.hand_offs == [250]


# ── Gone and refused ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_device_that_is_gone_is_retired_and_never_offered_again(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=2)
    provider = ScriptedProvider()
    provider.answers(ann.addresses[0], Gone("Unregistered", since=world.clock()))
    told = await world.tell("one")
    await make_lane(world, provider).drain()
    assert await retired(world) == {ann.addresses[0]: "Unregistered"}
    assert await deviations(world, told.id) == {ann.addresses[0]: ("gone", 1, "Unregistered")}
    assert await tally(world, told.id) == {"accepted": 1, "gone": 1}
    await world.tell("two")
    await make_lane(world, provider).drain()
    assert provider.addresses == {ann.addresses[0]: 1, ann.addresses[1]: 2}


async def test_a_device_that_registered_again_since_it_was_gone_is_kept(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    provider = ScriptedProvider()
    provider.answers(ann.addresses[0], Gone("Unregistered", since=world.clock() - 1))
    await world.tell("one")
    await make_lane(world, provider).drain()
    assert await retired(world) == {}


async def test_what_is_refused_fails_for_good_and_a_notification_that_nobody_took_failed(
    world: World,
) -> None:
    ann = await world.add_member("ann@example.com")
    provider = ScriptedProvider(usual=Refused("PayloadTooLarge"))
    told = await world.tell("to all")
    lane = make_lane(world, provider)
    await lane.drain()
    world.clock.move(seconds=DAY_SECONDS)
    await lane.drain()
    assert len(provider.offers) == 1
    assert await deviations(world, told.id) == {ann.addresses[0]: ("refused", 1, "PayloadTooLarge")}
    assert await state(world, told) is NotificationState.FAILED
    assert await strikes(world) == {}
    assert (await held(world))[0] is None


async def test_a_reason_is_kept_bounded_and_printable(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=3)
    provider = ScriptedProvider()
    odd = "a\x00b\nc\ud800" + "d" * 1_000
    told_as = "a?b?c?" + "d" * 194
    provider.answers(ann.addresses[0], Refused(odd))
    provider.answers(ann.addresses[1], Gone(odd))
    told = await world.tell("to all")
    await make_lane(world, provider).drain()
    assert await deviations(world, told.id) == {
        ann.addresses[0]: ("refused", 1, told_as),
        ann.addresses[1]: ("gone", 1, told_as),
    }
    assert await retired(world) == {ann.addresses[1]: told_as}
    provider.usual = Misconfigured(odd)
    await world.tell("to all")
    await make_lane(world, provider).drain()
    assert (await held(world))[1] == told_as


async def test_one_device_that_took_it_makes_it_sent(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=2)
    provider = ScriptedProvider()
    provider.answers(ann.addresses[0], Refused("BadCollapseId"))
    told = await world.tell("to all")
    await make_lane(world, provider).drain()
    assert await state(world, told) is NotificationState.SENT


async def test_a_doubted_address_gets_a_strike_and_the_third_retires_it(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=2)
    provider = ScriptedProvider()
    provider.answers(ann.addresses[0], DOUBT, DOUBT, DOUBT)
    for strike in (1, 2, 3):
        assert await retired(world) == {}
        await world.tell(str(strike))
        await make_lane(world, provider).drain()
        assert await strikes(world) == {ann.addresses[0]: strike}
    assert await retired(world) == {ann.addresses[0]: "BadDeviceToken"}
    await world.tell("4")
    await make_lane(world, provider).drain()
    assert provider.addresses == {ann.addresses[0]: 3, ann.addresses[1]: 4}


async def test_many_doubts_stop_the_channel_instead_of_emptying_it(world: World) -> None:
    people = await world.add_members(MOST_DOUBTS + 5)
    provider = ScriptedProvider(usual=DOUBT)
    told = [await world.tell(str(number)) for number in range(4)]
    lane = make_lane(world, provider)
    for _ in range(4):
        await lane.drain()
        until, reason = await held(world)
        assert until == world.clock() + MISCONFIGURED_HOLD_MS
        assert reason is not None
        assert reason.startswith("BadDeviceToken for ")
        world.clock.move(milliseconds=MISCONFIGURED_HOLD_MS)
    assert await retired(world) == {}
    assert await strikes(world) == {}
    provider.usual = ScriptedProvider().usual
    await lane.drain()
    for one in told:
        assert await state(world, one) is NotificationState.SENT
        assert (await tally(world, one.id))["accepted"] == len(people)


async def test_a_few_doubts_among_many_devices_stop_nothing(world: World) -> None:
    people = await world.add_members(2 * MOST_DOUBTS + 10)
    provider = ScriptedProvider()
    for person in people[:MOST_DOUBTS]:
        provider.answers(person.addresses[0], DOUBT)
    await world.tell("to all")
    await make_lane(world, provider).drain()
    assert (await held(world))[0] is None
    assert len(await strikes(world)) == MOST_DOUBTS


# ── Misconfigured and unavailable ────────────────────────────────────────────────────────────────────────


async def test_a_refused_credential_holds_the_channel_and_keeps_the_runs(world: World) -> None:
    people = await world.add_members(3)
    provider = ScriptedProvider(usual=Misconfigured("InvalidProviderToken"))
    told = [await world.tell("one")]
    lane = make_lane(world, provider)
    await lane.drain()
    told.append(await world.tell("two"))
    assert await held(world) == (world.clock() + MISCONFIGURED_HOLD_MS, "InvalidProviderToken")
    assert await world.read(channels.due_channels, world.clock()) == []
    assert [await state(world, one) for one in told] == [NotificationState.RETRY, NotificationState.QUEUED]
    world.clock.move(milliseconds=MISCONFIGURED_HOLD_MS)
    assert await world.read(channels.due_channels, world.clock()) == [world.channel_id]
    provider.usual = ScriptedProvider().usual
    await lane.drain()
    assert [await state(world, one) for one in told] == [NotificationState.SENT] * 2
    assert [(await tally(world, one.id))["accepted"] for one in told] == [len(people)] * 2


async def test_a_service_that_cannot_be_reached_costs_no_try_and_the_lane_rests_longer_each_time(
    world: World,
) -> None:
    await world.add_member("ann@example.com")
    told = await world.tell("to all")
    provider = ScriptedProvider(obstacle=Unavailable("no route"))
    lane = make_lane(world, provider)
    waits = []
    for _ in range(12):
        await lane.drain()
        until, reason = await held(world)
        assert reason == "no route"
        assert until is not None
        waits.append(until - world.clock())
        world.clock.now = until
    assert waits[:4] == [750, 1_500, 3_000, 6_000]
    assert waits == sorted(waits)
    assert waits[-1] == 225_000
    assert provider.offers == []
    assert await state(world, told) is NotificationState.QUEUED
    provider.obstacle = None
    await lane.drain()
    assert await tally(world, told.id) == {"accepted": 1}


async def test_a_service_in_trouble_rests_the_lane_as_long_as_it_asks_for(world: World) -> None:
    await world.add_members(3)
    await world.tell("to all")
    provider = ScriptedProvider(usual=Unavailable("TooManyProviderTokenUpdates", retry_after_seconds=60))
    await make_lane(world, provider).drain()
    assert await held(world) == (world.clock() + 60_000, "TooManyProviderTokenUpdates")


async def test_a_device_that_is_to_wait_waits_alone_and_its_retry_has_the_same_id(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=3)
    provider = ScriptedProvider()
    provider.answers(ann.addresses[1], SLOW_DOWN, SLOW_DOWN)
    told = await world.tell("to all")
    lane = make_lane(world, provider)
    await lane.drain()
    assert (await held(world))[0] is None
    assert await state(world, told) is NotificationState.RETRY
    assert await deviations(world, told.id) == {ann.addresses[1]: ("retry", 1, "TooManyRequests")}
    world.clock.move(milliseconds=3_749)
    await lane.drain()
    assert len(provider.offers) == 3
    world.clock.move(milliseconds=1)
    await lane.drain()
    assert await deviations(world, told.id) == {ann.addresses[1]: ("retry", 2, "TooManyRequests")}
    world.clock.move(milliseconds=7_500)
    await lane.drain()
    tries = [offer.push_id for offer in provider.offers if offer.address == ann.addresses[1]]
    assert len(tries) == 3
    assert len(set(tries)) == 1
    assert await tally(world, told.id) == {"accepted": 3, "retried": 2}
    assert await deviations(world, told.id) == {}
    assert await state(world, told) is NotificationState.SENT


async def test_a_device_waits_alone_as_long_as_it_was_told_and_a_little_longer(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=2)
    provider = ScriptedProvider()
    an_hour = Unavailable("origin asks for an hour", retry_after_seconds=3_600, whole_service=False)
    provider.answers(ann.addresses[0], an_hour)
    await world.tell("to all")
    lane = make_lane(world, provider)
    await lane.drain()
    assert (await held(world))[0] is None
    world.clock.move(milliseconds=4_050_000 - 1)  # an eighth more: the jitter of these lanes is in the middle
    await lane.drain()
    assert provider.addresses[ann.addresses[0]] == 1
    world.clock.move(milliseconds=1)
    await lane.drain()
    assert provider.addresses[ann.addresses[0]] == 2


async def test_one_refused_platform_among_devices_that_accept_does_not_hold_the_channel(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=3)
    provider = ScriptedProvider()
    provider.answers(ann.addresses[0], Misconfigured("ThirdPartyAuthError"))
    told = await world.tell("to all")
    lane = make_lane(world, provider)
    await lane.drain()
    assert (await held(world))[0] is None
    world.clock.move(milliseconds=MISCONFIGURED_HOLD_MS)
    await lane.drain()
    assert await tally(world, told.id) == {"accepted": 3, "retried": 1}


async def test_a_dead_origin_rests_no_channel_and_its_devices_come_back_in_bounded_rounds(
    world: World,
) -> None:
    [many] = await world.add_members(1, phones=1_200)
    ann = await world.add_member("ann@example.com")
    dead = Unavailable("origin away", whole_service=False)
    provider = ScriptedProvider(usual=dead)
    provider.answers(ann.addresses[0], *[ACCEPTED] * 2)
    told = await world.tell("to all")
    lane = make_lane(world, provider, random=Random(5).random)
    rounds = []
    for _ in range(600):  # a minute, looked at every tenth of a second
        calls = provider.calls
        await lane.drain()
        rounds.append(provider.calls - calls)
        world.clock.move(milliseconds=100)
    assert (await held(world))[0] is None
    assert sum(1 for calls in rounds if calls) <= 61
    tries = provider.addresses
    assert tries.pop(ann.addresses[0]) == 1
    assert set(tries) == set(many.addresses)
    assert set(tries.values()) <= {4, 5}, "2.5 to 5 s, then 5 to 10, 10 to 20, 20 to 40"
    await world.tell("to all again")
    provider.offers.clear()
    await lane.drain()
    assert provider.addresses[ann.addresses[0]] == 1
    assert (await tally(world, told.id))["accepted"] == 1


# ── Unknown ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_may_have_arrived_is_offered_again_under_its_id_and_counted_as_a_possible_repeat(
    world: World,
) -> None:
    ann = await world.add_member("ann@example.com", phones=2)
    provider = ScriptedProvider()
    provider.answers(ann.addresses[0], Unknown("no answer"))
    told = await world.tell("to all")
    lane = make_lane(world, provider)
    await lane.drain()
    assert await deviations(world, told.id) == {ann.addresses[0]: ("unknown", 1, "no answer")}
    world.clock.move(seconds=5)
    await lane.drain()
    first, again = [offer.push_id for offer in provider.offers if offer.address == ann.addresses[0]]
    assert first == again
    assert await tally(world, told.id) == {"accepted": 2, "retried": 1, "repeats": 1}


async def test_a_retry_of_a_device_that_was_retired_meanwhile_is_not_offered(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=2)
    provider = ScriptedProvider()
    provider.answers(ann.addresses[0], Unknown("no answer"))
    told = await world.tell("to all")
    lane = make_lane(world, provider)
    await lane.drain()
    [phone] = await world.rows(devices_table, address=ann.addresses[0])
    await world.write(
        devices.retire_device, world.organization_id, phone.id, "unregistered", world.clock(), None
    )
    world.clock.move(seconds=5)
    await lane.drain()
    assert provider.addresses[ann.addresses[0]] == 1
    assert await tally(world, told.id) == {"accepted": 1, "gone": 1}
    assert await retired(world) == {ann.addresses[0]: "unregistered"}
    assert await state(world, told) is NotificationState.SENT


async def test_a_retry_of_a_device_whose_row_is_gone_ends(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=2)
    provider = ScriptedProvider()
    provider.answers(ann.addresses[0], Unknown("no answer"))
    told = await world.tell("to all")
    lane = make_lane(world, provider)
    await lane.drain()
    erased = devices_table.c.address == ann.addresses[0]
    await world.write(lambda connection: connection.execute(devices_table.delete().where(erased)))
    world.clock.move(seconds=5)
    await lane.drain()
    assert provider.addresses[ann.addresses[0]] == 1
    assert await tally(world, told.id) == {"accepted": 1, "gone": 1}
    assert await state(world, told) is NotificationState.SENT
    assert await world.rows(push_runs) == []


# ── The end of a push's time ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("outcome", [SLOW_DOWN, AWAY, Unknown("no answer"), Misconfigured("BadTopic")])
async def test_nothing_is_offered_past_its_expiry(world: World, outcome: Outcome) -> None:
    ann = await world.add_member("ann@example.com")
    told = (await world.publish(world.draft(options=world.options(ttl_seconds=1000)))).notification
    provider = ScriptedProvider(usual=outcome)
    lane = make_lane(world, provider)
    for _ in range(400):
        await lane.drain()
        assert world.clock() < told.start_at + 1_000_000 or not await world.rows(push_runs)
        world.clock.move(seconds=10)
    assert await tally(world, told.id) | {"retried": 0, "repeats": 0} == {
        "expired": 1, "retried": 0, "repeats": 0,
    }  # fmt: skip
    assert (await deviations(world, told.id))[ann.addresses[0]][0] == "expired"
    assert await state(world, told) is NotificationState.FAILED
    assert 1 < len(provider.offers) < 20


async def test_what_expired_before_its_first_try_is_counted_and_not_listed(world: World) -> None:
    await world.add_members(3)
    told = (await world.publish(world.draft(options=world.options(ttl_seconds=60)))).notification
    world.clock.move(seconds=60)
    provider = ScriptedProvider()
    await make_lane(world, provider).drain()
    assert provider.offers == []
    assert await tally(world, told.id) == {"expired": 3}
    assert await deviations(world, told.id) == {}
    assert await state(world, told) is NotificationState.FAILED


async def test_a_retry_is_dropped_when_something_newer_with_its_collapse_key_was_released(
    world: World,
) -> None:
    ann = await world.add_member("ann@example.com")
    provider = ScriptedProvider()
    provider.answers(ann.addresses[0], Unknown("no answer"))
    draft = world.draft(options=world.options(collapse_key="score"))
    old = (await world.publish(draft)).notification
    lane = make_lane(world, provider)
    await lane.drain()
    new = (await world.publish(draft)).notification
    world.clock.move(seconds=5)
    await lane.drain()
    assert [offer.push.number for offer in provider.offers] == [old.id, new.id]
    assert await tally(world, old.id) == {"superseded": 1}
    assert await deviations(world, old.id) == {ann.addresses[0]: ("superseded", 2, "superseded")}
    assert await tally(world, new.id) == {"accepted": 1}
    assert await state(world, old) is NotificationState.SENT


async def test_a_newer_one_for_other_people_or_recalled_drops_no_retry(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    await world.add_member("bob@example.com")
    provider = ScriptedProvider()
    provider.answers(ann.addresses[0], Unknown("no answer"))
    options = world.options(collapse_key="score")
    told = (await world.publish(world.draft(Scope.USERS, emails=(ann.email,), options=options))).notification
    lane = make_lane(world, provider)
    await lane.drain()
    await world.publish(world.draft(Scope.USERS, emails=("bob@example.com",), options=options))
    await world.recall(
        (await world.publish(world.draft(Scope.USERS, emails=(ann.email,), options=options))).notification
    )
    world.clock.move(seconds=5)
    await lane.drain()
    assert await tally(world, told.id) == {"accepted": 1, "retried": 1, "repeats": 1}


async def test_a_push_that_may_not_be_stored_is_offered_all_the_same(world: World) -> None:
    await world.add_member("ann@example.com")
    told = (await world.publish(world.draft(options=world.options(ttl_seconds=0)))).notification
    world.clock.move(seconds=1)
    provider = ScriptedProvider()
    await make_lane(world, provider).drain()
    assert len(provider.offers) == 1
    assert await tally(world, told.id) == {"accepted": 1}


async def test_a_first_try_is_made_although_something_newer_has_its_collapse_key(world: World) -> None:
    await world.add_member("ann@example.com")
    draft = world.draft(options=world.options(collapse_key="score"))
    numbers = [(await world.publish(draft)).notification.id for _ in range(2)]
    provider = ScriptedProvider()
    await make_lane(world, provider).drain()
    assert [offer.push.number for offer in provider.offers] == numbers


async def test_states_go_from_queued_through_sending_and_retry_to_sent(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    provider = ScriptedProvider()
    provider.answers(ann.addresses[0], SLOW_DOWN)
    told = await world.tell("to all")
    seen = [await state(world, told)]

    async def look(_call: int) -> None:
        seen.append(await state(world, told))

    provider.before_call = look
    lane = make_lane(world, provider)
    await lane.drain()
    seen.append(await state(world, told))
    world.clock.move(seconds=5)
    await lane.drain()
    seen.append(await state(world, told))
    assert [one.value for one in seen] == ["queued", "sending", "retry", "retry", "sent"]


# ── Recall ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_recall_stops_a_broadcast_at_its_next_page_and_withdraws_what_went_out(world: World) -> None:
    people = await world.add_members(1_300, phones=2)
    told = await world.tell("to all")
    arrived, go_on = asyncio.Event(), asyncio.Event()
    provider = ScriptedProvider()

    async def hold(call: int) -> None:
        if call == PAGES_IN_FLIGHT:
            arrived.set()
        await go_on.wait()

    provider.before_call = hold
    lane = make_lane(world, provider)
    draining = asyncio.create_task(lane.drain())
    await arrived.wait()
    await world.write(recall, world.admin, told.uuid, world.clock())
    go_on.set()
    await draining
    assert len(provider.offers) == PAGES_IN_FLIGHT * PAGE_DEVICES < 2 * len(people)
    assert await state(world, told) is NotificationState.CANCELLED
    assert await tally(world, told.id) == {"accepted": PAGES_IN_FLIGHT * PAGE_DEVICES}
    shown = {offer.address: offer.push_id for offer in provider.offers}
    provider.offers.clear()
    world.clock.move(milliseconds=OPEN_PAGES_MS)
    await lane.drain()
    assert {offer.push.kind for offer in provider.offers} == {PushKind.WITHDRAWAL}
    withdrawn = {offer.address: offer.push_id for offer in provider.offers}
    assert shown.keys() <= withdrawn.keys()
    assert not set(shown.values()) & set(withdrawn.values())
    assert await state(world, told) is NotificationState.CANCELLED
    assert await world.rows(push_runs) == []


async def test_a_recall_before_any_page_sends_nothing_at_all(world: World) -> None:
    await world.add_members(3)
    told = await world.tell("to all")
    await world.write(recall, world.admin, told.uuid, world.clock())
    provider = ScriptedProvider()
    world.clock.move(milliseconds=OPEN_PAGES_MS)
    await make_lane(world, provider).drain()
    assert provider.offers == []
    assert await world.rows(push_runs) == []


async def test_a_recall_ends_the_retries_and_withdraws_at_once_when_no_page_is_open(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=2)
    provider = ScriptedProvider()
    provider.answers(ann.addresses[0], Unknown("no answer"))
    told = await world.tell("to all")
    lane = make_lane(world, provider)
    await lane.drain()
    await world.write(recall, world.admin, told.uuid, world.clock())
    world.clock.move(seconds=5)
    provider.offers.clear()
    await lane.drain()
    assert [(offer.address, offer.push.kind) for offer in provider.offers] == [
        (address, PushKind.WITHDRAWAL) for address in ann.addresses
    ]
    assert await tally(world, told.id, kind=PushKind.WITHDRAWAL) == {"accepted": 2}


async def test_a_recall_withdraws_what_a_worker_sent_before_it_died(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    told = await world.tell("to all")
    provider, arrived = ScriptedProvider(), asyncio.Event()

    async def hang(_call: int) -> None:
        arrived.set()
        await asyncio.Event().wait()

    provider.before_call = hang
    dying = asyncio.create_task(make_lane(world, provider, owner="killed").drain())
    await arrived.wait()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    world.clock.move(seconds=31)
    await world.recall(told)
    provider.before_call = None
    await make_lane(world, provider, owner="next").drain()
    assert [(offer.address, offer.push.kind) for offer in provider.offers] == [
        (ann.addresses[0], PushKind.WITHDRAWAL)
    ]


async def test_recalling_twice_withdraws_once(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    told = await world.tell("to all")
    provider = ScriptedProvider()
    lane = make_lane(world, provider)
    await lane.drain()
    for _ in range(2):
        await world.write(recall, world.admin, told.uuid, world.clock())
        await lane.drain()
    assert provider.addresses == {ann.addresses[0]: 2}


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_page_that_waits_for_one_silent_device_does_not_stop_the_others(world: World) -> None:
    await world.add_members(650, phones=5)
    told = await world.tell("to all")
    answered, go_on = asyncio.Event(), asyncio.Event()
    provider = ScriptedProvider()

    async def hold_the_first(call: int) -> None:
        if call == 1:
            await go_on.wait()
        if call == 7:
            answered.set()

    provider.before_call = hold_the_first
    draining = asyncio.create_task(make_lane(world, provider).drain())
    async with asyncio.timeout(10):
        await answered.wait()
    assert await tally(world, told.id) == {}  # a run is settled in order
    go_on.set()
    await draining
    assert PAGES_UNSETTLED > 7
    assert await tally(world, told.id) == {"accepted": 3_250}


async def test_a_new_lane_takes_what_the_one_before_it_could_not_give_back(world: World) -> None:
    """The worker renews all that it has claimed, so nobody else would ever get it."""
    ann = await world.add_member("ann@example.com")
    await world.tell("one")
    assert await world.write(
        runs.claim, world.channel_id, "worker", world.clock(), world.clock() + LEASE_MS, expired_only=False
    )
    provider = ScriptedProvider()
    await make_lane(world, provider).drain()
    assert provider.addresses == Counter(ann.addresses)


async def test_silent_devices_in_many_pages_do_not_stop_the_others_either(world: World) -> None:
    await world.add_members(650, phones=5)
    told = await world.tell("to all")
    answered, go_on = asyncio.Event(), asyncio.Event()
    provider = ScriptedProvider()

    async def hold_the_first(call: int) -> None:
        if call <= PAGES_IN_FLIGHT:
            await go_on.wait()
        if call == 7:
            answered.set()

    provider.before_call = hold_the_first
    draining = asyncio.create_task(make_lane(world, provider).drain())
    async with asyncio.timeout(10):
        await answered.wait()
    go_on.set()
    await draining
    assert await tally(world, told.id) == {"accepted": 3_250}


async def test_a_lane_that_is_asked_to_stop_settles_what_is_open_and_claims_no_more(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    told = await world.tell("one")
    provider = ScriptedProvider()
    lane = make_lane(world, provider)

    async def stop(_call: int) -> None:
        lane.stop()
        await world.tell("two")

    provider.before_call = stop
    await lane.drain()
    assert provider.addresses == Counter(ann.addresses)
    assert await tally(world, told.id) == {"accepted": 1}
    assert len(await world.rows(push_runs)) == 1
    await lane.close()
    assert provider.is_closed


# ── Faults of ours ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_store_that_is_away_while_a_page_is_settled_loses_nothing_and_repeats_nothing(
    world: World,
) -> None:
    ann = await world.add_member("ann@example.com", phones=3)
    provider = ScriptedProvider()
    provider.answers(ann.addresses[1], Unknown("no answer"))
    told = await world.tell("to all")
    lane = make_lane(world, provider)
    going = asyncio.Event()

    async def go_away(_call: int) -> None:
        going.set()
        await asyncio.sleep(0)

    provider.before_call = go_away
    draining = asyncio.create_task(lane.drain())
    await going.wait()
    with outage(world.database), pytest.raises(StoreUnavailable):
        await draining
    assert await tally(world, told.id) == {}
    await lane.drain()
    assert provider.addresses == Counter(ann.addresses)
    assert await tally(world, told.id) == {"accepted": 2}
    assert list(await deviations(world, told.id)) == [ann.addresses[1]]


@pytest.mark.parametrize("transactions", range(8))
async def test_a_store_that_is_away_at_any_moment_costs_time_and_nothing_else(
    world: World, transactions: int
) -> None:
    people = await world.add_members(1_010)
    told = await world.tell("to all")
    provider = ScriptedProvider()
    lane = make_lane(world, provider)
    with outage(world.database, after=transactions):
        try:
            await lane.drain()
        except StoreUnavailable:
            with pytest.raises(StoreUnavailable):
                await lane.drain()
    await lane.drain()
    assert set(provider.addresses) == {address for person in people for address in person.addresses}
    assert await tally(world, told.id) == {"accepted": 1_010}
    assert await state(world, told) is NotificationState.SENT
    assert await world.rows(push_runs) == []


async def test_a_provider_that_fails_is_tried_again_later_and_not_in_a_loop(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=2)
    told = await world.tell("to all")
    provider = ScriptedProvider()

    async def fail(call: int) -> None:
        if call <= 2:
            raise ZeroDivisionError

    provider.before_call = fail
    lane = make_lane(world, provider)
    await lane.drain()
    await lane.drain()
    assert provider.calls == 1
    reason = "internal error: ZeroDivisionError"
    assert await deviations(world, told.id) == dict.fromkeys(ann.addresses, ("unknown", 1, reason))
    world.clock.move(seconds=5)
    await lane.drain()
    world.clock.move(seconds=10)
    await lane.drain()
    assert provider.calls == 3
    assert await tally(world, told.id) == {"accepted": 2, "retried": 4, "repeats": 4}


class Forgetful(ScriptedProvider):
    """A provider with a fault: it answers for one device too few."""

    async def send(self, push: Push, parcels: list[Parcel]) -> list[Outcome]:  # type: ignore[override]
        """Forget the last answer."""
        return (await super().send(push, parcels))[:-1]


async def test_a_fault_of_ours_rests_the_lane_and_the_pushes_come_again(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=2)
    told = await world.tell("to all")
    faulty = Forgetful()
    lane = make_lane(world, faulty)
    for _ in range(3):
        with pytest.raises(ValueError, match=r"zip\(\)") as fault:
            await lane.drain()
        await lane.abandon(fault.value)
        assert await held(world) == (world.clock() + MISCONFIGURED_HOLD_MS, "internal error: ValueError")
        assert await world.read(channels.due_channels, world.clock()) == []
        world.clock.move(milliseconds=MISCONFIGURED_HOLD_MS)
    provider = ScriptedProvider()
    await make_lane(world, provider, owner="mended").drain()
    assert provider.addresses == Counter(ann.addresses)
    assert await tally(world, told.id) == {"accepted": 2}


async def test_a_worker_that_lost_its_lease_changes_nothing(world: World) -> None:
    ann = await world.add_member("ann@example.com")
    told = await world.tell("to all")
    slow, quick = ScriptedProvider(usual=Refused("late")), ScriptedProvider()
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_call: int) -> None:
        arrived.set()
        await go_on.wait()

    slow.before_call = hold
    draining = asyncio.create_task(make_lane(world, slow, owner="slow").drain())
    await arrived.wait()
    world.clock.move(seconds=31)
    await make_lane(world, quick, owner="quick").drain()
    go_on.set()
    await draining
    assert await tally(world, told.id) == {"accepted": 1}
    assert await deviations(world, told.id) == {}
    assert await state(world, told) is NotificationState.SENT
    assert {offer.push_id for offer in slow.offers} == {offer.push_id for offer in quick.offers}
    assert slow.addresses == quick.addresses == Counter(ann.addresses)


async def test_a_withdrawal_waits_for_the_alert_that_is_still_on_its_way(world: World) -> None:
    await world.add_member("ann@example.com")
    told = await world.tell("to all")
    provider = ScriptedProvider()
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def hold(call: int) -> None:
        if call == 1:
            arrived.set()
            await go_on.wait()

    provider.before_call = hold
    slow, quick = make_lane(world, provider, owner="slow"), make_lane(world, provider, owner="quick")
    draining = asyncio.create_task(slow.drain())
    await arrived.wait()
    await world.recall(told)
    world.clock.move(milliseconds=OPEN_PAGES_MS)
    await quick.drain()
    assert provider.calls == 1
    go_on.set()
    await draining
    await quick.drain()
    assert [offer.push.kind for offer in provider.offers] == [PushKind.ALERT, PushKind.WITHDRAWAL]


async def test_a_recall_after_the_time_to_live_still_withdraws(world: World) -> None:
    await world.add_member("ann@example.com")
    told = (await world.publish(world.draft(options=world.options(ttl_seconds=0)))).notification
    provider = ScriptedProvider()
    lane = make_lane(world, provider)
    await lane.drain()
    world.clock.move(seconds=3_600)
    await world.recall(told)
    await lane.drain()
    assert [offer.push.kind for offer in provider.offers] == [PushKind.ALERT, PushKind.WITHDRAWAL]


async def test_what_outlives_its_time_on_a_channel_that_is_away_ends_all_the_same(world: World) -> None:
    await world.add_members(3)
    told = (await world.publish(world.draft(options=world.options(ttl_seconds=60)))).notification
    provider = ScriptedProvider(obstacle=Unavailable("away"))
    lane = make_lane(world, provider)
    await lane.drain()
    assert await state(world, told) is NotificationState.QUEUED
    world.clock.move(seconds=60)
    await lane.drain()
    assert provider.offers == []
    assert await tally(world, told.id) == {"expired": 3}
    assert await state(world, told) is NotificationState.FAILED


async def test_a_silent_device_keeps_no_new_push_waiting(world: World) -> None:
    ann, bob = await world.add_member("ann@example.com"), await world.add_member("bob@example.com")
    provider = ScriptedProvider()
    silent, go_on = asyncio.Event(), asyncio.Event()
    arrived = asyncio.Event()

    async def hold(call: int) -> None:
        if call == 1:
            silent.set()
            await go_on.wait()
        else:
            arrived.set()

    provider.before_call = hold
    lane = make_lane(world, provider)
    await world.publish(world.draft(Scope.USERS, emails=(ann.email,)))
    draining = asyncio.create_task(lane.drain())
    await silent.wait()
    await world.publish(world.draft(Scope.USERS, emails=(bob.email,)))
    lane.wanted.set()
    async with asyncio.timeout(10):
        await arrived.wait()
    go_on.set()
    await draining
    assert provider.addresses == Counter(ann.addresses + bob.addresses)
