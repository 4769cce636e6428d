"""Which stream carries which request, and how each ends. Pure: no socket, no clock.

The trick is that a request has no object of its own. Requests sent in one go are a `Lot`: neighbours in their
burst whose stream ids are neighbours too, so that `(stream_id >> 1) - lot.shift` is a request's place in its
burst, and one deadline serves all. The table of open streams maps each id to the shared lot. Only a stream
that needs a memory (an answer that is not a plain success, a body that does not fit the windows) gets an
`Exchange`.
"""

from collections.abc import Callable, Sequence
from typing import Self

from clarion.http2.headers import Fields, Hole, Template
from clarion.http2.results import Answer, NotProcessed, Result


class Burst:
    """Requests of one template, their results in the same order, and whom to tell when all have one."""

    __slots__ = ("_on_done", "holes", "left", "results", "sent", "template")

    def __init__(
        self, template: Template, holes: Sequence[Hole], on_done: Callable[[list[Result]], None]
    ) -> None:
        self.template = template
        self.holes = holes
        self.results: list[Result] = [NotProcessed("never sent")] * len(holes)
        self.sent = 0
        self.left = len(holes)
        self._on_done = on_done

    def settle(self, place: int, result: Result) -> None:
        """Record the result of one request, once."""
        self.results[place] = result
        self.left -= 1
        if not self.left:
            self.finish()

    def settle_unsent(self, result: Result) -> None:
        """Record one result for all requests that have not been sent."""
        unsent = len(self.holes) - self.sent
        if not unsent:
            return
        self.results[self.sent :] = [result] * unsent
        self.sent += unsent
        self.left -= unsent
        if not self.left:
            self.finish()

    def finish(self) -> None:
        """Hand the results over."""
        self._on_done(self.results)


class Lot:
    """Requests sent in one go. `plain` means that nothing but a plain answer is needed to end one of them."""

    __slots__ = ("_halfway", "answer", "burst", "deadline", "plain", "shift")

    def __init__(self, burst: Burst, shift: int, deadline: float) -> None:
        self.burst = burst
        self.shift = shift
        self.deadline = deadline
        self.plain = not burst.template.keep_success
        self.answer: Answer | None = None
        self._halfway: Lot | None = None

    @classmethod
    def next_of(cls, burst: Burst, first_stream_id: int, deadline: float) -> Self:
        """Make the lot whose first stream carries the burst's next unsent request."""
        return cls(burst, (first_stream_id >> 1) - burst.sent, deadline)

    def halfway(self, answer: Answer) -> "Lot":
        """Return the twin of this lot for streams whose plain answer came and whose body, not wanted, is
        still to end."""
        if self._halfway is None or self._halfway.answer is not answer:
            twin = Lot(self.burst, self.shift, self.deadline)
            twin.plain, twin.answer = False, answer
            self._halfway = twin
        return self._halfway


class Exchange(Lot):
    """A stream with a memory of its own."""

    __slots__ = ("body", "fields", "lot", "received", "status", "unsent", "window")

    def __init__(self, lot: Lot) -> None:
        super().__init__(lot.burst, lot.shift, lot.deadline)
        self.plain = False
        self.answer = lot.answer
        self.lot = lot
        self.status = lot.answer.status if lot.answer else 0
        self.fields: Fields = ()
        self.body = bytearray()
        self.received = 0
        self.unsent = memoryview(b"")
        self.window = 0

    def as_answer(self) -> Answer:
        """What the peer has said so far, as an answer."""
        return self.answer or Answer(self.status, self.fields, bytes(self.body))


class Streams:
    """The open streams, oldest first, hence in order of their deadlines."""

    def __init__(self) -> None:
        self.open: dict[int, Lot] = {}
        self.unfinished: dict[int, Exchange] = {}
        """Those whose request body is not wholly sent."""

    def own(self, stream_id: int, lot: Lot) -> Exchange:
        """Give an open stream a memory of its own, unless it has one."""
        if isinstance(lot, Exchange):
            return lot
        exchange = self.open[stream_id] = Exchange(lot)
        return exchange

    def settle(self, stream_id: int, result: Result) -> None:
        """End an open stream with a result."""
        lot = self.open.pop(stream_id)
        self.unfinished.pop(stream_id, None)
        lot.burst.settle((stream_id >> 1) - lot.shift, result)

    def settle_above(self, stream_id: int, result: Result) -> None:
        """End all streams above an id with the same result."""
        for each in [each for each in self.open if each > stream_id]:
            self.settle(each, result)

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

    def abandon(self, burst: Burst) -> list[int]:
        """Forget the open streams of a burst that nobody waits for; return their ids."""
        found = [stream_id for stream_id, lot in self.open.items() if lot.burst is burst]
        for stream_id in found:
            del self.open[stream_id]
            self.unfinished.pop(stream_id, None)
        return found
