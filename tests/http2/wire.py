"""The pure parts wired together without a socket, and frames as a peer writes and reads them."""

import gc
import sys
import types
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from clarion.http2 import Hole, Limits, Result, Template, literal
from clarion.http2 import frames as f
from clarion.http2.backlog import Backlog, Burst
from clarion.http2.exchanges import Streams
from clarion.http2.receiving import Receiver
from clarion.http2.sending import Sender

TEMPLATE = Template(
    method="POST",
    authority="push.example",
    headers=[("content-type", "application/json"), ("authorization", "bearer secret")],
    body=(b'{"to":"', b'"}'),
)
KEEPING = Template(method="POST", authority="push.example", headers=[], body=(b"<", b">"), keep_success=True)
ACK = f.frame(f.SETTINGS, f.ACK, 0)
WHOLE = f.END_STREAM | f.END_HEADERS
STATUS_200 = b"\x88"
STATUS_201 = b"\x08\x03201"
STATUS_400 = b"\x8c"
STATUS_410 = b"\x08\x03410"


class Frame(NamedTuple):
    kind: int
    flags: int
    stream_id: int
    payload: bytes


def split(octets: bytes) -> list[Frame]:
    """Cut octets into frames, all of them whole."""
    found = []
    while octets:
        word, flags, stream_id = f.HEAD.unpack_from(octets)
        assert len(octets) >= 9 + (word >> 8)
        found.append(Frame(word & 0xFF, flags, stream_id, octets[9 : 9 + (word >> 8)]))
        octets = octets[9 + (word >> 8) :]
    return found


def answer(stream_id: int, block: bytes = STATUS_200) -> bytes:
    return f.frame(f.HEADERS, WHOLE, stream_id, block)


def answer_with(stream_id: int, block: bytes, body: bytes) -> bytes:
    return f.frame(f.HEADERS, f.END_HEADERS, stream_id, block) + f.frame(
        f.DATA, f.END_STREAM, stream_id, body
    )


def hole(number: int, middle: bytes = b"x") -> Hole:
    return literal(b":path", b"/%d" % number), middle


def holes(count: int, middle: bytes = b"x") -> list[Hole]:
    return [hole(number, middle) for number in range(count)]


class Wire:
    """A client without a socket: `feed` is what arrives, `sent` is what leaves."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        settings: dict[int, int] | None = None,
        acknowledge: bool = True,
    ) -> None:
        limits = limits or Limits()
        self.backlog = Backlog()
        self.streams = Streams(self.backlog)
        self.sender = Sender(self.streams, self.backlog, limits)
        self.receiver = Receiver(self.streams, self.sender, limits, 0.0)
        self.feed(f.settings(settings or {}))
        if acknowledge:
            self.feed(ACK)
        self.sender.control.clear()

    def feed(self, octets: bytes, sizes: Iterable[int] = (), now: float = 0.0) -> None:
        """Let octets arrive, in pieces of the given sizes, the rest as one."""
        cuts = iter(sizes)
        while octets:
            space = self.receiver.space()
            size = min(next(cuts, len(octets)), len(space), len(octets))
            space[:size] = octets[:size]
            octets = octets[size:]
            self.receiver.receive(size, now)
            if self.receiver.leaving:
                self.backlog.refuse(self.receiver.leaving)

    def burst(self, requests: Sequence[Hole], template: Template = TEMPLATE) -> "Ending":
        ending = Ending()
        self.backlog.add(Burst(template, requests, ending.finish))
        return ending

    def sent(self, now: float = 0.0) -> list[Frame]:
        """Take what the client writes now, replies first."""
        control = bytes(self.sender.control)
        self.sender.control.clear()
        octets = control
        while piece := self.sender.next_slice(now):
            octets += piece
        return split(octets)

    def sent_kinds(self) -> list[int]:
        return [frame.kind for frame in self.sent()]


class Ending:
    """The results of a burst once all are there."""

    def __init__(self) -> None:
        self.results: list[Result] | None = None

    def finish(self, results: list[Result]) -> None:
        assert self.results is None
        self.results = results


def held(root: object) -> int:
    """How many octets an object and all that it leads to take."""
    seen: dict[int, object] = {}
    found = [root]
    while found:
        each = found.pop()
        if id(each) in seen or isinstance(each, type | types.ModuleType | types.FunctionType):
            continue
        seen[id(each)] = each
        found += gc.get_referents(each)
    return sum(map(sys.getsizeof, seen.values()))
