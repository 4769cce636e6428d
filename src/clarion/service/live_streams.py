"""The open streams of this process: what is kept about whoever listens, and how one of them ends.

A stream stands at its *watermark*: what it was told last. It is *behind* while it cannot be written to, and then takes
no part in what all are told (`live_teller.py`). After a hint it is *hinted*: only a pull knows how far its reader has
got, so from then on it gets hints alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import UUID

from clarion.model.access import Access
from clarion.model.watermark import Watermark
from clarion.service.live_look import Followers
from clarion.store.changes import MOST_UNREAD, Change

MOST_PER_MEMBER: Final = 20
"""Open streams of one member; one more ends their oldest, which may be a phone that left without a word."""

Rendering = Callable[[UUID, str, int], bytes]
"""Makes one member's event of what was rendered for all: their id, their watermark's text, and what is unread."""


class Wire(Protocol):
    """How things are told on the wire."""

    beat: bytes
    hint: bytes

    def changes(self, changes: Sequence[Change], organization: UUID) -> Rendering | None:
        """Render changes once, for many members; None when they are too long for an event."""

    def bye(self, reason: str) -> bytes:
        """The last event."""


class Outlet(Protocol):
    """Where a stream's octets go."""

    def write(self, octets: bytes, *, is_last: bool = False) -> bool:
        """Write without waiting; False when that cannot be done now, and then nothing was written."""

    async def drain(self) -> None:
        """Wait until writing does not wait any more, or the reader is gone."""

    def abort(self) -> None:
        """Let go of a reader who does not read."""


@dataclass(frozen=True, slots=True)
class Showing:
    """Who opened a stream, and with what: it ends when this is good no more. `token_key` is a person's token's."""

    access: Access
    token_key: str | None = None


@dataclass(slots=True, eq=False)
class Stream:
    """One open stream. `unread` is counted on with what is told, and counted anew after a change of the member's."""

    room: "Room"
    member_id: int
    own_stream: int
    user: UUID
    showing: Showing
    outlet: Outlet
    watermark: Watermark
    unread: int
    opened_at: int
    beat_at: int = 0
    is_hinted: bool = False
    is_behind: bool = True
    is_open: bool = False

    def count(self, more: int) -> int:
        """Add to what is unread, which nobody counts beyond a limit."""
        if self.unread < MOST_UNREAD:
            self.unread = max(0, min(self.unread + more, MOST_UNREAD))
        return self.unread


@dataclass(slots=True, eq=False)
class Room:
    """The streams of one organization. Those that are not behind have been told everything up to `seen_seq`.

    While its log is read (`is_reading`) the streams that want to take part wait.
    """

    organization_id: int
    organization: UUID
    epoch: int
    seen_seq: int
    streams: dict[int, list[Stream]] = field(default_factory=dict)
    is_reading: bool = False
    waiting: list[Stream] = field(default_factory=list)

    def followers(self) -> Followers:
        """The members who can be told something now."""
        read_through: dict[int, int] = {}
        own_streams: dict[int, int] = {}
        for member, streams in self.streams.items():
            for stream in streams:
                if not stream.is_behind:
                    read_through[member] = stream.watermark.read_through_seq
                    own_streams[stream.own_stream] = member
        return Followers(read_through, own_streams)

    def of(self, member_id: int) -> list[Stream]:
        """The streams of a member."""
        return list(self.streams.get(member_id, ()))


class Rooms:
    """All open streams."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._rooms: dict[int, Room] = {}
        self.count = 0

    def __iter__(self) -> Iterator[Room]:
        return iter(list(self._rooms.values()))

    def streams(self) -> Iterator[Stream]:
        """Every stream."""
        for room in self:
            for member_id in list(room.streams):
                yield from room.of(member_id)

    def add(self, access: Access, watermark: Watermark, make: Callable[[Room], Stream]) -> Stream:
        """Keep a new stream of the caller's organization, which stands at a watermark."""
        room = self._rooms.get(access.organization_id)
        if room is None or room.epoch != watermark.epoch:
            if room is not None:
                self.end_room(room, "restored")
            room = Room(access.organization_id, access.organization, watermark.epoch, watermark.seq)
            self._rooms[room.organization_id] = room
        stream = make(room)
        stream.is_open = True
        own = room.streams.setdefault(stream.member_id, [])
        own.append(stream)
        self.count += 1
        if len(own) > MOST_PER_MEMBER:
            self.end(own[0], "replaced")
        return stream

    def remove(self, stream: Stream) -> None:
        """Forget a stream; it may have gone already."""
        if not stream.is_open:
            return
        stream.is_open = False
        self.count -= 1
        room = stream.room
        room.streams[stream.member_id].remove(stream)
        if not room.streams[stream.member_id]:
            del room.streams[stream.member_id]
        if not room.streams and self._rooms.get(room.organization_id) is room:
            del self._rooms[room.organization_id]

    def end(self, stream: Stream, reason: str) -> None:
        """Say goodbye, or let go of a reader to whom nothing can be said."""
        if stream.is_open:
            self.remove(stream)
            if not stream.outlet.write(self._wire.bye(reason), is_last=True):
                stream.outlet.abort()

    def end_room(self, room: Room, reason: str) -> None:
        """End all streams of an organization."""
        for member_id in list(room.streams):
            for stream in room.of(member_id):
                self.end(stream, reason)
