"""Live streams: opened, kept alive, told what happens, and ended.

A hint, or a tick of one second, makes this process look: the log of an organization is read once for all of its streams
(`live_look.py`), what many are told is rendered once, and nobody waits for a slow reader (`live_teller.py`). An event
carries what changed since the event before it; where that would be too much, a hint says "pull". A hint has no
watermark, so who comes back with the last one that they saw has missed nothing.

Called by `api/live.py`; `bootstrap.py` makes it and runs `run` beside the server.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import structlog

from clarion.model.errors import StoreUnavailable, TooManyStreams
from clarion.model.watermark import Watermark, encode_watermark
from clarion.service.access import Gatekeeper
from clarion.service.live_look import Opening, read_opening
from clarion.service.live_streams import Outlet, Room, Rooms, Showing, Stream, Wire
from clarion.service.live_teller import Teller
from clarion.store import live
from clarion.store.database import Database
from clarion.store.inbox import Horizon
from clarion.store.inbox_hints import Hinted, Inbox, InboxHints
from clarion.store.live import Standing
from clarion.store.sessions import ENDED_SHOWN_MS

logger = structlog.get_logger()

TICK_SECONDS: Final = 1.0
COALESCE_SECONDS: Final = 0.03
"""At most one look per this long."""

TURN_SECONDS: Final = 0.25
BEAT_MS: Final = 15_000
"""How often a stream gets a comment, so that nobody on the way takes it for dead."""

LIFETIME_MS: Final = 20 * 60_000
STALL_SECONDS: Final = 30.0
"""How long a reader may leave everything unread."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A stream that is about to be: what it is told first, and where it stands then."""

    showing: Showing
    user: UUID
    opening: Opening
    first: bytes
    is_hinted: bool


