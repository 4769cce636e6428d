"""The directory: organizations, members, solutions and groups, and who belongs to which stream.

Called by the door (whom does an audience name?) and by whoever fills the directory. Every audience is a
stream; belonging to it is a *stay* with a first and a last release number, so joining and leaving lock the
organization's counter for a moment and are ordered against releases.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Table, bindparam, insert, select, update

from clarion.model.access import Role
from clarion.model.audience import StreamKind, fold_email
from clarion.store.schema import (
    groups,
    members,
    memberships,
    organizations,
    solutions,
    streams,
    users,
)
from clarion.store.slices import slices
from clarion.store.upsert import insert_or_update


@dataclass(frozen=True, slots=True)
class NewMember:
    """A person to add to an organization."""

    user: UUID
    email: str
    name: str
    role: Role = Role.USER


@dataclass(frozen=True, slots=True)
class Solution:
    """A solution as an audience needs it."""

    id: int
    stream: int


def add_organization(connection: Connection, uuid: UUID, name: str, region: str, now: int) -> int:
    """Add an organization with its stream; returns its id."""
    organization = _insert(connection, organizations, uuid=uuid, name=name, region=region, created_at=now)
    stream = _add_streams(connection, organization, StreamKind.ORGANIZATION, 1)[0]
    connection.execute(
        update(organizations).where(organizations.c.id == organization).values(stream_id=stream)
    )
    return organization


def add_solution(connection: Connection, organization_id: int, uuid: UUID, name: str, now: int) -> int:
    """Add a solution with its stream; returns its id."""
    stream = _add_streams(connection, organization_id, StreamKind.SOLUTION, 1)[0]
    row = {"organization_id": organization_id, "uuid": uuid, "name": name, "stream_id": stream}
    return _insert(connection, solutions, created_at=now, **row)


def add_group(connection: Connection, organization_id: int, solution_id: int, name: str, now: int) -> int:
    """Add a group of a solution with its stream; returns its id."""
    stream = _add_streams(connection, organization_id, StreamKind.GROUP, 1)[0]
    row = {"organization_id": organization_id, "solution_id": solution_id, "name": name, "stream_id": stream}
    return _insert(connection, groups, created_at=now, **row)


def add_members(
    connection: Connection, organization_id: int, new: Sequence[NewMember], now: int
) -> list[int]:
    """Add members, each with a stream of their own and a stay in the organization's; returns their ids in order."""
    user_rows = [{"uuid": member.user, "created_at": now} for member in new]
    user_ids = connection.scalars(
        insert(users).returning(users.c.id, sort_by_parameter_order=True), user_rows
    ).all()
    own_streams = _add_streams(connection, organization_id, StreamKind.MEMBER, len(new))
    rows = [
        {
            "organization_id": organization_id,
            "user_id": user_id,
            "stream_id": stream,
            "email": member.email,
            "email_folded": fold_email(member.email),
            "name": member.name,
            "role": member.role,
            "created_at": now,
        }
        for member, user_id, stream in zip(new, user_ids, own_streams, strict=True)
    ]
    member_ids = connection.scalars(
        insert(members).returning(members.c.id, sort_by_parameter_order=True), rows
    ).all()
    everybody = organization_stream(connection, organization_id)
    join(connection, organization_id, [(everybody, member_id) for member_id in member_ids])
    join(connection, organization_id, list(zip(own_streams, member_ids, strict=True)))
    return list(member_ids)


def join(connection: Connection, organization_id: int, stays: Sequence[tuple[int, int]]) -> None:
    """Begin a stay for each (stream, member): they see what is released from now on.

    Nothing was released since a stay that ended at this very number, so that one goes on.
    """
    joined_seq = _lock_counter(connection, organization_id)
    rows = [
        {
            "organization_id": organization_id,
            "stream_id": stream,
            "member_id": member,
            "joined_seq": joined_seq,
        }
        for stream, member in stays
    ]
    statement = insert_or_update(connection, memberships)
    go_on = statement.on_conflict_do_update(
        index_elements=list(memberships.primary_key.columns), set_={"left_seq": None}
    )
    connection.execute(go_on, rows)


def leave(connection: Connection, organization_id: int, stream_id: int, member_id: int) -> bool:
    """End a member's stay: what was released until now stays theirs. False when there was none."""
    left_seq = _lock_counter(connection, organization_id)
    ended = connection.execute(
        update(memberships)
        .where(
            memberships.c.organization_id == organization_id,
            memberships.c.stream_id == stream_id,
            memberships.c.member_id == member_id,
            memberships.c.left_seq.is_(None),
        )
        .values(left_seq=left_seq)
    )
    return ended.rowcount > 0


