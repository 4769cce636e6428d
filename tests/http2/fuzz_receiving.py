"""A coverage-guided fuzzer on the reading of what a peer sends; `test_fuzzing.py` runs it, people may too.

    python -m tests.http2.fuzz_receiving [--plant padding|continuation|cut] FOLDER [libFuzzer's options]

FOLDER holds the corpus; seeds are put there first. An input is a list of frames, each told by four octets (type,
flags, stream, length) and its payload, or raw octets, and says how they are cut. Beside exceptions of its own the
program looks for what no exception shows: a frame against a rule that did not end the connection, a whole frame
left unread, more held than allowed, a request without a result. `--plant` puts a fault into the parser, to see
that it is found. Whatever is found is reported as `Broken`, or with the traceback of what escaped.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["clarion.http2"], enable_loader_override=False):
    from clarion.http2 import Limits, Unknown, answers, receiving
    from clarion.http2 import frames as f
    from clarion.http2.answers import AnswerReader
    from clarion.http2.errors import PeerError
    from clarion.http2.receiving import Receiver

    from .talk import PIECES
    from .wire import KEEPING, TEMPLATE, Frame, Wire, hole, split

LIMITS = Limits(max_answer_octets=40, max_header_octets=64, max_idle_frames=100)
REQUESTS = 4
STREAMS = (0, 1, 3, 5, 7, 9, 2, f.LARGEST_STREAM_ID)
KINDS = 12
RAW, UNACKNOWLEDGED, KEPT, CUT = 1, 2, 4, 8
PADDABLE = frozenset({f.DATA, f.HEADERS})


class Broken(Exception):  # noqa: N818 - what the report says
    """The parser did something that it must not do."""


def frames_of(octets: bytes) -> Iterator[Frame]:
    while len(octets) >= 4:
        kind, flags, stream, length = octets[:4]
        yield Frame(kind % KINDS, flags, STREAMS[stream % len(STREAMS)], octets[4 : 4 + length])
        octets = octets[4 + length :]


def spelt(frames: list[Frame]) -> bytes:
    """Spell frames as `frames_of` reads them."""
    return b"".join(
        bytes((frame.kind, frame.flags, STREAMS.index(frame.stream_id), len(frame.payload))) + frame.payload
        for frame in frames
    )


def is_against_the_rules(frame: Frame) -> bool:
    """Whether no parser may accept this frame, whatever came before it."""
    length = len(frame.payload)
    if frame.kind in PADDABLE and frame.flags & f.PADDED and (not length or frame.payload[0] >= length):
        return True
    if frame.kind in {f.DATA, f.HEADERS, f.RST_STREAM, f.CONTINUATION}:
        return frame.stream_id not in STREAMS[1:5]
    if frame.kind in {f.SETTINGS, f.PING, f.GOAWAY} and frame.stream_id:
        return True
    wrong = {f.PING: length != 8, f.GOAWAY: length < 8, f.WINDOW_UPDATE: length != 4, f.SETTINGS: length % 6}
    return frame.kind == f.PUSH_PROMISE or bool(wrong.get(frame.kind))


def check_bounds(wire: Wire) -> None:
    block = wire.receiver._answers._block
    if block is not None and len(block.octets) > LIMITS.max_header_octets:
        raise Broken(f"holds {len(block.octets)} octets of a header block")
    for lot in wire.streams.open.values():
        if len(getattr(lot, "body", b"")) > LIMITS.max_answer_octets:
            raise Broken("holds more of a body than allowed")


def feed_frames(wire: Wire, octets: bytes, sizes: list[int]) -> None:
    for frame in frames_of(octets):
        wire.feed(f.frame(*frame), sizes)
        if is_against_the_rules(frame):
            raise Broken(f"took {frame}")
        if wire.receiver._filled:
            raise Broken(f"left {wire.receiver._filled} octets of {frame} unread")
        check_bounds(wire)
        wire.sent()


def one_input(octets: bytes) -> None:
    """Let a peer say this, and look at everything that may not happen."""
    options, octets = octets[0] if octets else 0, octets[1:]
    wire = Wire(LIMITS, acknowledge=not options & UNACKNOWLEDGED)
    requests = [hole(number, b"y" * 20_000) for number in range(REQUESTS)]
    ending = wire.burst(requests, KEEPING if options & KEPT else TEMPLATE)
    wire.sent()
    sizes = [1 + (options >> 4)] * 300 if options & CUT else []
    try:
        if options & RAW:
            wire.feed(octets, sizes)
        else:
            feed_frames(wire, octets, sizes)
    except PeerError:
        pass
    check_bounds(wire)
    if any(frame.stream_id not in STREAMS[:5] for frame in wire.sent()):
        raise Broken("said something about a stream that was never opened")
    wire.backlog.refuse("over")
    wire.streams.settle_all(Unknown("over"))
    if ending.results is None or len(ending.results) != REQUESTS or wire.streams.unfinished:
        raise Broken("left a request without a result")


# -- faults to plant


def _pads_too_much(flags: int, payload: bytes) -> bytes:
    if flags & f.PADDED and payload and payload[0] == len(payload):
        return b""
    return _unpadded(flags, payload)


class _HoldsAnyBlock(AnswerReader):
    def _on_block_piece(self, block: answers._Block, flags: int, piece: bytes) -> None:
        if flags & f.END_HEADERS or len(block.octets) + len(piece) <= LIMITS.max_header_octets:
            super()._on_block_piece(block, flags, piece)
        else:
            block.octets += piece
            self._block = block


def _waits_too_long(self: Receiver, length: int) -> None:
    _await_frame(self, length)
    self._needed += length == 8


_unpadded, _await_frame = answers._unpadded, Receiver._await_frame


def plant(fault: str) -> None:
    if fault == "padding":
        answers._unpadded = _pads_too_much
    elif fault == "continuation":
        vars(receiving)["AnswerReader"] = _HoldsAnyBlock
    elif fault == "cut":
        Receiver._await_frame = _waits_too_long  # type: ignore[method-assign]
    else:
        raise SystemExit(f"{fault!r} is no fault that can be planted")


def write_seeds(folder: Path) -> None:
    """Put valid conversations into the corpus: framed and raw, cut and whole."""
    for number, piece in enumerate(PIECES):
        octets = piece(1) + piece(3)
        framed = spelt(split(octets))
        for options, content in (
            (0, framed),
            (CUT | 0x30, framed),
            (KEPT, framed),
            (RAW | CUT | 0x50, octets),
        ):
            (folder / f"seed-{number}-{options}").write_bytes(bytes((options,)) + content)


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--plant"]:
        plant(arguments[1])
        arguments = arguments[2:]
    write_seeds(Path(arguments[0]))
    atheris.Setup([sys.argv[0], *arguments], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