class Live:
    """The live streams of one process, at most so many."""

    def __init__(
        self,
        database: Database,
        gatekeeper: Gatekeeper,
        hints: InboxHints,
        wire: Wire,
        horizon: Callable[[], Horizon],
        most: int,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self._database = database
        self._gatekeeper = gatekeeper
        self._hints = hints
        self._wire = wire
        self._horizon = horizon
        self._most = most
        self._rooms = Rooms(wire)
        self._teller = Teller(database, self._rooms, wire, horizon, stall_seconds)
        self._beats: deque[Stream] = deque()
        self._somebody = asyncio.Event()
        self._is_closed = False
        self._checked_at = -math.inf
        self._audited_at = 0
        self._checked_version: int | None = None

    @property
    def count(self) -> int:
        """How many streams are open."""
        return self._rooms.count

    # ── Opening and closing ──────────────────────────────────────────────────────────────────────────────

    async def begin(self, showing: Showing, user: UUID, since: Watermark | None, path: str) -> Begun:
        """Read where a member's stream begins: at a watermark, which `path` showed, or now.

        Raises TooManyStreams, NotFound, and what a pull with this watermark raises.
        """
        if self._is_closed or self._rooms.count >= self._most:
            raise TooManyStreams
        access = showing.access
        opening = await self._database.read(
            read_opening, access.organization_id, user, since, path, self._horizon()
        )
        page = opening.own.page
        rendering = None if page.more else self._wire.changes(page.items, access.organization)
        if rendering is None:
            return Begun(showing, user, opening, self._wire.hint, is_hinted=True)
        first = rendering(user, encode_watermark(page.watermark), opening.own.unread)
        return Begun(showing, user, opening, first, is_hinted=False)

    def join(self, begun: Begun, outlet: Outlet) -> Stream | None:
        """Tell a stream, which was sent its first event, whatever happens from there on; None when all is over."""
        if self._is_closed:
            return None
        opening, now = begun.opening, self._horizon().now

        def make(room: Room) -> Stream:
            return Stream(
                room=room,
                member_id=opening.member_id,
                own_stream=opening.own_stream,
                user=begun.user,
                showing=begun.showing,
                outlet=outlet,
                watermark=opening.own.page.watermark,
                unread=opening.own.unread,
                opened_at=now,
                beat_at=now + BEAT_MS,
                is_hinted=begun.is_hinted,
            )

        if not self._rooms.count:
            self._audited_at = now
        stream = self._rooms.add(begun.showing.access, opening.own.page.watermark, make)
        self._beats.append(stream)
        self._teller.welcome(stream)
        self._somebody.set()
        return stream

    def leave(self, stream: Stream) -> None:
        """The reader is gone."""
        self._rooms.remove(stream)
        if not self._rooms.count:
            self._somebody.clear()

    def close(self) -> None:
        """End all streams, and let nobody in any more: the process is about to end."""
        self._is_closed = True
        for stream in self._rooms.streams():
            self._rooms.end(stream, "restart")

    # ── Running ──────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Tell what happens, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch())
                group.create_task(self._tend())
        finally:
            await self._teller.close()

    async def _watch(self) -> None:
        """Look at every hint and every tick, as long as anybody listens."""
        version = None
        while True:
            await self._somebody.wait()
            hinted = await self._hints.wait(TICK_SECONDS, version)
            version = self._hints.version()
            if not await self._do(self.look(hinted, version)):
                version = self._checked_version = None
                await asyncio.sleep(TICK_SECONDS)
            await asyncio.sleep(COALESCE_SECONDS)

    async def look(self, hinted: Hinted, version: int | None = None) -> None:
        """Tell the streams what has happened since the last time."""
        positions = await self._database.read(
            live.find_positions, [room.organization_id for room in self._rooms]
        )
        for room in self._rooms:
            position = positions.get(room.organization_id)
            if position is None or position.epoch != room.epoch:
                self._rooms.end_room(room, "restored")
            elif position.last_seq > room.seen_seq:
                await self._teller.tell_room(room)
        if hinted.inboxes is None or self._is_time_to_check(version):
            await self._look_at(list(self._rooms.streams()))
        elif hinted.inboxes:
            await self._look_at([s for s in self._rooms.streams() if _inbox(s) in hinted.inboxes])

    def _is_time_to_check(self, version: int | None) -> bool:
        """Whether to look at every member: once a second, unless nothing at all was committed."""
        now = asyncio.get_running_loop().time()
        if now - self._checked_at < TICK_SECONDS or (
            version is not None and version == self._checked_version
        ):
            return False
        self._checked_at, self._checked_version = now, version
        return True

    async def _look_at(self, streams: Sequence[Stream]) -> None:
        """Tell these streams what their members changed, and end those whose callers may not listen any more."""
        ids = {stream.member_id for stream in streams}
        ids |= {stream.showing.access.member_id for stream in streams}
        standings = await self._database.read(live.find_standings, sorted(ids))
        for stream in streams:
            standing = standings.get(stream.member_id)
            if standing is None or not _may_listen(stream, standings):
                self._rooms.end(stream, "signed_out")
            else:
                await self._teller.tell_own(stream, standing)

    async def _tend(self) -> None:
        """Give signs of life, and end what has to end, as long as anybody listens."""
        while True:
            await self._somebody.wait()
            await asyncio.sleep(TURN_SECONDS)
            self.beat()
            await self._do(self.audit())

    async def _do(self, chore: Coroutine[Any, Any, None]) -> bool:
        """Do what is done again soon: whatever goes wrong with it, the streams stay open."""
        try:
            await chore
        except StoreUnavailable:  # the store has logged it
            return False
        except Exception:
            logger.exception("live_chore_failed")
            return False
        return True

    def beat(self) -> None:
        """Give a sign of life to those whose turn it is, and end those that are old. They wait in one queue."""
        now = self._horizon().now
        while self._beats and self._beats[0].beat_at <= now:
            stream = self._beats.popleft()
            if stream.opened_at + LIFETIME_MS <= now:
                self._rooms.end(stream, "renew")
            elif stream.is_open:
                self._teller.beat(stream)
                stream.beat_at = now + BEAT_MS
                self._beats.append(stream)

    async def audit(self) -> None:
        """End the streams of sessions and tokens that are good no more; once a second."""
        now = self._horizon().now
        if now - self._audited_at < TICK_SECONDS * 1000:
            return
        good = await self._good_tokens(now)
        ended = await self._gatekeeper.ended_sessions()
        is_late = now - self._audited_at > ENDED_SHOWN_MS  # and who ended meanwhile is told no more
        self._audited_at = now
        for stream in self._rooms.streams():
            token, session = stream.showing.token_key, stream.showing.access.session
            if token is not None and token not in good:
                self._rooms.end(stream, "signed_out")
            if session is not None and (is_late or session.ends_at <= now or session.id in ended):
                self._rooms.end(stream, "signed_out")

    async def _good_tokens(self, now: int) -> set[str]:
        keys = {stream.showing.token_key for stream in self._rooms.streams()}
        shown = sorted(filter(None, keys))
        return await self._database.read(live.find_good_tokens, shown, now) if shown else set()


def _inbox(stream: Stream) -> Inbox:
    return stream.room.organization_id, stream.member_id


def _may_listen(stream: Stream, standings: Mapping[int, Standing]) -> bool:
    """Whether the caller is the member, or may still read the inboxes of others."""
    caller = stream.showing.access.member_id
    return caller == stream.member_id or (caller in standings and standings[caller].role.may_send)
