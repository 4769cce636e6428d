"""A push that a stand-in accepted, in words that all providers share.

Made by the stand-ins, read by `screens.py` and `stage.py`, which therefore know no provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Provider = Literal["apns", "fcm", "webpush"]


@dataclass(frozen=True, slots=True)
class Alert:
    """What a banner shows."""

    title: str = ""
    subtitle: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Push:
    """An accepted push; `alert` is None when nothing appears on the screen.

    `token` is the address as the registry's index spells it. `withdraw` names the notifications whose banners
    the app removes when it is woken by this push.
    """

    provider: Provider
    token: str
    id: str
    topic: str
    push_type: str
    collapse_id: str | None = None
    """A banner with the same one is replaced."""
    alert: Alert | None = None
    badge: int | None = None
    withdraw: tuple[str, ...] = ()
    app: Mapping[str, Any] = field(default_factory=dict)
    """What the push says to the app: the `clarion` object."""
    advice: str = ""
    """Why the device would do nothing with it although the provider took it."""
    waits_as: str | None = None
    """While the device is away, the service keeps the newest push of each such name; None: it keeps this one too."""
    expires_at: float | None = None
    """Until when the service keeps it for a device that is away, epoch seconds; None: for weeks."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A push that the provider turns down; `reason` in the provider's own words, as the log shows it."""

    status: int
    reason: str
    gone_since_ms: int | None = None
    """When an Apple device token became invalid, epoch milliseconds."""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    """The whole answer, where the reason alone does not make it."""


Verdict = Push | Refused
