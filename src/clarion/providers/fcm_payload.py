"""What FCM is sent for a push: the message that all devices share, and each one's target. Pure.

Called by `fcm.py`, once per burst. The fields are those of the HTTP v1 reference
(firebase.google.com/docs/reference/fcm/rest/v1/projects.messages). One message serves Android, Apple's devices
and browsers, whichever the address belongs to: FCM takes the block that fits.
"""

import re
from base64 import urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256
from json import JSONEncoder
from typing import Any, Final

from clarion.model.delivery import PushKind
from clarion.model.notification import Interruption, Options, Priority
from clarion.model.push import InvalidAddress, Push
from clarion.providers.apns_payload import aps_options
from clarion.providers.payload import (
    collapse_id,
    collapse_id_of,
    fit,
    to_json,
    withdrawal_object,
    withdrawn,
)

MOST_OCTETS: Final = 4096
"""A payload's limit, keys and values; `_most_given` says how it is counted."""

RESERVED_OCTETS: Final = 256
"""Left free beside inputs: FCM adds keys of its own to what it hands to Apple, who counts them."""

MOST_TTL_SECONDS: Final = 2_419_200
"""Four weeks (firebase.google.com/docs/cloud-messaging/customize-messages/setting-message-lifespan)."""

_ADDRESS: Final = re.compile(r"token:[!-~]{1,1024}|fid:[!-9;-~]{1,1024}")

_quote: Final = JSONEncoder().encode

# Android 8 and newer go by the channel instead.
_PRIORITIES: Final = {Interruption.PASSIVE: "PRIORITY_LOW", Interruption.TIME_SENSITIVE: "PRIORITY_HIGH"}


# ── Addresses ────────────────────────────────────────────────────────────────────────────────────────────


def is_address(text: str) -> bool:
    """Whether this can be an address: `token:` or `fid:`, then what the app was given."""
    return _ADDRESS.fullmatch(text) is not None


def check_address(address: str) -> str:
    """Check what a device gives as its address; raises InvalidAddress. There is one spelling."""
    if not is_address(address):
        raise InvalidAddress(
            "an FCM address is “token:” and the registration token, or “fid:” and the Firebase installation id"
        )
    return address


def encode_target(address: str) -> bytes:
    """The member of a message that names its device."""
    kind, _, value = address.partition(":")
    return f'"{kind}":{_quote(value)}'.encode()


# ── The message ──────────────────────────────────────────────────────────────────────────────────────────


def encode_request(push: Push, now: int, *, only_validate: bool = False) -> tuple[bytes, bytes]:
    """What stands before and behind the target in a request; `now` (milliseconds) decides how long it may live."""
    message = encode_message(push, now)
    start = b'{"validate_only":true,"message":{' if only_validate else b'{"message":{'
    return start, b"," + message[1:] + b"}"


def encode_message(push: Push, now: int) -> bytes:
    """The message without its target. What does not fit is left for the app to fetch: inputs, then the image."""
    if push.kind is PushKind.WITHDRAWAL:
        return to_json(_withdrawal(push, now))
    octets, most_given = _encode_alert(push, now)
    if most_given > MOST_OCTETS and push.options.image_url is not None:
        octets, _ = _encode_alert(replace(push, options=replace(push.options, image_url=None)), now)
    return octets


def _encode_alert(push: Push, now: int) -> tuple[bytes, int]:
    """The message, and how much of it a device is given at most."""
    message = _alert(push, now)
    without_data = _most_given(message)
    room = MOST_OCTETS - RESERVED_OCTETS - without_data
    data = fit(push, lambda told: to_json(_as_strings(told)), room)
    return to_json(message)[:-1] + b',"data":' + data + b"}", without_data + len(data)


