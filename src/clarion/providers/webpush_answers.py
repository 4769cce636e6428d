"""What push services answer: each status and reason, for Clarion and for an administrator. Pure.

Called by `webpush_service.py` for every answer that is no plain success. Every vendor tells reasons in its own
way: Apple as `reason` and Mozilla as `errno` in JSON, Google in a sentence, Microsoft in headers. Reasons and
statuses are those of RFC 8030, Apple's "Sending web push notifications in web apps and browsers", Mozilla's
autopush documentation, and what was seen from Google's and Microsoft's services.
"""

import json
import re
from dataclasses import replace
from typing import Any, Final

from clarion.http2 import Answer
from clarion.model.outcome import ACCEPTED, Gone, Misconfigured, Outcome, Refused, Unavailable
from clarion.providers.meaning import Answers, Meaning, doubt, this_device_later
from clarion.providers.retry_after import read_retry_after

FORBIDDEN_ENDPOINT: Final = "endpoint not allowed"
NO_WITHDRAWALS: Final = "no withdrawals"
OTHER_KEY: Final = "VAPID public key mismatch"
_GOOGLES_OTHER_KEY: Final = "do not correspond to the credentials used to create the subscriptions"
_GOOGLES_OTHER_SENDER: Final = "does not correspond to the sender ID"
_GOOGLES_INVALID: Final = "invalid JWT provided"
_GOOGLES_MISSING: Final = "authorization header must be specified"
_WNS_CONFLICT: Final = "Ttl value conflicts with X-WNS-Cache-Policy."

_OUR_FAULT: Final = "Clarion should not have sent this: please report it as a fault of Clarion."
_SUBSCRIBED_OTHERWISE: Final = (
    "The browser subscribed with another key than this channel's. The app must subscribe anew with this "
    "channel's public key."
)
_NOT_PROVEN: Final = (
    "The push service does not take our proof of identity. Check that the channel's subject is a real mail address "
    "or URL (Apple refuses localhost), and the clock of this machine."
)
_SUBSCRIPTION_ENDED: Final = (
    "The subscription has ended: the browser dropped it, or the person withdrew permission."
)
_TOO_LARGE: Final = "The message is larger than the push service takes."
_AWAY: Final = "The push service is away. It will be tried again."
_FAULT: Final = "The push service has a fault. It will be tried again."
_SLOW_DOWN: Final = "The push service asks to slow down. It will be tried again when it said."
_MOVED: Final = (
    "The push service points elsewhere; Clarion never follows, lest it be led into a private network."
)
_SUCCESS: Final = "The push service took it. That is no proof that the device showed it."


def _accepted(_: str) -> Outcome:
    return ACCEPTED


