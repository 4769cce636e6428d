"""Long lists in pieces: databases limit how many parameters a statement has (PostgreSQL to 65,535)."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

MOST_PARAMETERS: Final = 10_000


def slices(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values in their order, in pieces that fit into one statement."""
    return (values[start : start + MOST_PARAMETERS] for start in range(0, len(values), MOST_PARAMETERS))
