"""The roads: one file per push service, each with its settings, its encoding, its sending and its table of answers.

A provider knows `model` and `http2`, nothing of the store or of retries. This is the one place that lists
them; a further provider is a file, a line in each of the tables below, and a page in `docs/providers/`.
"""

from collections.abc import Mapping
from typing import Any, Final

from clarion.model.outcome import Accepted, Outcome
from clarion.model.push import InvalidAddress, InvalidChannel, Provider
from clarion.providers import apns, fcm_answers, fcm_payload, webpush
from clarion.providers.apns import Apns
from clarion.providers.around import Surroundings
from clarion.providers.fcm import Fcm
from clarion.providers.meaning import Answers
from clarion.providers.webpush import WebPush

__all__ = ["ANSWERS", "Surroundings", "check_address", "explain", "make_provider"]

ANSWERS: Final[Mapping[str, Answers]] = {
    "apns": apns.ANSWERS,
    "fcm": fcm_answers.ANSWERS,
    "webpush": webpush.ANSWERS,
}
"""Every provider's table of answers."""


def make_provider(name: str, settings: dict[str, Any], secret: str, around: Surroundings) -> Provider:
    """Make the provider of a channel; raises InvalidChannel, whose sentence says what cannot be used."""
    match name:
        case "apns":
            return Apns.from_channel(settings, secret, around)
        case "fcm":
            return Fcm.from_channel(settings, secret, around)
        case "webpush":
            return WebPush.from_channel(settings, secret, around)
    raise InvalidChannel(f"there is no provider {name!r}; there are {', '.join(ANSWERS)}")


def check_address(name: str, address: str) -> str:
    """Check what a device gives as its address; returns its one spelling, as the store keeps it.

    Raises InvalidAddress. Whether an endpoint leads into a private network is seen when it is used.
    """
    match name:
        case "apns":
            return apns.check_address(address)
        case "fcm":
            return fcm_payload.check_address(address)
        case "webpush":
            return webpush.check_address(address)
    raise InvalidAddress(f"there is no provider {name!r}; there are {', '.join(ANSWERS)}")


def explain(name: str, outcome: Outcome) -> str:
    """Say in plain words what an outcome means, and what to do about it."""
    if isinstance(outcome, Accepted):
        return "The push service took it. That is no proof that the device showed it."
    known = {reason or f"status {status}": meaning for (status, reason), meaning in ANSWERS[name].items()}
    found = known.get(outcome.reason) or known.get(outcome.reason.partition(": ")[0])
    return found.words if found else _IN_GENERAL[type(outcome).__name__]


_IN_GENERAL: Final = {
    "Gone": "The device is gone: the app was removed or its registration has ended.",
    "Refused": "The push service does not take this push. It was not about the credential.",
    "Misconfigured": "The credential or the channel's settings are wrong; nothing can be sent until they are mended.",
    "Unavailable": "The push service cannot be reached or cannot take it now. It will be tried again.",
    "Unknown": "It was sent and no answer came, so nobody can know whether it arrived.",
}
