import sys
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from clarion.http2 import Answer, Limits, NotProcessed, Unknown
from clarion.http2 import frames as f
from clarion.http2.backlog import Backlog, Burst, Span
from clarion.http2.exchanges import Streams
from clarion.http2.frames import Code
from clarion.http2.receiving import Receiver
from clarion.http2.sending import Sender

from .wire import ACK, STATUS_400, TEMPLATE, Ending, answer, holes, split

OK = Answer(200, (), b"")


def burst_of(count: int) -> tuple[Burst, Ending]:
    ending = Ending()
    return Burst(TEMPLATE, holes(count), ending.finish), ending


def spans(backlog: Backlog) -> list[tuple[int, int, int]]:
    """All that waits, as (start, stop, refusals)."""
    found = []
    while span := backlog.first:
        found.append((span.start, span.stop, span.refusals))
        backlog.take(span.stop - span.start)
    return found


def test_a_burst_waits_as_one_span_whatever_its_length() -> None:
    backlog = Backlog()
    backlog.add(burst_of(100_000)[0])
    assert backlog.count == 100_000
    backlog.take(40_000)
    assert backlog.taken == 40_000
    assert spans(backlog) == [(40_000, 100_000, 0)]


def test_bursts_are_taken_first_come_first_served() -> None:
    backlog = Backlog()
    first, second = burst_of(2)[0], burst_of(3)[0]
    backlog.add(first)
    backlog.add(second)
    backlog.take(2)
    assert backlog.first is not None
    assert backlog.first.burst is second


def test_what_comes_back_goes_first_and_joins_its_neighbours() -> None:
    backlog = Backlog()
    burst = burst_of(10)[0]
    backlog.add(burst)
    backlog.take(6)
    backlog.give_back([Span(burst, 1, 2), Span(burst, 4, 6)])
    assert spans(backlog) == [(1, 2, 0), (4, 10, 0)]


def test_a_request_may_be_refused_so_often_and_not_more() -> None:
    backlog = Backlog(attempts=3)
    burst, ending = burst_of(1)
    backlog.add(burst)
    for refusals in range(3):
        assert spans(backlog) == [(0, 1, refusals)]
        backlog.give_back_refused(burst, 0, refusals, "full")
    assert backlog.first is None
    assert ending.results == [NotProcessed("full")]


def test_refusing_ends_what_waits_and_nothing_else() -> None:
    backlog = Backlog()
    burst, ending = burst_of(3)
    backlog.add(burst)
    backlog.take(1)
    backlog.refuse("gone")
    assert ending.results is None
    burst.settle(0, OK)
    assert ending.results == [OK, NotProcessed("gone"), NotProcessed("gone")]


def test_a_forgotten_burst_is_not_sent() -> None:
    backlog = Backlog()
    first, second = burst_of(2)[0], burst_of(3)[0]
    backlog.add(first)
    backlog.add(second)
    backlog.forget(first)
    assert spans(backlog) == [(0, 3, 0)]


class Line:
    """A connection of a pool without a socket."""

    def __init__(self, backlog: Backlog, streams: int) -> None:
        self.streams = Streams(backlog)
        self.sender = Sender(self.streams, backlog, Limits())
        self.receiver = Receiver(self.streams, self.sender, Limits(), 0.0)
        self.feed(f.settings({f.MAX_CONCURRENT_STREAMS: streams}) + ACK)

    def feed(self, octets: bytes) -> None:
        self.receiver.space()[: len(octets)] = octets
        self.receiver.receive(len(octets), 0.0)

    def opened(self) -> list[int]:
        """Send what may be sent; returns the streams that were opened."""
        found = []
        while octets := self.sender.next_slice(0.0):
            found += [frame.stream_id for frame in split(octets) if frame.kind == f.HEADERS]
        return found


MOVES = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["answer", "refuse", "goaway"]), st.integers(0, 30)),
    max_size=60,
)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.lists(st.integers(1, 6), min_size=3), MOVES)
def test_every_request_ends_once_however_connections_answer_refuse_and_leave(
    sizes: list[int], streams: list[int], moves: list[tuple[int, str, int]]
) -> None:
    backlog = Backlog(attempts=3)
    lines = [Line(backlog, streams[place]) for place in range(3)]
    endings = []
    for size in sizes:
        burst, ending = burst_of(size)
        backlog.add(burst)
        endings.append(ending)
    answered = refused = 0
    for place, kind, number in moves:
        line = lines[place]
        line.opened()
        in_flight = list(line.streams.open)
        if kind == "goaway":
            line.feed(f.goaway(in_flight[number % len(in_flight)] if in_flight else 0, 0))
            lines[place] = Line(backlog, streams[place])
            for stream_id in list(line.streams.open):
                line.feed(answer(stream_id))
                answered += 1
            assert not line.opened(), "a connection that leaves takes nothing"
        elif in_flight and kind == "answer":
            line.feed(answer(in_flight[number % len(in_flight)]))
            answered += 1
        elif in_flight:
            line.feed(f.rst_stream(in_flight[number % len(in_flight)], Code.REFUSED_STREAM))
            refused += 1
    for line in lines:
        while line.opened() or line.streams.open:
            for stream_id in list(line.streams.open):
                line.feed(answer(stream_id))
                answered += 1
    assert backlog.first is None
    results = [result for ending in endings for result in ending.results or ()]
    assert len(results) == sum(sizes)
    given_up = results.count(NotProcessed("refused: REFUSED_STREAM"))
    assert results.count(OK) == answered == len(results) - given_up
    assert given_up * 3 <= refused


def test_what_a_peer_began_to_answer_is_not_sent_again_when_it_leaves() -> None:
    backlog = Backlog()
    burst, ending = burst_of(3)
    backlog.add(burst)
    line = Line(backlog, 10)
    line.opened()
    line.feed(f.frame(f.HEADERS, f.END_HEADERS, 1, STATUS_400) + answer(3) + f.goaway(0, 0))
    assert spans(backlog) == [(2, 3, 0)]
    burst.settle(2, OK)
    assert ending.results == [Unknown("the peer left in the middle of its answer"), OK, OK]


def test_the_memory_of_a_burst_does_not_grow_beyond_its_results() -> None:
    def beyond_its_results(count: int) -> int:
        requests = holes(10) * (count // 10)
        line = Line(backlog := Backlog(), 100)
        ending = Ending()
        tracemalloc.start()
        backlog.add(Burst(TEMPLATE, requests, ending.finish))
        while opened := line.opened():
            line.feed(b"".join(map(answer, opened)) + f.window_update(0, 10_000))
        assert ending.results is not None
        beyond = tracemalloc.get_traced_memory()[1] - sys.getsizeof(ending.results)
        tracemalloc.stop()
        return beyond

    assert beyond_its_results(50_000) < beyond_its_results(500) + 20_000