def _most_given(message: dict[str, Any]) -> int:
    """How much one device is given beside the data, in octets of JSON, on the platform that gets most.

    FCM says that keys and values count and not how; JSON with its signs and escapes is more than either, and it
    is what Apple counts.
    """
    shown, aps = message["notification"], message["apns"]["payload"]["aps"]
    android = {"notification": {**shown, **message["android"]["notification"]}, "data": {}}
    alert = {key: value for key, value in shown.items() if key != "image"}
    apple = {"aps": {**aps, "alert": alert}, "fcm_options": {"image": shown.get("image", "")}}
    browser = {"notification": {**shown, **message["webpush"]["notification"]}, "data": {}}
    return max(len(to_json(given)) for given in (android, apple, browser))


def _alert(push: Push, now: int) -> dict[str, Any]:
    """Everything but the data. `collapse_key` is not there: FCM ignores it beside a notification."""
    content, options = push.content, push.options
    high = options.priority is Priority.HIGH
    collapse, ttl = collapse_id(push), ttl_seconds(push, now)
    shown = {"title": content.title, "body": content.text, "image": options.image_url}
    return {
        "notification": _present(shown),
        "android": {
            "priority": "HIGH" if high else "NORMAL",
            "ttl": f"{ttl}s",
            "notification": _android_notification(options, collapse),
        },
        "apns": {
            "headers": {
                "apns-push-type": "alert",
                "apns-priority": "10" if high else "5",
                "apns-expiration": "0" if not ttl else str(push.expires_at // 1000),
                "apns-collapse-id": collapse,
            },
            "payload": {"aps": aps_options(options)},
        },
        "webpush": {
            "headers": {"TTL": str(ttl), "Urgency": "high" if high else "normal", "Topic": _topic(push)},
            "notification": {"tag": collapse},
        },
    }


def _android_notification(options: Options, collapse: str) -> dict[str, Any]:
    priority = (
        "PRIORITY_MAX"
        if options.is_critical
        else _PRIORITIES.get(options.interruption or Interruption.ACTIVE)
    )
    return {
        "tag": collapse,
        "sound": options.sound or "default",
        **_present(
            {
                "channel_id": options.android_channel,
                "notification_count": options.badge or None,  # 0 means “count on” to Android, not “clear”
                "notification_priority": priority,
            }
        ),
    }


def _withdrawal(push: Push, now: int) -> dict[str, Any]:
    """Data alone, which wakes the app; on Android it needs the tags to take the banners away."""
    ttl = ttl_seconds(push, now)
    told = {**withdrawal_object(push), "tags": [collapse_id_of(banner) for banner in withdrawn(push)]}
    return {
        "data": {key: to_json(value).decode() for key, value in told.items()},
        "android": {"priority": "NORMAL", "ttl": f"{ttl}s"},
        "apns": {
            "headers": {
                "apns-push-type": "background",
                "apns-priority": "5",
                "apns-expiration": str(push.expires_at // 1000),
            },
            "payload": {"aps": {"content-available": 1}},
        },
        "webpush": {"headers": {"TTL": str(ttl), "Urgency": "normal"}},
    }


def ttl_seconds(push: Push, now: int) -> int:
    """How long the push may still wait for its device; 0 is now or never."""
    if push.kind is PushKind.ALERT and not push.options.ttl_seconds:
        return 0
    return min(max((push.expires_at - now) // 1000, 0), MOST_TTL_SECONDS)


def _topic(push: Push) -> str:
    """The collapse id of Web Push: at most 32 characters of base64url (RFC 8030 §5.4)."""
    key = push.options.collapse_key
    if key is None:
        return push.notification.hex
    fits = re.fullmatch(r"[A-Za-z0-9_-]{1,32}", key, re.ASCII)
    return key if fits else urlsafe_b64encode(sha256(key.encode()).digest()[:24]).decode()


def _as_strings(told: dict[str, Any]) -> dict[str, str]:
    """The object for the app, as `data` takes it: text as it is, everything else as JSON."""
    return {key: value if isinstance(value, str) else to_json(value).decode() for key, value in told.items()}


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
