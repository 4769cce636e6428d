"""A push that a stand-in accepted, in words that all providers share.

Made by the stand-ins, read by `screens.py` and `stage.py`, which therefore know no provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Alert:
    """What a banner shows."""

    title: str = ""
    subtitle: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Push:
    """An accepted push; `alert` is None when nothing appears on the screen.

    `withdraw` is the notification whose banner the app removes when it is woken by this push.
    """

    token: str
    id: str
    topic: str
    push_type: str
    collapse_id: str | None = None
    alert: Alert | None = None
    badge: int | None = None
    withdraw: str | None = None
    app: Mapping[str, Any] = field(default_factory=dict)
    """What the push says to the app: the `clarion` object."""
    advice: str = ""
    """Why the device would do nothing with it although the provider took it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A push that the provider turns down, in the provider's own words."""

    status: int
    reason: str
    gone_since_ms: int | None = None
    """When the device token became invalid, epoch milliseconds."""


Verdict = Push | Refused
