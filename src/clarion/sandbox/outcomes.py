"""Scripted outcomes: an address can ask for the answer that it gets.

Addresses at Google and of browsers are free text, so the wish is a word at their end, `…-unregistered`, from
the tables in `fcm_outcomes.py` and `webpush_outcomes.py`; with `-once` behind it only at the first attempt.
Device tokens of Apple are hex, so their wish is spelt in hex at the end of the token: `dead`, then four digits.
The first digit says when: 0 at every push, 1 only at the first attempt (the same token and `apns-id` again
succeeds). The other three say what, by the table below: `…dead0410` is always gone, `…dead1503` answers 503
to each notification once.
A wish is granted only to a push that is otherwise right: validation comes first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
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
    CUT = auto()


@dataclass(frozen=True, slots=True)
class Gone:
    """410 of Apple, `age_ms` after the device token became invalid."""

    reason: str
    age_ms: int = 0

    def at(self, now: float) -> Refused:
        """Return the refusal at a moment (epoch seconds)."""
        return Refused(410, self.reason, gone_since_ms=int(now * 1000) - self.age_ms)


@dataclass(frozen=True, slots=True)
class Later:
    """A refusal that says when to come back: in seconds, or as an HTTP date (RFC 9110 §10.2.3)."""

    refused: Refused
    seconds: int
    as_date: bool = False

    def at(self, now: float) -> Refused:
        """Return the refusal at a moment (epoch seconds)."""
        when = formatdate(now + self.seconds, usegmt=True) if self.as_date else str(self.seconds)
        return replace(self.refused, headers=(*self.refused.headers, ("retry-after", when)))


Outcome = Refused | Gone | Later | Mishap

# How an address that is free text spells a mishap.
SPELT_MISHAPS: dict[str, Outcome] = {one.name.lower().replace("_", "-"): one for one in Mishap}


@dataclass(frozen=True, slots=True)
class Wish:
    """What an address asks for, and whether only at the first attempt."""

    outcome: Outcome
    only_first: bool


def spelt_wish(address: str, table: Mapping[str, Outcome]) -> Wish | None:
    """Return what an address that is free text asks for; None for an ordinary one."""
    plain = address.removesuffix("-once")
    words = plain.split("-")
    # The longest word wins: `…-503-date` is not `…-date`.
    endings = ("-".join(words[start:]) for start in range(1, len(words)))
    found = next((table[ending] for ending in endings if ending in table), None)
    return Wish(found, only_first=plain != address) if found else None


# Everything that a token of Apple can ask for. Tests and the guide to the sandbox refer to this table.
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
    622: Mishap.CUT,  # the same, but only the stand-in's side ends, without TLS's farewell
}

_WISH = re.compile(r"dead([01])(\d{3})\Z")


def wish_of(token: str) -> Wish | None:
    """Return what a token of Apple in lower case asks for; None for an ordinary one or a number not in the table."""
    found = _WISH.search(token)
    if not found or int(found[2]) not in TABLE:
        return None
    return Wish(TABLE[int(found[2])], only_first=found[1] == "1")
