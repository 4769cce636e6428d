"""What the live streams of an organization are told: read once per hint, for all of them.

`news` reads the organization's log since the last look and sorts it by member. Those who are told the same share one
tuple of changes, so that it is rendered once. What is particular to a member, their own changes and what a stream
missed, is read for that member alone by `read_own`, with the very function that answers a pull. Called by
`service/live.py`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from clarion.model.errors import NotFound
from clarion.model.watermark import Watermark
from clarion.service.inbox import check_watermark
from clarion.store import live
from clarion.store.changes import Change, ChangePage, Tombstone, changes_since, unread_count
from clarion.store.inbox import (
    CopyState,
    Horizon,
    InboxMember,
    entries_at,
    find_inbox_member,
    find_inbox_members,
    sizes,
    state_of,
)
from clarion.store.live import LogEntry
from clarion.store.stays import Place
from clarion.store.streams import EntryKind

MOST_ITEMS: Final = 20
"""How many changes an event carries; of more it only hints."""

MOST_CHARACTERS: Final = 65_536
"""How long the texts of one event may be together; of longer ones it only hints."""

MOST_ENTRIES: Final = 20_000
"""How many entries one look sorts by member; of more, everybody gets a hint."""

_NOBODY: Final = InboxMember(0, 0, 0, 0, 0)
"""Did nothing to any entry: how all others see it as well."""


class Told(NamedTuple):
    """An entry of the log as one member is told it; `state` is the last one of what was recalled."""

    place: Place
    released_seq: int
    state: CopyState

    @property
    def is_gone(self) -> bool:
        """It was recalled."""
        return self.place.kind is EntryKind.RECALL


@dataclass(frozen=True, slots=True)
class Followers:
    """The members whose streams are open here: how far each had marked all read, and whose own stream is which."""

    read_through: Mapping[int, int]
    own_streams: Mapping[int, int]


@dataclass(slots=True)
class News:
    """What was released and recalled up to `upto`.

    `shares`: who is told what; `contents`: what is behind a place, where an event can carry it. `is_flood`: there was
    too much to sort.
    """

    upto: int
    shares: dict[tuple[Told, ...], list[int]] = field(default_factory=dict)
    contents: dict[Place, Change] = field(default_factory=dict)
    is_flood: bool = False

    def changes(self, told: Sequence[Told]) -> list[Change] | None:
        """The changes themselves; None when they are too many or too long for an event."""
        if len(told) > MOST_ITEMS:
            return None
        found = [self._change(one) for one in told]
        return None if None in found else [change for change in found if change is not None]

    def _change(self, told: Told) -> Change | None:
        change = self.contents.get(told.place)
        return Tombstone(change.notification, told.state) if isinstance(change, Tombstone) else change


def read_news(
    connection: Connection,
    organization_id: int,
    after: int,
    followers: Followers,
    horizon: Horizon,
) -> News:
    """What was released and recalled after this number and until now, by follower."""
    live.begin_snapshot(connection)
    positions = live.find_positions(connection, [organization_id])
    upto = positions[organization_id].last_seq if positions else after
    news = News(upto)
    log = live.find_log(connection, organization_id, after, upto, horizon.oldest, MOST_ENTRIES + 1)
    if len(log) > MOST_ENTRIES:
        news.is_flood = True
        return news
    seen = _sort(connection, organization_id, log, followers)
    exceptions = _exceptions(connection, organization_id, seen)
    for member, entries in seen.items():
        told = tuple(_told(sorted(entries.items()), member, followers, exceptions))
        if told:
            news.shares.setdefault(told, []).append(member)
    news.contents = _contents(connection, organization_id, news.shares, horizon)
    return news


_Seen = Mapping[int, Mapping[Place, int]]
"""By member: the entries for them, each with the number of its release."""

_Exceptions = Mapping[int, Mapping[int, CopyState]]
"""By notification and member: what they did to it."""


def _sort(
    connection: Connection, organization_id: int, log: Sequence[LogEntry], followers: Followers
) -> _Seen:
    """Whom the entries are for: those in whose stays they were released. Somebody in two groups gets one once."""
    seen: defaultdict[int, dict[Place, int]] = defaultdict(dict)
    by_stream = attrgetter("stream")
    for stream, group in groupby(sorted(log, key=by_stream), key=by_stream):
        entries = list(group)
        if entries[0].is_own:
            if (owner := followers.own_streams.get(stream)) is not None:
                seen[owner].update((entry.place, entry.released_seq) for entry in entries)
            continue
        members = list(followers.read_through)
        for member, stay in live.find_stays_in(connection, organization_id, stream, members):
            if member not in followers.read_through:
                continue
            for entry in entries:
                if stay.joined < entry.released_seq <= stay.left:
                    seen[member][entry.place] = entry.released_seq
    return seen


def _exceptions(connection: Connection, organization_id: int, seen: _Seen) -> _Exceptions:
    """What members did to what was recalled: its last state is theirs. A release nobody has touched yet."""
    touched: defaultdict[int, list[int]] = defaultdict(list)
    for member, entries in seen.items():
        for place in entries:
            if place.kind is EntryKind.RECALL:
                touched[place.notification_id].append(member)
    return {
        notification: live.find_exceptions(connection, organization_id, notification, members)
        for notification, members in touched.items()
    }


def _told(
    entries: Sequence[tuple[Place, int]], member: int, followers: Followers, exceptions: _Exceptions
) -> Iterable[Told]:
    """What a member is told; what they deleted is gone for them already."""
    for place, released_seq in entries:
        if place.kind is not EntryKind.RECALL:
            yield Told(place, released_seq, CopyState.SENT)
            continue
        exception = exceptions[place.notification_id].get(member)
        read_through = followers.read_through[member]
        state = state_of(exception, released_seq, InboxMember(member, 0, read_through, 0, 0))
        if state is not CopyState.DELETED:
            yield Told(place, released_seq, state)


def _contents(
    connection: Connection, organization_id: int, shares: Iterable[Sequence[Told]], horizon: Horizon
) -> dict[Place, Change]:
    """What is behind the places that events may carry; what is too long for one is left out."""
    wanted = {one.place for told in shares if len(told) <= MOST_ITEMS for one in told}
    gone = [place for place in wanted if place.kind is EntryKind.RECALL]
    there = sorted(wanted - set(gone))
    lengths = sizes(connection, organization_id, there)
    short = [place for place, length in zip(there, lengths, strict=True) if length <= MOST_CHARACTERS]
    found: dict[Place, Change] = dict(
        zip(short, entries_at(connection, organization_id, _NOBODY, short, horizon), strict=True)
    )
    ids = live.find_uuids(connection, organization_id, [place.notification_id for place in gone])
    return found | {place: Tombstone(ids[place.notification_id], CopyState.SENT) for place in gone}


# ── One member ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Own:
    """What one member is told: changes, how far they go, and how many entries are unread."""

    page: ChangePage
    unread: int


@dataclass(frozen=True, slots=True)
class Opening:
    """Where a new stream begins."""

    member_id: int
    own_stream: int
    own: Own


def read_opening(
    connection: Connection,
    organization_id: int,
    user: UUID,
    since: Watermark | None,
    path: str,
    horizon: Horizon,
) -> Opening:
    """Where a member's stream begins: at a watermark, which `path` showed, or now.

    Raises NotFound, and what `check_watermark` raises.
    """
    live.begin_snapshot(connection)
    member = find_inbox_member(connection, organization_id, user)
    if member is None:
        raise NotFound("There is no such member in this organization.")
    if since is not None:
        check_watermark(since, member, horizon.now, path)
    own_stream = live.find_own_stream(connection, organization_id, member.id)
    own = _own(connection, organization_id, member, since, horizon)
    if own.page.more:
        # Its reader is told to pull all of it. From here on the stream stands where the member does: were it behind,
        # its whole organization would be read from there on for everybody who listens.
        own = replace(own, page=replace(own.page, items=[], watermark=member.watermark(horizon.now)))
    return Opening(member.id, own_stream, own)


def read_own(
    connection: Connection, organization_id: int, member_id: int, since: Watermark, horizon: Horizon
) -> Own | None:
    """What a member is told since a watermark; None when they are gone."""
    live.begin_snapshot(connection)
    for member in find_inbox_members(connection, organization_id, [member_id]):
        return _own(connection, organization_id, member, since, horizon)
    return None


def _own(
    connection: Connection,
    organization_id: int,
    member: InboxMember,
    since: Watermark | None,
    horizon: Horizon,
) -> Own:
    if since is None:
        page = ChangePage([], member.watermark(horizon.now), more=False)
    else:
        page = changes_since(connection, organization_id, member, since, MOST_ITEMS, horizon)
    return Own(page, unread_count(connection, organization_id, member, horizon))
