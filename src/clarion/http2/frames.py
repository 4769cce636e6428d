"""Frames as octets (RFC 9113 §4, §6): their numbers, and builders for those a client sends. No state.

A frame's head is nine octets: length (24 bits), type (8), flags (8), stream id (32, first bit reserved). Read
as one 32-bit word, length and type come out of a single `struct` call: `word >> 8` and `word & 0xFF`.
"""

import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import Final

HEAD: Final = struct.Struct(">IBI")
HEAD_OCTETS: Final = 9
WORD: Final = struct.Struct(">I")
SETTING: Final = struct.Struct(">HI")
MASK_31: Final = 0x7FFF_FFFF

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20

HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DEFAULT_WINDOW: Final = 65_535
DEFAULT_TABLE: Final = 4096
DEFAULT_FRAME: Final = 16_384
LARGEST_FRAME: Final = 0xFF_FFFF
LARGEST_WINDOW: Final = MASK_31
LARGEST_STREAM_ID: Final = MASK_31


class Code(IntEnum):
    """Why a stream or a connection ended (RFC 9113 §7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


def code_name(code: int) -> str:
    """Name an error code; codes nobody knows print as numbers."""
    try:
        return Code(code).name
    except ValueError:
        return f"code {code:#x}"


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Build any frame."""
    return HEAD.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def settings(values: Mapping[int, int]) -> bytes:
    """Build a SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(SETTING.pack(key, value) for key, value in values.items()))


def window_update(stream_id: int, increment: int) -> bytes:
    """Build a WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream_id, WORD.pack(increment))


def rst_stream(stream_id: int, code: int) -> bytes:
    """Build an RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream_id, WORD.pack(code))


def goaway(last_stream_id: int, code: int, debug: bytes = b"") -> bytes:
    """Build a GOAWAY frame."""
    return frame(GOAWAY, 0, 0, WORD.pack(last_stream_id) + WORD.pack(code) + debug)


def header_frames(stream_id: int, block: bytes, max_frame: int, *, end_stream: bool) -> bytes:
    """Build HEADERS, and as many CONTINUATION frames as the block needs."""
    kind, flags, built = HEADERS, END_STREAM if end_stream else 0, b""
    while len(block) > max_frame:
        built += frame(kind, flags, stream_id, block[:max_frame])
        kind, flags, block = CONTINUATION, 0, block[max_frame:]
    return built + frame(kind, flags | END_HEADERS, stream_id, block)
