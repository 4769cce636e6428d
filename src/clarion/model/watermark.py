"""Watermarks: how far a device has seen the changes of one member's inbox, as opaque text.

Handed out with every page of an inbox and handed back as `syncToken`, `upTo` or `Last-Event-ID`. The text is bound to
the member and to the organization's epoch. It is no secret and not signed: who makes one up only harms themselves.
Its checksum tells text that was cut or mistyped from a watermark that cannot serve any more.
"""

import base64
import binascii
import struct
import zlib
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

LIFETIME_MS: Final = 30 * 86_400_000
"""A client that did not ask for so long forgets everything and lists anew."""

KEEP_MS: Final = 86_400_000
"""A younger watermark that still says where its device is stays as it is."""

SKEW_MS: Final = 300_000
"""How far the clocks of two nodes may differ."""

NO_WATERMARK: Final = "is not a watermark of this service, or not a whole one"

_VERSION: Final = 1
_FIELDS: Final = struct.Struct(">B6Q")
_CHECKSUM: Final = struct.Struct(">I")
_LARGEST: Final = (1 << 63) - 1


class Filter(Enum):
    """Which entries a list shows; deleted ones never."""

    USUAL = 0  # all but the dismissed ones
    UNREAD = 1
    ALL = 2


@dataclass(frozen=True, slots=True)
class Watermark:
    """What a device of one member has seen.

    seq: the organization's last release or recall. state_seq: the member's last change of a single entry.
    read_through_seq: the member's last "mark all read". made_at: when this was told.
    """

    epoch: int
    member_id: int
    seq: int
    state_seq: int
    read_through_seq: int
    made_at: int

    def is_within(self, now: "Watermark") -> bool:
        """Whether changes since then can be told, `now` being the member's present one."""
        return (
            self.epoch == now.epoch
            and self.seq <= now.seq
            and self.state_seq <= now.state_seq
            and self.read_through_seq <= now.read_through_seq
            and now.made_at - LIFETIME_MS <= self.made_at <= now.made_at + SKEW_MS
        )

    def is_level_with(self, now: "Watermark") -> bool:
        """Whether nothing at all has changed in the organization or for the member."""
        return self == replace(now, made_at=self.made_at)

    def at(self, now: int) -> "Watermark":
        """The same place, told now; a young one stays as it is, so that its text can be compared."""
        return self if 0 <= now - self.made_at < KEEP_MS else replace(self, made_at=now)


@dataclass(frozen=True, slots=True)
class Walk:
    """Where the next page of a list starts: below release number `before`.

    The watermark is that of the walk's first page, so nothing that happens during the walk is lost.
    """

    watermark: Watermark
    before: int
    filter: Filter


def encode_watermark(watermark: Watermark) -> str:
    """Make the text that a client hands back."""
    return _seal(_pack(watermark))


def decode_watermark(text: str) -> Watermark:
    """Read a watermark back; raises ValueError for anything that `encode_watermark` did not make."""
    octets = _open(text)
    if octets is None or len(octets) != _FIELDS.size:
        raise ValueError(NO_WATERMARK)
    return _unpack(octets)


def encode_continuation(place: Watermark | Walk) -> str:
    """Make a continuation token: of a list, or of changes that did not fit into one page."""
    if isinstance(place, Watermark):
        return _seal(b"c" + _pack(place))
    return _seal(b"l" + struct.pack(">BQ", place.filter.value, place.before) + _pack(place.watermark))


def decode_continuation(text: str) -> Watermark | Walk:
    """Read a continuation token back; raises ValueError for anything that `encode_continuation` did not make."""
    octets = _open(text) or b""
    kind, rest = octets[:1], octets[1:]
    if kind == b"c" and len(rest) == _FIELDS.size:
        return _unpack(rest)
    if kind == b"l" and len(rest) == 9 + _FIELDS.size:
        mode, before = struct.unpack(">BQ", rest[:9])
        if before <= _LARGEST and mode < len(Filter):
            return Walk(_unpack(rest[9:]), before, Filter(mode))
    raise ValueError("is not a continuation token of this inbox")


def _pack(watermark: Watermark) -> bytes:
    return _FIELDS.pack(
        _VERSION,
        watermark.epoch,
        watermark.member_id,
        watermark.seq,
        watermark.state_seq,
        watermark.read_through_seq,
        watermark.made_at,
    )


def _unpack(octets: bytes) -> Watermark:
    version, *numbers = _FIELDS.unpack(octets)
    if version != _VERSION or max(numbers) > _LARGEST:
        raise ValueError(NO_WATERMARK)
    return Watermark(*numbers)


def _seal(octets: bytes) -> str:
    sealed = octets + _CHECKSUM.pack(zlib.crc32(octets))
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def _open(text: str) -> bytes | None:
    """What was sealed; None for other text, and for a second spelling of the same octets."""
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    octets = sealed[: -_CHECKSUM.size]
    return octets if _seal(octets) == text else None
