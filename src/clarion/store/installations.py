"""What apps tell about their devices, and the tokens by which they are known again.

A device's token is good for the device at whatever address it is: when a row is retired because its address
changed, the next one takes the token over, and by the token a device that its push service called gone comes back.
Called by `service/devices.py` and `service/device_access.py`; how
rows follow one another is told in `devices.py`.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Row, and_, bindparam, delete, func, or_, select, update

from clarion.model.access import TokenText
from clarion.store.devices import MOVED, REMOVED, REPLACED
from clarion.store.schema import (
    channels,
    deliveries,
    devices,
    members,
    memberships,
    organizations,
    solutions,
)

KEPT_MS: Final = 90 * 86_400_000
"""So long a retired device is kept with its reason."""


@dataclass(frozen=True, slots=True)
class Details:
    """What an app tells about itself; `name` is what people call the device."""

    name: str = ""
    platform: str | None = None
    app_version: str | None = None
    language: str | None = None
    time_zone: str | None = None


@dataclass(frozen=True, slots=True)
class Installation:
    """A live device as its member sees it. `number` is the one that it keeps, `row_id` its present address' row."""

    device: UUID
    row_id: int
    number: int
    channel: UUID
    provider: str
    registered_at: int
    last_seen_at: int | None
    details: Details


@dataclass(frozen=True, slots=True)
class DeviceAccess:
    """A device that calls by itself, known by its token; `row_id` is its latest row."""

    organization_id: int
    organization: UUID
    member_id: int
    channel_id: int
    provider: str
    device: UUID
    number: int
    row_id: int
    last_seen_at: int | None


class OpenChannel(NamedTuple):
    """A channel on which a member's app may register."""

    id: int
    uuid: UUID
    provider: str
    name: str
    settings: dict[str, Any]
    solution: UUID | None


_LIVE: Final = devices.c.retired_at.is_(None)

_later: Final = devices.alias("later")
_FOLLOWING: Final = select(_later.c.id).where(
    _later.c.organization_id == devices.c.organization_id,
    _later.c.uuid == devices.c.uuid,
    _later.c.id > devices.c.id,
)
_GONE: Final = and_(
    devices.c.retired_at.is_not(None),
    devices.c.retired_reason.not_in((MOVED, REMOVED, REPLACED)),
    ~_FOLLOWING.where(_later.c.retired_at.is_(None)).exists(),
    ~_FOLLOWING.where(_later.c.retired_at.is_not(None)).exists(),
)
"""The latest row of an installation, when its push service called it gone. Apart, each has an index to look in."""


def open_channels(connection: Connection, organization_id: int, member_id: int) -> list[OpenChannel]:
    """The channels of everybody, and those of the solutions that a member belongs to."""
    stay = (
        select(memberships.c.member_id)
        .where(
            memberships.c.organization_id == organization_id,
            memberships.c.stream_id == solutions.c.stream_id,
            memberships.c.member_id == member_id,
            memberships.c.left_seq.is_(None),
        )
        .exists()
    )
    query = (
        select(
            channels.c.id,
            channels.c.uuid,
            channels.c.provider,
            channels.c.name,
            channels.c.settings,
            solutions.c.uuid.label("solution"),
        )
        .outerjoin(solutions, solutions.c.id == channels.c.solution_id)
        .where(
            channels.c.organization_id == organization_id,
            channels.c.removed_at.is_(None),
            or_(channels.c.solution_id.is_(None), stay),
        )
        .order_by(channels.c.id)
    )
    return [
        OpenChannel(**{**row._asdict(), "settings": json.loads(row.settings)})
        for row in connection.execute(query)
    ]


def describe(
    connection: Connection,
    organization_id: int,
    device: UUID,
    details: Details,
    token: TokenText,
    now: int,
) -> None:
    """Note what an app tells of its live device, and the token that it has from now on."""
    values = asdict(details) | {
        "token_key": token.key,
        "token_hash": token.secret_hash,
        "last_seen_at": now,
    }
    _update(connection, organization_id, device, values)


def hand_over(connection: Connection, organization_id: int, row_id: int, device: UUID, now: int) -> None:
    """Give what a row has, its token and what its app told, to the device that follows it."""
    had = connection.execute(select(*_HANDED).where(devices.c.id == row_id)).one()
    _update(connection, organization_id, device, had._asdict() | {"last_seen_at": now})


_HANDED: Final = tuple(
    devices.c[name]
    for name in ("name", "platform", "app_version", "language", "time_zone", "token_key", "token_hash")
)


def _update(connection: Connection, organization_id: int, device: UUID, values: dict[str, Any]) -> None:
    live = (devices.c.organization_id == organization_id) & (devices.c.uuid == device) & _LIVE
    connection.execute(update(devices).where(live).values(**values))


def lock_known(connection: Connection, row_id: int) -> bool:
    """Whether a row is its device's latest, live or gone, on a channel that is there. The member is locked before.

    A live one stays so until the transaction ends. When another member registers the installation of a gone one in
    the same instant, one of the two fails with an IntegrityError, and can be tried again.
    """
    query = (
        select(devices.c.id)
        .join(channels, channels.c.id == devices.c.channel_id)
        .where(devices.c.id == row_id, channels.c.removed_at.is_(None), or_(_LIVE, _GONE))
    )
    return connection.scalar(query.with_for_update(of=devices)) is not None


