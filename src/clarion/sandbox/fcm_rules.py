"""What FCM accepts and how it refuses: a pure function of a request, the registry and the clock.

Called by `fcm.py`; knows nothing of sockets, screens or scripted outcomes. The rules are those of the HTTP v1
reference. Google does not say in which order it checks; here: the path, who asks, the shape, the target, the
content, the device. Topics and conditions are not served.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from clarion.sandbox.conversation import Request
from clarion.sandbox.fcm_errors import Violation, error, invalid
from clarion.sandbox.fcm_schema import REQUEST, read
from clarion.sandbox.push import Alert, Push, Refused
from clarion.sandbox.registry import Project, Registry

PAYLOAD_LIMIT = 4096
LONGEST_TTL = 2_419_200  # four weeks, in seconds; also what is meant where none is given
TARGETS = ("fid", "token", "topic", "condition")

_PATH = re.compile(r"/v1/projects/([^/]+)/messages:send\Z")
_BEARER = re.compile(r"bearer +(\S+) *\Z", re.IGNORECASE)
_ADDRESS = re.compile(r"[A-Za-z0-9_:.%~-]{1,4096}\Z")
_LABEL = re.compile(r"[a-zA-Z0-9\-_.~%]{1,50}\Z")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}\Z")
_RESERVED = re.compile(r"from\Z|message_type\Z|gcm\Z|google|gcm\.notification\.")


class Asked(NamedTuple):
    """What a request that is right asks for."""

    push: Push
    """Without an id: the caller makes one."""
    only_validate: bool


def project_of(request: Request) -> str | Refused:
    """Return the project that the path names."""
    found = _PATH.match(request.path)
    if found is None or request.method != "POST":
        return error(404, "NOT_FOUND", "There is nothing at this path, or not for this method.")
    return found[1]


def authorize(
    request: Request, project_id: str, registry: Registry, owner: Callable[[str], str | None]
) -> Project | Refused:
    """Return the project that may send; `owner` knows whose an access token is."""
    given = [value for name, value in request.headers if name == "authorization"]
    bearer = _BEARER.match(given[0]) if len(given) == 1 else None
    account = owner(bearer[1]) if bearer else None
    if account is None:
        return error(401, "UNAUTHENTICATED", "The request has no valid OAuth 2 access token.")
    project = registry.projects.get(account)
    if project is None or project.project_id != project_id:
        return error(403, "PERMISSION_DENIED", f"{account} may not send for the project {project_id}.")
    return project


def judge(request: Request, project: Project, registry: Registry, now: float) -> Asked | Refused:
    """Judge an authorized request; the verdict is what it asks for, or the reason why not."""
    asked = _asked(request)
    if isinstance(asked, Refused):
        return asked
    message = asked.get("message", {})
    if refused := _check_target(message):
        return refused
    if faults := list(_faults(message)):
        return invalid("The request contains an invalid argument.", *faults)
    if _payload_size(message) > PAYLOAD_LIMIT:
        return error(400, "INVALID_ARGUMENT", f"The message is larger than {PAYLOAD_LIMIT} octets.")
    if refused := _check_device(message, project, registry):
        return refused
    return Asked(_push(message, project, registry, now), asked.get("validate_only", False))


def _asked(request: Request) -> dict[str, Any] | Refused:
    try:
        content = json.loads(request.body)
    except (ValueError, RecursionError):
        return error(400, "INVALID_ARGUMENT", "The body is no JSON, or too large.")
    faults: list[Violation] = []
    asked: dict[str, Any] = read(REQUEST, content, "", faults)
    if faults:
        listed = "\n".join(f"Invalid value at '{field}': {what}" for field, what in faults)
        return error(400, "INVALID_ARGUMENT", f"Invalid JSON payload received. {listed}", violations=faults)
    return asked


def address_of(request: Request) -> str:
    """Return the address in a request as far as it can be read, for the log of refusals."""
    try:
        message = json.loads(request.body)["message"]
        return str(message.get("fid") or message.get("token") or "")[:200]
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return ""


# --- the target ---


def _check_target(message: dict[str, Any]) -> Refused | None:
    targets = [name for name in TARGETS if message.get(name)]
    if len(targets) != 1:
        found = " and ".join(targets) or "none"
        what = f"exactly one of {', '.join(TARGETS)} must be set, not {found}"
        return invalid("The recipient of the message is not clear.", Violation("message", what))
    [target] = targets
    if target not in ("fid", "token"):
        what = "this stand-in serves single devices only"
        return invalid("Topics are not served here.", Violation(f"message.{target}", what))
    # A registration token may name an installation, but not the other way round.
    if not _ADDRESS.match(message[target]) or (target == "fid" and ":" in message[target]):
        return invalid_token(target)
    return None


def invalid_token(target: str = "token") -> Refused:
    """Return what FCM says of an address that was never one."""
    message = "The registration token is not a valid FCM registration token."
    return invalid(message, Violation(f"message.{target}", "Invalid registration token"))


def _check_device(message: dict[str, Any], project: Project, registry: Registry) -> Refused | None:
    address = message.get("fid") or message["token"]
    if address in registry.former:
        return UNREGISTERED
    phone = registry.phones.get(address)
    fits = phone is None or (phone.provider == "fcm" and phone.topic in project.packages)
    return None if fits else SENDER_ID_MISMATCH


UNREGISTERED = error(404, "NOT_FOUND", "Requested entity was not found.", code="UNREGISTERED")
SENDER_ID_MISMATCH = error(403, "PERMISSION_DENIED", "SenderId mismatch", code="SENDER_ID_MISMATCH")


# --- the content ---


def _faults(message: dict[str, Any]) -> Iterator[Violation]:
    android = message.get("android", {})
    for path, data in (("message.data", message.get("data")), ("message.android.data", android.get("data"))):
        for index, key in enumerate(data or {}):
            if _RESERVED.match(key):
                yield Violation(f"{path}[{index}].key", f"{key!r} is reserved")
    if "ttl" in android and not 0 <= float(android["ttl"].removesuffix("s")) <= LONGEST_TTL:
        yield Violation("message.android.ttl", f"must be from 0 to {LONGEST_TTL} seconds")
    color = android.get("notification", {}).get("color")
    if color and not _COLOR.match(color):
        yield Violation("message.android.notification.color", "must be like #rrggbb")
    if not message.get("webpush", {}).get("fcm_options", {}).get("link", "https://").startswith("https://"):
        yield Violation("message.webpush.fcm_options.link", "must begin with https://")
    for path, options in _options(message):
        if not _LABEL.match(options.get("analytics_label", "none")):
            yield Violation(f"{path}.analytics_label", "must be 1 to 50 of the characters a-zA-Z0-9-_.~%")


def _options(message: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "message.fcm_options", message.get("fcm_options", {})
    for name in ("android", "webpush", "apns"):
        yield f"message.{name}.fcm_options", message.get(name, {}).get("fcm_options", {})


def _payload_size(message: dict[str, Any]) -> int:
    """What travels to an Android device, keys and values: FCM counts both, and does not say more."""
    android = message.get("android", {})
    data = android.get("data", message.get("data", {}))
    shown = {**message.get("notification", {}), **android.get("notification", {})}
    values = (value if isinstance(value, str) else json.dumps(value) for value in shown.values())
    return sum(
        len(part.encode("utf-8", "surrogatepass")) for part in (*data, *data.values(), *shown, *values)
    )


# --- the accepted push ---


def _push(message: dict[str, Any], project: Project, registry: Registry, now: float) -> Push:
    android = message.get("android", {})
    address = message.get("fid") or message["token"]
    shown = {**message.get("notification", {}), **android.get("notification", {})}
    data = android.get("data", message.get("data", {}))
    app, wrong = _app(data)
    phone = registry.phones.get(address)
    package = phone.topic if phone else android.get("restricted_package_name", project.project_id)
    return Push(
        provider="fcm",
        token=address,
        id="",
        topic=package,
        push_type="notification" if shown else "data",
        collapse_id=shown.get("tag"),
        alert=_alert(shown),
        badge=shown.get("notification_count"),
        withdraw=() if shown else _names(data.get("withdraw", "[]")),
        app=app,
        advice="; ".join([*wrong, *_advice(message, shown, data, package)]),
        # Notifications are always collapsible, under the app's name; data is where it has a key.
        waits_as=package if shown else android.get("collapse_key"),
        expires_at=now + float(android.get("ttl", f"{LONGEST_TTL}s").removesuffix("s")),
    )


def _app(data: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """What the app reads from `data`, where everything is a string: inputs are JSON in one."""
    app: dict[str, Any] = dict(data)
    if "inputsOmitted" in data:
        app["inputsOmitted"] = data["inputsOmitted"] == "true"
    try:
        inputs = json.loads(data.get("inputs", "{}"))
    except (ValueError, RecursionError):
        inputs = None
    app["inputs"] = inputs if isinstance(inputs, dict) else {}
    return app, [] if isinstance(inputs, dict) else [
        "data.inputs is no JSON object: the screen opens without"
    ]


def _names(text: str) -> tuple[str, ...]:
    """What the app reads from a list, which is JSON in a string; nothing where there is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list) else ()


def _alert(shown: dict[str, Any]) -> Alert | None:
    # A key for translation is shown as it stands: the stand-in has no app to look it up in.
    title = shown.get("title") or shown.get("title_loc_key", "")
    text = shown.get("body") or shown.get("body_loc_key", "")
    return Alert(title, text=text) if title or text else None


def _advice(
    message: dict[str, Any], shown: dict[str, Any], data: dict[str, str], package: str
) -> Iterator[str]:
    if shown and _alert(shown) is None:
        yield "neither title nor body: the device shows nothing"
    if shown and "withdraw" in data:
        yield "withdraw beside a notification: an app in the background is not woken"
    if message.get("android", {}).get("restricted_package_name", package) != package:
        yield "restricted_package_name is another app's: nothing is delivered"
