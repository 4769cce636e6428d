"""Google's answers: what each error of FCM and of the token endpoint means, for Clarion and for an administrator. Pure.

Called by `fcm.py` and `fcm_credential.py` for every answer that is no plain success. The table is complete for
the error codes that FCM documents (firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode), old spellings
included. `status` alone says too little: an address that is gone arrives as NOT_FOUND, as does much else.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from clarion.http2 import Answer
from clarion.model.outcome import ACCEPTED, Gone, Misconfigured, Outcome, Refused, Unavailable
from clarion.providers.meaning import Answers, Meaning, doubt, wait_at_least
from clarion.providers.retry_after import read_retry_after

LEAST_WAIT_SECONDS: Final = 10
"""After a fault of the service (firebase.google.com/docs/cloud-messaging/scale-fcm)."""

LEAST_QUOTA_WAIT_SECONDS: Final = 60
"""After too many messages; also where no Retry-After says so (the same page)."""

SET_UP_WAIT_SECONDS: Final = 300
"""Between tries of devices whose platform the Firebase project is not set up for: somebody must mend it first."""

MOST_WAIT_SECONDS: Final = 3_600
"""A longer Retry-After is cut: nobody asks for more, and it must not stop a channel for a year."""


def _this_device_after(seconds: float) -> Callable[[str], Outcome]:
    return lambda reason: Unavailable(reason, retry_after_seconds=seconds, whole_service=False)


_THIRD_PARTY: Final = Meaning(
    _this_device_after(SET_UP_WAIT_SECONDS),
    "Firebase could not prove itself to Apple, or to the browser's push service: the APNs key or the web push key in "
    "the Firebase project is missing, wrong or revoked (Project settings, Cloud Messaging). Only devices of that "
    "platform wait; Android is not held up.",
)
_BAD_ADDRESS: Final = Meaning(
    doubt, "The address was never one of FCM: a token that was cut off or mistyped, or of another service."
)
_QUOTA: Final = Meaning(
    wait_at_least(LEAST_QUOTA_WAIT_SECONDS),
    "The Firebase project sent more than its quota allows, 600,000 a minute unless Google raised it. Everything waits.",
)
_AWAY: Final = Meaning(
    wait_at_least(LEAST_WAIT_SECONDS), "Google's service is away or overloaded. It will be tried again."
)
_FAULT: Final = Meaning(
    wait_at_least(LEAST_WAIT_SECONDS), "Google's service has a fault. It will be tried again."
)

_FCM_CODES: Final[Answers] = {
    # The device is gone, or its address may be wrong.
    (404, "UNREGISTERED"): Meaning(
        Gone,
        "The app was removed, its registration expired after 270 days without use, or the app registered anew.",
    ),
    (403, "SENDER_ID_MISMATCH"): Meaning(
        doubt,
        "The device registered with another Firebase project. The channel needs the service account of the project "
        "whose google-services.json (or .plist) is in the app.",
    ),
    (400, "INVALID_ARGUMENT: message.token"): _BAD_ADDRESS,
    (400, "INVALID_ARGUMENT: message.fid"): _BAD_ADDRESS,
    # This message is malformed: our fault or the sender's, never the device's.
    (400, "INVALID_ARGUMENT"): Meaning(
        Refused,
        "FCM holds the message to be malformed or too large. It did not name the address, so the device stays. "
        "Please report it as a fault of Clarion.",
    ),
    (400, "UNSPECIFIED_ERROR"): Meaning(Refused, "FCM does not say what is wrong. The device stays."),
    # The Firebase project's own credentials: they concern one platform of it.
    (401, "THIRD_PARTY_AUTH_ERROR"): _THIRD_PARTY,
    (401, "APNS_AUTH_ERROR"): _THIRD_PARTY,  # its old spelling
    # The service, or too much of it.
    (429, "QUOTA_EXCEEDED"): _QUOTA,
    (429, "QUOTA_EXCEEDED: device"): Meaning(
        _this_device_after(LEAST_QUOTA_WAIT_SECONDS),
        "This device got too many messages in a short time. Only this device waits.",
    ),
    (500, "INTERNAL"): _FAULT,
    (503, "UNAVAILABLE"): _AWAY,
}
"""What FCM names in its own detail, `FcmError.errorCode`; the word counts, whatever the status beside it."""

ANSWERS: Final[Answers] = {
    **_FCM_CODES,
    # Google's servers before FCM: they name a status and no FcmError.
    (401, "UNAUTHENTICATED"): Meaning(
        Misconfigured,
        "Google did not take the access token, nor a new one. See that the service account is not disabled.",
    ),
    (403, "PERMISSION_DENIED"): Meaning(
        Misconfigured,
        "The service account may not send for this project. Give it the role “Firebase Cloud Messaging API Admin”, "
        "see that the API “Firebase Cloud Messaging API (V1)” is enabled, and check project_id.",
    ),
    (404, "NOT_FOUND"): Meaning(
        Refused,
        "Something is not known to Google, and it does not say what: perhaps the project. The device stays.",
    ),
    (429, "RESOURCE_EXHAUSTED"): _QUOTA,
    # Machines on the way: no JSON, only a status.
    (403, ""): Meaning(
        Misconfigured, "Something before FCM turned us away: a proxy, a firewall, or Google for this network."
    ),
    (404, ""): Meaning(
        Misconfigured, "FCM is not at this address. Check the channel's host, port and project_id."
    ),
    (429, ""): _QUOTA,
    (500, ""): _FAULT,
    (502, ""): _AWAY,
    (503, ""): _AWAY,
    # The token endpoint (RFC 6749 §5.2).
    (400, "invalid_grant"): Meaning(
        Misconfigured,
        "Google does not take the service account's signature: the key was deleted, the account is gone or disabled, "
        "or the clock of this machine is wrong.",
    ),
    (400, "invalid_request"): Meaning(Misconfigured, "Google cannot read the request for an access token."),
    (400, "invalid_scope"): Meaning(Misconfigured, "Google does not grant the scope of FCM to this account."),
    (400, "unsupported_grant_type"): Meaning(
        Misconfigured,
        "token_uri is not an endpoint that takes assertions. Use the service account's file unchanged.",
    ),
    (401, "invalid_client"): Meaning(
        Misconfigured, "Google does not know the service account. It was deleted."
    ),
    (401, "unauthorized_client"): Meaning(
        Misconfigured, "The service account may not ask for access tokens of this kind."
    ),
}
"""What every documented answer means."""

_BY_CODE: Final[Mapping[str, Meaning]] = {
    reason: meaning for (_, reason), meaning in _FCM_CODES.items() if reason != "UNSPECIFIED_ERROR"
}
"""UNSPECIFIED_ERROR says nothing: there the status decides."""

_WORD: Final = re.compile(r"[A-Za-z0-9_]{1,64}")
"""What an error code looks like; anything else is not worth keeping."""

_FIELD: Final = re.compile(r"[A-Za-z0-9_.\[\]]{1,80}")
_ADDRESS_FIELDS: Final = ("message.token", "message.fid")
_BAD_TOKEN: Final = re.compile(
    r"(?:registration token|installation id) is not (?:a )?valid|invalid registration", re.IGNORECASE
)
_DEVICE_RATE: Final = re.compile(r"device", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Error:
    """The error object of Google's APIs, as far as it can be read."""

    code: str
    """What `FcmError` names; empty without one."""

    status: str
    message: str
    details: tuple[dict[str, Any], ...]

    def parts(self, kind: str, key: str) -> Iterator[dict[str, Any]]:
        """The objects listed under `key` of the details of this kind."""
        for detail in self.details:
            listed = detail.get(key)
            if _is_kind(detail, kind) and isinstance(listed, list):
                yield from (part for part in listed if isinstance(part, dict))


