"""Telling the open streams what happened: all of a room at once, one member alone, or one stream that fell behind.

Nobody waits for a reader. A stream that cannot be written to is left behind with its watermark where it is, and told
from there when it can be written to again; so a backlog is one event at most. Called by `service/live.py`, by one task.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import structlog

from clarion.model.errors import StoreUnavailable
from clarion.model.watermark import Watermark, encode_watermark
from clarion.service.live_look import News, Own, Told, read_news, read_own
from clarion.service.live_streams import Rendering, Room, Rooms, Stream, Wire
from clarion.store.database import Database
from clarion.store.inbox import CopyState, Horizon
from clarion.store.live import Standing

logger = structlog.get_logger()

TOLD_TOGETHER: Final = 100
"""How many are told something before others have their turn."""

RETRY_SECONDS: Final = 1.0


class Teller:
    """Tells streams things. A reader may leave everything unread for `stall_seconds`."""

    def __init__(
        self,
        database: Database,
        rooms: Rooms,
        wire: Wire,
        horizon: Callable[[], Horizon],
        stall_seconds: float,
    ) -> None:
        self._database = database
        self._rooms = rooms
        self._wire = wire
        self._horizon = horizon
        self._stall_seconds = stall_seconds
        self._waiting: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait for nobody any more."""
        tasks = list(self._waiting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ── A room ───────────────────────────────────────────────────────────────────────────────────────────

    async def tell_room(self, room: Room) -> None:
        """Tell all streams of a room what was released and recalled since the last time."""
        followers, horizon = room.followers(), self._horizon()
        room.is_reading = True
        try:
            news = await self._database.read(
                read_news, room.organization_id, room.seen_seq, followers, horizon
            )
            room.seen_seq = news.upto
        finally:
            room.is_reading = False
            waiting, room.waiting = room.waiting, []
            for stream in waiting:
                self.take_in(stream)
        try:
            await self._tell_news(room, news, horizon.now)
        except Exception:  # a fault of ours must not hide what a pull would show
            logger.exception("live_news_failed", organization=str(room.organization))
            await self._hint_all(room, news.upto)

    async def _tell_news(self, room: Room, news: News, now: int) -> None:
        if news.is_flood:
            await self._hint_all(room, news.upto)
        renderings: dict[tuple[Told, ...], Rendering | None] = {}
        told = 0
        for share, members in news.shares.items():
            for member in members:
                for stream in room.of(member):
                    self._tell_share(stream, share, news, renderings, now)
                told += 1
                if told % TOLD_TOGETHER == 0:
                    await asyncio.sleep(0)

    def _tell_share(
        self,
        stream: Stream,
        share: tuple[Told, ...],
        news: News,
        renderings: dict[tuple[Told, ...], Rendering | None],
        now: int,
    ) -> None:
        """Tell a stream what of a share is new to it."""
        seen = stream.watermark.seq
        if stream.is_behind or share[-1].place.seq <= seen:
            return
        fresh = share if share[0].place.seq > seen else tuple(t for t in share if t.place.seq > seen)
        if stream.is_hinted:
            self._hint(stream)
            return
        if fresh not in renderings:
            changes = news.changes(fresh)
            renderings[fresh] = (
                None if changes is None else self._wire.changes(changes, stream.room.organization)
            )
        more = sum(_unread_by(told, seen) for told in fresh)
        self._tell(stream, renderings[fresh], replace(stream.watermark, seq=news.upto, made_at=now), more)

    async def _hint_all(self, room: Room, upto: int) -> None:
        """Hint at what could not be told to a room."""
        for number, member in enumerate(list(room.streams)):
            for stream in room.of(member):
                if not stream.is_behind and stream.watermark.seq < upto:
                    self._hint(stream)
            if number % TOLD_TOGETHER == 0:
                await asyncio.sleep(0)

    # ── One stream ───────────────────────────────────────────────────────────────────────────────────────

    async def tell_own(self, stream: Stream, standing: Standing) -> None:
        """Tell a stream what its member changed on another device."""
        seen = stream.watermark
        own = (standing.state_seq, standing.read_through_seq)
        if stream.is_behind or own == (seen.state_seq, seen.read_through_seq):
            return
        if stream.is_hinted:
            stream.watermark = replace(seen, state_seq=own[0], read_through_seq=own[1])
            self._hint(stream)
            return
        found = await self._read_own(stream)
        if found is not None and stream.watermark is seen and not stream.is_behind:
            self._tell_own(stream, found)

    def welcome(self, stream: Stream) -> None:
        """Take a new stream in; one that was told to pull is told again if something came since that was read."""
        self.take_in(stream)
        if stream.is_hinted and not stream.is_behind and stream.watermark.seq < stream.room.seen_seq:
            self._hint(stream)

    def take_in(self, stream: Stream) -> None:
        """Let a stream that was told everything up to its watermark take part in what its room is told."""
        room = stream.room
        if not stream.is_open:
            return
        if room.is_reading:
            room.waiting.append(stream)
        elif stream.watermark.seq < room.seen_seq and not stream.is_hinted:
            self._start(stream, self._level)
        else:
            stream.is_behind = False

    async def _level(self, stream: Stream) -> None:
        """Tell a stream that is behind what it missed."""
        while stream.is_open:
            try:
                found = await self._read_own(stream)
            except StoreUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if found is not None and stream.is_open and self._tell_own(stream, found):
                self.take_in(stream)
            return

    async def _await_reader(self, stream: Stream) -> None:
        """Wait until a stream can be written to, and let it go on where it was; not for ever."""
        try:
            async with asyncio.timeout(self._stall_seconds):
                await stream.outlet.drain()
        except TimeoutError:
            logger.info("live_reader_stalled", organization=str(stream.room.organization))
            self._rooms.end(stream, "stalled")
            return
        if stream.is_hinted:
            if self._write(stream, self._wire.hint):
                self.take_in(stream)
        else:
            await self._level(stream)

    async def _read_own(self, stream: Stream) -> Own | None:
        """What a stream's member is told since its watermark. Ends it when they are gone."""
        found = await self._database.read(
            read_own, stream.room.organization_id, stream.member_id, stream.watermark, self._horizon()
        )
        if found is None:
            self._rooms.end(stream, "signed_out")
        return found

    def _tell_own(self, stream: Stream, own: Own) -> bool:
        stream.unread = own.unread
        if own.page.more:
            stream.watermark = own.page.watermark
            return self._hint(stream)
        rendering = self._wire.changes(own.page.items, stream.room.organization)
        return self._tell(stream, rendering, own.page.watermark, 0)

    def _tell(self, stream: Stream, rendering: Rendering | None, watermark: Watermark, more: int) -> bool:
        """Tell a stream changes that lead to a watermark; False when it is behind from now on."""
        if rendering is None:
            return self._hint(stream)
        unread = stream.unread
        octets = rendering(stream.user, encode_watermark(watermark), stream.count(more))
        if self._write(stream, octets):
            stream.watermark = watermark
            return True
        stream.unread = unread
        return False

    def _hint(self, stream: Stream) -> bool:
        stream.is_hinted = True
        return self._write(stream, self._wire.hint)

    def beat(self, stream: Stream) -> None:
        """Give a sign of life."""
        if not stream.is_behind:
            self._write(stream, self._wire.beat)

    def _write(self, stream: Stream, octets: bytes) -> bool:
        if stream.outlet.write(octets):
            return True
        stream.is_behind = True
        self._start(stream, self._await_reader)
        return False

    def _start(self, stream: Stream, work: Callable[[Stream], Awaitable[None]]) -> None:
        """Do for one stream what has to wait."""
        task = asyncio.create_task(self._do(stream, work))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _do(self, stream: Stream, work: Callable[[Stream], Awaitable[None]]) -> None:
        try:
            await work(stream)
        except Exception:  # a reader who connects again begins where they were
            logger.exception("live_stream_failed", organization=str(stream.room.organization))
            self._rooms.end(stream, "failed")


def _unread_by(told: Told, seen_seq: int) -> int:
    """How a change changes what is unread: a release is, and what was recalled may have been."""
    if not told.is_gone:
        return 1
    return -1 if told.state is CopyState.SENT and told.released_seq <= seen_seq else 0
