"""Channels: one provider credential of one organization, optionally of one solution only.

Called by the release (which channels may carry a notification), by the worker (whose lane is due) and by the
commands. The secret is here as `sealing.py` sealed it; nobody in this module can read it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Row, Select, and_, bindparam, func, insert, or_, select, text, update

from clarion.store.schema import channels, devices, push_runs, solutions, withdrawals


@dataclass(frozen=True, slots=True)
class NewChannel:
    """A credential to add. `solution_id`: it carries only what names that solution.

    `sealed` is the secret, sealed for the organization and this uuid. `expires_at`: when the credential ends.
    """

    uuid: UUID
    provider: str
    name: str
    settings: dict[str, Any]
    sealed: str = field(repr=False)
    solution_id: int | None = None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel as its provider needs it, with the secret still sealed.

    Sealed under another key it is the same secret; `renewed_at` tells when it was last given another one.
    """

    id: int
    organization_id: int
    uuid: UUID
    provider: str
    name: str
    settings: dict[str, Any]
    renewed_at: int | None
    sealed: str = field(repr=False)


class Listed(NamedTuple):
    """A channel as people see it. It rests until `held_until`, which may have passed."""

    id: int
    uuid: UUID
    provider: str
    name: str
    settings: dict[str, Any]
    solution: str | None
    held_until: int | None
    held_reason: str | None
    expires_at: int | None
    devices: int


class Expiry(NamedTuple):
    """When the credential of a channel ends."""

    channel_id: int
    provider: str
    expires_at: int


class StoredSecret(NamedTuple):
    """The stored text of a channel's secret, and what it belongs to."""

    channel_id: int
    organization_id: int
    uuid: UUID
    name: str
    text: str


_IS_THERE: Final = channels.c.removed_at.is_(None)


def add_channel(connection: Connection, organization_id: int, new: NewChannel, now: int) -> int:
    """Add a channel; returns its id."""
    inserted = insert(channels).values(
        organization_id=organization_id,
        uuid=new.uuid,
        solution_id=new.solution_id,
        provider=new.provider,
        name=new.name,
        settings=json.dumps(new.settings),
        secret=new.sealed,
        expires_at=new.expires_at,
        created_at=now,
    )
    channel_id: int = connection.scalars(inserted.returning(channels.c.id)).one()
    return channel_id


# ── For the release and the worker ───────────────────────────────────────────────────────────────────────


def channels_by_solution(connection: Connection, organization_id: int) -> list[tuple[int, int | None]]:
    """Every channel of the organization with the solution that it is limited to."""
    rows = connection.execute(_CHANNELS_BY_SOLUTION, {"organization": organization_id})
    return [(channel_id, solution_id) for channel_id, solution_id in rows]


_CHANNELS_BY_SOLUTION: Final = select(channels.c.id, channels.c.solution_id).where(
    channels.c.organization_id == bindparam("organization"), _IS_THERE
)


def due_channels(connection: Connection, now: int) -> list[int]:
    """The channels with a run or a withdrawal to claim. The only query with `claim` that crosses organizations."""
    query = (
        select(channels.c.id)
        .where(_IS_THERE, or_(channels.c.held_until.is_(None), channels.c.held_until <= now))
        .where(
            select(push_runs.c.id)
            .where(
                push_runs.c.channel_id == channels.c.id,
                push_runs.c.due_at <= now,
                push_runs.c.lease_until <= now,
            )
            .exists()
            | select(withdrawals.c.device_id)
            .where(withdrawals.c.channel_id == channels.c.id, withdrawals.c.due_at <= now)
            .exists()
        )
    )
    return list(connection.scalars(query))


def count_held(connection: Connection, now: int) -> int:
    """How many channels rest at this moment, for whatever reason."""
    query = select(func.count()).select_from(channels).where(channels.c.held_until > now, _IS_THERE)
    return connection.scalars(query).one()