def read_answer(answer: Answer, *, asked_at: int, now: int) -> Outcome:
    """What an answer of FCM means; `asked_at` (milliseconds) is when the request was sent.

    A device that is gone was so when it was asked, so one that registers meanwhile survives. An answer that is not
    in the table fails the push and never the device.
    """
    if answer.status == 200:
        return ACCEPTED
    error = _read_error(answer.body)
    reason = _reason(error, answer.status)
    meaning = _meaning(error, answer.status, reason)
    outcome = meaning.read(reason) if meaning else _unlisted(answer.status, reason)
    if isinstance(outcome, Gone):
        return replace(outcome, since=asked_at)
    return _wait_as_asked(outcome, answer, now)


def read_grant_refusal(answer: Answer, now: int) -> Misconfigured | Unavailable:
    """What it means when the token endpoint hands out no token: nothing can be sent, by one fault or another."""
    said = _read_json(answer.body)
    name, description = said.get("error"), said.get("error_description")
    if answer.status == 200 or answer.status in (408, 429) or answer.status >= 500:
        words = "no access token" if answer.status == 200 else f"status {answer.status}"
        least = LEAST_QUOTA_WAIT_SECONDS if answer.status == 429 else LEAST_WAIT_SECONDS
        asked = max(least, read_retry_after(answer, now, MOST_WAIT_SECONDS) or 0)
        return Unavailable(f"token endpoint: {words}", retry_after_seconds=asked)
    if not isinstance(name, str) or not _WORD.fullmatch(name):
        return Misconfigured(f"token endpoint: status {answer.status}")
    return Misconfigured(f"{name}: {_printable(description)}" if isinstance(description, str) else name)


