"""What an address at Google can ask for: the table behind `…-unregistered`, `…-503-once` and the like.

Read by `fcm.py`; tests and the guide to the sandbox refer to the table. How wishes work stands in `outcomes.py`.
"""

from __future__ import annotations

from clarion.sandbox.fcm_errors import error, page
from clarion.sandbox.fcm_rules import SENDER_ID_MISMATCH, UNREGISTERED, invalid_token
from clarion.sandbox.outcomes import SPELT_MISHAPS, Later, Outcome

_QUOTA = error(429, "RESOURCE_EXHAUSTED", "Quota exceeded.", code="QUOTA_EXCEEDED")
UNAVAILABLE = error(503, "UNAVAILABLE", "The service is currently unavailable.", code="UNAVAILABLE")

TABLE: dict[str, Outcome] = {
    # The device is to blame.
    "unregistered": UNREGISTERED,
    "invalid": invalid_token(),
    "sender-mismatch": SENDER_ID_MISMATCH,
    # The message is to blame, or nobody knows what: a client must not take an address away for these.
    "400": error(400, "INVALID_ARGUMENT", "The message is invalid.", code="INVALID_ARGUMENT"),
    "too-large": error(400, "INVALID_ARGUMENT", "The message is too large."),
    "unspecified": error(400, "INVALID_ARGUMENT", "No more is known.", code="UNSPECIFIED_ERROR"),
    "tomorrow": error(400, "INVALID_ARGUMENT", "No more is known.", code="ERROR_OF_TOMORROW"),
    "404": error(404, "NOT_FOUND", "There is no such project."),
    "599": error(599, "STATUS_OF_TOMORROW", "No more is known."),
    # The credential or the set-up is to blame.
    "unauthenticated": error(401, "UNAUTHENTICATED", "The access token is not valid."),
    "third-party": error(
        401, "UNAUTHENTICATED", "The key for another service is wrong.", code="THIRD_PARTY_AUTH_ERROR"
    ),
    "forbidden": error(403, "PERMISSION_DENIED", "The account may not send."),
    # Too much, too soon.
    "429": _QUOTA,
    "quota": Later(_QUOTA, 30),
    "429-date": Later(_QUOTA, 90, as_date=True),
    # The service is to blame.
    "500": error(500, "INTERNAL", "An internal error occurred.", code="INTERNAL"),
    "502": page(502, "Bad Gateway"),
    "503": UNAVAILABLE,
    "503-seconds": Later(UNAVAILABLE, 20),
    "503-date": Later(UNAVAILABLE, 45, as_date=True),
    # The wire.
    **SPELT_MISHAPS,
}
