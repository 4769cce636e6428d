"""What a provider said about one push, filed by who is to blame (design §5).

A provider turns every answer into one of these values; `service/push.py` alone decides what follows.
Outcomes are values, not exceptions: a refusal is news about a device or a message, not a failure to ask.
"""

from dataclasses import dataclass
from typing import Final

MOST_REASON_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Accepted:
    """The push service took it. No proof of display."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The device unregistered at `since` (milliseconds): retire it unless it registered again later."""

    reason: str
    since: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """This push will never be taken. `doubts_device`: perhaps the address is wrong rather than the message."""

    reason: str
    doubts_device: bool = False


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """The credential or the channel's settings are wrong: nothing on this channel can succeed until they change."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The service or the network cannot take it now, and surely did not.

    `retry_after_seconds` is the least wait: what the service asked for, or what its rules demand. A retry comes
    no earlier, later when its own back-off has grown beyond it, and with jitter on top. `whole_service` says
    that nothing on the channel can be taken: when half of the answers say so, the channel rests. Without it
    only this device waits: a limit per device, or one origin among several.
    """

    reason: str
    retry_after_seconds: float | None = None
    whole_service: bool = True


@dataclass(frozen=True, slots=True)
class Unknown:
    """It was sent and no answer came: it may or may not have arrived."""

    reason: str


Outcome = Accepted | Gone | Refused | Misconfigured | Unavailable | Unknown

ACCEPTED = Accepted()
"""The one instance that a burst of a million successes shares."""


def told(reason: str) -> str:
    """A push service's own words as they may be kept and shown: bounded, and nothing but printable characters."""
    bounded = reason[:MOST_REASON_CHARACTERS]
    return bounded if bounded.isprintable() else "".join(c if c.isprintable() else "?" for c in bounded)
