"""What a sender asks for, once: the draft that the door accepted, and the notification that the store keeps."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from clarion.model.audience import Audience, Scope

DEFAULT_TTL_SECONDS = 3 * 24 * 3600
"""How long a push may wait for its device when the sender says nothing; the same at every provider."""

DEFAULT_SCREEN = "jig"


class NotificationState(StrEnum):
    """Where a notification is on its way; design §1 tells who moves it."""

    QUEUED = "queued"  # waits for its moment, or for a worker
    SENDING = "sending"  # a worker has begun
    RETRY = "retry"  # only retries remain
    SENT = "sent"  # nothing remains, and somebody was reached or nobody had a device
    FAILED = "failed"  # nothing remains, there were devices, and none was accepted
    CANCELLED = "cancelled"  # recalled by a sender


class Priority(StrEnum):
    """How urgent a banner is: NORMAL lets a device save power."""

    NORMAL = "normal"
    HIGH = "high"


class Interruption(StrEnum):
    """How far a banner may intrude, as Apple names it; critical ones are `Options.is_critical`."""

    PASSIVE = "passive"
    ACTIVE = "active"
    TIME_SENSITIVE = "time-sensitive"


@dataclass(frozen=True, slots=True)
class Content:
    """Its words, and the screen with inputs that a tap opens."""

    text: str
    title: str | None = None
    screen: str = DEFAULT_SCREEN
    jig: str | None = None
    inputs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Options:
    """What a sender may ask of the push beyond its words; every part is optional."""

    ttl_seconds: int = DEFAULT_TTL_SECONDS
    priority: Priority = Priority.HIGH
    collapse_key: str | None = None
    badge: int | None = None
    sound: str | None = None
    category: str | None = None
    thread: str | None = None
    image_url: str | None = None
    android_channel: str | None = None
    interruption: Interruption | None = None
    is_critical: bool = False


NO_OPTIONS: Final = Options()
"""What a sender gets who asks for nothing."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A request to notify that passed the door's rules; `start_at` in milliseconds, None means now."""

    content: Content
    audience: Audience
    description: str | None = None
    start_at: int | None = None
    options: Options = NO_OPTIONS


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification as stored. `id` counts within the organization, `seq` is its place in the release order."""

    organization: UUID
    region: str
    uuid: UUID
    id: int
    scope: Scope
    content: Content
    state: NotificationState
    start_at: int
    created_at: int
    created_by: UUID
    updated_at: int
    updated_by: UUID
    emails: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    solution: UUID | None = None
    description: str | None = None
    options: Options = NO_OPTIONS
