"""Answers: header blocks, bodies and resets of streams, read into results. Pure: no socket, no clock.

The receiver cuts frames and hands those of streams to this place. The trick is `settle_plain`: once the peer has
acknowledged that it may not use a dynamic table, a header block that begins with the octet 0x88 says ":status
200" whatever follows, so a plain success is told without decoding, copying or making anything. 201 has no
such octet; how this peer spells it is learnt from the first one, which is decoded as all other answers are.

What one peer can make us hold is fixed: one unfinished header block of `max_header_octets`, and per open stream
one header list of that length and a body of `max_answer_octets`. Nothing is remembered of streams that are over.
A plain success whose body nobody wants is taken at its status; every other answer is held to its content-length.
"""

from typing import Final

from clarion.http2.errors import PeerError
from clarion.http2.exchanges import Exchange, Lot, Streams
from clarion.http2.frames import END_HEADERS, END_STREAM, HAS_PRIORITY, PADDED, Code, code_name
from clarion.http2.headers import BlockReader, Fields, are_plain, content_length, read_status
from clarion.http2.limits import Limits
from clarion.http2.patience import Patience
from clarion.http2.results import CREATED, OK, Answer, Unknown
from clarion.http2.sending import Sender

WHOLE_ANSWER: Final = END_STREAM | END_HEADERS
PLAIN: Final = {200: OK, 201: CREATED}
STATUS_200: Final = (b"\x88", b"\x20\x88")
WRONG_LENGTH: Final = "an answer whose body is not as long as its content-length says"
STATUS_LITERALS: Final = frozenset(kind | index for kind in (0x00, 0x10, 0x40) for index in range(8, 15))
MAX_BLOCK_PIECES: Final = 64
WITHOUT_BODY: Final = frozenset({204, 304})


