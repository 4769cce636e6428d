"""Withdrawing a member's banners from their other devices: from which, when, and what rides together."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from clarion.model.access import Role
from clarion.model.delivery import PushKind
from clarion.model.notification import Notification
from clarion.model.outcome import ACCEPTED, Gone, Refused, Unavailable, Unknown
from clarion.service.inbox import change_state
from clarion.service.withdrawals import withdraw_for_member
from clarion.store import channels, receipts, withdrawals
from clarion.store.inbox import USUAL_DAYS, CopyState, Horizon
from clarion.store.receipts import NewReceipt, ReceiptEvent
from clarion.store.schema import devices as devices_table
from clarion.store.schema import withdrawals as withdrawals_table
from tests.service.lanes import ScriptedProvider, make_lane, retired
from tests.world import Member, World

MINUTE = 60


async def withdraw(world: World, member: Member, *told: Notification) -> None:
    numbers = [one.id for one in told]
    await world.write(withdraw_for_member, world.organization_id, member.id, numbers, world.clock())


def withdrawn(provider: ScriptedProvider) -> list[tuple[str, list[UUID]]]:
    """Address and notifications of every withdrawal that was offered."""
    return [
        (offer.address, [offer.push.notification, *(banner.notification for banner in offer.push.also)])
        for offer in provider.offers
        if offer.push.kind is PushKind.WITHDRAWAL
    ]


async def drained(world: World, provider: ScriptedProvider | None = None) -> ScriptedProvider:
    """The provider of a lane that did all that is due."""
    provider = provider or ScriptedProvider()
    await make_lane(world, provider).drain()
    return provider


async def waiting(world: World) -> Sequence[object]:
    return await world.rows(withdrawals_table)


async def test_what_a_member_dealt_with_leaves_all_their_phones_and_nobody_elses(world: World) -> None:
    ann, _ = await world.add_members(2, phones=2)
    told = await world.tell("to all")
    await drained(world)
    await withdraw(world, ann, told)
    provider = await drained(world)
    assert sorted(withdrawn(provider)) == [(address, [told.uuid]) for address in sorted(ann.addresses)]
    assert provider.calls == 1, "the same banners on both phones are one burst"
    assert await waiting(world) == []


async def test_the_device_on_which_it_was_opened_is_left_alone(world: World) -> None:
    [ann] = await world.add_members(1, phones=2)
    told = await world.tell("to all")
    await drained(world)
    first = (await world.rows(devices_table, member_id=ann.id))[0]
    opened = NewReceipt(told.id, first.id, ReceiptEvent.OPENED, world.clock())
    await world.write(receipts.add_receipts, world.organization_id, [opened], 0, world.clock())
    await withdraw(world, ann, told)
    assert withdrawn(await drained(world)) == [(ann.addresses[1], [told.uuid])]


async def test_nothing_is_asked_of_browsers(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=0)
    new = channels.NewChannel(uuid4(), "webpush", "browsers", {}, "")
    browsers = await world.write(channels.add_channel, world.organization_id, new, world.clock())
    await world.add_phone(ann, browsers)
    told = await world.tell("to all")
    await make_lane(world, ScriptedProvider(), channel_id=browsers).drain()
    await withdraw(world, ann, told)
    assert await waiting(world) == []


async def test_later_ones_ride_together_after_five_minutes(world: World) -> None:
    [ann] = await world.add_members(1)
    told = [await world.tell(f"number {number}") for number in range(4)]
    await drained(world)
    await withdraw(world, ann, told[0])
    provider = await drained(world)
    world.clock.move(seconds=10)
    await withdraw(world, ann, told[1])
    await drained(world, provider)
    world.clock.move(seconds=4 * MINUTE)
    await withdraw(world, ann, told[2], told[3])
    await drained(world, provider)
    assert withdrawn(provider) == [(ann.addresses[0], [told[0].uuid])]
    world.clock.move(seconds=MINUTE)
    await drained(world, provider)
    assert withdrawn(provider)[1:] == [(ann.addresses[0], [one.uuid for one in told[1:]])]
    assert await waiting(world) == []


async def test_more_than_fit_into_one_push_come_later(world: World) -> None:
    [ann] = await world.add_members(1)
    told = [await world.tell(f"number {number}") for number in range(withdrawals.MOST_BANNERS + 3)]
    await drained(world)
    await withdraw(world, ann, *told)
    provider = await drained(world)
    world.clock.move(seconds=5 * MINUTE)
    await drained(world, provider)
    assert [set(names) for _, names in withdrawn(provider)] == [
        {one.uuid for one in told[3:]},
        {one.uuid for one in told[:3]},
    ]


async def test_a_banner_that_is_still_to_come_is_withdrawn_after_it_came(world: World) -> None:
    [ann] = await world.add_members(1)
    provider = ScriptedProvider()
    provider.answers(ann.addresses[0], Unknown("no answer"), ACCEPTED)
    told = await world.tell("to all")
    await withdraw(world, ann, told)
    lane = make_lane(world, provider)
    await lane.drain()
    assert withdrawn(provider) == [], "the alert may still arrive, and will be offered again"
    world.clock.move(seconds=5)
    await lane.drain()
    world.clock.move(seconds=30)
    await lane.drain()
    assert [offer.push.kind for offer in provider.offers] == [
        PushKind.ALERT,
        PushKind.ALERT,
        PushKind.WITHDRAWAL,
    ]


async def test_a_withdrawal_before_the_alert_was_offered_waits_for_it(world: World) -> None:
    [ann] = await world.add_members(1)
    told = await world.tell("to all")
    await withdraw(world, ann, told)
    assert await world.write(withdrawals.claim, world.channel_id, world.clock()) == []
    world.clock.move(seconds=30)
    provider = await drained(world)
    assert [offer.push.kind for offer in provider.offers] == [PushKind.ALERT, PushKind.WITHDRAWAL]


async def test_where_no_banner_stands_nothing_is_withdrawn(world: World) -> None:
    """Refused, expired, new after the release, or recalled for everybody."""
    [ann] = await world.add_members(1)
    provider = ScriptedProvider()
    provider.answers(ann.addresses[0], Refused("PayloadTooLarge"))
    refused = await world.tell("refused")
    await drained(world, provider)
    expired = await world.tell("expired")
    await drained(world, provider)
    world.clock.move(seconds=4 * 86_400)
    recalled = await world.tell("recalled")
    await drained(world, provider)
    await world.recall(recalled)
    await world.add_phone(ann)
    await withdraw(world, ann, refused, expired, recalled)
    assert await waiting(world) == []


@pytest.mark.parametrize("state", [CopyState.READ, CopyState.DISMISSED])
async def test_a_change_in_the_inbox_withdraws_and_unread_again_does_not(
    world: World, state: CopyState
) -> None:
    [ann] = await world.add_members(1)
    told = await world.tell("to all")
    await drained(world)
    access = replace(world.admin, user=ann.user, member_id=ann.id, role=Role.USER)
    for change in (state, CopyState.SENT):
        horizon = Horizon(world.clock(), USUAL_DAYS)
        await world.write(change_state, access, ann.user, told.uuid, change, horizon)
    assert withdrawn(await drained(world)) == [(ann.addresses[0], [told.uuid])]


async def test_what_is_recalled_or_retired_meanwhile_is_dropped(world: World) -> None:
    ann, bob = await world.add_members(2)
    told = await world.tell("to all")
    provider = await drained(world)
    await withdraw(world, ann, told)
    await world.recall(told)
    await withdraw(world, bob, told)
    await drained(world, provider)
    kinds = [offer.push_id for offer in provider.offers if offer.push.kind is PushKind.WITHDRAWAL]
    assert len(kinds) == len(set(kinds)) == 2, "the recall alone withdraws"
    assert await waiting(world) == []


async def test_a_newer_one_in_the_banners_place_is_left_there(world: World) -> None:
    [ann] = await world.add_members(1)
    options = world.options(collapse_key="gate")
    older = (await world.publish(world.draft(options=options))).notification
    await drained(world)
    await withdraw(world, ann, older)
    await world.publish(world.draft(options=options))
    assert withdrawn(await drained(world)) == []
    assert await waiting(world) == []


async def test_one_that_failed_comes_again_when_its_device_may_be_woken(world: World) -> None:
    [ann] = await world.add_members(1)
    told = await world.tell("to all")
    provider = await drained(world)
    await withdraw(world, ann, told)
    provider.answers(ann.addresses[0], Unavailable("busy", whole_service=False), ACCEPTED)
    await drained(world, provider)
    world.clock.move(seconds=5 * MINUTE)
    await drained(world, provider)
    assert withdrawn(provider) == [(ann.addresses[0], [told.uuid])] * 2
    assert await waiting(world) == []


async def test_a_push_service_that_is_away_lets_the_lane_rest(world: World) -> None:
    [ann] = await world.add_members(1)
    told = await world.tell("to all")
    provider = await drained(world)
    await withdraw(world, ann, told)
    provider.answers(ann.addresses[0], Unavailable("503"))
    await drained(world, provider)
    assert await world.read(channels.due_channels, world.clock()) == []
    assert len(await waiting(world)) == 1


async def test_a_device_that_is_gone_is_retired(world: World) -> None:
    [ann] = await world.add_members(1)
    told = await world.tell("to all")
    provider = await drained(world)
    await withdraw(world, ann, told)
    provider.answers(ann.addresses[0], Gone("Unregistered"))
    await drained(world, provider)
    assert await retired(world) == {ann.addresses[0]: "Unregistered"}
    assert await waiting(world) == []


async def test_a_worker_that_dies_with_a_claim_costs_time(world: World) -> None:
    [ann] = await world.add_members(1)
    told = await world.tell("to all")
    await drained(world)
    await withdraw(world, ann, told)
    assert await world.read(channels.due_channels, world.clock()) == [world.channel_id]
    assert len(await world.write(withdrawals.claim, world.channel_id, world.clock())) == 1
    assert await world.write(withdrawals.claim, world.channel_id, world.clock()) == []
    world.clock.move(seconds=5 * MINUTE)
    assert withdrawn(await drained(world)) == [(ann.addresses[0], [told.uuid])]


async def test_what_nobody_could_send_is_forgotten_after_three_days(world: World) -> None:
    [ann] = await world.add_members(1)
    told = await world.tell("to all")
    await drained(world)
    await withdraw(world, ann, told)
    world.clock.move(seconds=3 * 86_400)
    assert await world.write(withdrawals.forget_old, world.clock(), 100) == 1
    assert await waiting(world) == []