def find_channels(connection: Connection, channel_ids: Sequence[int]) -> list[Channel]:
    """Channels with their sealed credentials, for the worker's lanes."""
    query = _CHANNELS.where(channels.c.id.in_(channel_ids), _IS_THERE)
    return [_channel(row) for row in connection.execute(query)]


def find_removed(connection: Connection, channel_ids: Sequence[int]) -> list[int]:
    """Which of these channels were removed."""
    query = select(channels.c.id).where(channels.c.id.in_(channel_ids), channels.c.removed_at.is_not(None))
    return list(connection.scalars(query))


def find_channel(connection: Connection, uuid: UUID, *, removed: bool = False) -> Channel | None:
    """A channel of whatever organization by the id that people know it by, for commands alone."""
    query = _CHANNELS.where(channels.c.uuid == uuid)
    row = connection.execute(query if removed else query.where(_IS_THERE)).first()
    return None if row is None else _channel(row)


_CHANNELS: Final[Select[Any]] = select(
    channels.c.id,
    channels.c.organization_id,
    channels.c.uuid,
    channels.c.provider,
    channels.c.name,
    channels.c.settings,
    channels.c.renewed_at,
    channels.c.secret,
)


def _channel(row: Row[Any]) -> Channel:
    channel_id, organization_id, uuid, provider, name, settings, renewed_at, sealed = row
    return Channel(
        channel_id, organization_id, uuid, provider, name, json.loads(settings), renewed_at, sealed
    )


def change_settings(connection: Connection, channel_id: int, settings: dict[str, Any]) -> None:
    """Change what is no secret; the worker's lane is made anew when it next has work, and need not rest on."""
    connection.execute(
        update(channels)
        .where(channels.c.id == channel_id)
        .values(settings=json.dumps(settings), held_until=None, held_reason=None)
    )


def renew_channel(connection: Connection, channel_id: int, new: NewChannel, now: int) -> None:
    """Give a channel another credential: its devices stay, and it need not rest on."""
    connection.execute(
        update(channels)
        .where(channels.c.id == channel_id)
        .values(
            settings=json.dumps(new.settings),
            secret=new.sealed,
            expires_at=new.expires_at,
            renewed_at=now,
            held_until=None,
            held_reason=None,
        )
    )


def hold_channel(connection: Connection, channel_id: int, until: int, reason: str) -> None:
    """Let a lane rest until then; its runs are kept."""
    connection.execute(
        update(channels).where(channels.c.id == channel_id).values(held_until=until, held_reason=reason)
    )


def end_rest(connection: Connection, channel_id: int) -> bool:
    """Let a lane work again at once; False when it did not rest."""
    resting = update(channels).where(channels.c.id == channel_id, channels.c.held_until.is_not(None))
    return connection.execute(resting.values(held_until=None, held_reason=None)).rowcount > 0


# ── For people ───────────────────────────────────────────────────────────────────────────────────────────


def list_channels(connection: Connection, organization_id: int) -> list[Listed]:
    """The channels of an organization, with how many devices each has."""
    installed = (
        select(func.count())
        .where(
            devices.c.organization_id == channels.c.organization_id,
            devices.c.channel_id == channels.c.id,
            devices.c.retired_at.is_(None),
        )
        .scalar_subquery()
    )
    query = (
        select(
            channels.c.id,
            channels.c.uuid,
            channels.c.provider,
            channels.c.name,
            channels.c.settings,
            solutions.c.name.label("solution"),
            channels.c.held_until,
            channels.c.held_reason,
            channels.c.expires_at,
            installed.label("devices"),
        )
        .outerjoin(
            solutions,
            and_(
                solutions.c.organization_id == channels.c.organization_id,
                solutions.c.id == channels.c.solution_id,
            ),
        )
        .where(channels.c.organization_id == organization_id, _IS_THERE)
        .order_by(channels.c.id)
    )
    return [
        Listed(**{**row._mapping, "settings": json.loads(row.settings)}) for row in connection.execute(query)
    ]


