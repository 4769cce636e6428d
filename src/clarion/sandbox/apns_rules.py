"""What Apple accepts and how it refuses: a pure function of a request, the registry and the clock.

Called by `apns.py`; knows nothing of sockets, screens or scripted outcomes. The rules are those of "Sending
notification requests to APNs" and "Handling notification responses from APNs". Apple does not say in which
order it checks; here: the path, who asks, the headers, the device, the payload.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from clarion.sandbox.apns_token import Claims, is_signed_by, read_claims
from clarion.sandbox.conversation import Request
from clarion.sandbox.push import Alert, Push, Refused, Verdict
from clarion.sandbox.registry import Key, Registry

PATH = "/3/device/"
HOUR = 3600
RENEWAL_SECONDS = 20 * 60
PAYLOAD_LIMIT = 4096
VOIP_PAYLOAD_LIMIT = 5120
COLLAPSE_ID_LIMIT = 64

# Push type -> what follows the bundle id in the topic.
SUFFIXES = {
    "alert": "",
    "background": "",
    "mdm": "",
    "voip": ".voip",
    "complication": ".complication",
    "fileprovider": ".pushkit.fileprovider",
    "liveactivity": ".push-type.liveactivity",
    "location": ".location-query",
    "pushtotalk": ".voip-ptt",
    "widgets": ".push-type.widgets",
    "controls": ".push-type.controls",
}

_TOKEN = re.compile(r"(?:[0-9a-fA-F]{2})+\Z")
_TOPIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*\Z")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_SECONDS = re.compile(r"[0-9]{1,10}\Z")


@dataclass(frozen=True, slots=True)
class Authority:
    """Who a connection belongs to, from its first accepted provider token on."""

    token: str
    claims: Claims
    renewed_at: float | None = None
    """When the connection last saw a new token; None while it has its first one."""


def authorize(
    request: Request, registry: Registry, before: Authority | None, now: float
) -> Authority | Refused:
    """Judge the provider token; `before` is the connection's authority so far."""
    scheme, _, token = _header(request, "authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        return Refused(403, "MissingProviderToken")
    claims = read_claims(token)
    key = registry.keys.get((claims.team_id, claims.key_id)) if claims else None
    if claims is None or key is None or not is_signed_by(token, key.public_key):
        return Refused(403, "InvalidProviderToken")
    if now - claims.issued_at > HOUR:
        return Refused(403, "ExpiredProviderToken")
    if claims.issued_at - now > HOUR:
        return Refused(403, "InvalidProviderToken")
    return _renew(Authority(token, claims), before, now)


def _renew(fresh: Authority, before: Authority | None, now: float) -> Authority | Refused:
    if before is None or fresh.token == before.token:
        return before or fresh
    if fresh.claims.team_id != before.claims.team_id:
        return Refused(403, "InvalidProviderToken")
    if fresh.claims.key_id != before.claims.key_id:
        return Refused(403, "UnrelatedKeyIdInToken")
    # Apple: a token may be recreated no more than once every 20 minutes. A connection that began with an old
    # token may go on with a fresh one at once; what counts is when the tokens were made, and the last change.
    made_too_soon = abs(fresh.claims.issued_at - before.claims.issued_at) < RENEWAL_SECONDS
    if made_too_soon or (before.renewed_at is not None and now - before.renewed_at < RENEWAL_SECONDS):
        return Refused(429, "TooManyProviderTokenUpdates")
    return replace(fresh, renewed_at=now)


def check_path(request: Request) -> Refused | None:
    """Refuse what is no request for a device."""
    if not request.path.startswith(PATH):
        return Refused(404, "BadPath")
    if request.method != "POST":
        return Refused(405, "MethodNotAllowed")
    token = request.path[len(PATH) :]
    if not token:
        return Refused(400, "MissingDeviceToken")
    return Refused(404, "BadPath") if "/" in token else None


def judge(request: Request, registry: Registry, claims: Claims) -> Verdict:
    """Judge an authorized request; the verdict is the push, or the reason why not.

    An accepted push has an empty id when the request brought none: the caller makes one.
    """
    key = registry.keys[claims.team_id, claims.key_id]
    for check in _CHECKS:
        if refused := check(request, registry, key):
            return refused
    payload = _payload(request)
    if isinstance(payload, Refused):
        return payload
    return _push(request, payload)


def is_message_id(value: str) -> bool:
    """Whether the value is a canonical lower-case UUID."""
    return _UUID.match(value) is not None


# --- one check per rule; the table below gives their order ---


def _duplicates(request: Request, _registry: Registry, _key: Key) -> Refused | None:
    counts = Counter(name for name, _ in request.headers)
    repeated = any(
        n > 1 and (name.startswith("apns-") or name == "authorization") for name, n in counts.items()
    )
    return Refused(400, "DuplicateHeaders") if repeated else None


def _message_id(request: Request, _registry: Registry, _key: Key) -> Refused | None:
    value = _header(request, "apns-id")
    return None if value is None or is_message_id(value) else Refused(400, "BadMessageId")


def _push_type(request: Request, _registry: Registry, _key: Key) -> Refused | None:
    # Required by watchOS only: Apple takes a push without one, see `_kind`.
    return (
        Refused(400, "InvalidPushType")
        if _header(request, "apns-push-type", "alert") not in SUFFIXES
        else None
    )


def _priority(request: Request, _registry: Registry, _key: Key) -> Refused | None:
    value = _header(request, "apns-priority", "10")  # 10 is what Apple assumes
    allowed = ("5",) if _header(request, "apns-push-type") == "background" else ("10", "5", "1")
    return None if value in allowed else Refused(400, "BadPriority")


def _expiration(request: Request, _registry: Registry, _key: Key) -> Refused | None:
    value = _header(request, "apns-expiration", "0")
    # Epoch seconds. Apple documents no upper end; the field began as a 32-bit number, and holding to that
    # catches senders that write milliseconds.
    fits = _SECONDS.match(value) and int(value) < 1 << 32
    return None if fits else Refused(400, "BadExpirationDate")


def _collapse_id(request: Request, _registry: Registry, _key: Key) -> Refused | None:
    value = _header(request, "apns-collapse-id", "")
    too_long = len(value.encode("utf-8", "surrogateescape")) > COLLAPSE_ID_LIMIT
    return Refused(400, "BadCollapseId") if too_long else None


def _topic(request: Request, _registry: Registry, key: Key) -> Refused | None:
    topic = _header(request, "apns-topic")
    if not topic:
        return Refused(400, "MissingTopic")
    suffix = SUFFIXES[_header(request, "apns-push-type", "alert")]
    if not _TOPIC.match(topic) or not topic.endswith(suffix):
        return Refused(400, "BadTopic")
    allowed = topic in key.topics or topic.removesuffix(suffix) in key.topics
    return None if allowed else Refused(400, "TopicDisallowed")


def _device(request: Request, registry: Registry, _key: Key) -> Refused | None:
    token = request.path[len(PATH) :]
    if not _TOKEN.match(token):
        return Refused(400, "BadDeviceToken")
    phone = registry.phones.get(token.lower())
    topic = _header(request, "apns-topic", "")
    fits = phone is None or topic == phone.topic or topic.startswith(phone.topic + ".")
    return None if fits else Refused(400, "DeviceTokenNotForTopic")


def _size(request: Request, _registry: Registry, _key: Key) -> Refused | None:
    limit = VOIP_PAYLOAD_LIMIT if _header(request, "apns-push-type") == "voip" else PAYLOAD_LIMIT
    return Refused(413, "PayloadTooLarge") if request.size > limit else None


_CHECKS: tuple[Callable[[Request, Registry, Key], Refused | None], ...] = (
    _duplicates,
    _message_id,
    _push_type,
    _priority,
    _expiration,
    _collapse_id,
    _topic,
    _device,
    _size,
)


# --- the accepted push ---


def _payload(request: Request) -> dict[str, Any] | Refused:
    # Apple has no reason for "not JSON" or "no aps": PayloadEmpty, "the message payload was empty", is the
    # only one of its list that speaks of the content, and empty is what such a payload means to a device.
    try:
        payload = json.loads(request.body)
    except (ValueError, RecursionError):
        return Refused(400, "PayloadEmpty")
    if not isinstance(payload, dict) or not isinstance(payload.get("aps"), dict):
        return Refused(400, "PayloadEmpty")
    return payload


def _push(request: Request, payload: dict[str, Any]) -> Push:
    aps, app = payload["aps"], payload.get("clarion")
    app = app if isinstance(app, dict) else {}
    push_type = _header(request, "apns-push-type") or _kind(aps)
    alert = _alert(aps.get("alert")) if push_type == "alert" else None
    badge = aps.get("badge")
    return Push(
        provider="apns",
        token=request.path[len(PATH) :].lower(),
        id=_header(request, "apns-id", ""),
        topic=_header(request, "apns-topic", ""),
        push_type=push_type,
        collapse_id=_header(request, "apns-collapse-id"),
        alert=alert,
        badge=badge if type(badge) is int and push_type == "alert" else None,
        withdraw=_names(app.get("withdraw")) if push_type == "background" else (),
        app=app,
        advice="; ".join(_advice(push_type, aps, alert)),
        waits_as="",  # Apple keeps one push per device and app
        expires_at=_expires_at(request),
    )


def _names(value: object) -> tuple[str, ...]:
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list) else ()


