"""Withdrawing banners: what a member reads, dismisses or deletes on one device leaves the screens of their others.

`service/inbox.py` asks for it in the transaction of the change. A lane sends what is due when it has nothing else to
do: one push in the background per device, which names all the banners that go. Never to browsers, which end a
subscription that brings silent messages. A withdrawal that does not arrive leaves a stale banner and nothing worse.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from clarion.model.delivery import PushKind, pack_push_id
from clarion.model.notification import Content, Options
from clarion.model.outcome import Accepted, Gone, Outcome, Refused, told
from clarion.model.push import Banner, Parcel, Push
from clarion.store import devices, withdrawals
from clarion.store.database import Database
from clarion.store.withdrawals import LIFE_MS, Withdrawal

Offer = Callable[[Push, Sequence[Parcel]], Awaitable[Sequence[Outcome]]]
"""How a lane offers a push to devices: one outcome per parcel, in their order."""


def withdraw_for_member(
    connection: Connection,
    organization_id: int,
    member_id: int,
    notification_ids: Collection[int],
    now: int,
) -> None:
    """Take the banners of notifications, named by their numbers, away from a member's devices.

    A device that told that it opened one needs no telling. One statement, whatever the number of devices. The caller
    holds the member's row, so that a member's changes follow one another.
    """
    if notification_ids:
        withdrawals.ask(connection, organization_id, member_id, notification_ids, now)


class _Load(NamedTuple):
    """The same banners on some devices: one push."""

    banners: tuple[Withdrawal, ...]
    devices: list[Withdrawal]


async def send_withdrawals(
    database: Database, channel_id: int, offer: Offer, clock: Callable[[], int]
) -> list[Outcome]:
    """Claim and send what is due on a channel, and settle it; returns the answers, none when nothing was due."""
    claimed_at = clock()
    if not await database.read(withdrawals.is_due, channel_id, claimed_at):
        return []
    claimed = await database.write(withdrawals.claim, channel_id, claimed_at)
    loads = _loads(claimed)
    answers = await asyncio.gather(
        *(offer(_push(load.banners, claimed_at + LIFE_MS), _parcels(load)) for load in loads)
    )
    by_device = {
        device.device_id: outcome
        for load, outcomes in zip(loads, answers, strict=True)
        for device, outcome in zip(load.devices, outcomes, strict=True)
    }
    if claimed:
        await database.write(_settle, claimed, by_device, claimed_at, clock())
    return list(by_device.values())


def _loads(claimed: Sequence[Withdrawal]) -> list[_Load]:
    """Devices with the same banners together: after a broadcast those are many."""
    by_device: dict[int, list[Withdrawal]] = defaultdict(list)
    for item in claimed:
        by_device[item.device_id].append(item)
    loads: dict[tuple[int, ...], _Load] = {}
    for items in by_device.values():
        banners = tuple(sorted(items, key=lambda item: item.notification_id))
        key = (items[0].organization_id, *(item.notification_id for item in banners))
        loads.setdefault(key, _Load(banners, [])).devices.append(items[0])
    return list(loads.values())


def _push(banners: tuple[Withdrawal, ...], expires_at: int) -> Push:
    first, *others = banners
    return Push(
        number=first.notification_id,
        notification=first.notification,
        organization=first.organization,
        solution=None,
        content=Content(text=""),
        options=Options(collapse_key=first.collapse_key),
        kind=PushKind.WITHDRAWAL,
        expires_at=expires_at,
        also=tuple(Banner(other.notification, other.collapse_key) for other in others),
    )


def _parcels(load: _Load) -> list[Parcel]:
    number = load.banners[0].notification_id
    return [
        Parcel(pack_push_id(number, device.device_id, PushKind.WITHDRAWAL), device.address)
        for device in load.devices
    ]


def _settle(
    connection: Connection,
    claimed: Sequence[Withdrawal],
    by_device: dict[int, Outcome],
    claimed_at: int,
    now: int,
) -> None:
    """Forget what was answered for good; the rest comes again when its device may be woken again."""
    answered: list[Withdrawal] = []
    rest: list[Withdrawal] = []
    for item in claimed:
        is_final = isinstance(by_device[item.device_id], Accepted | Gone | Refused)
        (answered if is_final else rest).append(item)
    withdrawals.finish(connection, answered, claimed_at)
    withdrawals.postpone(connection, rest, claimed_at, now)
    for item in sorted(answered, key=lambda item: item.row_id):
        outcome = by_device[item.device_id]
        if isinstance(outcome, Gone):
            devices.retire_device(
                connection, item.organization_id, item.row_id, told(outcome.reason), now, outcome.since
            )