def find_address(connection: Connection, channel: Channel, device: UUID) -> str | None:
    """The address of a device that is reached on this channel."""
    return connection.scalar(
        select(devices.c.address).where(
            devices.c.organization_id == channel.organization_id,
            devices.c.uuid == device,
            devices.c.channel_id == channel.id,
            devices.c.retired_at.is_(None),
        )
    )


def list_expiries(connection: Connection) -> list[Expiry]:
    """Every credential that ends some day, the next one first."""
    rows = connection.execute(
        select(channels.c.id, channels.c.provider, channels.c.expires_at)
        .where(channels.c.expires_at.is_not(None), _IS_THERE)
        .order_by(channels.c.expires_at, channels.c.id)
    )
    return [Expiry(*row) for row in rows]


def mark_removed(connection: Connection, channel_id: int, now: int) -> None:
    """Let a channel carry nothing from now on, and forget its secret. Its row stays, for what it has carried."""
    lock_channels(connection)
    connection.execute(
        update(channels)
        .where(channels.c.id == channel_id, _IS_THERE)
        .values(removed_at=now, secret="", held_until=None, held_reason=None)
    )


def retire_devices(connection: Connection, channel: Channel, reason: str, now: int, limit: int) -> int:
    """Retire the first devices of a channel; returns how many, none when all are retired."""
    first = (
        select(devices.c.id)
        .where(
            devices.c.organization_id == channel.organization_id,
            devices.c.channel_id == channel.id,
            devices.c.retired_at.is_(None),
        )
        .order_by(devices.c.id)
        .limit(limit)
        .with_for_update()
    )
    device_ids = list(connection.scalars(first))
    retired = update(devices).where(devices.c.id.in_(device_ids))
    return connection.execute(retired.values(retired_at=now, retired_reason=reason)).rowcount


def count_devices(connection: Connection, channel: Channel) -> int:
    """How many devices are reached on a channel."""
    query = select(func.count()).where(
        devices.c.organization_id == channel.organization_id,
        devices.c.channel_id == channel.id,
        devices.c.retired_at.is_(None),
    )
    return connection.scalars(query).one()


def count_runs(connection: Connection, channel_id: int) -> int:
    """How many runs wait for a channel."""
    query = select(func.count()).where(push_runs.c.channel_id == channel_id)
    return connection.scalars(query).one()


# ── Their secrets ────────────────────────────────────────────────────────────────────────────────────────


def lock_channels(connection: Connection) -> None:
    """Keep everybody else from reading or writing channels until the transaction ends.

    For what is rare and must not cross: a secret is sealed, the last one moves to a new key, a channel is removed.
    On SQLite there is one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE channels IN ACCESS EXCLUSIVE MODE"))


def count_secrets(connection: Connection) -> int:
    """How many channels have a sealed secret."""
    query = select(func.count()).select_from(channels).where(channels.c.secret.like("v%:%"), _IS_THERE)
    return connection.scalars(query).one()


def count_by_prefix(connection: Connection, length: int) -> dict[str, int]:
    """How many secrets begin with each text of so many characters."""
    prefix = func.substr(channels.c.secret, 1, length)
    rows = connection.execute(select(prefix, func.count()).where(_IS_THERE).group_by(prefix))
    return {row[0]: row[1] for row in rows}


def secrets_not_under(connection: Connection, prefix: str, after_id: int, limit: int) -> list[StoredSecret]:
    """The next channels, in the order of their ids, whose stored secrets begin otherwise."""
    query = (
        select(channels.c.id, channels.c.organization_id, channels.c.uuid, channels.c.name, channels.c.secret)
        .where(channels.c.id > after_id, channels.c.secret.not_like(f"{prefix}%"), _IS_THERE)
        .order_by(channels.c.id)
        .limit(limit)
    )
    return [StoredSecret(*row) for row in connection.execute(query)]


def replace_secret(connection: Connection, stored: StoredSecret, sealed: str) -> bool:
    """Put another text in the place of a stored one; False when it was changed meanwhile."""
    unchanged = update(channels).where(channels.c.id == stored.channel_id, channels.c.secret == stored.text)
    return connection.execute(unchanged.values(secret=sealed)).rowcount > 0
