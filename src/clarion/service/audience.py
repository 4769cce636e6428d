"""From an audience as a sender named it to its streams: e-mails, group names and solutions are looked up here.

Called by `service/publish.py` with all audiences of a batch, so that each kind costs one look-up.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from clarion.model.audience import Audience, Scope, fold_email
from clarion.model.errors import Fault, Invalid, NotFound
from clarion.store import directory

MOST_NAME: Final = 100
MOST_NAMED: Final = 100
"""How much of a name, and how many groups, a refusal tells."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The streams of an audience, and the addresses that nobody has."""

    streams: tuple[int, ...]
    solution_id: int | None = None
    unmatched_emails: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolver:
    """What a batch needs of one organization's directory, looked up once."""

    everybody: tuple[int, ...]
    member_streams: dict[str, int]
    solutions: dict[UUID, directory.Solution]
    groups: dict[int, dict[str, int]]

    @classmethod
    def look_up(
        cls, connection: Connection, organization_id: int, audiences: Iterable[Audience]
    ) -> "Resolver":
        """Look up everything that these audiences name."""
        audiences = list(audiences)
        emails = {fold_email(email) for a in audiences if a.scope is Scope.USERS for email in a.emails}
        named = {a.solution for a in audiences if a.solution is not None}
        solutions = directory.find_solutions(connection, organization_id, named)
        with_groups = {solutions[a.solution].id for a in audiences if a.groups and a.solution in solutions}
        is_broad = any(a.scope is Scope.ORGANIZATION for a in audiences)
        return cls(
            (directory.organization_stream(connection, organization_id),) if is_broad else (),
            directory.find_member_streams(connection, organization_id, emails),
            solutions,
            directory.find_groups(connection, organization_id, with_groups),
        )

    def resolve(self, audience: Audience) -> Resolved:
        """The streams of one of these audiences; raises NotFound or Invalid where it names nobody."""
        solution = self._solution(audience.solution)
        solution_id = None if solution is None else solution.id
        match audience.scope:
            case Scope.ORGANIZATION:
                return Resolved(self.everybody, solution_id)
            case Scope.USERS:
                streams, unmatched = self._members(audience.emails)
                return Resolved(streams, solution_id, unmatched)
        if solution is None:
            raise Invalid.because([Fault("solutionId", "is needed for this scope")])
        if audience.scope is Scope.SOLUTION:
            return Resolved((solution.stream,), solution_id)
        return Resolved(self._groups(solution, audience.groups), solution_id)

    def _solution(self, uuid: UUID | None) -> directory.Solution | None:
        if uuid is None:
            return None
        if uuid not in self.solutions:
            message = f"There is no solution {uuid} in this organization."
            raise NotFound(message, code="solution_not_found", faults=[Fault("solutionId", message)])
        return self.solutions[uuid]

    def _groups(self, solution: directory.Solution, names: tuple[str, ...]) -> tuple[int, ...]:
        existing = self.groups[solution.id]
        faults = [
            Fault(f"groups[{index}]", f"is not a group of this solution: {name[:MOST_NAME]!r}")
            for index, name in enumerate(names)
            if name not in existing
        ]
        if faults:
            known = ", ".join(name[:MOST_NAME] for name in sorted(existing)[:MOST_NAMED]) or "none yet"
            more = f" and {len(existing) - MOST_NAMED} more" if len(existing) > MOST_NAMED else ""
            first = replace(faults[0], message=f"{faults[0].message}; its groups: {known}{more}")
            raise Invalid.because([first, *faults[1:]])
        return tuple(sorted(existing[name] for name in names))

    def _members(self, emails: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[str, ...]]:
        streams: set[int] = set()
        unmatched: list[str] = []
        for email in emails:
            stream = self.member_streams.get(fold_email(email))
            if stream is None:
                unmatched.append(email)
            else:
                streams.add(stream)
        if not streams:
            raise Invalid.because([Fault("emails", "none of these addresses belongs to a member")])
        return tuple(sorted(streams)), tuple(unmatched)
