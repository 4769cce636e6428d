"""What comes in: octets cut into frames. Pure: no socket, no clock.

The trick is in `receive`: an answer that is a plain success in one frame, as nearly all are, is told by nine
octets of head and one of block, and settled on the spot without being copied. Whatever else arrives is cut
out and goes to the handler of its frame type; those are complete and need not be fast. Frames of streams
belong to `answers`, those of the connection are here.

A peer cannot make us hold more than the buffer, nor keep us busy for nothing: frames that end no request are
counted by its `patience`.
"""

from collections.abc import Callable
from typing import Final

from clarion.http2 import frames
from clarion.http2.answers import AnswerReader
from clarion.http2.errors import PeerError
from clarion.http2.exchanges import Streams
from clarion.http2.frames import ACK, CONTINUATION, DATA, END_STREAM, HEAD_OCTETS, HEADERS, Code
from clarion.http2.limits import Limits
from clarion.http2.patience import Patience
from clarion.http2.sending import Sender

BUFFER_OCTETS: Final = 131_072
OUR_WINDOW: Final = 1 << 24
EMPTY_DATA: Final = 0 << 8 | DATA
LARGEST_WORD: Final = frames.DEFAULT_FRAME << 8 | 0xFF
OF_A_STREAM: Final = frozenset({DATA, HEADERS, frames.RST_STREAM, CONTINUATION})
OF_THE_CONNECTION: Final = frozenset({frames.SETTINGS, frames.PING, frames.GOAWAY})
SETTINGS_ACK: Final = frames.frame(frames.SETTINGS, ACK, 0)
MAX_DEBUG_OCTETS: Final = 256


