"""What a Web Push says: the declarative JSON with Clarion's object beside it, and the headers. Pure.

Called by `webpush.py` and `webpush_service.py`; knows nothing of connections and keys.
"""

import base64
from bisect import bisect_right
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from clarion.model.notification import Interruption, Priority
from clarion.model.push import Push
from clarion.providers.payload import app_object, collapse_id, fit, to_json
from clarion.providers.webpush_encryption import MOST_PLAINTEXT_OCTETS
from clarion.providers.webpush_vapid import WebPushSettings

LIMITS: Final = {"push.services.mozilla.com": 2700}
"""Services that take less than the standard's 3,993 octets: Firefox on Android is reached over another service."""

WNS: Final = "notify.windows.com"

MOST_TTL_SECONDS: Final = 28 * 24 * 3600

Headers = list[tuple[str, str]]


def most_octets(host: str) -> int:
    """How large a message for this host may be."""
    return next((limit for name, limit in LIMITS.items() if is_below(host, name)), MOST_PLAINTEXT_OCTETS)


def is_below(host: str, name: str) -> bool:
    """Whether a host is this one or one below it."""
    return host == name or host.endswith(f".{name}")


# ── The message ──────────────────────────────────────────────────────────────────────────────────────────


def encode_payload(push: Push, settings: WebPushSettings, limit: int) -> bytes:
    """The JSON of a push, never above `limit` octets.

    What makes it too large is left out in this order: the inputs and the picture, which the app fetches; the
    icon, and all but the ids in the link; the end of the text.
    """
    octets = fit(push, lambda told: _render(push, settings, told, link(push, settings)), limit)
    return octets if len(octets) <= limit else _shorten(push, settings, limit)


def _shorten(push: Push, settings: WebPushSettings, limit: int) -> bytes:
    """The barest message with as much of the text as fits, in whole characters."""
    bare = replace(push, options=replace(push.options, image_url=None))
    told = app_object(bare) | {"inputs": {}, "inputsOmitted": True}
    text = push.content.text

    def render(length: int) -> bytes:
        shown = text if length == len(text) else f"{text[:length]}…"
        shortened = replace(bare, content=replace(push.content, text=shown))
        return _render(shortened, replace(settings, icon=None), told, short_link(push, settings))

    lengths = range(len(text) + 1)
    fitting = bisect_right(lengths, limit, key=lambda length: len(render(length)))
    return render(max(fitting - 1, 0))


def _render(push: Push, settings: WebPushSettings, told: dict[str, Any], navigate: str) -> bytes:
    content, options = push.content, push.options
    optional: dict[str, Any] = {
        "body": content.text if content.title else None,
        "icon": settings.icon,
        "silent": True if options.interruption is Interruption.PASSIVE else None,
    }
    notification = {
        "title": content.title or content.text or urlsplit(settings.app_url).netloc,
        "navigate": navigate,
        **{key: value for key, value in optional.items() if value is not None},
        "tag": collapse_id(push),
        "data": {"notificationId": str(push.notification)},
    }
    badge = {} if options.badge is None else {"app_badge": options.badge}
    return to_json(
        {"web_push": 8030, "notification": notification, **badge, "mutable": True, "clarion": told}
    )


def link(push: Push, settings: WebPushSettings) -> str:
    """Where a tap leads: the app, with what it needs to open the jig in its query."""
    jig = {} if push.content.jig is None else {"jigId": push.content.jig}
    return _with_query(settings.app_url, _ids(push) | {"screen": push.content.screen} | jig)


def short_link(push: Push, settings: WebPushSettings) -> str:
    """The same with the ids alone, by which the app fetches the rest."""
    return _with_query(settings.app_url, _ids(push))


def _ids(push: Push) -> dict[str, str]:
    return {"notificationId": str(push.notification), "organizationId": str(push.organization)}


def _with_query(url: str, query: dict[str, str]) -> str:
    """The URL's own query and fragment stay."""
    front, sharp, fragment = url.partition("#")
    joint = ("" if front.endswith(("?", "&")) else "&") if "?" in front else "?"
    return f"{front}{joint}{urlencode(query)}{sharp}{fragment}"


# ── The headers ──────────────────────────────────────────────────────────────────────────────────────────


def encode_headers(push: Push, host: str, authorization: str, now: int) -> Headers:
    """The headers that all devices of a push service share (RFC 8030 §5); `now` in milliseconds."""
    ttl = ttl_seconds(push, now)
    headers = [
        ("authorization", authorization),
        ("ttl", str(ttl)),
        ("urgency", "high" if push.options.priority is Priority.HIGH else "normal"),
        ("topic", topic(push)),
        ("content-encoding", "aes128gcm"),
        ("content-type", "application/notification+json"),
    ]
    if is_below(host, WNS):  # without it, a TTL of 0 contradicts the policy that it assumes
        headers.append(("x-wns-cache-policy", "cache" if ttl else "no-cache"))
    return headers


def ttl_seconds(push: Push, now: int) -> int:
    """What remains of its time; 0 means now or never, and is said only if the sender said so."""
    if not push.options.ttl_seconds:
        return 0
    return min(max(1, (push.expires_at - now) // 1000), MOST_TTL_SECONDS)


def topic(push: Push) -> str:
    """A hash of the collapse id, 32 characters: a repeat replaces what still waits at the push service."""
    return base64.urlsafe_b64encode(sha256(collapse_id(push).encode()).digest()[:24]).decode()
