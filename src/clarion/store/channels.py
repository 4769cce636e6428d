"""Channels: one provider credential of one organization, optionally of one solution only.

Called by the release (which channels may carry a notification) and by the worker (whose lane is due).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, insert, or_, select, update

from clarion.store.schema import channels, push_runs


@dataclass(frozen=True, slots=True)
class NewChannel:
    """A credential to add. `solution_id`: it carries only what names that solution."""

    uuid: UUID
    provider: str
    name: str
    settings: dict[str, Any]
    secret: str = field(repr=False)
    solution_id: int | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel as its provider needs it. `secret` never leaves the worker."""

    id: int
    organization_id: int
    provider: str
    name: str
    settings: dict[str, Any]
    secret: str = field(repr=False)


def add_channel(connection: Connection, organization_id: int, new: NewChannel, now: int) -> int:
    """Add a channel; returns its id."""
    inserted = insert(channels).values(
        organization_id=organization_id,
        uuid=new.uuid,
        solution_id=new.solution_id,
        provider=new.provider,
        name=new.name,
        settings=json.dumps(new.settings),
        secret=new.secret,
        created_at=now,
    )
    channel_id: int = connection.scalars(inserted.returning(channels.c.id)).one()
    return channel_id


def channels_by_solution(connection: Connection, organization_id: int) -> list[tuple[int, int | None]]:
    """Every channel of the organization with the solution that it is limited to."""
    rows = connection.execute(_CHANNELS_BY_SOLUTION, {"organization": organization_id})
    return [(channel_id, solution_id) for channel_id, solution_id in rows]


_CHANNELS_BY_SOLUTION: Final = select(channels.c.id, channels.c.solution_id).where(
    channels.c.organization_id == bindparam("organization")
)


def due_channels(connection: Connection, now: int) -> list[int]:
    """The channels with a run to claim. The only query with `claim` that crosses organizations."""
    query = (
        select(channels.c.id)
        .where(or_(channels.c.held_until.is_(None), channels.c.held_until <= now))
        .where(
            select(push_runs.c.id)
            .where(
                push_runs.c.channel_id == channels.c.id,
                push_runs.c.due_at <= now,
                push_runs.c.lease_until <= now,
            )
            .exists()
        )
    )
    return list(connection.scalars(query))


def count_held(connection: Connection, now: int) -> int:
    """How many channels rest at this moment, for whatever reason."""
    query = select(func.count()).select_from(channels).where(channels.c.held_until > now)
    return connection.scalars(query).one()


def find_channels(connection: Connection, channel_ids: Sequence[int]) -> list[Channel]:
    """Channels with their credentials, for the worker's lanes."""
    query = select(
        channels.c.id,
        channels.c.organization_id,
        channels.c.provider,
        channels.c.name,
        channels.c.settings,
        channels.c.secret,
    ).where(channels.c.id.in_(channel_ids))
    return [
        Channel(row.id, row.organization_id, row.provider, row.name, json.loads(row.settings), row.secret)
        for row in connection.execute(query)
    ]


def change_settings(connection: Connection, channel_id: int, settings: dict[str, Any]) -> None:
    """Change what is no secret; the worker's lane is made anew when it next has work, and need not rest on."""
    connection.execute(
        update(channels)
        .where(channels.c.id == channel_id)
        .values(settings=json.dumps(settings), held_until=None, held_reason=None)
    )


def hold_channel(connection: Connection, channel_id: int, until: int, reason: str) -> None:
    """Let a lane rest until then; its runs are kept."""
    connection.execute(
        update(channels).where(channels.c.id == channel_id).values(held_until=until, held_reason=reason)
    )
