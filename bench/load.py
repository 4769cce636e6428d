"""The caller: keep-alive connections over plain sockets, one request at a time on each.

Much cheaper per request than any server: the octets of a request are made once, an answer is read no further
than its status and length. No pipelining, and every answer must have the status that was asked for.
"""

import asyncio
import json
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from bench.figure import MeasureError

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


def post(path: str, body: Any, headers: dict[str, str]) -> bytes:
    """The octets of a POST with a JSON body."""
    octets = json.dumps(body, ensure_ascii=False).encode()
    lines = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(octets))}
    head = "".join(f"{name}: {value}\r\n" for name, value in (lines | headers).items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + octets


class Caller(asyncio.Protocol):
    """One connection; `on_answer` is called with every whole answer."""

    def __init__(self, on_answer: Callable[["Caller", bytes], None], on_loss: Callable[[], None]) -> None:
        self._on_answer = on_answer
        self._on_loss = on_loss
        self._received = b""
        self._expected = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._on_loss()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._expected:
            head = self._received.find(b"\r\n\r\n")
            if head < 0:
                return
            length = _LENGTH.search(self._received, 0, head + 2)
            self._expected = head + 4 + (int(length[1]) if length else 0)
        if len(self._received) >= self._expected:
            answer, self._received, self._expected = self._received, b"", 0
            self._on_answer(self, answer)

    def send(self, request: bytes) -> None:
        """Send the next request."""
        assert self._transport is not None
        self._transport.write(request)

    def close(self) -> None:
        """Hang up."""
        assert self._transport is not None
        self._transport.close()


async def requests_per_second(
    port: int, request: bytes, *, connections: int, count: int, seconds: float, status: int = 201
) -> float:
    """Send one request `count` times over some connections; each must be answered with the same status."""
    run = _Run(request, count, f"HTTP/1.1 {status} ".encode())
    loop = asyncio.get_running_loop()
    callers = [
        (await loop.create_connection(lambda: Caller(run.answered, run.lost), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    started = time.perf_counter()
    for caller in callers:
        run.next(caller)
    try:
        async with asyncio.timeout(seconds):
            await run.done
    except TimeoutError:
        raise MeasureError(f"{count} requests were not answered within {seconds:g} s") from None
    elapsed = time.perf_counter() - started
    run.is_over = True
    for caller in callers:
        caller.close()
    return count / elapsed


class _Run:
    """How many requests are still to be sent and answered."""

    def __init__(self, request: bytes, count: int, expected: bytes) -> None:
        self._request = request
        self._expected = expected
        self._unsent = self._unanswered = count
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_over = False

    def next(self, caller: Caller) -> None:
        """Send one more, if any is left."""
        if self._unsent:
            self._unsent -= 1
            caller.send(self._request)

    def answered(self, caller: Caller, answer: bytes) -> None:
        """Check an answer and go on."""
        if not answer.startswith(self._expected):
            self._fail(f"an answer with another status:\n{answer[:500].decode(errors='replace')}")
            return
        self._unanswered -= 1
        if self._unanswered:
            self.next(caller)
        elif not self.done.done():
            self.done.set_result(None)

    def lost(self) -> None:
        """A connection that was to be kept alive was closed."""
        if not self.is_over:
            self._fail("the server closed a connection")

    def _fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(MeasureError(reason))


class Conversation:
    """One connection for one question after the other."""

    def __init__(self) -> None:
        self._answers: deque[asyncio.Future[bytes]] = deque()
        self._caller: Caller | None = None

    @classmethod
    async def open(cls, port: int) -> "Conversation":
        """Connect."""
        self = cls()
        _, self._caller = await asyncio.get_running_loop().create_connection(
            lambda: Caller(self._on_answer, self._on_loss), "127.0.0.1", port
        )
        return self

    async def ask(self, request: bytes) -> bytes:
        """Send a request; returns the whole answer, which must be a 201."""
        assert self._caller is not None
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        self._caller.send(request)
        async with asyncio.timeout(10):
            text = await answer
        if not text.startswith(b"HTTP/1.1 201 "):
            raise MeasureError(f"an answer that is not 201:\n{text[:500].decode(errors='replace')}")
        return text

    def close(self) -> None:
        """Hang up."""
        assert self._caller is not None
        self._caller.close()

    def _on_answer(self, _caller: Caller, answer: bytes) -> None:
        self._answers.popleft().set_result(answer)

    def _on_loss(self) -> None:
        while self._answers:
            self._answers.popleft().set_exception(MeasureError("the server closed the connection"))