def _reason(error: _Error, status: int) -> str:
    """The error in FCM's words: its code, and behind a colon what it is about, where that decides or helps."""
    word = error.code or error.status or ("UNAUTHENTICATED" if status == 401 else f"status {status}")
    about = _about(error, word)
    return f"{word}: {about}" if about else word


def _about(error: _Error, word: str) -> str:
    if word == "INVALID_ARGUMENT":
        fields = [part.get("field") for part in error.parts("google.rpc.BadRequest", "fieldViolations")]
        named = [field for field in fields if isinstance(field, str) and _FIELD.fullmatch(field)]
        others = [field for field in named if field not in _ADDRESS_FIELDS]
        if not named and _BAD_TOKEN.search(error.message):
            return "message.token"
        return next(iter(others or named), "")
    if word == "QUOTA_EXCEEDED":
        words = [error.message]
        for part in error.parts("google.rpc.QuotaFailure", "violations"):
            words += [str(part.get("subject")), str(part.get("description"))]
        return "device" if any(_DEVICE_RATE.search(one) for one in words) else ""
    reasons = [d.get("reason") for d in error.details if _is_kind(d, "google.rpc.ErrorInfo")]
    return next((one for one in reasons if isinstance(one, str) and _WORD.fullmatch(one)), "")


def _meaning(error: _Error, status: int, reason: str) -> Meaning | None:
    """The row for an error: what it is about stands there only where it decides."""
    if not (error.code or error.status):
        return ANSWERS.get((status, reason)) or ANSWERS.get((status, ""))
    for name in (reason, reason.partition(": ")[0]):
        if found := (_BY_CODE.get(name) if error.code else None) or ANSWERS.get((status, name)):
            return found
    return None


def _unlisted(status: int, reason: str) -> Outcome:
    if status == 429:
        return Unavailable(reason, retry_after_seconds=LEAST_QUOTA_WAIT_SECONDS)
    if status >= 500:
        return Unavailable(reason, retry_after_seconds=LEAST_WAIT_SECONDS)
    return Misconfigured(reason) if status < 400 or status == 401 else Refused(reason)


def _wait_as_asked(outcome: Outcome, answer: Answer, now: int) -> Outcome:
    """Wait no less than the answer asks for, nor less than the table does."""
    if not isinstance(outcome, Unavailable):
        return outcome
    asked = read_retry_after(answer, now, MOST_WAIT_SECONDS) or 0
    return replace(outcome, retry_after_seconds=max(outcome.retry_after_seconds or 0, asked))


def _read_error(body: bytes) -> _Error:
    said = _read_json(body).get("error")
    error = said if isinstance(said, dict) else {}
    listed = error.get("details")
    details = tuple(d for d in listed if isinstance(d, dict)) if isinstance(listed, list) else ()
    codes = [d.get("errorCode") for d in details if _is_kind(d, "google.firebase.fcm.v1.FcmError")]
    message = error.get("message")
    return _Error(
        code=next((code for code in map(_word, codes) if code), ""),
        status=_word(error.get("status")),
        message=message if isinstance(message, str) else "",
        details=details,
    )


def _is_kind(detail: dict[str, Any], kind: str) -> bool:
    name = detail.get("@type")
    return isinstance(name, str) and name.rpartition("/")[2] == kind


def _word(value: object) -> str:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text[:200])