def note_seen(connection: Connection, row_ids: Sequence[int], now: int) -> None:
    """Note that devices were heard of, in the order of their rows."""
    seen = [{"row": row_id, "now": now} for row_id in sorted(row_ids)]
    if seen:
        connection.execute(_SEEN, seen)


_SEEN: Final = update(devices).where(devices.c.id == bindparam("row")).values(last_seen_at=bindparam("now"))


# ── Looking up ───────────────────────────────────────────────────────────────────────────────────────────


def list_installations(connection: Connection, organization_id: int, member_id: int) -> list[Installation]:
    """A member's live devices, in the order in which they came."""
    query = _INSTALLATIONS.where(
        devices.c.organization_id == organization_id, devices.c.member_id == member_id
    )
    return [_installation(row) for row in connection.execute(query.order_by(devices.c.id))]


def find_installation(connection: Connection, organization_id: int, device: UUID) -> Installation | None:
    """The live device of this id."""
    query = _INSTALLATIONS.where(devices.c.organization_id == organization_id, devices.c.uuid == device)
    row = connection.execute(query).one_or_none()
    return None if row is None else _installation(row)


_NUMBER: Final = func.coalesce(devices.c.first_id, devices.c.id)

_INSTALLATIONS: Final = (
    select(
        devices,
        _NUMBER.label("number"),
        channels.c.uuid.label("channel"),
        channels.c.provider,
    )
    .join(channels, channels.c.id == devices.c.channel_id)
    .where(_LIVE)
)


def _installation(row: Any) -> Installation:
    details = Details(row.name, row.platform, row.app_version, row.language, row.time_zone)
    return Installation(
        device=row.uuid,
        row_id=row.id,
        number=row.number,
        channel=row.channel,
        provider=row.provider,
        registered_at=row.registered_at,
        last_seen_at=row.last_seen_at,
        details=details,
    )


def count_installations(connection: Connection, organization_id: int, member_id: int) -> int:
    """How many live devices a member has."""
    query = (
        select(func.count())
        .select_from(devices)
        .where(devices.c.organization_id == organization_id, devices.c.member_id == member_id, _LIVE)
    )
    return connection.scalars(query).one()


def find_by_token(connection: Connection, token: TokenText) -> DeviceAccess | None:
    """The live device that this token proves."""
    row = connection.execute(_ACCESS.where(devices.c.token_key == token.key, _LIVE)).one_or_none()
    return _proved(row, token)


def find_gone(
    connection: Connection, organization: UUID, device: UUID, token: TokenText
) -> DeviceAccess | None:
    """The device of this id that its push service called gone, when this token proves it and it may come back."""
    query = _ACCESS.join(
        members,
        and_(members.c.id == devices.c.member_id, members.c.organization_id == devices.c.organization_id),
    ).where(
        organizations.c.uuid == organization,
        devices.c.uuid == device,
        channels.c.removed_at.is_(None),
        _GONE,
    )
    return _proved(connection.execute(query).one_or_none(), token)


_ACCESS: Final = (
    select(
        devices.c.token_hash,
        devices.c.organization_id,
        organizations.c.uuid,
        devices.c.member_id,
        devices.c.channel_id,
        channels.c.provider,
        devices.c.uuid,
        _NUMBER,
        devices.c.id,
        devices.c.last_seen_at,
    )
    .join(organizations, organizations.c.id == devices.c.organization_id)
    .join(channels, channels.c.id == devices.c.channel_id)
)


def _proved(row: Row[Any] | None, token: TokenText) -> DeviceAccess | None:
    if row is None or row[0] is None or not token.proves(row[0]):
        return None
    return DeviceAccess(*row[1:])


# ── Ends ─────────────────────────────────────────────────────────────────────────────────────────────────


def remove(connection: Connection, organization_id: int, member_id: int, device: UUID, now: int) -> bool:
    """Retire a member's device because they want it so; whether it was there."""
    statement = update(devices).where(
        devices.c.organization_id == organization_id,
        devices.c.member_id == member_id,
        devices.c.uuid == device,
        _LIVE,
    )
    return connection.execute(statement.values(retired_at=now, retired_reason=REMOVED)).rowcount > 0


def give_up_gone(connection: Connection, row_id: int) -> None:
    """Let a device that is gone not come back."""
    connection.execute(update(devices).where(devices.c.id == row_id, _GONE).values(retired_reason=REMOVED))


def forget_retired(connection: Connection, now: int, limit: int) -> int:
    """Forget some devices that were retired long ago, with what became of pushes to them; returns how many.

    A row that others continue stays as long as they: it gives the device its number.
    """
    later = devices.alias("later")
    old = (
        select(devices.c.id.label("row"), devices.c.organization_id.label("organization"))
        .where(
            devices.c.retired_at <= now - KEPT_MS,
            ~select(later.c.id).where(later.c.first_id == devices.c.id).exists(),
        )
        .order_by(devices.c.retired_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = [row._asdict() for row in connection.execute(old)]
    if rows:
        connection.execute(_FORGET_DELIVERIES, rows)
        connection.execute(_FORGET_DEVICE, rows)
    return len(rows)


_FORGET_DELIVERIES: Final = delete(deliveries).where(
    deliveries.c.organization_id == bindparam("organization"), deliveries.c.device_id == bindparam("row")
)
_FORGET_DEVICE: Final = delete(devices).where(
    devices.c.organization_id == bindparam("organization"), devices.c.id == bindparam("row")
)
