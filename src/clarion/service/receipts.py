"""Receipts: a device tells that it displayed or opened a notification. They come in bursts after a broadcast.

Called by the door through `Together`, so that many devices share a commit. Only what was released to the device's
member counts; all else is passed over in silence, so that a device does not learn what there is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from clarion.model.errors import Refusal
from clarion.store import installations, receipts
from clarion.store.installations import DeviceAccess
from clarion.store.receipts import NewReceipt, ReceiptEvent, Seen

MOST_RECEIPTS: Final = 100
"""How many one request may bring."""

SEEN_EVERY_MS: Final = 86_400_000
"""That a device was heard of is written once a day, so that a receipt costs no write of its own."""

_WEIGHT: Final = 10
"""Of a receipt beside others in one transaction: some two hundred share one."""


class Told(NamedTuple):
    """One event as the device tells it; `at` in milliseconds by its clock, None when it says nothing."""

    notification: UUID
    event: ReceiptEvent
    at: int | None = None


@dataclass(frozen=True, slots=True)
class ReceiptRequest:
    """What one device tells at once."""

    device: DeviceAccess
    told: tuple[Told, ...]
    now: int


def receipts_weight(request: ReceiptRequest) -> int:
    """What a request costs beside others in one transaction."""
    return _WEIGHT * len(request.told)


def receive(
    connection: Connection, requests: Sequence[ReceiptRequest], slot: int
) -> Sequence[Refusal | None]:
    """Keep and count what devices tell. Organizations are written in the order of their ids.

    `slot` is the process' own among the counts' slots.
    """
    by_organization = attrgetter("device.organization_id")
    for organization_id, group in groupby(sorted(requests, key=by_organization), key=by_organization):
        some = list(group)
        uuids = {told.notification for request in some for told in request.told}
        members = {request.device.member_id for request in some}
        seen = receipts.find_seen(connection, organization_id, members, uuids)
        new: dict[tuple[int, int, str], NewReceipt] = {}
        for request in some:
            for event in _events(request, seen):
                new.setdefault(event[:3], event)
        now = max(request.now for request in some)
        receipts.add_receipts(connection, organization_id, new.values(), slot, now)
        _note_seen(connection, some, now)
    return [None] * len(requests)


def _events(request: ReceiptRequest, seen: dict[tuple[int, UUID], Seen]) -> Iterator[NewReceipt]:
    """The events of what the member can see, at moments that can be; what was opened was displayed."""
    device = request.device
    for told in request.told:
        found = seen.get((device.member_id, told.notification))
        if found is None:
            continue
        at = request.now if told.at is None else min(max(told.at, found.released_at), request.now)
        yield NewReceipt(found.id, device.number, ReceiptEvent.DISPLAYED, at)
        if told.event is ReceiptEvent.OPENED:
            yield NewReceipt(found.id, device.number, ReceiptEvent.OPENED, at)


def _note_seen(connection: Connection, requests: Sequence[ReceiptRequest], now: int) -> None:
    long_ago = now - SEEN_EVERY_MS
    rows = {r.device.row_id for r in requests if (r.device.last_seen_at or 0) <= long_ago}
    installations.note_seen(connection, sorted(rows), now)
