"""The shape of a request to FCM: its fields and their types, as its published description names them.

`read` turns JSON into fields in snake_case and names everything that does not fit; what the values mean is
`fcm_rules.py`'s. Fields may be spelt in camelCase too, and null is the same as absent (proto3 JSON).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from clarion.sandbox.fcm_errors import Violation

Complaint = str | None
Schema = Mapping[str, "Schema"] | Callable[[Any], Complaint]

_CAPITAL = re.compile(r"[A-Z]")
_DURATION = re.compile(r"-?\d{1,12}(\.\d{1,9})?s\Z")


def text(value: Any) -> Complaint:
    """A string."""
    return None if isinstance(value, str) else f"must be a string, not {value!r}"


def flag(value: Any) -> Complaint:
    """A boolean."""
    return None if isinstance(value, bool) else f"must be true or false, not {value!r}"


def count(value: Any) -> Complaint:
    """A whole number of 32 bits."""
    fits = type(value) is int and -(1 << 31) <= value < 1 << 31
    return None if fits else f"must be a whole number, not {value!r}"


def ratio(value: Any) -> Complaint:
    """A number."""
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    return None if fits else f"must be a number, not {value!r}"


def duration(value: Any) -> Complaint:
    """Seconds with an s behind them."""
    fits = isinstance(value, str) and _DURATION.match(value)
    return None if fits else f'must be seconds such as "3600s", not {value!r}'


def anything(value: Any) -> Complaint:
    """An object whose content is somebody else's business."""
    return None if isinstance(value, dict) else f"must be an object, not {value!r}"


def texts(value: Any) -> Complaint:
    """A map from strings to strings; `read` names the entry that is none."""
    return anything(value)


def listed(each: Callable[[Any], Complaint]) -> Callable[[Any], Complaint]:
    """A list of such values."""

    def check(value: Any) -> Complaint:
        if not isinstance(value, list):
            return f"must be a list, not {value!r}"
        return next((complaint for one in value if (complaint := each(one))), None)

    return check


def one_of(*names: str) -> Callable[[Any], Complaint]:
    """An enum."""
    return lambda value: None if value in names else f"must be one of {', '.join(names)}, not {value!r}"


_LABEL: Final[Schema] = {"analytics_label": text}
_COLOR: Final[Schema] = dict.fromkeys(("red", "green", "blue", "alpha"), ratio)
_LIGHT: Final[Schema] = {"color": _COLOR, "light_on_duration": duration, "light_off_duration": duration}
_PRIORITIES: Final = ("UNSPECIFIED", "MIN", "LOW", "DEFAULT", "HIGH", "MAX")

_TEXTS: Final = (
    "title", "body", "icon", "color", "sound", "tag", "click_action", "body_loc_key", "title_loc_key",
    "channel_id", "ticker", "event_time", "image",
)  # fmt: skip
_FLAGS: Final = (
    "sticky", "local_only", "default_sound", "default_vibrate_timings", "default_light_settings",
)  # fmt: skip

ANDROID_NOTIFICATION: Final[Schema] = {
    **dict.fromkeys(_TEXTS, text),
    **dict.fromkeys(_FLAGS, flag),
    "body_loc_args": listed(text),
    "title_loc_args": listed(text),
    "vibrate_timings": listed(duration),
    "light_settings": _LIGHT,
    "notification_count": count,
    "notification_priority": one_of(*(f"PRIORITY_{name}" for name in _PRIORITIES)),
    "visibility": one_of("VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"),
    "proxy": one_of("PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
}

ANDROID: Final[Schema] = {
    "collapse_key": text,
    "priority": one_of("NORMAL", "HIGH"),
    "ttl": duration,
    "restricted_package_name": text,
    "data": texts,
    "direct_boot_ok": flag,
    "bandwidth_constrained_ok": flag,
    "restricted_satellite_ok": flag,
    "fcm_options": _LABEL,
    "notification": ANDROID_NOTIFICATION,
}

MESSAGE: Final[Schema] = {
    "fid": text,
    "token": text,
    "topic": text,
    "condition": text,
    "notification": {"title": text, "body": text, "image": text},
    "data": texts,
    "android": ANDROID,
    "webpush": {
        "headers": texts,
        "data": texts,
        "notification": anything,
        "fcm_options": {"link": text, "analytics_label": text},
    },
    "apns": {
        "headers": texts,
        "payload": anything,
        "live_activity_token": text,
        "fcm_options": {"image": text, "analytics_label": text},
    },
    "fcm_options": _LABEL,
}

REQUEST: Final[Schema] = {"validate_only": flag, "message": MESSAGE}


def read(schema: Schema, value: Any, path: str, faults: list[Violation]) -> Any:
    """Return a value with its fields in snake_case; what does not fit is added to the faults."""
    if isinstance(schema, Mapping):
        return _read_message(schema, value, path, faults)
    if complaint := schema(value):
        faults.append(Violation(path, complaint))
    elif schema is texts:
        _check_entries(value, path, faults)
    return value


def _read_message(
    schema: Mapping[str, Schema], value: Any, path: str, faults: list[Violation]
) -> dict[str, Any]:
    if not isinstance(value, dict):
        faults.append(Violation(path, f"must be an object, not {value!r}"))
        return {}
    found = {}
    for name, part in value.items():
        known = _CAPITAL.sub(lambda capital: f"_{capital[0].lower()}", name)
        if known not in schema:
            faults.append(Violation(path, f'Unknown name "{name}": there is no such field'))
        elif part is not None:
            found[known] = read(schema[known], part, f"{path}.{known}".lstrip("."), faults)
    return found


def _check_entries(value: dict[str, Any], path: str, faults: list[Violation]) -> None:
    for index, part in enumerate(value.values()):
        if complaint := text(part):
            faults.append(Violation(f"{path}[{index}].value", complaint))
