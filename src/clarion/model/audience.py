"""Whom a notification is for. Four scopes, which are four ways to name a set of streams.

A stream is an audience with a log: the organization, a solution, a group of a solution, one member alone.
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

MOST_EMAILS = 10_000
"""The most addresses that one notification may name."""


MOST_GROUPS = 1_000
"""The most groups that one notification may name."""


class Scope(StrEnum):
    """How an audience is named; the values are those of the store."""

    USERS = "users"
    SOLUTION = "solution"
    GROUPS = "groups"
    ORGANIZATION = "organization"


class StreamKind(StrEnum):
    """What a stream's audience is."""

    ORGANIZATION = "organization"
    SOLUTION = "solution"
    GROUP = "group"
    MEMBER = "member"


@dataclass(frozen=True, slots=True)
class Audience:
    """An audience as a sender named it: e-mails for USERS, names and a solution for GROUPS, a solution for SOLUTION."""

    scope: Scope
    emails: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    solution: UUID | None = None


def split_names(value: str | list[str]) -> tuple[str, ...]:
    """Take an array, a string, or commas inside either; trimmed, without empty pieces, in the sender's order."""
    pieces = value.split(",") if isinstance(value, str) else [p for text in value for p in text.split(",")]
    return tuple(filter(None, (piece.strip() for piece in pieces)))


def without_repeats(names: tuple[str, ...], *, fold: bool) -> tuple[str, ...]:
    """Keep the first spelling of each name, at its place; `fold` compares without regard to case."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(fold_email(name) if fold else name, name)
    return tuple(first.values())


def fold_email(email: str) -> str:
    """The form in which two spellings of one e-mail address are equal."""
    return email.casefold()
