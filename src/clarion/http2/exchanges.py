"""Which stream carries which request, and how each ends. Pure: no socket, no clock.

The trick is that a request has no object of its own. Requests sent in one go are a `Lot`: neighbours in their
burst whose stream ids are neighbours too, so that `(stream_id >> 1) - lot.shift` is a request's place in its
burst, and one deadline serves all. The table of open streams maps each id to the shared lot. Only a stream
that needs a memory (an answer that is not a plain success, a body that does not fit the windows) gets an
`Exchange`.
"""

from typing import Self

from clarion.http2.backlog import Backlog, Burst, Span
from clarion.http2.headers import Fields
from clarion.http2.results import Answer, Result, Unknown


class Lot:
    """Requests sent in one go. `plain` means that nothing but a plain answer is needed to end one of them."""

    __slots__ = ("_halfway", "answer", "burst", "deadline", "plain", "refusals", "shift")

    def __init__(self, burst: Burst, shift: int, deadline: float, refusals: int) -> None:
        self.burst = burst
        self.shift = shift
        self.deadline = deadline
        self.refusals = refusals
        self.plain = not burst.template.keep_success
        self.answer: Answer | None = None
        self._halfway: Lot | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the peer has begun to answer."""
        return self.answer is not None

    @classmethod
    def next_of(cls, span: Span, first_stream_id: int, deadline: float) -> Self:
        """Make the lot whose first stream carries the first request of a span."""
        return cls(span.burst, (first_stream_id >> 1) - span.start, deadline, span.refusals)

    def halfway(self, answer: Answer) -> "Lot":
        """Return the twin of this lot for streams whose plain answer came and whose body, not wanted, is
        still to end."""
        if self._halfway is None or self._halfway.answer is not answer:
            twin = Lot(self.burst, self.shift, self.deadline, self.refusals)
            twin.plain, twin.answer = False, answer
            self._halfway = twin
        return self._halfway


class Exchange(Lot):
    """A stream with a memory of its own."""

    __slots__ = ("body", "fields", "lot", "received", "status", "unsent", "window")

    def __init__(self, lot: Lot) -> None:
        super().__init__(lot.burst, lot.shift, lot.deadline, lot.refusals)
        self.plain = False
        self.answer = lot.answer
        self.lot = lot
        self.status = lot.answer.status if lot.answer else 0
        self.fields: Fields = ()
        self.body = bytearray()
        self.received = 0
        self.unsent = memoryview(b"")
        self.window = 0

    @property
    def has_begun(self) -> bool:
        """Whether the peer has begun to answer."""
        return self.status != 0

    def as_answer(self) -> Answer:
        """What the peer has said so far, as an answer."""
        return self.answer or Answer(self.status, self.fields, bytes(self.body))


class Streams:
    """The open streams, oldest first, hence in order of their deadlines."""

    def __init__(self, backlog: Backlog) -> None:
        self.open: dict[int, Lot] = {}
        self.unfinished: dict[int, Exchange] = {}
        """Those whose request body is not wholly sent."""
        self.given_back = 0
        """How many requests ended without an answer because the peer surely did not process them."""
        self._backlog = backlog

    def own(self, stream_id: int, lot: Lot) -> Exchange:
        """Give an open stream a memory of its own, unless it has one."""
        if isinstance(lot, Exchange):
            return lot
        exchange = self.open[stream_id] = Exchange(lot)
        return exchange

    def settle(self, stream_id: int, result: Result) -> None:
        """End an open stream with a result."""
        lot = self._close(stream_id)
        lot.burst.settle((stream_id >> 1) - lot.shift, result)

    def settle_all(self, result: Result) -> None:
        """End all streams with the same result."""
        for each in list(self.open):
            self.settle(each, result)

    def give_back_refused(self, stream_id: int, reason: str) -> None:
        """End an open stream that the peer refused; another may carry its request."""
        lot = self._close(stream_id)
        self.given_back += 1
        self._backlog.give_back_refused(lot.burst, (stream_id >> 1) - lot.shift, lot.refusals, reason)

    def give_back_above(self, stream_id: int) -> None:
        """End all streams above an id; others may carry their requests."""
        spans: list[Span] = []
        for each in [each for each in self.open if each > stream_id]:
            lot = self._close(each)
            place = (each >> 1) - lot.shift
            if lot.has_begun:
                lot.burst.settle(place, Unknown("the peer left in the middle of its answer"))
                continue
            span = Span(lot.burst, place, place + 1, lot.refusals)
            if spans and spans[-1].adjoins(span):
                spans[-1].stop += 1
            else:
                spans.append(span)
            self.given_back += 1
        self._backlog.give_back(spans)

    def _close(self, stream_id: int) -> Lot:
        self.unfinished.pop(stream_id, None)
        return self.open.pop(stream_id)

    def overdue(self, now: float) -> list[int]:
        """List the streams whose deadline has passed."""
        found = []
        for stream_id, lot in self.open.items():
            if lot.deadline > now:
                break
            found.append(stream_id)
        return found

    def first_deadline(self) -> float | None:
        """Return the moment at which the oldest open stream is overdue."""
        return next(iter(self.open.values())).deadline if self.open else None

    def forget(self, burst: Burst) -> list[int]:
        """Close the streams of a burst that nobody waits for; return their ids."""
        found = [stream_id for stream_id, lot in self.open.items() if lot.burst is burst]
        for stream_id in found:
            self._close(stream_id)
        return found