def _expires_at(request: Request) -> float | None:
    given = _header(request, "apns-expiration")
    return None if given is None else float(given)


def _kind(aps: dict[str, Any]) -> str:
    return "background" if aps.get("content-available") == 1 and not aps.get("alert") else "alert"


def _alert(value: object) -> Alert | None:
    if isinstance(value, str):
        return Alert(text=value)
    if not isinstance(value, dict):
        return None
    # A key for translation is shown as it stands: the stand-in has no app to look it up in.
    title = value.get("title") or value.get("title-loc-key") or ""
    subtitle = value.get("subtitle") or value.get("subtitle-loc-key") or ""
    text = value.get("body") or value.get("loc-key") or ""
    return Alert(*(part if isinstance(part, str) else json.dumps(part) for part in (title, subtitle, text)))


def _advice(push_type: str, aps: dict[str, Any], alert: Alert | None) -> Iterator[str]:
    if push_type == "background" and aps.get("content-available") != 1:
        yield "content-available is not 1: the app is not woken"
    if push_type == "background" and any(aps.get(name) is not None for name in ("alert", "badge", "sound")):
        yield "alert, badge and sound are ignored in a background push"
    if push_type == "alert" and alert is None and "badge" not in aps and "sound" not in aps:
        yield "no alert, badge or sound: the device shows nothing"


def _header(request: Request, name: str, default: Any = None) -> Any:
    for header, value in request.headers:
        if header == name:
            return value
    return default
