"""What waits for a stream: bursts, cut into spans of neighbouring requests. Pure: no socket, no clock.

All connections of a pool take from one backlog, each as much as its windows and streams let through, so that a
slow one never holds back what another can send. What a peer surely did not process comes back to the front.
A request has no object of its own here either: a burst of any length waits as one span.
"""

from collections import deque
from collections.abc import Callable, Sequence

from clarion.http2.headers import PATH, Hole, Template
from clarion.http2.results import NotProcessed, Result


class Burst:
    """Requests of one template, their results in the same order, and whom to tell when all have one."""

    __slots__ = ("_on_done", "holes", "left", "results", "template")

    def __init__(
        self, template: Template, holes: Sequence[Hole], on_done: Callable[[list[Result]], None]
    ) -> None:
        for fields, middle in holes:
            if fields[:1] != PATH or not isinstance(middle, bytes):
                raise ValueError(
                    "a hole is (header fields that begin with literal(b':path', …), piece of body)"
                )
        self.template = template
        self.holes = holes
        self.results: list[Result] = [NotProcessed("never sent")] * len(holes)
        self.left = len(holes)
        self._on_done = on_done

    def settle(self, place: int, result: Result) -> None:
        """Record the result of one request, once."""
        self.results[place] = result
        self.left -= 1
        if not self.left:
            self._on_done(self.results)

    def settle_span(self, start: int, stop: int, result: Result) -> None:
        """Record one result for neighbours, which must not be none."""
        self.results[start:stop] = [result] * (stop - start)
        self.left -= stop - start
        if not self.left:
            self._on_done(self.results)


class Span:
    """Neighbouring requests of a burst that wait, and how often each was refused."""

    __slots__ = ("burst", "refusals", "start", "stop")

    def __init__(self, burst: Burst, start: int, stop: int, refusals: int = 0) -> None:
        self.burst = burst
        self.start = start
        self.stop = stop
        self.refusals = refusals

    def adjoins(self, later: "Span") -> bool:
        """Whether a span begins where this one ends, with the same past."""
        return self.burst is later.burst and self.stop == later.start and self.refusals == later.refusals


class Backlog:
    """Requests without a stream, first come first served. `attempts` is how often one may be refused."""

    def __init__(self, attempts: int = 1) -> None:
        self.taken = 0
        """Requests that were given a stream since somebody set this to 0."""
        self._attempts = attempts
        self._spans: deque[Span] = deque()

    @property
    def first(self) -> Span | None:
        """What is to be sent next."""
        return self._spans[0] if self._spans else None

    @property
    def count(self) -> int:
        """How many requests wait."""
        return sum(span.stop - span.start for span in self._spans)

    def add(self, burst: Burst) -> None:
        """Let the requests of a burst wait behind all others."""
        self._spans.append(Span(burst, 0, len(burst.holes)))

    def take(self, count: int) -> None:
        """Note that the first requests of the first span were given streams."""
        span = self._spans[0]
        span.start += count
        self.taken += count
        if span.start == span.stop:
            self._spans.popleft()

    def give_back(self, spans: Sequence[Span]) -> None:
        """Let requests wait again, before all others."""
        for span in reversed(spans):
            if self._spans and span.adjoins(self._spans[0]):
                self._spans[0].start = span.start
            else:
                self._spans.appendleft(span)

    def give_back_refused(self, burst: Burst, place: int, refusals: int, reason: str) -> None:
        """Let a request wait again that was refused by itself, unless that was once too often."""
        if refusals + 1 < self._attempts:
            self.give_back([Span(burst, place, place + 1, refusals + 1)])
        else:
            burst.settle(place, NotProcessed(reason))

    def refuse(self, reason: str) -> None:
        """End all that waits."""
        while self._spans:
            span = self._spans.popleft()
            span.burst.settle_span(span.start, span.stop, NotProcessed(reason))

    def forget(self, burst: Burst) -> None:
        """Drop a burst that nobody waits for."""
        self._spans = deque(span for span in self._spans if span.burst is not burst)
