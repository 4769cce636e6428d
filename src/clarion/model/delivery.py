"""One notification at one device: its id, its states, and how long a retry waits."""

from enum import IntEnum, StrEnum
from typing import Final
from uuid import UUID


class PushKind(IntEnum):
    """What a push does on the device; part of its id."""

    ALERT = 0
    WITHDRAWAL = 1


NEVER_WITHDRAW: Final = frozenset({"webpush"})
"""Providers that get no withdrawals: a browser ends a subscription that brings silent messages."""


class DeliveryState(StrEnum):
    """How a delivery deviates. Success has no row: it is the default, and is only counted."""

    RETRY = "retry"  # surely did not arrive; due again
    UNKNOWN = "unknown"  # may have arrived; due again under the same id
    REFUSED = "refused"  # the push service will never take it
    GONE = "gone"  # the device unregistered
    EXPIRED = "expired"  # its time to live ran out first
    SUPERSEDED = "superseded"  # a newer notification with the same collapse key was released


OPEN_STATES = (DeliveryState.RETRY, DeliveryState.UNKNOWN)
"""The states that are due again; all others are final."""

_NOTIFICATION_BITS = 56
_DEVICE_BITS = 56


def pack_push_id(notification: int, device: int, kind: PushKind) -> str:
    """The id under which a push is offered at every try: a UUIDv8 (RFC 9562 §5.8) that can be read back.

    Devices are numbered across organizations, so (notification, device) is unique although notifications
    are numbered within theirs.
    """
    value = (notification << _DEVICE_BITS | device) << 2 | kind
    high, rest = value >> 74, value & ((1 << 74) - 1)
    middle, low = rest >> 62, rest & ((1 << 62) - 1)
    digits = f"{high << 80 | 0x8 << 76 | middle << 64 | 0b10 << 62 | low:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def unpack_push_id(push_id: UUID) -> tuple[int, int, PushKind]:
    """Read (notification, device, kind) back; raises ValueError for an id that is not one of ours."""
    if push_id.version != 8:
        raise ValueError(f"{push_id} is not a push id of Clarion")
    number = push_id.int
    value = (number >> 80) << 74 | (number >> 64 & 0xFFF) << 62 | number & ((1 << 62) - 1)
    notification, device = value >> 2 >> _DEVICE_BITS, value >> 2 & ((1 << _DEVICE_BITS) - 1)
    if notification >> _NOTIFICATION_BITS:
        raise ValueError(f"{push_id} is not a push id of Clarion")
    return notification, device, PushKind(value & 3)


def backoff_ms(attempts: int, random: float, *, first_ms: int = 5_000, most_ms: int = 900_000) -> int:
    """How long to wait after `attempts` tries: exponential, with jitter between half and the whole."""
    whole = min(first_ms * 2 ** min(attempts - 1, 20), most_ms)
    return int(whole * (0.5 + random / 2))
