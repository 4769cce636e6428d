"""Whether a push service is well, as its answers tell, and how long it is left alone when it is not. Pure.

Kept by `webpush_service.py`; the clock is given.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from clarion import http2
from clarion.model.outcome import Misconfigured, Outcome, Unavailable, Unknown
from clarion.providers.webpush_answers import BLAMES_TOKEN

MANY: Final = 8
"""From so many answers "slow down" on, when they are half of all, the whole service is left alone."""

FIRST_REST_MS: Final = 1_000
LONGEST_REST_MS: Final = 300_000
LONGEST_ASKED_REST_MS: Final = 3_600_000
MISCONFIGURED_REST_MS: Final = 60_000

_NOT_ASKED: Final = Unavailable("not asked", whole_service=False)
_SILENCE: Final = 600  # stands for no answer, which is never about one device
_HASTY: Final = frozenset({406, 429})


class Health:
    """The health of one service. `failures` counts its rests in a row: above 0 it is in trouble.

    It is well once it did its work, and until it rests. `clock` answers in milliseconds.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.is_well = False
        self.failures = 0
        self._clock = clock
        self._faults = 0  # answers in a row that say that it is away; a single one may be about its device
        self._trouble: Outcome = _NOT_ASKED
        self._rested_at = 0
        self._rest_ms = 0
        self._was_asked_to_rest = False

    def rests(self) -> bool:
        """Whether it is to be left alone now; a clock that was set back ends the rest."""
        return 0 <= self._clock() - self._rested_at < self._rest_ms

    def learn(self, results: Sequence[http2.Result], outcomes: Sequence[Outcome]) -> None:
        """Judge the service by what it answered to one burst."""
        statuses = [result.status if isinstance(result, http2.Answer) else _SILENCE for result in results]
        away = [outcome for status, outcome in zip(statuses, outcomes, strict=True) if status >= 500]
        hasty = [outcome for status, outcome in zip(statuses, outcomes, strict=True) if status in _HASTY]
        wrong = [outcome for outcome in outcomes if isinstance(outcome, Misconfigured)]
        if wrong:
            self.begin_rest(wrong[0])
        elif len(away) * 2 >= len(outcomes):
            self._faults += len(away)
            if self._faults > 1 or _SILENCE in statuses:
                self.begin_rest(_longest_wait(away))
        elif len(hasty) >= MANY and len(hasty) * 2 >= len(outcomes):
            self.begin_rest(_longest_wait(hasty))
        elif any(_is_ordinary(outcome) for outcome in outcomes):
            self.is_well, self.failures, self._faults = True, 0, 0

    def begin_rest(self, trouble: Outcome) -> None:
        """Leave the service alone: as long as it asked, at least a second, and twice as long each time."""
        if self.rests():
            return
        rest = min(FIRST_REST_MS << min(self.failures, 16), LONGEST_REST_MS)
        asked = trouble.retry_after_seconds if isinstance(trouble, Unavailable) else None
        if asked is not None:
            rest = max(rest, min(int(asked * 1000), LONGEST_ASKED_REST_MS))
        if isinstance(trouble, Misconfigured):
            rest = max(rest, MISCONFIGURED_REST_MS)
        self.is_well = False
        self.failures += 1
        if isinstance(trouble, Unknown):  # those who follow are surely not sent to
            trouble = Unavailable(trouble.reason, whole_service=False)
        self._trouble = trouble
        self._was_asked_to_rest = asked is not None
        self._rested_at, self._rest_ms = self._clock(), rest

    def answer(self) -> Outcome:
        """What those are told for whom the service is not asked."""
        if not isinstance(self._trouble, Unavailable) or not self._was_asked_to_rest:
            return self._trouble
        left = max(0, self._rested_at + self._rest_ms - self._clock())
        return replace(self._trouble, retry_after_seconds=left / 1000)


def _is_ordinary(outcome: Outcome) -> bool:
    """Whether it tells that the service does its work, and takes the token."""
    return (
        not isinstance(outcome, Unavailable | Unknown | Misconfigured)
        and getattr(outcome, "reason", "") not in BLAMES_TOKEN
    )


def _longest_wait(outcomes: Sequence[Outcome]) -> Outcome:
    return max(outcomes, key=lambda outcome: getattr(outcome, "retry_after_seconds", None) or 0.0)
