"""What a stand-in and the wire say to each other: whole requests, and replies as values, mishaps included.

A stand-in gives each connection a `Conversation`. `wire.py` and `http1.py` carry it out and know no provider.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from h2.errors import ErrorCodes

KEPT_BODY = 16 * 1024
"""More octets of a body are counted but not kept: every provider refuses it for its size."""


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request. Values of headers that are not UTF-8 carry surrogate escapes."""

    method: str
    path: str
    authority: str
    """Host, and port if it was named: whom the client thought it was talking to."""
    headers: tuple[tuple[str, str], ...]
    body: bytes
    size: int
    """Octets of the body, also of the part that was not kept."""


class Act(Enum):
    """What the wire does with a request."""

    ANSWER = auto()
    IGNORE = auto()
    RESET = auto()
    GOAWAY_BEFORE = auto()
    """GOAWAY that does not cover this request."""
    GOAWAY_UNANSWERED = auto()
    """GOAWAY that covers this request, and no answer to it."""
    GOAWAY_ANSWER = auto()
    """GOAWAY that covers this request, then its answer."""
    DROP = auto()
    CUT = auto()
    """No answer: our side ends without TLS's farewell (close_notify), the client's may go on."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What happens to a request."""

    act: Act = Act.ANSWER
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    after: float = 0.0
    """Seconds until it happens."""
    code: ErrorCodes = ErrorCodes.NO_ERROR
    streams: int | None = None
    """A new limit of concurrent streams to announce first."""


class Conversation(Protocol):
    """A stand-in's side of one connection."""

    first_streams: int
    """How many streams the client may open at the beginning."""
    goaway_reason: bytes
    """Debug data of a GOAWAY."""

    def answer(self, request: Request) -> Reply:
        """Decide what happens to a request."""
        ...
