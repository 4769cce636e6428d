"""What servers really say: pieces of valid conversations, each about one stream. The fuzzer's seeds, and what is
mutated and mixed in tests."""

from collections.abc import Callable
from typing import Final

from clarion.http2 import frames as f
from clarion.http2 import literal
from clarion.http2.frames import Code

from .wire import STATUS_201, STATUS_400, STATUS_410, answer, answer_with

REASON: Final = b'{"reason":"BadDeviceToken"}'
PIECES: Final[list[Callable[[int], bytes]]] = [
    answer,
    lambda stream_id: answer(stream_id, b"\x20\x88" + literal(b"server", b"nginx")),
    lambda stream_id: answer(stream_id, STATUS_201),
    lambda stream_id: answer_with(stream_id, STATUS_410, REASON),
    lambda stream_id: answer_with(stream_id, STATUS_400 + literal(b"content-length", b"27"), REASON),
    lambda stream_id: answer_with(stream_id, b"\x88", b"{}"),
    lambda stream_id: (
        f.frame(f.HEADERS, f.END_STREAM, stream_id, b"")
        + f.frame(f.CONTINUATION, f.END_HEADERS, stream_id, STATUS_400)
    ),
    lambda stream_id: (
        f.frame(f.HEADERS, f.END_HEADERS | f.PADDED, stream_id, b"\x02" + STATUS_400 + bytes(2))
        + f.frame(f.DATA, f.END_STREAM | f.PADDED, stream_id, b"\x03" + REASON + bytes(3))
    ),
    lambda stream_id: (
        f.frame(f.HEADERS, f.END_HEADERS, stream_id, STATUS_400)
        + f.frame(f.DATA, 0, stream_id, REASON)
        + answer(stream_id, literal(b"grpc-status", b"0"))
    ),
    lambda stream_id: f.frame(f.HEADERS, f.END_HEADERS, stream_id, b"\x08\x03103") + answer(stream_id),
    lambda stream_id: f.rst_stream(stream_id, Code.REFUSED_STREAM),
    lambda stream_id: answer(stream_id) + f.rst_stream(stream_id, Code.NO_ERROR),
    lambda stream_id: f.frame(f.PING, 0, 0, b"--ping--") + answer(stream_id, STATUS_400),
    lambda stream_id: f.settings({f.MAX_CONCURRENT_STREAMS: 3}) + f.window_update(0, 9) + answer(stream_id),
    lambda stream_id: (
        f.settings({f.INITIAL_WINDOW_SIZE: 9}) + f.window_update(stream_id, 9) + answer(stream_id)
    ),
    lambda stream_id: f.goaway(f.LARGEST_STREAM_ID, Code.NO_ERROR, b"bye") + answer(stream_id),
]
