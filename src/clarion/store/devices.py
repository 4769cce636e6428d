"""Devices: installations of the app, each at one address on one channel.

A row never changes its member or address: a change retires it and inserts another, so what happened can be
derived afterwards. Called by the release, the push pages and whoever registers devices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, func, insert, select, update

from clarion.store.schema import devices

MOST_STRIKES: Final = 3
"""A device whose address was doubted for so many notifications is retired."""


@dataclass(frozen=True, slots=True)
class NewDevice:
    """An installation to register."""

    uuid: UUID
    member_id: int
    channel_id: int
    address: str
    name: str


def add_devices(connection: Connection, organization_id: int, new: Sequence[NewDevice], now: int) -> None:
    """Register devices."""
    rows = [
        {
            "organization_id": organization_id,
            "uuid": device.uuid,
            "member_id": device.member_id,
            "channel_id": device.channel_id,
            "address": device.address,
            "name": device.name,
            "registered_at": now,
        }
        for device in new
    ]
    connection.execute(insert(devices), rows)


def last_device_id(connection: Connection) -> int:
    """The highest id so far: a release covers the devices up to it."""
    return connection.scalar(_LAST_DEVICE) or 0


_LAST_DEVICE: Final = select(func.max(devices.c.id))


def retire_device(
    connection: Connection, organization_id: int, device_id: int, reason: str, now: int, since: int | None
) -> bool:
    """Retire a device that its push service called gone since a moment; not if it registered again later."""
    statement = update(devices).where(
        devices.c.organization_id == organization_id,
        devices.c.id == device_id,
        devices.c.retired_at.is_(None),
    )
    if since is not None:
        statement = statement.where(devices.c.registered_at <= since)
    return connection.execute(statement.values(retired_at=now, retired_reason=reason)).rowcount > 0


def strike_device(
    connection: Connection, organization_id: int, device_id: int, reason: str, now: int
) -> None:
    """Note that a push service doubted the address; the third time the device is retired."""
    this_device = (devices.c.organization_id == organization_id) & (devices.c.id == device_id)
    connection.execute(update(devices).where(this_device).values(strikes=devices.c.strikes + 1))
    connection.execute(
        update(devices)
        .where(this_device, devices.c.strikes >= MOST_STRIKES, devices.c.retired_at.is_(None))
        .values(retired_at=now, retired_reason=reason)
    )
