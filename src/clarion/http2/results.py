"""How a request can end: answered, surely not processed, or unknown. Values, never exceptions."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """The peer answered. A plain success is one of the shared constants below: no headers, no body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class NotProcessed:
    """Surely not processed: safe to send again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Sent, and nobody can know what became of it: sending again may repeat it."""

    reason: str


Result = Answer | NotProcessed | Unknown

OK = Answer(200, (), b"")
CREATED = Answer(201, (), b"")
