"""Devices: an app registers its installation for a member, renews its address, and leaves.

Called by `api/devices.py`. What an address must be, its provider has said before (`Door.check_address`); how the
rows of a device follow one another is told in `store/devices.py`.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Concatenate, Final, ParamSpec, TypeVar
from uuid import UUID, uuid5

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from clarion.model.access import Access, TokenText
from clarion.model.errors import Conflict, Fault, Invalid, NotFound, Unauthenticated
from clarion.store import devices, inbox, installations
from clarion.store.database import Database
from clarion.store.devices import NewDevice
from clarion.store.installations import Details, DeviceAccess, Installation, OpenChannel

P = ParamSpec("P")
R = TypeVar("R")

MOST_DEVICES: Final = 100
"""How many live devices a member may have."""

TRIES: Final = 3
"""Two members that take one address in the same instant fail one of them; the next try finds what happened."""


@dataclass(frozen=True, slots=True)
class Registration:
    """An installation that asks to be reached: on which channel, at which address, and what its app tells."""

    channel: OpenChannel
    installation: str
    address: str
    details: Details


@dataclass(frozen=True, slots=True)
class Registered:
    """A device that is registered; `is_new` unless it was known before."""

    installation: Installation
    is_new: bool


def list_channels(connection: Connection, access: Access, user: UUID) -> list[OpenChannel]:
    """The channels on which a member's app may register."""
    member_id = _member(connection, access, user)
    return installations.open_channels(connection, access.organization_id, member_id)


def find_channel(connection: Connection, access: Access, user: UUID, channel: UUID) -> OpenChannel:
    """A channel on which a member's app may register; raises Invalid."""
    found = next((one for one in list_channels(connection, access, user) if one.uuid == channel), None)
    if found is None:
        raise Invalid.because([Fault("channelId", "is no channel on which this member's app may register")])
    return found


def list_devices(connection: Connection, access: Access, user: UUID) -> list[Installation]:
    """A member's live devices."""
    return installations.list_installations(
        connection, access.organization_id, _member(connection, access, user)
    )


def remove_device(connection: Connection, access: Access, user: UUID, device: UUID, now: int) -> None:
    """Retire a member's device; raises NotFound, also when it is retired already."""
    member_id = _member(connection, access, user)
    if not installations.remove(connection, access.organization_id, member_id, device, now):
        raise NotFound("There is no such device of this member.")


async def register_device(
    database: Database, access: Access, user: UUID, registration: Registration, token: TokenText, now: int
) -> Registered:
    """Register an installation for a member, or once more, under a new token of its own.

    The rules of `store.devices.register_device`. Raises Conflict when the member has too many devices.
    """
    return await _again_when_overtaken(database, _register, access, user, registration, token, now)


async def change_address(database: Database, device: DeviceAccess, address: str, now: int) -> Installation:
    """Give a device another address, where it comes back if it was gone; its token goes on working.

    Raises Conflict when it comes back and the member has too many devices by now.
    """
    return await _again_when_overtaken(database, _change_address, device, address, now)


def leave(connection: Connection, device: DeviceAccess, now: int) -> None:
    """Retire a device because its app says so; one that was gone does not come back."""
    installations.remove(connection, device.organization_id, device.member_id, device.device, now)
    installations.give_up_gone(connection, device.row_id)


def _register(
    connection: Connection, access: Access, user: UUID, registration: Registration, token: TokenText, now: int
) -> Registered:
    organization_id, member_id = access.organization_id, _member(connection, access, user)
    last = devices.last_device_id(connection)
    uuid = uuid5(registration.channel.uuid, registration.installation)
    new = NewDevice(uuid, member_id, registration.channel.id, registration.address, registration.details.name)
    known_as = devices.register_device(connection, organization_id, new, now)
    _refuse_too_many(connection, organization_id, member_id)
    installations.describe(connection, organization_id, known_as, registration.details, token, now)
    found = _found(connection, organization_id, known_as)
    return Registered(found, is_new=found.row_id > last and found.row_id == found.number)


def _change_address(connection: Connection, device: DeviceAccess, address: str, now: int) -> Installation:
    devices.lock_member(connection, device.member_id)
    if not installations.lock_known(connection, device.row_id):
        raise Unauthenticated  # it was given up or followed after its token had been looked up
    new = NewDevice(device.device, device.member_id, device.channel_id, address, "")
    known_as = devices.register_device(connection, device.organization_id, new, now)
    _refuse_too_many(connection, device.organization_id, device.member_id)
    installations.hand_over(connection, device.organization_id, device.row_id, known_as, now)
    return _found(connection, device.organization_id, known_as)


def _refuse_too_many(connection: Connection, organization_id: int, member_id: int) -> None:
    if installations.count_installations(connection, organization_id, member_id) > MOST_DEVICES:
        raise Conflict(
            f"This member has {MOST_DEVICES} devices already; remove one that is not used any more.",
            code="too_many_devices",
        )


def _found(connection: Connection, organization_id: int, device: UUID) -> Installation:
    found = installations.find_installation(connection, organization_id, device)
    assert found is not None, "it was registered in this transaction"
    return found


def _member(connection: Connection, access: Access, user: UUID) -> int:
    member = inbox.find_inbox_member(connection, access.organization_id, user)
    if member is None:
        raise NotFound("There is no such member in this organization.")
    return member.id


async def _again_when_overtaken(
    database: Database, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
) -> R:
    for _ in range(TRIES - 1):
        with suppress(IntegrityError):
            return await database.write(function, *args, **kwargs)
    return await database.write(function, *args, **kwargs)
