"""Devices: installations of the app, each at one address on one channel.

A row never changes its member or address: a change retires it and inserts another, so what happened can be
derived afterwards. `uuid` names the installation, and at most one of its rows is live. A row that follows
another one of the same installation, member and channel continues the same device: its `first_id` is the
row with which the device began, and that is the device's number in push ids, deliveries and cursors. So what was
released before an address changed reaches the new one, under the same id.

Called by the release, the push pages and whoever registers devices.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, func, insert, or_, select, update

from clarion.store.schema import devices, members

MOVED: Final = "moved to another member"
REMOVED: Final = "removed"
REPLACED: Final = "replaced"
"""Why a row was retired when it was not its push service that called the address gone."""

MOST_STRIKES: Final = 3
"""A device whose address was doubted so many times, and taken never between, is retired."""


@dataclass(frozen=True, slots=True)
class NewDevice:
    """An installation to register."""

    uuid: UUID
    member_id: int
    channel_id: int
    address: str
    name: str


def add_devices(connection: Connection, organization_id: int, new: Sequence[NewDevice], now: int) -> None:
    """Register devices that are new, as is each of their addresses."""
    connection.execute(insert(devices), [_row(organization_id, device, now) for device in new])


def register_device(connection: Connection, organization_id: int, new: NewDevice, now: int) -> UUID:
    """Register an installation, or again at its present address; returns the uuid under which it is known.

    - The same member at the same address: the registration is refreshed and keeps its uuid, nothing else changes.
    - The same installation at another address: the new address replaces the old one, and the device goes on.
    - An installation or an address that comes to another member leaves the first one, who gets nothing there
      any more; what was released to either of them before does not follow.

    Calls for one member queue up; two members that take the same address in the same instant fail one of them
    with an IntegrityError, and it can be tried again.
    """
    lock_member(connection, new.member_id)
    present = _present(connection, organization_id, new)
    kept = next((row for row in present if _is_same(row, new)), None)
    for row in present:
        if row is not kept:
            reason = REPLACED if row.member_id == new.member_id else MOVED
            _retire(connection, row.id, reason, now)
    if kept is not None:
        connection.execute(update(devices).where(devices.c.id == kept.id).values(registered_at=now))
        known_as: UUID = kept.uuid
        return known_as
    first = _first_id(connection, organization_id, new)
    connection.execute(insert(devices).values(**_row(organization_id, new, now), first_id=first))
    return new.uuid


def lock_member(connection: Connection, member_id: int) -> None:
    """Wait for other registrations of a member, and let the next ones wait."""
    connection.execute(select(members.c.id).where(members.c.id == member_id).with_for_update())


def _row(organization_id: int, device: NewDevice, now: int) -> dict[str, Any]:
    return {"organization_id": organization_id, **asdict(device), "registered_at": now}


def _present(connection: Connection, organization_id: int, new: NewDevice) -> Sequence[Any]:
    """The live rows of this installation and at this address, locked."""
    at_address = (devices.c.channel_id == new.channel_id) & (devices.c.address == new.address)
    query = (
        select(devices)
        .where(
            devices.c.organization_id == organization_id,
            devices.c.retired_at.is_(None),
            or_(devices.c.uuid == new.uuid, at_address),
        )
        .order_by(devices.c.id)
        .with_for_update()
    )
    return connection.execute(query).all()


def _is_same(row: Any, new: NewDevice) -> bool:
    return (row.member_id, row.channel_id, row.address) == (new.member_id, new.channel_id, new.address)


def _first_id(connection: Connection, organization_id: int, new: NewDevice) -> int | None:
    """The row with which this installation began at this member and channel; None when this is its first."""
    query = select(func.min(devices.c.id)).where(
        devices.c.organization_id == organization_id,
        devices.c.member_id == new.member_id,
        devices.c.channel_id == new.channel_id,
        devices.c.uuid == new.uuid,
    )
    first: int | None = connection.scalar(query)
    return first


def last_device_id(connection: Connection) -> int:
    """The highest id so far: a release covers the devices that began up to it."""
    return connection.scalar(_LAST_DEVICE) or 0


_LAST_DEVICE: Final = select(func.max(devices.c.id))


def find_left(connection: Connection, channel_id: int, since: int) -> set[int]:
    """The rows of a channel whose member gave them up since a moment: what was meant for them goes nowhere."""
    query = select(devices.c.id).where(
        devices.c.retired_at >= since,
        devices.c.channel_id == channel_id,
        devices.c.retired_reason.in_((MOVED, REMOVED)),
    )
    return set(connection.scalars(query))


# ── What pushing finds out about them ────────────────────────────────────────────────────────────────────


def retire_device(
    connection: Connection, organization_id: int, row_id: int, reason: str, now: int, since: int | None
) -> bool:
    """Retire a device that its push service called gone since a moment; not if it registered again later."""
    statement = update(devices).where(
        devices.c.organization_id == organization_id,
        devices.c.id == row_id,
        devices.c.retired_at.is_(None),
    )
    if since is not None:
        statement = statement.where(devices.c.registered_at <= since)
    return connection.execute(statement.values(retired_at=now, retired_reason=reason)).rowcount > 0


def strike_device(connection: Connection, organization_id: int, row_id: int, reason: str, now: int) -> None:
    """Note that a push service doubted the address; the third time in a row the device is retired."""
    this_device = (devices.c.organization_id == organization_id) & (devices.c.id == row_id)
    connection.execute(update(devices).where(this_device).values(strikes=devices.c.strikes + 1))
    connection.execute(
        update(devices)
        .where(this_device, devices.c.strikes >= MOST_STRIKES, devices.c.retired_at.is_(None))
        .values(retired_at=now, retired_reason=reason)
    )


def forget_strikes(connection: Connection, organization_id: int, row_id: int) -> None:
    """Note that a push service took the address: earlier doubts were not the device's."""
    this_device = (devices.c.organization_id == organization_id) & (devices.c.id == row_id)
    connection.execute(update(devices).where(this_device).values(strikes=0))


def has_undoubted(
    connection: Connection, organization_id: int, channel_id: int, doubted: Collection[int]
) -> bool:
    """Whether a live device of a channel stands undoubted, beside these rows that are doubted now."""
    query = (
        select(devices.c.id)
        .where(
            devices.c.organization_id == organization_id,
            devices.c.channel_id == channel_id,
            devices.c.retired_at.is_(None),
            devices.c.strikes == 0,
        )
        .limit(len(doubted) + 1)
    )
    return not set(connection.scalars(query)) <= set(doubted)


def _retire(connection: Connection, row_id: int, reason: str, now: int) -> None:
    connection.execute(
        update(devices).where(devices.c.id == row_id).values(retired_at=now, retired_reason=reason)
    )
