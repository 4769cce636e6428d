"""A measured value beside its peer's, and whether it reaches its goal."""

from dataclasses import dataclass
from typing import Any


class MeasureError(Exception):
    """A figure cannot be measured, or what was measured is not what it claims to be."""


@dataclass(frozen=True, slots=True)
class Peer:
    """What ours is compared with, measured in the same run."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Goal:
    """Either a least ratio of ours to the peer's, or a value that ours must reach or stay below."""

    least_ratio: float | None = None
    below: float | None = None
    least: float | None = None

    def is_met(self, ours: float, ratio: float | None) -> bool:
        """Whether a figure reaches it."""
        if self.below is not None:
            return ours < self.below
        if self.least is not None:
            return ours >= self.least
        return self.least_ratio is None or (ratio is not None and ratio >= self.least_ratio)

    def describe(self, unit: str) -> str:
        """Say it in words."""
        if self.below is not None:
            return f"below {self.below:g} {unit}"
        if self.least is not None:
            return f"at least {self.least:,g} {unit}"
        return "" if self.least_ratio is None else f"ratio at least {self.least_ratio:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    unit: str
    ours: float
    goal: Goal
    peer: Peer | None = None

    @property
    def ratio(self) -> float | None:
        """Ours as a part of the peer's."""
        return None if self.peer is None or not self.peer.value else self.ours / self.peer.value

    @property
    def is_met(self) -> bool:
        """Whether the goal is reached."""
        return self.goal.is_met(self.ours, self.ratio)

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": round(self.ours, 3),
            "peerName": None if self.peer is None else self.peer.name,
            "peer": None if self.peer is None else round(self.peer.value, 3),
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "goal": self.goal.describe(self.unit),
            "met": self.is_met,
        }
