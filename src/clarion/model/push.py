"""What a provider is asked to send, and what every provider can do.

`service/push.py` makes a `Push` once per notification and channel, and a `Parcel` per device. A provider
renders the push, sends the parcels, and answers with one outcome per parcel, in their order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID

from clarion.model.delivery import PushKind
from clarion.model.notification import Content, Options
from clarion.model.outcome import Misconfigured, Outcome, Unavailable


class Banner(NamedTuple):
    """A banner that a withdrawal takes away: whose it is, and the sender's key under which it may stand."""

    notification: UUID
    collapse_key: str | None


@dataclass(frozen=True, slots=True)
class Push:
    """One notification for many devices. `expires_at` in milliseconds; no push service keeps it longer.

    `number` is the notification's in its organization: with a device it makes the id of a push. `also`: further
    banners that a withdrawal takes away with this notification's.
    """

    number: int
    notification: UUID
    organization: UUID
    solution: UUID | None
    content: Content
    options: Options
    kind: PushKind
    expires_at: int
    also: tuple[Banner, ...] = ()


class Parcel(NamedTuple):
    """One device's share: the id under which the push is offered at every try, and the address."""

    push_id: str
    address: str


class Provider(Protocol):
    """A push service with one credential. Its answers are values; it never retries and never raises for one."""

    async def connect(self) -> Unavailable | Misconfigured | None:
        """Make sure that the service can be reached; what keeps it from that, or None."""

    async def send(self, push: Push, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Offer a push to devices; one outcome per parcel, in order."""

    async def close(self) -> None:
        """Close the connections; what is in flight becomes unknown."""


class InvalidChannel(ValueError):  # noqa: N818 - it says what is invalid
    """A channel's settings or credential cannot be used; the sentence says what is wrong with it."""


class InvalidAddress(ValueError):  # noqa: N818 - it says what is invalid
    """An address cannot be one of its provider; the sentence says why."""
