"""Ids for the outside that sort by time (UUIDv7, RFC 9562 §5.7).

Notifications that are stored together get neighbouring places in the index, so a batch touches a few of its
pages instead of one per notification; with random ids that was half of what a commit wrote.
"""

from collections.abc import Callable
from typing import Final
from uuid import UUID

_VERSION_AND_VARIANT: Final = 0x7 << 76 | 0b10 << 62
_RANDOM_BITS: Final = (1 << 80) - 1 & ~(0xF << 76 | 0b11 << 62)


def time_ordered_uuid(now: int, random_octets: Callable[[int], bytes]) -> UUID:
    """A UUID of this millisecond, with 74 random bits."""
    random_bits = int.from_bytes(random_octets(10)) & _RANDOM_BITS
    return UUID(int=now << 80 | _VERSION_AND_VARIANT | random_bits)
