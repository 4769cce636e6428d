"""What a row of an answer table is made of. Each provider has such a table, complete for its vendor's documentation.

Read by the providers, by `explain` for people, and by the documentation, which prints the tables.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clarion.model.outcome import Outcome, Refused, Unavailable


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an answer becomes, given its reason, and the same in plain words: what is wrong and what to do."""

    read: Callable[[str], Outcome]
    words: str


Answers = Mapping[tuple[int, str], Meaning]
"""(status, reason as the vendor spells it) -> what it means; an empty reason stands for the status alone."""


def doubt(reason: str) -> Outcome:
    """The address may be wrong: one more strike against the device."""
    return Refused(reason, doubts_device=True)


def this_device_later(reason: str) -> Outcome:
    """Only this device is to wait."""
    return Unavailable(reason, whole_service=False)


def wait_at_least(seconds: float) -> Callable[[str], Outcome]:
    """The whole service is to be left alone for so long at least."""
    return lambda reason: Unavailable(reason, retry_after_seconds=seconds)