ANSWERS: Final[Answers] = {
    (200, ""): Meaning(_accepted, _SUCCESS),
    (201, ""): Meaning(_accepted, _SUCCESS),
    (202, ""): Meaning(_accepted, _SUCCESS),
    # Never asked.
    (0, FORBIDDEN_ENDPOINT): Meaning(
        Refused,
        "The endpoint's host leads to an address that is not public. If it is a service of your own, name it in "
        "the setting for trusted hosts.",
    ),
    (0, NO_WITHDRAWALS): Meaning(
        Refused, "Browsers end subscriptions that get silent messages, so nothing is withdrawn over Web Push."
    ),
    # The subscription belongs to another key: this device's business, unless it is all of them.
    (400, "VapidPkHashMismatch"): Meaning(doubt, _SUBSCRIBED_OTHERWISE),
    (400, "UnauthorizedRegistration"): Meaning(doubt, _SUBSCRIBED_OTHERWISE),
    (401, OTHER_KEY): Meaning(doubt, _SUBSCRIBED_OTHERWISE),
    (403, _GOOGLES_OTHER_KEY): Meaning(doubt, _SUBSCRIBED_OTHERWISE),
    (403, _GOOGLES_OTHER_SENDER): Meaning(doubt, _SUBSCRIBED_OTHERWISE),
    # The token, or the subscription's key: nobody says which.
    (401, ""): Meaning(doubt, f"{_NOT_PROVEN} Or: {_SUBSCRIBED_OTHERWISE}"),
    (403, ""): Meaning(doubt, f"{_NOT_PROVEN} Or: {_SUBSCRIBED_OTHERWISE}"),
    (401, "errno 109"): Meaning(doubt, f"{_NOT_PROVEN} Or: {_SUBSCRIBED_OTHERWISE}"),
    # The token: so it is for all devices of this service.
    (403, "BadJwtToken"): Meaning(Misconfigured, _NOT_PROVEN),
    (403, "BadAuthorizationHeader"): Meaning(Misconfigured, _NOT_PROVEN),
    (403, "BadVapidPublicKey"): Meaning(Misconfigured, _NOT_PROVEN),
    (403, _GOOGLES_INVALID): Meaning(Misconfigured, _NOT_PROVEN),
    (401, _GOOGLES_MISSING): Meaning(Misconfigured, _NOT_PROVEN),
    # This message is malformed: our fault or the sender's, never the device's.
    (400, ""): Meaning(Refused, f"The push service finds the request malformed. {_OUR_FAULT}"),
    (400, "BadTtl"): Meaning(Refused, f"The time to live is malformed. {_OUR_FAULT}"),
    (400, "BadUrgency"): Meaning(Refused, f"The urgency is malformed. {_OUR_FAULT}"),
    (400, "BadWebPushTopic"): Meaning(Refused, f"The topic is malformed. {_OUR_FAULT}"),
    (400, "BadWebPushRequest"): Meaning(Refused, f"Apple finds the request malformed. {_OUR_FAULT}"),
    (400, "errno 101"): Meaning(Refused, f"The encryption's headers are missing. {_OUR_FAULT}"),
    (400, "errno 108"): Meaning(doubt, "Mozilla cannot read the endpoint: it was damaged on its way here."),
    (400, "errno 110"): Meaning(Refused, f"The encryption's headers are malformed. {_OUR_FAULT}"),
    (400, "errno 111"): Meaning(Refused, f"A header is missing. {_OUR_FAULT}"),
    (400, "errno 112"): Meaning(Refused, f"The time to live is malformed. {_OUR_FAULT}"),
    (400, "errno 113"): Meaning(Refused, f"The topic is malformed. {_OUR_FAULT}"),
    (400, "errno 114"): Meaning(Refused, f"The time to live is malformed. {_OUR_FAULT}"),
    (400, _WNS_CONFLICT): Meaning(Refused, f"The time to live contradicts the cache policy. {_OUR_FAULT}"),
    (405, ""): Meaning(Refused, "The endpoint does not take messages: it is no push service's."),
    (413, ""): Meaning(Refused, _TOO_LARGE),
    (413, "PayloadTooLarge"): Meaning(Refused, _TOO_LARGE),
    (413, "errno 104"): Meaning(Refused, _TOO_LARGE),
    (301, ""): Meaning(Refused, _MOVED),
    (302, ""): Meaning(Refused, _MOVED),
    (303, ""): Meaning(Refused, _MOVED),
    (307, ""): Meaning(Refused, _MOVED),
    (308, ""): Meaning(Refused, _MOVED),
    # The service is away or wants fewer: nothing was wrong with the push.
    (400, "IdleTimeout"): Meaning(
        this_device_later, "The connection was idle for too long; another one is opened."
    ),
    (406, ""): Meaning(this_device_later, _SLOW_DOWN),
    (406, "appthrottled"): Meaning(this_device_later, _SLOW_DOWN),
    (406, "channelthrottled"): Meaning(this_device_later, _SLOW_DOWN),
    (429, ""): Meaning(this_device_later, _SLOW_DOWN),
    (429, "TooManyRequests"): Meaning(this_device_later, _SLOW_DOWN),
    (429, "errno 201"): Meaning(this_device_later, _SLOW_DOWN),
    (500, ""): Meaning(this_device_later, _FAULT),
    (500, "InternalServerError"): Meaning(this_device_later, _FAULT),
    (500, "errno 999"): Meaning(this_device_later, _FAULT),
    (502, ""): Meaning(this_device_later, _AWAY),
    (502, "errno 900"): Meaning(this_device_later, _FAULT),
    (502, "errno 901"): Meaning(this_device_later, _FAULT),
    (502, "errno 902"): Meaning(this_device_later, _AWAY),
    (502, "errno 903"): Meaning(this_device_later, _AWAY),
    (503, ""): Meaning(this_device_later, _AWAY),
    (503, "ServiceUnavailable"): Meaning(this_device_later, _AWAY),
    (503, "Shutdown"): Meaning(this_device_later, _AWAY),
    (503, "errno 201"): Meaning(this_device_later, _AWAY),
    (503, "errno 202"): Meaning(this_device_later, _AWAY),
    (504, ""): Meaning(this_device_later, _AWAY),
    # The subscription is over.
    (404, ""): Meaning(Gone, _SUBSCRIPTION_ENDED),
    (404, "NotRegistered"): Meaning(Gone, _SUBSCRIPTION_ENDED),
    (404, "errno 102"): Meaning(Gone, _SUBSCRIPTION_ENDED),
    (410, ""): Meaning(Gone, _SUBSCRIPTION_ENDED),
    (410, "NotRegistered"): Meaning(Gone, _SUBSCRIPTION_ENDED),
    (410, "errno 103"): Meaning(Gone, _SUBSCRIPTION_ENDED),
    (410, "errno 105"): Meaning(Gone, _SUBSCRIPTION_ENDED),
    (410, "errno 106"): Meaning(Gone, _SUBSCRIPTION_ENDED),
}
"""What every known answer means. An empty reason is the status alone; status 0 is what no service was asked."""

