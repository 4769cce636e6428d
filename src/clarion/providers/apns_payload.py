"""What Apple is sent for a push: the payload and the headers that all devices share. Pure.

Called by `apns.py`, once per burst. Pages of Apple's documentation are named by their last path element under
developer.apple.com/documentation/usernotifications.
"""

from typing import Any, Final

from clarion.model.delivery import PushKind
from clarion.model.notification import Options, Priority
from clarion.model.push import Push
from clarion.providers.payload import collapse_id, fit, to_json, withdrawal_object

MOST_OCTETS: Final = 4096
"""A payload's limit in octets of UTF-8 (generating-a-remote-notification)."""


def encode_payload(push: Push) -> bytes:
    """The JSON of a push, never above 4,096 octets: inputs that do not fit are left for the app to fetch."""
    if push.kind is PushKind.WITHDRAWAL:
        return to_json({"aps": {"content-available": 1}, "clarion": withdrawal_object(push)})
    aps = _aps(push)
    return fit(push, lambda told: to_json({"aps": aps, "clarion": told}), MOST_OCTETS)


def encode_headers(push: Push, topic: str) -> list[tuple[str, str]]:
    """The headers beside the credential's (sending-notification-requests-to-apns)."""
    is_alert = push.kind is PushKind.ALERT
    high = is_alert and push.options.priority is Priority.HIGH
    at_once_or_never = is_alert and not push.options.ttl_seconds
    headers = [
        ("apns-topic", topic),
        ("apns-push-type", "alert" if is_alert else "background"),
        ("apns-priority", "10" if high else "5"),
        ("apns-expiration", "0" if at_once_or_never else str(push.expires_at // 1000)),
    ]
    if is_alert:
        headers.append(("apns-collapse-id", collapse_id(push)))
    return headers


def _aps(push: Push) -> dict[str, Any]:
    alert = {"title": push.content.title, "body": push.content.text}
    return {"alert": _present(alert), **aps_options(push.options)}


def aps_options(options: Options) -> dict[str, Any]:
    """What stands in `aps` beside the words; FCM hands it on to Apple as it is."""
    optional = {
        "badge": options.badge,
        "category": options.category,
        "thread-id": options.thread,
        "interruption-level": "critical" if options.is_critical else options.interruption,
        "mutable-content": 1 if options.image_url else None,  # the app's service extension fetches the image
    }
    return {"sound": _sound(options), **_present(optional)}


def _sound(options: Options) -> str | dict[str, Any]:
    """Critical ones sound at full volume also when the device is silent, if Apple allowed the app to."""
    name = options.sound or "default"
    return {"critical": 1, "name": name, "volume": 1.0} if options.is_critical else name


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
