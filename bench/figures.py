"""All figures by name. A new one is a file with `measure`, and a line here."""

from collections.abc import Awaitable, Callable
from typing import Final

from bench import accept, broadcast, hand_off
from bench.figure import Figure
from bench.machine import Machine

FIGURES: Final[dict[str, Callable[[Machine], Awaitable[list[Figure]]]]] = {
    "accept": accept.measure,
    "hand-off": hand_off.measure,
    "broadcast-100k": broadcast.measure,
}