BLAMES_TOKEN: Final = frozenset(
    {"status 401", "status 403", "errno 109", "BadJwtToken", "BadAuthorizationHeader", "BadVapidPublicKey",
     _GOOGLES_INVALID, _GOOGLES_MISSING}
)  # fmt: skip
"""Reasons after which a new token is worth one try."""

MOST_WAIT_SECONDS: Final = 7 * 24 * 3600.0

_SENTENCES: Final = (
    _GOOGLES_OTHER_KEY, _GOOGLES_OTHER_SENDER, _GOOGLES_INVALID, _GOOGLES_MISSING,
    "UnauthorizedRegistration", "NotRegistered",
)  # fmt: skip
"""What Google's answers are recognised by, in text or HTML."""

_REASON: Final = re.compile(r"[A-Za-z0-9]{1,64}")
_WNS_REASON: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,'_-]{0,99}")
_WNS_HEADERS: Final = (b"x-wns-error-description", b"x-wns-status")


def read_answer(answer: Answer, now: int) -> Outcome:
    """What an answer means; `now` is when its request was sent, in milliseconds: a device that registered later stays.

    A reason that is not in the table leaves what its status means. An unknown status is Unavailable from 500
    on, and else Refused: it fails the push and never the device.
    """
    reason = _reason(answer)
    known = _row(answer.status, reason) or ANSWERS.get((answer.status, ""))
    outcome = known.read(reason) if known else _unlisted(answer.status, reason)
    match outcome:
        case Gone():
            return Gone(reason, now)
        case Unavailable():
            return replace(outcome, retry_after_seconds=read_retry_after(answer, now, MOST_WAIT_SECONDS))
    return outcome


def _row(status: int, reason: str) -> Meaning | None:
    """A row by its reason. One that refuses the credential means the same whatever 4xx the service prefers."""
    alike = (status, 400, 401, 403) if status in (400, 401, 403) else (status,)
    return next((ANSWERS[each, reason] for each in alike if reason and (each, reason) in ANSWERS), None)


def _unlisted(status: int, reason: str) -> Outcome:
    return this_device_later(reason) if status >= 500 else Refused(reason)


def _reason(answer: Answer) -> str:
    details = _read_json(answer.body)
    said, number = details.get("reason"), details.get("errno")
    if isinstance(said, str) and _REASON.fullmatch(said):
        return said
    if type(number) is int and 0 < number < 1000:
        return OTHER_KEY if number == 109 and details.get("message") == OTHER_KEY else f"errno {number}"
    text = answer.body[:4096].decode("utf-8", "replace")
    if found := next((sentence for sentence in _SENTENCES if sentence in text), None):
        return found
    headers = dict(answer.headers)
    for name in _WNS_HEADERS:
        value = headers.get(name, b"").decode("ascii", "replace")
        if _WNS_REASON.fullmatch(value):
            return value
    return f"status {answer.status}"


def _read_json(body: bytes) -> dict[str, Any]:
    if not body.startswith(b"{"):
        return {}
    try:
        details = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return details if isinstance(details, dict) else {}
