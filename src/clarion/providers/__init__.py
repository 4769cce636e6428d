"""The roads: one file per push service, each with its settings, its encoding, its sending and its table of answers.

A provider knows `model` and `http2`, nothing of the store or of retries. `make_provider` is the one place
that lists them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

from clarion.model.push import InvalidChannel, Provider
from clarion.providers.apns import Apns


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What providers get from outside: the time in milliseconds, and whom to trust."""

    clock: Callable[[], int]
    tls: SSLContext


def make_provider(name: str, settings: dict[str, Any], secret: str, around: Surroundings) -> Provider:
    """Make the provider of a channel; raises InvalidChannel, whose sentence says what cannot be used."""
    match name:
        case "apns":
            return Apns.from_channel(settings, secret, clock=around.clock, tls=around.tls)
    raise InvalidChannel(f"there is no provider {name!r}")
