"""What a Web Push service accepts and how it refuses: a pure function of a request, the registry and the clock.

Called by `webpush.py`; knows nothing of sockets, screens or scripted outcomes. The rules are those of RFC 8030
and RFC 8292, where vendors differ the strictest of them. Checked in this order: the subscription, the headers,
the body's size, who asks. What only a browser can see in the body is advice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec

from clarion.sandbox.conversation import Request
from clarion.sandbox.jose import fits_es256, octets_of, read_token
from clarion.sandbox.push import Push, Refused, Verdict
from clarion.sandbox.registry import Phone, Registry, Subscription
from clarion.sandbox.webpush_decryption import (
    POINT_OCTETS,
    Undecipherable,
    decrypt,
    private_key_of,
    sender_key,
)
from clarion.sandbox.webpush_errors import refusal, wns_refusal
from clarion.sandbox.webpush_message import Message, read_message

PATH = "/push/"
BODY_LIMIT = 4096
LONGEST_TTL = 30 * 24 * 3600  # longer is taken and shortened
LONGEST_TOKEN = 24 * 3600
URGENCIES = ("very-low", "low", "normal", "high")
SINGLE = ("ttl", "urgency", "topic", "content-encoding", "authorization")
WNS = "wns-"

_SECONDS = re.compile(r"[0-9]{1,12}\Z")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")
_VAPID = re.compile(r"vapid +(\w+=[^,\s]+) *, *(\w+=[^,\s]+)\Z", re.IGNORECASE)


def judge(request: Request, registry: Registry, now: float) -> Verdict:
    """Judge a request; an accepted push has no id: the caller makes one."""
    phone = _phone(request, registry)
    if isinstance(phone, Refused):
        return phone
    assert phone.subscription is not None
    headers = dict(request.headers)
    for check in _CHECKS:
        if refused := check(request, headers):
            return refused
    if refused := _authorize(headers.get("authorization", ""), phone.subscription, request, now):
        return refused
    return _push(request, headers, phone, now)


def shortened_ttl(request: Request) -> int:
    """Return the seconds for which the service keeps an accepted message."""
    return min(int(dict(request.headers)["ttl"]), LONGEST_TTL)


# --- the subscription ---


def _phone(request: Request, registry: Registry) -> Phone | Refused:
    subscription_id = request.path.removeprefix(PATH)
    if not request.path.startswith(PATH) or not subscription_id or "/" in subscription_id:
        return refusal(404, 102, "there is nothing at this path")
    if request.method != "POST":
        return refusal(405, None, "messages are sent with POST")
    if subscription_id in registry.former:
        return GONE
    phone = registry.phones.get(subscription_id)
    if phone is None or phone.subscription is None:
        return refusal(404, 102, "there is no such subscription")
    return phone


GONE = refusal(410, 106, "the subscription has ended")


# --- one check per rule; the table below gives their order ---


def _duplicates(request: Request, _headers: dict[str, str]) -> Refused | None:
    counts = Counter(name for name, _ in request.headers)
    repeated = [name for name in SINGLE if counts[name] > 1]
    return refusal(400, None, f"{repeated[0]} may come only once") if repeated else None


def _ttl(_request: Request, headers: dict[str, str]) -> Refused | None:
    if "ttl" not in headers:
        return refusal(400, 111, "TTL is missing")
    return None if _SECONDS.match(headers["ttl"]) else refusal(400, 112, "TTL must be seconds, digits only")


def _urgency(_request: Request, headers: dict[str, str]) -> Refused | None:
    fits = headers.get("urgency", "normal") in URGENCIES
    return None if fits else refusal(400, None, f"Urgency must be one of {', '.join(URGENCIES)}")


def _topic(_request: Request, headers: dict[str, str]) -> Refused | None:
    fits = "topic" not in headers or _TOPIC.match(headers["topic"])
    return None if fits else refusal(400, 113, "Topic must be at most 32 characters of base64url")


def _encoding(request: Request, headers: dict[str, str]) -> Refused | None:
    fits = not request.size or headers.get("content-encoding") == "aes128gcm"
    return None if fits else refusal(400, None, "Content-Encoding must be aes128gcm")


def _size(request: Request, _headers: dict[str, str]) -> Refused | None:
    return (
        refusal(413, 104, f"the body is larger than {BODY_LIMIT} octets")
        if request.size > BODY_LIMIT
        else None
    )


def _cache_policy(request: Request, headers: dict[str, str]) -> Refused | None:
    """Windows' service caches unless told otherwise, and does not cache for no time."""
    policy = headers.get("x-wns-cache-policy", "cache")
    clashes = request.path.startswith(PATH + WNS) and not int(headers["ttl"]) and policy != "no-cache"
    return wns_refusal(400, "TTL 0 conflicts with the cache policy", "dropped") if clashes else None