class AnswerReader:
    """Follows every open stream to its end."""

    def __init__(self, streams: Streams, sender: Sender, patience: Patience, limits: Limits) -> None:
        self._streams = streams
        self._sender = sender
        self._patience = patience
        self._limits = limits
        self._fields = BlockReader(limits.max_header_octets)
        self._block: _Block | None = None
        self._stateless = False
        self._starts_200: tuple[bytes, ...] = ()
        self._starts_201: tuple[bytes, ...] = ()

    @property
    def amid_block(self) -> bool:
        """Whether the next frame must be a CONTINUATION."""
        return self._block is not None

    def become_stateless(self) -> None:
        """The peer has acknowledged that it may not use a dynamic table."""
        self._fields.become_stateless()
        self._stateless = True
        self._starts_200 = STATUS_200

    def settle_plain(self, octets: bytearray, start: int, stop: int, stream_id: int, flags: int) -> bool:
        """Take a frame of HEADERS if it is all of a plain success, or all but a body that nobody wants."""
        lot = self._streams.open.get(stream_id)
        if lot is None or not lot.plain or flags | END_STREAM != WHOLE_ANSWER or self._block is not None:
            return False
        if octets.startswith(self._starts_200, start, stop):
            answer = OK
        elif octets.startswith(self._starts_201, start, stop):
            answer = CREATED
        else:
            return False
        if flags & END_STREAM:
            del self._streams.open[stream_id]
            lot.burst.settle((stream_id >> 1) - lot.shift, answer)
        else:
            self._streams.open[stream_id] = lot.halfway(answer)
        return True

    def settle_halfway(self, stream_id: int) -> bool:
        """Take an empty DATA that ends a stream, if all else of a plain success was there."""
        lot = self._streams.open.get(stream_id)
        if lot is None or lot.answer is None or isinstance(lot, Exchange) or self._block is not None:
            return False
        del self._streams.open[stream_id]
        lot.burst.settle((stream_id >> 1) - lot.shift, lot.answer)
        return True

    def on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Begin the header block of an answer, of its trailers, or of a 1xx."""
        piece = _unpadded(flags, payload)
        if flags & HAS_PRIORITY:
            if len(piece) < 5:
                raise PeerError(Code.FRAME_SIZE_ERROR, "HEADERS without room for its priority")
            piece = piece[5:]
        block = _Block(stream_id, bool(flags & END_STREAM))
        self._on_block_piece(block, flags, piece)

    def on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Go on with a header block."""
        if self._block is None or self._block.stream_id != stream_id:
            raise PeerError(Code.PROTOCOL_ERROR, "CONTINUATION of nothing")
        self._on_block_piece(self._block, flags, payload)

    def _on_block_piece(self, block: "_Block", flags: int, piece: bytes) -> None:
        block.pieces += 1
        if len(block.octets) + len(piece) > self._limits.max_header_octets or block.pieces > MAX_BLOCK_PIECES:
            raise PeerError(Code.ENHANCE_YOUR_CALM, "a header block beyond our limit")
        block.octets += piece
        if flags & END_HEADERS:
            self._block = None
            self._on_block(block.stream_id, bytes(block.octets), ended=block.ends_stream)
        else:
            self._block = block

    def _on_block(self, stream_id: int, block: bytes, *, ended: bool) -> None:
        lot = self._streams.open.get(stream_id)
        if lot is not None and lot.plain and block.startswith(self._starts_200):
            self._on_plain_success(stream_id, lot, OK, ended=ended)
            return
        if lot is None and self._stateless:
            return
        fields = self._fields.read(block)
        if lot is None:
            self._patience.spend(len(fields))
            return
        if lot.has_begun:
            self._on_trailers(stream_id, lot, fields, ended=ended)
            return
        status = read_status(fields)
        if status is None or status == 101 or (status < 200 and ended):
            self._sender.fail_stream(stream_id, Code.PROTOCOL_ERROR, "malformed answer")
        elif status in PLAIN and not lot.burst.template.keep_success:
            self._learn_created(status, block)
            self._on_plain_success(stream_id, lot, PLAIN[status], ended=ended)
        elif status >= 200:
            exchange = self._streams.own(stream_id, lot)
            exchange.status, exchange.fields = status, fields[1:]
            if ended:
                self._finish(stream_id, exchange)
        else:
            # There may be any number of these.
            self._patience.spend(len(fields))

    def _learn_created(self, status: int, block: bytes) -> None:
        """Remember how this peer spells 201, which has no octet of its own as 200 has."""
        block = block.removeprefix(b"\x20")
        if status == 201 and self._stateless and block[0] in STATUS_LITERALS:
            start = block[: 2 + (block[1] & 0x7F)]
            self._starts_201 = (start, b"\x20" + start)

    def _on_plain_success(self, stream_id: int, lot: Lot, answer: Answer, *, ended: bool) -> None:
        if isinstance(lot, Exchange):
            lot.status, lot.answer = answer.status, answer
            if ended:
                self._finish(stream_id, lot)
        elif ended:
            self._streams.settle(stream_id, answer)
        else:
            self._streams.open[stream_id] = lot.halfway(answer)

    def _on_trailers(self, stream_id: int, lot: Lot, fields: Fields, *, ended: bool) -> None:
        if not ended or not are_plain(fields):
            self._sender.fail_stream(stream_id, Code.PROTOCOL_ERROR, "malformed trailers")
        else:
            self._finish(stream_id, self._streams.own(stream_id, lot))

    def on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Follow the body of an answer, which is kept up to a limit, or ended unread."""
        data = _unpadded(flags, payload)
        lot = self._streams.open.get(stream_id)
        if lot is None:
            return
        if lot.answer and flags & END_STREAM and not isinstance(lot, Exchange):
            self._streams.settle(stream_id, lot.answer)
            return
        exchange = self._streams.own(stream_id, lot)
        if not exchange.status:
            self._sender.fail_stream(stream_id, Code.PROTOCOL_ERROR, "an answer's body before its status")
            return
        exchange.received += len(data)
        limit = self._limits.max_answer_octets
        if exchange.answer is None:
            exchange.body += data
            del exchange.body[limit:]
        if flags & END_STREAM:
            self._finish(stream_id, exchange)
        elif exchange.received > limit:
            self._cut(stream_id, exchange)

    def _cut(self, stream_id: int, exchange: Exchange) -> None:
        """Settle a stream with as much of its answer as we keep."""
        if _is_as_said(exchange, whole=False):
            self._sender.reset(stream_id, Code.CANCEL)
            self._streams.settle(stream_id, exchange.as_answer())
        else:
            self._sender.fail_stream(stream_id, Code.PROTOCOL_ERROR, WRONG_LENGTH)

    def _finish(self, stream_id: int, exchange: Exchange) -> None:
        """Settle a stream whose answer is complete; what is left of its request need not be sent."""
        if not _is_as_said(exchange, whole=True):
            self._sender.fail_stream(stream_id, Code.PROTOCOL_ERROR, WRONG_LENGTH)
            return
        if exchange.unsent:
            self._sender.reset(stream_id, Code.NO_ERROR)
        self._streams.settle(stream_id, exchange.as_answer())

    def on_rst_stream(self, _flags: int, stream_id: int, payload: bytes) -> None:
        """End a stream that the peer gave up."""
        if len(payload) != 4:
            raise PeerError(Code.FRAME_SIZE_ERROR, "RST_STREAM of a broken length")
        code = int.from_bytes(payload, "big")
        lot = self._streams.open.get(stream_id)
        if lot is None:
            return
        if code == Code.REFUSED_STREAM and not lot.has_begun:
            self._streams.give_back_refused(stream_id, "refused: REFUSED_STREAM")
        else:
            self._streams.settle(stream_id, Unknown(f"reset by the peer: {code_name(code)}"))


class _Block:
    """A header block that spans several frames."""

    __slots__ = ("ends_stream", "octets", "pieces", "stream_id")

    def __init__(self, stream_id: int, ends_stream: bool) -> None:
        self.stream_id = stream_id
        self.ends_stream = ends_stream
        self.octets = bytearray()
        self.pieces = 0


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise PeerError(Code.PROTOCOL_ERROR, "more padding than payload")
    return payload[1 : len(payload) - payload[0]]


def _is_as_said(exchange: Exchange, *, whole: bool) -> bool:
    """Whether a body, whole or as far as it came, agrees with its content-length (RFC 9113 §8.1.1)."""
    if exchange.answer:
        return True
    if exchange.burst.template.asks_for_head or exchange.status in WITHOUT_BODY:
        return not exchange.received
    said = content_length(exchange.fields)
    return said is None or (said == exchange.received if whole else said >= exchange.received)
