"""What a subscription can ask for: the table behind `…-gone`, `…-503-once` and the like.

Read by `webpush.py`; tests and the guide to the sandbox refer to the table. How wishes work stands in
`outcomes.py`.
"""

from __future__ import annotations

from dataclasses import replace

from clarion.sandbox.outcomes import SPELT_MISHAPS, Later, Outcome
from clarion.sandbox.push import Refused
from clarion.sandbox.webpush_errors import refusal, wns_refusal
from clarion.sandbox.webpush_rules import GONE

UNAVAILABLE = refusal(503, 201, "the service is in trouble")
_TOO_MANY = refusal(429, 201, "too many messages")

TABLE: dict[str, Outcome] = {
    # The subscription is to blame.
    "gone": replace(GONE, headers=(*GONE.headers, ("cache-control", "max-age=86400"))),
    "404": refusal(404, 102, "there is no such subscription"),
    # The credential or the set-up is to blame, for this subscription or for all.
    "401": refusal(401, 109, "the token was refused"),
    "403": refusal(403, 109, "the key is not the one that the subscription was made with"),
    # The message is to blame, or nobody knows what.
    "400": refusal(400, None, "the request was not understood"),
    "400-wns": wns_refusal(400, "TTL conflicts with the cache policy", "dropped"),
    "413": refusal(413, 104, "the body is too large"),
    # Too much, too soon.
    "429": _TOO_MANY,
    "429-seconds": Later(_TOO_MANY, 30),
    "429-date": Later(_TOO_MANY, 90, as_date=True),
    "406-wns": wns_refusal(406, "the channel is throttled", "appthrottled"),
    # The service is to blame.
    "500": refusal(500, None, "the service made a mistake"),
    "502": Refused(502, "HTML", headers=(("content-type", "text/html"),), body=b"<html>Bad Gateway</html>"),
    "503": UNAVAILABLE,
    "503-seconds": Later(UNAVAILABLE, 120),
    "503-date": Later(UNAVAILABLE, 45, as_date=True),
    # Never to be followed: the address may be anybody's.
    "redirect": Refused(307, "redirect", headers=(("location", "https://localhost:1/push/elsewhere"),)),
    # Answers that nobody has documented: a client must not take an address away for them.
    "418": refusal(418, None, "no more is known"),
    "599": Refused(599, "no more is known"),
    # The wire.
    **SPELT_MISHAPS,
}
