"""What a browser reads in a decrypted message: Declarative Web Push, or nothing that it could show.

Pure functions, called by `webpush_rules.py`. A service takes every message, so what is wrong here is advice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from clarion.sandbox.push import Alert

MAGIC = 8030
HIGHEST_BADGE = (1 << 64) - 1

# Member of `notification` -> what it must be, where it is given.
_TYPES: dict[str, tuple[type, str]] = {
    "body": (str, "a string"),
    "lang": (str, "a string"),
    "dir": (str, "auto, ltr or rtl"),
    "tag": (str, "a string"),
    "icon": (str, "a URL"),
    "silent": (bool, "true or false"),
    "actions": (list, "a list"),
}
_DIGITS = re.compile(r"[0-9]{1,20}\Z")


@dataclass(frozen=True, slots=True)
class Message:
    """What a browser makes of a message; without an alert it shows nothing by itself."""

    alert: Alert | None = None
    tag: str | None = None
    badge: int | None = None
    app: dict[str, Any] = field(default_factory=dict)
    """The object `clarion`, and beside it `navigate`."""
    advice: str = ""


def read_message(octets: bytes) -> Message:
    """Read a decrypted message."""
    try:
        content = json.loads(octets)
    except (ValueError, RecursionError):
        return Message(advice="the message is no JSON: no browser shows it by itself")
    if not isinstance(content, dict) or type(content.get("web_push")) is not int:
        return Message(advice=f"web_push must be the number {MAGIC}: the message is not declarative")
    notification = content.get("notification")
    if content["web_push"] != MAGIC or not isinstance(notification, dict):
        return Message(advice=f"web_push must be {MAGIC}, and notification an object")
    faults = list(_faults(content, notification))
    if faults:
        return Message(app=_app(content, notification), advice="; ".join(faults))
    badge = content.get("app_badge")
    return Message(
        Alert(notification["title"], text=notification.get("body", "")),
        notification.get("tag") or None,
        None if badge is None else int(badge),
        _app(content, notification),
    )


def _faults(content: dict[str, Any], notification: dict[str, Any]) -> Iterator[str]:
    title, navigate = notification.get("title"), notification.get("navigate")
    if not (isinstance(title, str) and title):
        yield "notification.title must be a string that is not empty"
    if not (isinstance(navigate, str) and _is_absolute(navigate)):
        yield "notification.navigate must be an absolute URL"
    for name, (kind, words) in _TYPES.items():
        if name in notification and not isinstance(notification[name], kind):
            yield f"notification.{name} must be {words}"
    if notification.get("dir", "auto") not in ("auto", "ltr", "rtl"):
        yield "notification.dir must be auto, ltr or rtl"
    for name in ("app_badge", "mutable"):
        if name in notification:
            yield f"{name} belongs beside notification, not into it"
    if not isinstance(content.get("mutable", False), bool):
        yield "mutable must be true or false"
    if not _is_badge(content.get("app_badge", 0)):
        yield "app_badge must be a whole number of at most 64 bits, or its digits"


def _is_absolute(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("https", "http") and bool(parts.hostname)


def _is_badge(value: object) -> bool:
    number = int(value) if isinstance(value, str) and _DIGITS.match(value) else value
    return type(number) is int and 0 <= number <= HIGHEST_BADGE


def _app(content: dict[str, Any], notification: dict[str, Any]) -> dict[str, Any]:
    """The object for the app: beside the notification, or in the data that a service worker finds with it."""
    data = notification.get("data")
    inner = data.get("clarion") if isinstance(data, dict) else None
    found = content.get("clarion", inner)
    app = dict(found) if isinstance(found, dict) else {}
    navigate = notification.get("navigate")
    return app | ({"navigate": navigate} if isinstance(navigate, str) else {})
