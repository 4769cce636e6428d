"""The stays of one member, and the merge of what the logs of their streams hold.

A member sees an entry of a stream when it was released during one of their stays. `store/inbox.py` and
`store/changes.py` ask every stay the same question and get the answers as one list. How many members there are
makes no difference, nor how long the logs are.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Connection,
    Select,
    bindparam,
    select,
    union,
)

from clarion.store.schema import LARGEST_NUMBER, memberships, stream_entries
from clarion.store.streams import EntryKind

STAYS_PER_QUERY: Final = 100


class Stay(NamedTuple):
    """What was released after `joined` and up to `left` is the member's."""

    stream: int
    joined: int
    left: int


class Place(NamedTuple):
    """Where an entry stands in the release order."""

    seq: int
    notification_id: int
    kind: str = EntryKind.RELEASE


@dataclass(frozen=True, slots=True)
class Question:
    """What every stay is asked. `select` makes the statement for the stay of a number: see `bound`."""

    select: Callable[[int], Select[Any]]
    newest_first: bool = False


Bounds = tuple[Stay, int, int]
"""A stay, and the release numbers between which it is asked: after the first, up to the second."""


def find_stays(connection: Connection, organization_id: int, member_id: int) -> list[Stay]:
    """All stays of a member, ended ones too."""
    rows = connection.execute(_STAYS, {"organization": organization_id, "member": member_id})
    return [Stay(stream, joined, LARGEST_NUMBER if left is None else left) for stream, joined, left in rows]


_STAYS: Final = select(memberships.c.stream_id, memberships.c.joined_seq, memberships.c.left_seq).where(
    memberships.c.organization_id == bindparam("organization"),
    memberships.c.member_id == bindparam("member"),
)


def ask(
    connection: Connection, question: Question, bounds: Iterable[Bounds], most: int, shared: dict[str, Any]
) -> list[Place]:
    """The first places that the stays answer, each once; a stay whose bounds leave nothing is not asked."""
    found: set[Place] = set()
    asked = [one for one in bounds if one[1] < one[2]]
    for start in range(0, len(asked), STAYS_PER_QUERY):
        some = asked[start : start + STAYS_PER_QUERY]
        values = {**shared, "limit": most}
        for number, (stay, after, upto) in enumerate(some):
            values[f"stream_{number}"] = stay.stream
            values[f"joined_{number}"] = stay.joined
            values[f"left_{number}"] = stay.left
            values[f"after_{number}"] = after
            values[f"upto_{number}"] = upto
        found.update(map(Place._make, connection.execute(_merged(question, len(some)), values).all()))
    return sorted(found, reverse=question.newest_first)[:most]


def bound(name: str, number: int) -> Any:
    """The parameter of a stay: its stream, joined and left, and the bounds after and upto."""
    return bindparam(f"{name}_{number}")


def logged(number: int) -> Select[Any]:
    """A stay's part of its stream's log, within its bounds."""
    return select(stream_entries.c.seq, stream_entries.c.notification_id, stream_entries.c.kind).where(
        stream_entries.c.organization_id == bindparam("organization"),
        stream_entries.c.stream_id == bound("stream", number),
        stream_entries.c.seq > bound("after", number),
        stream_entries.c.seq <= bound("upto", number),
    )


@lru_cache(maxsize=1_000)
def _merged(question: Question, count: int) -> Select[Any]:
    """The first places of so many stays; made once, because that takes longer than to run it."""
    order = stream_entries.c.seq.desc() if question.newest_first else stream_entries.c.seq
    answers = (
        question.select(number).order_by(order).limit(bindparam("limit")).subquery()
        for number in range(count)
    )
    merged = union(*(select(answer) for answer in answers)).subquery()
    first = merged.c.seq.desc() if question.newest_first else merged.c.seq
    return select(merged).order_by(first).limit(bindparam("limit"))
