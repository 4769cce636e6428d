"""Long lists in pieces: statements have a limit of parameters (PostgreSQL 65,535), pages one of text."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

MOST_PARAMETERS: Final = 10_000
MOST_PAGE_CHARACTERS: Final = 4 << 20
"""How much text the items of one page hold at most, unless its first one alone has more."""


def slices(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values in their order, in pieces that fit into one statement."""
    return (values[start : start + MOST_PARAMETERS] for start in range(0, len(values), MOST_PARAMETERS))


def count_fitting(sizes: Sequence[int], limit: int) -> int:
    """How many items of these sizes, in characters, go into one page of at most `limit`; the first always does."""
    total = 0
    for count, size in enumerate(sizes[:limit]):
        total += size
        if count and total > MOST_PAGE_CHARACTERS:
            return count
    return min(len(sizes), limit)