class Receiver:
    """Reads what the peer sends, settles requests, and leaves replies with the sender."""

    def __init__(self, streams: Streams, sender: Sender, limits: Limits, now: float) -> None:
        self.greeted = False
        """Whether the peer's first SETTINGS have arrived."""
        self.acknowledged = False
        """Whether the peer has acknowledged ours."""
        self.leaving: str | None = None
        """What the peer said when it sent GOAWAY."""
        self._streams = streams
        self._sender = sender
        self._limits = limits
        self._patience = Patience(streams, sender, limits, now)
        self._answers = AnswerReader(streams, sender, self._patience, limits)
        self._buffer = bytearray(BUFFER_OCTETS)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._needed = HEAD_OCTETS
        self._window = OUR_WINDOW
        self._last_stream = frames.LARGEST_STREAM_ID
        self._handlers: dict[int, Callable[[int, int, bytes], None]] = {
            frames.DATA: self._on_data,
            frames.HEADERS: self._answers.on_headers,
            frames.PRIORITY: self._on_priority,
            frames.RST_STREAM: self._answers.on_rst_stream,
            frames.SETTINGS: self._on_settings,
            frames.PUSH_PROMISE: self._on_push_promise,
            frames.PING: self._on_ping,
            frames.GOAWAY: self._on_goaway,
            frames.WINDOW_UPDATE: self._on_window_update,
            frames.CONTINUATION: self._answers.on_continuation,
        }

    def greeting(self) -> bytes:
        """Return the first octets of a client: the preface, our SETTINGS, and a large window for the
        connection."""
        return (
            frames.PREFACE
            + frames.settings(
                {
                    frames.HEADER_TABLE_SIZE: 0,
                    frames.ENABLE_PUSH: 0,
                    frames.INITIAL_WINDOW_SIZE: max(
                        frames.DEFAULT_WINDOW, self._limits.max_answer_octets + 1
                    ),
                    frames.MAX_HEADER_LIST_SIZE: self._limits.max_header_octets,
                }
            )
            + frames.window_update(0, OUR_WINDOW - frames.DEFAULT_WINDOW)
        )

    def space(self) -> memoryview:
        """Return where the next octets are to be put; never empty, because a frame is never larger."""
        # It is full only after an error, when what comes is not read any more.
        return self._view[self._filled :] or self._view

    def receive(self, octets: int, now: float) -> None:
        """Read what has been put into the space; raise `PeerError` when the connection must end."""
        self._patience.now = now
        self._filled += octets
        if self._filled < self._needed:
            return
        end, buffer, position = self._filled, self._buffer, 0
        unpack = frames.HEAD.unpack_from
        settle_plain, settle_halfway = self._answers.settle_plain, self._answers.settle_halfway
        self._needed = HEAD_OCTETS
        while position + HEAD_OCTETS <= end:
            word, flags, stream_id = unpack(buffer, position)
            start = position + HEAD_OCTETS
            stop = start + (word >> 8)
            if stop > end or word > LARGEST_WORD:
                self._await_frame(word >> 8)
                break
            position = stop
            if word & 0xFF == HEADERS and settle_plain(buffer, start, stop, stream_id, flags):
                continue
            if word == EMPTY_DATA and flags == END_STREAM and settle_halfway(stream_id):
                continue
            self._take(word & 0xFF, flags, stream_id & frames.MASK_31, bytes(self._view[start:stop]))
        self._filled = end - position
        buffer[: self._filled] = buffer[position:end]

    def _await_frame(self, length: int) -> None:
        """Wait until all of a frame is there, unless it is larger than we allow."""
        if length > frames.DEFAULT_FRAME:
            raise PeerError(Code.FRAME_SIZE_ERROR, f"a frame of {length} octets")
        self._needed = HEAD_OCTETS + length

    def _take(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Hand a frame to its handler, after the rules that hold for all frames."""
        if not self.greeted and (kind != frames.SETTINGS or flags & ACK):
            raise PeerError(Code.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        if self._answers.amid_block and kind != CONTINUATION:
            raise PeerError(Code.PROTOCOL_ERROR, "a header block was interrupted")
        self._patience.spend(1 if kind == DATA else 1 + (len(payload) >> 8))
        handler = self._handlers.get(kind)
        if handler is None:
            return
        if kind in OF_A_STREAM and (stream_id & 1 == 0 or stream_id >= self._sender.next_id):
            raise PeerError(
                Code.PROTOCOL_ERROR, f"a frame of type {kind} on stream {stream_id}, which was never opened"
            )
        if kind in OF_THE_CONNECTION and stream_id:
            raise PeerError(Code.PROTOCOL_ERROR, f"a frame of type {kind} on stream {stream_id}")
        handler(flags, stream_id, payload)

    def _on_settings(self, flags: int, _stream_id: int, payload: bytes) -> None:
        if flags & ACK:
            if payload:
                raise PeerError(Code.FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS with a payload")
            self.acknowledged = True
            self._answers.become_stateless()
            return
        if len(payload) % frames.SETTING.size:
            raise PeerError(Code.FRAME_SIZE_ERROR, "SETTINGS of a broken length")
        window = None
        for key, value in frames.SETTING.iter_unpack(payload):
            if key == frames.INITIAL_WINDOW_SIZE:
                window = _checked_window(value)
            else:
                self._on_setting(key, value)
        if window is not None:
            # Once, because it costs a look at every unfinished stream.
            self._sender.set_stream_window(window)
        self.greeted = True
        self._sender.control += SETTINGS_ACK

    def _on_setting(self, key: int, value: int) -> None:
        if key == frames.MAX_CONCURRENT_STREAMS:
            self._sender.set_max_streams(value)
        elif key == frames.HEADER_TABLE_SIZE:
            self._sender.set_table_size(value)
        elif key == frames.MAX_FRAME_SIZE:
            if not frames.DEFAULT_FRAME <= value <= frames.LARGEST_FRAME:
                raise PeerError(Code.PROTOCOL_ERROR, f"MAX_FRAME_SIZE of {value}")
            self._sender.set_max_frame(value)
        elif key == frames.ENABLE_PUSH and value:
            raise PeerError(Code.PROTOCOL_ERROR, "a server that lets us push")

    def _on_ping(self, flags: int, _stream_id: int, payload: bytes) -> None:
        if len(payload) != 8:
            raise PeerError(Code.FRAME_SIZE_ERROR, "PING of a broken length")
        if not flags & ACK:
            self._sender.control += frames.frame(frames.PING, ACK, 0, payload)

    def _on_goaway(self, _flags: int, _stream_id: int, payload: bytes) -> None:
        if len(payload) < 8:
            raise PeerError(Code.FRAME_SIZE_ERROR, "GOAWAY of a broken length")
        last, code = (word for (word,) in frames.WORD.iter_unpack(payload[:8]))
        last &= frames.MASK_31
        if last > self._last_stream:
            raise PeerError(Code.PROTOCOL_ERROR, "a GOAWAY that takes back what an earlier one said")
        self._last_stream = last
        debug = payload[8 : 8 + MAX_DEBUG_OCTETS].decode("utf-8", "backslashreplace")
        debug = "".join(letter if letter.isprintable() else "?" for letter in debug)
        self.leaving = f"GOAWAY: {frames.code_name(code)}" + (f": {debug}" if debug else "")
        self._sender.stop()
        self._streams.give_back_above(last)

    def _on_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        increment = _word(payload, "WINDOW_UPDATE") & frames.MASK_31
        if stream_id == 0:
            if not increment:
                raise PeerError(Code.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
            self._sender.grow_connection(increment)
        elif stream_id & 1 == 0 or stream_id >= self._sender.next_id:
            raise PeerError(
                Code.PROTOCOL_ERROR, f"WINDOW_UPDATE on stream {stream_id}, which was never opened"
            )
        elif increment:
            self._sender.grow_stream(stream_id, increment)
        elif stream_id in self._streams.open:
            self._sender.fail_stream(stream_id, Code.PROTOCOL_ERROR, "the peer raised a window by nothing")

    def _on_priority(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 5 or not stream_id:
            raise PeerError(Code.PROTOCOL_ERROR, "PRIORITY of a broken length, or of the connection")

    def _on_push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise PeerError(Code.PROTOCOL_ERROR, "PUSH_PROMISE, which we forbade")

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._window -= len(payload)
        if self._window < 0:
            raise PeerError(Code.FLOW_CONTROL_ERROR, "more octets than our window allows")
        if self._window < OUR_WINDOW // 2:
            self._sender.control += frames.window_update(0, OUR_WINDOW - self._window)
            self._window = OUR_WINDOW
        self._answers.on_data(flags, stream_id, payload)


def _word(payload: bytes, name: str) -> int:
    if len(payload) != 4:
        raise PeerError(Code.FRAME_SIZE_ERROR, f"{name} of a broken length")
    return int.from_bytes(payload, "big")


def _checked_window(octets: int) -> int:
    if octets > frames.LARGEST_WINDOW:
        raise PeerError(Code.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE of {octets}")
    return octets
