"""All figures by name. A new one is a file with `measure`, and a line here."""

from collections.abc import Awaitable, Callable
from typing import Final

from bench import accept, apns_burst, broadcast, hand_off, inbox, latency, streams, sync, webpush, wire
from bench.figure import Figure
from bench.machine import Machine

FIGURES: Final[dict[str, Callable[[Machine], Awaitable[list[Figure]]]]] = {
    "accept": accept.measure,
    "hand-off": hand_off.measure,
    "broadcast-100k": broadcast.measure,
    "wire": wire.measure,
    "apns-100k": apns_burst.measure,
    "latency-bound": latency.measure,
    "webpush": webpush.measure,
    "streams": streams.measure,
    "inbox-page": inbox.measure,
    "sync": sync.measure,
}