_CHECKS: tuple[Callable[[Request, dict[str, str]], Refused | None], ...] = (
    _duplicates,
    _ttl,
    _urgency,
    _topic,
    _encoding,
    _size,
    _cache_policy,
)


# --- who asks (RFC 8292) ---


def _authorize(
    authorization: str, subscription: Subscription, request: Request, now: float
) -> Refused | None:
    if not authorization:
        return refusal(401, 109, "Authorization is missing")
    found = _VAPID.match(authorization)
    given = dict(part.split("=", 1) for part in found.groups()) if found else {}
    if given.keys() != {"t", "k"}:
        return refusal(403, 109, "Authorization must be: vapid t=…, k=…")
    token, point = read_token(given["t"]), octets_of(given["k"])
    if token is None or not _is_signed(given["t"], given["k"]):
        return refusal(403, 109, "the token is not signed by the key in k, with ES256")
    if refused := _check_claims(token.claims, f"https://{request.authority}", now):
        return refused
    if point != octets_of(subscription.application_server_key):
        return refusal(403, 109, "the key in k is not the one that the subscription was made with")
    if point == sender_key(request.body):
        return refusal(400, None, "the key in k must not encrypt messages too (RFC 8292 §3.2)")
    return None


def _check_claims(claims: dict[str, object], origin: str, now: float) -> Refused | None:
    if claims.get("aud") != origin:
        return refusal(403, 109, f"aud must be {origin}")
    expires_at = claims.get("exp")
    if not isinstance(expires_at, int | float) or isinstance(expires_at, bool):
        return refusal(403, 109, "exp must be a number")
    if not now < expires_at <= now + LONGEST_TOKEN:
        return refusal(403, 109, "exp must be ahead, and at most 24 hours")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject.startswith(("mailto:", "https://")):
        return refusal(403, 109, "sub must be a mailto: or https: URL")
    return None


@lru_cache(maxsize=1024)
def _is_signed(text: str, key: str) -> bool:
    token, point = read_token(text), octets_of(key)
    if token is None or point is None or len(point) != POINT_OCTETS:
        return False
    try:
        return fits_es256(token, ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point))
    except ValueError:
        return False


# --- the accepted push ---


def _push(request: Request, headers: dict[str, str], phone: Phone, now: float) -> Push:
    message = _message(request.body, phone.subscription)
    return Push(
        provider="webpush",
        token=phone.key,
        id="",
        topic=phone.topic,
        push_type=headers.get("urgency", "normal"),
        collapse_id=message.tag,
        alert=message.alert,
        badge=message.badge,
        app=message.app,
        advice=message.advice,
        waits_as=headers.get("topic"),
        expires_at=now + shortened_ttl(request),
    )


def _message(body: bytes, subscription: Subscription | None) -> Message:
    assert subscription is not None
    if not body:
        return Message(advice="there is no message: a browser shows a text of its own")
    try:
        key = private_key_of(octets_of(subscription.private_key) or b"")
        return read_message(decrypt(body, key, octets_of(subscription.auth) or b""))
    except Undecipherable as error:
        return Message(advice=f"the browser cannot decrypt it: {error}")
    except ValueError:
        return Message(advice="the registry's private key of this subscription is none")
