"""The logs of audiences: what was released or recalled, in order, one row per stream.

Called by the release and the recall; read by the inbox and by the push runs.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select

from clarion.store.schema import devices, memberships, stream_entries
from clarion.store.slices import slices


class EntryKind(StrEnum):
    """What a stream entry tells."""

    RELEASE = "release"
    RECALL = "recall"


def add_entries(
    connection: Connection, organization_id: int, kind: EntryKind, entries: Sequence[tuple[int, int, int]]
) -> None:
    """Write (stream, seq, notification) entries."""
    rows = [
        {
            "organization_id": organization_id,
            "stream_id": stream,
            "seq": seq,
            "kind": kind,
            "notification_id": notification,
        }
        for stream, seq, notification in entries
    ]
    connection.execute(_ADD_ENTRIES, rows)


_ADD_ENTRIES: Final = insert(stream_entries)


def streams_of(connection: Connection, organization_id: int, notification_id: int) -> list[int]:
    """The streams into which a notification was released."""
    query = select(stream_entries.c.stream_id).where(
        stream_entries.c.organization_id == organization_id,
        stream_entries.c.notification_id == notification_id,
        stream_entries.c.kind == EntryKind.RELEASE,
    )
    return list(connection.scalars(query))


def channels_of_streams(
    connection: Connection, organization_id: int, streams: Collection[int]
) -> dict[int, set[int]]:
    """By stream: the channels on which its present members have a device. For streams of one member each."""
    found: dict[int, set[int]] = {}
    for some in slices(sorted(streams)):
        wanted = {"organization": organization_id, "streams": some}
        for stream, channel in connection.execute(_CHANNELS_OF_STREAMS, wanted):
            found.setdefault(stream, set()).add(channel)
    return found


_CHANNELS_OF_STREAMS: Final = (
    select(memberships.c.stream_id, devices.c.channel_id)
    .join(
        devices,
        (devices.c.organization_id == memberships.c.organization_id)
        & (devices.c.member_id == memberships.c.member_id),
    )
    .where(
        memberships.c.organization_id == bindparam("organization"),
        memberships.c.stream_id.in_(bindparam("streams", expanding=True)),
        memberships.c.left_seq.is_(None),
        devices.c.retired_at.is_(None),
    )
    .distinct()
)
