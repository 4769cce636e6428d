"""What goes out: requests, as many as the peer's limits let through, and short replies. Pure: no socket, no
clock.

The trick is that almost every request fits: `_open_easy` then lays the octets of hundreds of requests side by
side in one list, joins them once, and enters all their streams into the table with one call. A request that
does not fit (a header block larger than a frame, a body larger than a window) goes through `_open_hard`,
alone.
"""

from typing import Final

from clarion.http2 import frames
from clarion.http2.backlog import Backlog, Burst, Span
from clarion.http2.errors import PeerError
from clarion.http2.exchanges import Exchange, Lot, Streams
from clarion.http2.frames import DATA, END_HEADERS, END_STREAM, HEADERS, Code
from clarion.http2.headers import Template
from clarion.http2.limits import Limits
from clarion.http2.results import Unknown

SLICE_REQUESTS: Final = 256
SLICE_OCTETS: Final = 131_072
EMPTY_TABLE: Final = b"\x20"
"""The size update that sets a table to nothing (RFC 7541 §6.3)."""


class Sender:
    """Takes from the backlog, and knows all that the peer has said about how much it takes."""

    def __init__(self, streams: Streams, backlog: Backlog, limits: Limits) -> None:
        self.control = bytearray()
        """Replies and resets that are to be written before anything else."""
        self.next_id = 1
        self.more = False
        """Whether the last slice ended because it was long enough, not because the peer takes no more."""
        self._streams = streams
        self._backlog = backlog
        self._limits = limits
        self._stopped = False
        self._connection_window = frames.DEFAULT_WINDOW
        self._stream_window = frames.DEFAULT_WINDOW
        self._max_frame = frames.DEFAULT_FRAME
        self._max_streams = limits.max_streams
        self._size_update = b""
        self._table_octets = frames.DEFAULT_TABLE
        self._taught: Template | None = None

    @property
    def exhausted(self) -> bool:
        """Whether all stream ids are used up."""
        return self.next_id > frames.LARGEST_STREAM_ID

    def stop(self) -> None:
        """Open no more streams; those that are open go on."""
        self._stopped = True

    def forget(self, burst: Burst) -> None:
        """Reset the requests in flight of a burst that nobody waits for."""
        for stream_id in self._streams.forget(burst):
            self.reset(stream_id, Code.CANCEL)

    def reset(self, stream_id: int, code: Code) -> None:
        """Tell the peer that a stream is over."""
        self.control += frames.rst_stream(stream_id, code)

    def fail_stream(self, stream_id: int, code: Code, reason: str) -> None:
        """Reset an open stream, whose request ends as unknown."""
        self.reset(stream_id, code)
        self._streams.settle(stream_id, Unknown(reason))

    # -- what the peer says about how much it takes

    def set_max_streams(self, number: int) -> None:
        """Follow MAX_CONCURRENT_STREAMS, which may fall below what is in flight."""
        self._max_streams = min(number, self._limits.max_streams)

    def set_max_frame(self, octets: int) -> None:
        """Follow MAX_FRAME_SIZE."""
        self._max_frame = octets

    def set_table_size(self, octets: int) -> None:
        """Follow HEADER_TABLE_SIZE: we use as much as every peer has unless it says otherwise, or nothing. A decoder
        whose table shrinks waits to be told so at the beginning of the next block (RFC 7541 §4.2)."""
        if octets < frames.DEFAULT_TABLE:
            self._size_update = EMPTY_TABLE
            self._table_octets, self._taught = 0, None

    def set_stream_window(self, octets: int) -> None:
        """Follow INITIAL_WINDOW_SIZE, which changes the windows in use as well and may leave them below
        zero."""
        difference = octets - self._stream_window
        self._stream_window = octets
        for exchange in self._streams.unfinished.values():
            exchange.window += difference
            if exchange.window > frames.LARGEST_WINDOW:
                raise PeerError(Code.FLOW_CONTROL_ERROR, "a stream's window was raised beyond 2^31-1")

    def grow_connection(self, increment: int) -> None:
        """Follow a WINDOW_UPDATE of the connection."""
        self._connection_window += increment
        if self._connection_window > frames.LARGEST_WINDOW:
            raise PeerError(Code.FLOW_CONTROL_ERROR, "the connection's window was raised beyond 2^31-1")

    def grow_stream(self, stream_id: int, increment: int) -> None:
        """Follow a WINDOW_UPDATE of a stream; it matters only to those whose body is not wholly sent."""
        exchange = self._streams.unfinished.get(stream_id)
        if exchange is None:
            return
        exchange.window += increment
        if exchange.window > frames.LARGEST_WINDOW:
            self.fail_stream(stream_id, Code.FLOW_CONTROL_ERROR, "the peer raised its window beyond 2^31-1")

    # -- what is sent

    def next_slice(self, now: float) -> bytes:
        """Return the next frames of requests that the peer takes, empty when there are none."""
        parts: list[bytes | memoryview] = []
        self._continue_bodies(parts)
        left = SLICE_REQUESTS
        while (span := self._backlog.first) and left and (room := min(left, self._room())) > 0:
            easy = 0 if self._size_update else self._open_easy(span, room, now, parts)
            sent = easy or self._open_hard(span, now, parts)
            if not sent:
                break
            left -= sent
            self._backlog.take(sent)
        self.more = not left and self._backlog.first is not None
        return b"".join(parts)

    def _room(self) -> int:
        """How many streams may be opened."""
        if self._stopped:
            return 0
        ids = (frames.LARGEST_STREAM_ID + 2 - self.next_id) >> 1
        return min(self._max_streams - len(self._streams.open), ids)

    def _open_easy(self, span: Span, room: int, now: float, parts: list[bytes | memoryview]) -> int:
        """Send up to `room` requests, as long as each fits at once; return how many."""
        template = span.burst.template
        (block_start, block_end), teaches = self._spelling(template)
        body_start, body_end = template.body_start, template.body_end
        block_fixed, body_fixed = len(block_start) + len(block_end), len(body_start) + len(body_end)
        max_frame, max_body = self._max_frame, min(self._max_frame, self._stream_window)
        head = frames.HEAD.pack
        stop = SLICE_OCTETS
        window = before = self._connection_window
        stream_id = first = self.next_id
        for fields, middle in span.burst.holes[
            span.start : min(span.start + (1 if teaches else room), span.stop)
        ]:
            block = block_fixed + len(fields)
            body = body_fixed + len(middle)
            if body > window or body > max_body or block > max_frame or not body:
                break
            window -= body
            parts += (
                head(block << 8 | HEADERS, END_HEADERS, stream_id), block_start, fields, block_end,
                head(body << 8 | DATA, END_STREAM, stream_id), body_start, middle, body_end,
            )  # fmt: skip
            stream_id += 2
            if before - window > stop:
                break
        sent = (stream_id - first) >> 1
        if sent:
            lot = Lot.next_of(span, first, now + self._limits.deadline_seconds)
            self._streams.open.update(dict.fromkeys(range(first, stream_id, 2), lot))
            self._connection_window, self.next_id = window, stream_id
            if teaches:
                self._taught = template
        return sent

    def _spelling(self, template: Template) -> tuple[tuple[bytes, bytes], bool]:
        """How the next block spells what is constant, and whether it is the one that the peer learns from."""
        if template is self._taught:
            return template.short, False
        if template.table_octets <= self._table_octets:
            return template.teaching, True
        return template.plain, False

    def _open_hard(self, span: Span, now: float, parts: list[bytes | memoryview]) -> int:
        """Send the next request whatever its size, its body as far as the windows allow; return how many were
        sent."""
        template = span.burst.template
        fields, middle = span.burst.holes[span.start]
        body = template.body_start + middle + template.body_end
        if body and self._connection_window <= 0:
            return 0
        block = self._size_update + template.plain[0] + fields + template.plain[1]
        self._size_update = b""
        stream_id = self.next_id
        lot = self._streams.open[stream_id] = Lot.next_of(
            span, stream_id, now + self._limits.deadline_seconds
        )
        parts.append(frames.header_frames(stream_id, block, self._max_frame, end_stream=not body))
        if body:
            exchange = self._streams.unfinished[stream_id] = self._streams.own(stream_id, lot)
            exchange.unsent, exchange.window = memoryview(body), self._stream_window
            self._continue_body(stream_id, exchange, parts)
        self.next_id += 2
        return 1

    def _continue_bodies(self, parts: list[bytes | memoryview]) -> None:
        for stream_id, exchange in list(self._streams.unfinished.items()):
            if self._connection_window <= 0:
                break
            self._continue_body(stream_id, exchange, parts)

    def _continue_body(self, stream_id: int, exchange: Exchange, parts: list[bytes | memoryview]) -> None:
        while exchange.unsent:
            octets = min(len(exchange.unsent), exchange.window, self._connection_window, self._max_frame)
            if octets <= 0:
                return
            piece, exchange.unsent = exchange.unsent[:octets], exchange.unsent[octets:]
            exchange.window -= octets
            self._connection_window -= octets
            parts += (
                frames.HEAD.pack(octets << 8 | DATA, 0 if exchange.unsent else END_STREAM, stream_id),
                piece,
            )
        del self._streams.unfinished[stream_id]
        if not exchange.status:
            self._streams.open[stream_id] = exchange.lot