def find_member_streams(
    connection: Connection, organization_id: int, emails: Collection[str]
) -> dict[str, int]:
    """The own stream of every member with one of these folded addresses; unknown ones are not in the answer."""
    found: dict[str, int] = {}
    for some in slices(sorted(emails)):
        rows = connection.execute(_MEMBER_STREAMS, {"organization": organization_id, "emails": some})
        found.update((email, stream) for email, stream in rows)
    return found


_MEMBER_STREAMS: Final = select(members.c.email_folded, members.c.stream_id).where(
    members.c.organization_id == bindparam("organization"),
    members.c.email_folded.in_(bindparam("emails", expanding=True)),
)


def find_solutions(
    connection: Connection, organization_id: int, uuids: Collection[UUID]
) -> dict[UUID, Solution]:
    """The solutions of this organization among these."""
    if not uuids:
        return {}
    rows = connection.execute(
        select(solutions.c.uuid, solutions.c.id, solutions.c.stream_id).where(
            solutions.c.organization_id == organization_id, solutions.c.uuid.in_(uuids)
        )
    )
    return {uuid: Solution(solution_id, stream) for uuid, solution_id, stream in rows}


def find_groups(
    connection: Connection, organization_id: int, solution_ids: Collection[int]
) -> dict[int, dict[str, int]]:
    """By solution: the stream of each of its groups, by name."""
    found: dict[int, dict[str, int]] = {solution_id: {} for solution_id in solution_ids}
    if found:
        rows = connection.execute(
            select(groups.c.solution_id, groups.c.name, groups.c.stream_id).where(
                groups.c.organization_id == organization_id, groups.c.solution_id.in_(found)
            )
        )
        for solution_id, name, stream in rows:
            found[solution_id][name] = stream
    return found


def solution_streams(connection: Connection, organization_id: int) -> dict[int, int]:
    """The stream of every solution, by the solution's id."""
    query = select(solutions.c.id, solutions.c.stream_id).where(
        solutions.c.organization_id == organization_id
    )
    return {row.id: row.stream_id for row in connection.execute(query)}


def group_streams(connection: Connection, organization_id: int) -> dict[int, int]:
    """The stream of every group, by the group's id."""
    query = select(groups.c.id, groups.c.stream_id).where(groups.c.organization_id == organization_id)
    return {row.id: row.stream_id for row in connection.execute(query)}


def find_organization(connection: Connection, uuid: UUID) -> int | None:
    """The id of an organization."""
    return connection.scalar(select(organizations.c.id).where(organizations.c.uuid == uuid))


def organization_uuid(connection: Connection, organization_id: int) -> UUID:
    """The id by which people know an organization."""
    query = select(organizations.c.uuid).where(organizations.c.id == organization_id)
    uuid: UUID = connection.scalars(query).one()
    return uuid


def find_user(connection: Connection, organization_id: int, email: str) -> int | None:
    """The user behind a member's address."""
    return connection.scalar(
        select(members.c.user_id).where(
            members.c.organization_id == organization_id, members.c.email_folded == fold_email(email)
        )
    )


def organization_stream(connection: Connection, organization_id: int) -> int:
    """The stream of everybody."""
    stream: int = connection.scalars(_ORGANIZATION_STREAM, {"organization": organization_id}).one()
    return stream


_ORGANIZATION_STREAM: Final = select(organizations.c.stream_id).where(
    organizations.c.id == bindparam("organization")
)


def _lock_counter(connection: Connection, organization_id: int) -> int:
    """Lock the organization's release order until the transaction ends; returns the last number given out."""
    query = select(organizations.c.last_seq).where(organizations.c.id == organization_id).with_for_update()
    last_seq: int = connection.scalars(query).one()
    return last_seq


def _add_streams(connection: Connection, organization_id: int, kind: StreamKind, count: int) -> list[int]:
    rows = [{"organization_id": organization_id, "kind": kind}] * count
    added = insert(streams).returning(streams.c.id, sort_by_parameter_order=True)
    return list(connection.scalars(added, rows))


def _insert(connection: Connection, table: Table, **values: Any) -> int:
    row_id: int = connection.scalars(insert(table).values(**values).returning(table.c.id)).one()
    return row_id
