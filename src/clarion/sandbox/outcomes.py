"""Scripted outcomes: a device token can ask for the answer that it gets.

Device tokens of Apple are hex, so the wish is spelt in hex at the end of the token: `dead`, then four digits.
The first digit says when: 0 at every push, 1 only at the first attempt (the same token and `apns-id` again
succeeds). The other three say what, by the table below: `…dead0410` is always gone, `…dead1503` answers 503
to each notification once.
A wish is granted only to a push that is otherwise right: validation comes first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from clarion.sandbox.push import Refused

YEAR_MS = 365 * 24 * 3600 * 1000
SLOW_SECONDS = 2.0


class Mishap(Enum):
    """What can happen on the wire instead of an answer, or before it."""

    SILENT = auto()
    SLOW = auto()
    REFUSED_STREAM = auto()
    CANCELLED_STREAM = auto()
    GOAWAY_UNPROCESSED = auto()
    GOAWAY_UNANSWERED = auto()
    GOAWAY_ANSWERED = auto()
    DROPPED = auto()
    DROPPED_AFTER_ACCEPTING = auto()


@dataclass(frozen=True, slots=True)
class Gone:
    """410, `age_ms` after the device token became invalid."""

    reason: str
    age_ms: int = 0


# Everything a token can ask for. Tests and the guide to the sandbox refer to this table.
TABLE: dict[int, Refused | Gone | Mishap] = {
    # The device is to blame.
    400: Refused(400, "BadDeviceToken"),
    401: Refused(400, "DeviceTokenNotForTopic"),
    410: Gone("Unregistered"),  # since now
    411: Gone("Unregistered", age_ms=YEAR_MS),  # since a year ago: has the app registered since?
    412: Gone("ExpiredToken"),
    # The credential or the set-up is to blame.
    402: Refused(400, "TopicDisallowed"),
    403: Refused(403, "InvalidProviderToken"),
    404: Refused(403, "ExpiredProviderToken"),
    405: Refused(403, "UnrelatedKeyIdInToken"),
    406: Refused(403, "BadEnvironmentKeyInToken"),  # as live servers spell it; Apple prints …KeyIdInToken
    # The message is to blame.
    413: Refused(413, "PayloadTooLarge"),
    # Too much, too soon.
    429: Refused(429, "TooManyRequests"),
    430: Refused(429, "TooManyProviderTokenUpdates"),
    # The service is to blame.
    500: Refused(500, "InternalServerError"),
    503: Refused(503, "ServiceUnavailable"),
    504: Refused(503, "Shutdown"),
    # Answers that nobody has documented: a client must not take an address away for them.
    499: Refused(400, "ReasonOfTomorrow"),
    599: Refused(599, "ReasonOfTomorrow"),
    # The wire.
    600: Mishap.SILENT,  # never answers; was not accepted
    602: Mishap.SLOW,  # accepts, answers after two seconds
    607: Mishap.REFUSED_STREAM,  # RST_STREAM, code 0x7: not processed
    608: Mishap.CANCELLED_STREAM,  # RST_STREAM, code 0x8: nobody knows (it was accepted)
    610: Mishap.GOAWAY_UNPROCESSED,  # GOAWAY, last stream id below this one: not processed
    611: Mishap.GOAWAY_UNANSWERED,  # GOAWAY naming this stream, then closed: nobody knows (it was accepted)
    612: Mishap.GOAWAY_ANSWERED,  # GOAWAY naming this stream, then its answer, then closed
    620: Mishap.DROPPED,  # connection lost before the push was accepted
    621: Mishap.DROPPED_AFTER_ACCEPTING,  # connection lost after: a retry must replace the banner
}

_WISH = re.compile(r"dead([01])(\d{3})\Z")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a token asks for, and whether only at the first attempt."""

    outcome: Refused | Gone | Mishap
    only_first: bool


def wish_of(token: str) -> Wish | None:
    """Return what a token in lower case asks for; None for an ordinary one or a number not in the table."""
    found = _WISH.search(token)
    if not found or int(found[2]) not in TABLE:
        return None
    return Wish(TABLE[int(found[2])], only_first=found[1] == "1")
