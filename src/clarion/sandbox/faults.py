"""Faults for all requests, set while the sandbox runs: the service as a whole in trouble.

Set through the page's API, obeyed by the stand-ins. For trouble with a single device see `outcomes.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

# Mode -> (what its value means, the value when none is given).
MODES = {
    "none": ("", 0),
    "unavailable": ("", 0),
    "slow": ("milliseconds until an answer", 2000),
    "goaway": ("requests between two GOAWAY frames", 1000),
    "reset": ("requests between two that are reset", 10),
    "drop": ("requests between two lost connections", 1000),
    "tls_cut": ("requests between two connections that end without TLS's farewell", 1000),
    "stalled": ("milliseconds in which a connection takes no bodies", 2000),
    "limit": ("concurrent streams per connection", 1),
}
NOW_AND_THEN = frozenset({"goaway", "reset", "drop", "tls_cut"})
HIGHEST = 1_000_000


@dataclass(frozen=True, slots=True)
class Fault:
    """The trouble that all requests meet."""

    mode: str = "none"
    value: int = 0

    @property
    def stall_seconds(self) -> float:
        """How long connections take no bodies."""
        return self.value / 1000 if self.mode == "stalled" else 0.0

    def strikes(self, request: int) -> bool:
        """Whether the request of this number, counted from 1, is the one in `value` that meets it."""
        return self.mode in NOW_AND_THEN and request % self.value == 0


def fault_of(content: object) -> Fault | str:
    """Return the fault that a request's JSON asks for, or a sentence that says what is wrong with it."""
    if not isinstance(content, dict) or content.get("mode") not in MODES:
        return f"mode must be one of: {', '.join(MODES)}"
    meaning, usual = MODES[content["mode"]]
    value = content.get("value")
    if value is None or not meaning:
        return Fault(content["mode"], usual)
    if type(value) is not int or not 1 <= value <= HIGHEST:
        return f"value ({meaning}) must be a whole number from 1 to {HIGHEST}"
    return Fault(content["mode"], value)
