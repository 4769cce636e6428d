"""Recalling: what is not yet sent is not sent, inbox copies vanish, banners are withdrawn.

Called by the door for DELETE. The push pages look at the state before each page, so a recall stops a
broadcast in its middle.
"""

from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from clarion.model.access import Access
from clarion.model.delivery import NEVER_WITHDRAW, PushKind
from clarion.model.errors import NotFound
from clarion.model.notification import NotificationState
from clarion.store import channels, deliveries, notifications, runs, streams

OPEN_PAGES_MS: Final = 12_000
"""By then most pages that were in flight at the recall are answered; a claim waits for the others."""


def recall(connection: Connection, access: Access, uuid: UUID, now: int) -> None:
    """Cancel a notification for everybody; recalling it again changes nothing. Raises NotFound."""
    organization_id = access.organization_id
    found = notifications.find_notification(connection, organization_id, uuid)
    if found is None:
        raise NotFound("There is no such notification in this organization.")
    notifications.lock(connection, organization_id, [found.id])
    has_begun = (
        notifications.find_notification_by_id(connection, organization_id, found.id).state
        is not NotificationState.QUEUED
    )
    if not notifications.cancel(connection, organization_id, found.id, access.user_id, now):
        return
    released_into = streams.streams_of(connection, organization_id, found.id)
    if released_into:
        _, seq = notifications.take_numbers(connection, organization_id, 0, 1)
        entries = [(stream, seq + 1, found.id) for stream in released_into]
        streams.add_entries(connection, organization_id, streams.EntryKind.RECALL, entries)
        _withdraw_banners(connection, organization_id, found.id, now, has_begun=has_begun)


def _withdraw_banners(
    connection: Connection, organization_id: int, number: int, now: int, *, has_begun: bool
) -> None:
    """Drop what waits, and send a withdrawal on every channel that may have taken the alert, after the pages in flight.

    Not where nothing can be withdrawn.
    A worker that died with open pages left a run that nobody holds, and no count: what it sent is withdrawn too.
    """
    dropped, in_flight = runs.drop_unclaimed(connection, organization_id, number, now)
    took = deliveries.channels_that_took(connection, organization_id, number)
    offered = channels.find_channels(connection, sorted({*in_flight, *took, *(dropped if has_begun else ())}))
    due_at = now + OPEN_PAGES_MS if in_flight else now
    withdrawals = [
        runs.NewRun(number, channel.id, runs.UNKNOWN_REACH, due_at, PushKind.WITHDRAWAL)
        for channel in offered
        if channel.provider not in NEVER_WITHDRAW
    ]
    runs.add_runs(connection, organization_id, withdrawals)
