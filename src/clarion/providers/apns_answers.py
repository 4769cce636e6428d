"""Apple's answers: what each status and reason means, for Clarion and for an administrator. Pure.

Called by `apns.py` for every answer that is no plain success. The table is complete for what Apple documents
(developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns).
"""

import json
import re
from typing import Any, Final

from clarion.model.moment import LAST_MOMENT
from clarion.model.outcome import ACCEPTED, Gone, Misconfigured, Outcome, Refused, Unavailable
from clarion.providers.meaning import Answers, Meaning, doubt, this_device_later, wait_at_least

_OUR_FAULT: Final = "Clarion should not have sent this: please report it as a fault of Clarion."

ANSWERS: Final[Answers] = {
    # The address may be wrong: of another environment, of another app, or mistyped.
    (400, "BadDeviceToken"): Meaning(
        doubt,
        "Apple does not know this device token in this environment. Apps from the App Store and TestFlight need "
        "the environment “production”, apps that Xcode installed need “development”.",
    ),
    (400, "DeviceTokenNotForTopic"): Meaning(
        doubt,
        "The device token belongs to another app than the channel's topic. The topic must be the bundle id of "
        "the app that registered the device.",
    ),
    # The channel's settings are wrong: every push of it would be refused.
    (400, "BadTopic"): Meaning(
        Misconfigured, "Apple does not know the channel's topic: it must be a bundle id."
    ),
    (400, "MissingTopic"): Meaning(
        Misconfigured, "The certificate stands for several apps, and the channel names none. Set its topic."
    ),
    (400, "TopicDisallowed"): Meaning(
        Misconfigured,
        "The credential may not send to this topic. Check the bundle id, the team that it belongs to, and the "
        "topics that the key is limited to.",
    ),
    (400, "InvalidPushType"): Meaning(
        Misconfigured, "Apple does not allow this kind of push with this credential; a key (.p8) allows all."
    ),
    (403, "InvalidProviderToken"): Meaning(
        Misconfigured,
        "Apple does not recognise the key. Check team id and key id, and that the key was not revoked in the "
        "developer account.",
    ),
    (403, "MissingProviderToken"): Meaning(
        Misconfigured,
        "Apple took the connection without a certificate. Give the channel a key or a certificate.",
    ),
    (403, "BadCertificate"): Meaning(
        Misconfigured, "Apple does not take the certificate. Make a new one in the developer account."
    ),
    (403, "BadCertificateEnvironment"): Meaning(
        Misconfigured, "The certificate is for the other environment. Change the channel's environment."
    ),
    (403, "Forbidden"): Meaning(
        Misconfigured, "Apple forbids this credential to send. Look at the developer account."
    ),
    (403, "BadEnvironmentKeyIdInToken"): Meaning(
        Misconfigured, "The key is for the other environment. Change the channel's environment, or its key."
    ),
    (403, "BadEnvironmentKeyInToken"): Meaning(  # undocumented; seen from live servers
        Misconfigured, "The key is for the other environment. Change the channel's environment, or its key."
    ),
    # This message is malformed: our fault or the sender's, never the device's.
    (400, "BadCollapseId"): Meaning(Refused, f"The collapse id is too long. {_OUR_FAULT}"),
    (400, "BadExpirationDate"): Meaning(Refused, f"The moment of expiry is malformed. {_OUR_FAULT}"),
    (400, "BadMessageId"): Meaning(Refused, f"The push's id is malformed. {_OUR_FAULT}"),
    (400, "BadPriority"): Meaning(Refused, f"The priority is malformed. {_OUR_FAULT}"),
    (400, "DuplicateHeaders"): Meaning(Refused, f"A header was sent twice. {_OUR_FAULT}"),
    (400, "MissingDeviceToken"): Meaning(Refused, f"The path names no device. {_OUR_FAULT}"),
    (400, "PayloadEmpty"): Meaning(Refused, f"The payload is empty. {_OUR_FAULT}"),
    (404, "BadPath"): Meaning(Refused, f"The path is malformed. {_OUR_FAULT}"),
    (405, "MethodNotAllowed"): Meaning(Refused, f"The method is not POST. {_OUR_FAULT}"),
    (413, "PayloadTooLarge"): Meaning(Refused, f"The payload is larger than Apple takes. {_OUR_FAULT}"),
    # The connection, the provider token or the service: nothing was wrong with the push.
    (400, "IdleTimeout"): Meaning(
        Unavailable, "The connection was idle for too long; another one is opened."
    ),
    (403, "ExpiredProviderToken"): Meaning(
        Unavailable,
        "Apple holds the provider token to be older than an hour. Clarion makes a new one; if this goes on, the "
        "clock of this machine is wrong.",
    ),
    (403, "UnrelatedKeyIdInToken"): Meaning(
        Unavailable,
        "The connection was begun with another key. Clarion opens new ones; if this goes on, the key may not be "
        "used for this topic.",
    ),
    (429, "TooManyRequests"): Meaning(
        this_device_later, "This device got too many pushes in a short time. Only this device waits."
    ),
    (429, "TooManyProviderTokenUpdates"): Meaning(
        wait_at_least(60),
        "The provider token changed more often than every 20 minutes. Clarion keeps the present one; see whether "
        "something else sends with this key.",
    ),
    (500, "InternalServerError"): Meaning(
        Unavailable, "Apple's service has a fault. It will be tried again."
    ),
    (503, "ServiceUnavailable"): Meaning(Unavailable, "Apple's service is away. It will be tried again."),
    (503, "Shutdown"): Meaning(Unavailable, "Apple's server is going down; another connection is opened."),
    # The app was removed; 410 is no error in Apple's books.
    (410, "Unregistered"): Meaning(Gone, "The app was removed from the device, or no longer takes pushes."),
    (410, "ExpiredToken"): Meaning(Gone, "The device token has expired; the app will register a new one."),
}
"""What every documented answer means."""

_REASON: Final = re.compile(r"[A-Za-z0-9]{1,64}")
"""What a reason looks like; anything else is not worth keeping."""


def read_answer(status: int, body: bytes) -> Outcome:
    """What an answer means. An answer that is not in the table fails the push and never the device."""
    if status == 200:
        return ACCEPTED
    details = _read_body(body)
    reason = details.get("reason")
    if not isinstance(reason, str) or not _REASON.fullmatch(reason):
        reason = f"status {status}"
    if status == 410:
        return Gone(reason, _timestamp(details))
    if known := ANSWERS.get((status, reason)):
        return known.read(reason)
    return Unavailable(reason) if status >= 500 or status == 429 else Refused(reason)


def _read_body(body: bytes) -> dict[str, Any]:
    try:
        details = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return details if isinstance(details, dict) else {}


def _timestamp(details: dict[str, Any]) -> int | None:
    """When Apple last saw the token invalid, in milliseconds."""
    timestamp = details.get("timestamp")
    return timestamp if type(timestamp) is int and 0 < timestamp <= LAST_MOMENT else None
