"""The apps of the demonstration: a channel for each, and devices of people on it.

What is there stays, with its ids; what an earlier version did not have is added, and what names a port of the
sandbox follows it.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, select

from clarion.demo.app_link import app_address, is_local
from clarion.demo.credentials import Credentials
from clarion.demo.people import ANDROID_APP, KEY_ID, PEOPLE, PHONE_APP, PROJECT, SITE, TABLET_APP, TEAM
from clarion.model.audience import fold_email
from clarion.providers import check_address
from clarion.sandbox.registry import Phone
from clarion.sandbox.subscriptions import subscribe
from clarion.settings import Settings
from clarion.store import channels, devices
from clarion.store.channels import Channel, NewChannel
from clarion.store.devices import NewDevice
from clarion.store.schema import devices as devices_table
from clarion.store.schema import members
from clarion.store.sealing import Keyring, Place, SealingError


@dataclass(frozen=True, slots=True)
class App:
    """One app: its bundle id, package or origin, the channel that reaches it, and the channel's credential."""

    topic: str
    provider: str
    name: str
    settings: dict[str, Any]
    secret: str = field(repr=False)


def make_apps(settings: Settings, credentials: Credentials, base_url: str) -> list[App]:
    """The apps, reached through the stand-ins of this run; a banner in a browser opens the reference app."""
    app_url = app_address(base_url) if is_local(base_url) else f"{SITE}/"
    apple = {
        "team_id": TEAM, "key_id": KEY_ID, "environment": "development",
        "host": "localhost", "port": settings.sandbox.apns_port,
    }  # fmt: skip
    google = {"project_id": PROJECT, "host": "localhost", "port": settings.sandbox.fcm_port}
    web = {
        "subject": "mailto:admin@example.com", "app_url": app_url,
        "public_key": credentials.application_server_key,
    }  # fmt: skip
    return [
        App(PHONE_APP, "apns", "Workplace for iPhone", apple | {"topic": PHONE_APP}, credentials.apple),
        App(TABLET_APP, "apns", "Workplace for iPad", apple | {"topic": TABLET_APP}, credentials.apple),
        App(ANDROID_APP, "fcm", "Workplace for Android", google, credentials.google),
        App(SITE, "webpush", "Workplace in the browser", web, credentials.browsers),
    ]


def ensure_channels(
    connection: Connection, keyring: Keyring, organization_id: int, apps: list[App], now: int
) -> dict[str, int]:
    """See that every app has its channel; returns their ids by the app's topic."""
    listed = {one.name: one.id for one in channels.list_channels(connection, organization_id)}
    known = {one.id: one for one in channels.find_channels(connection, list(listed.values()))}
    found = {}
    for app in apps:
        there = known.get(listed.get(app.name, 0))
        if there is None:
            new = _sealed(keyring, organization_id, uuid4(), app)
            found[app.topic] = channels.add_channel(connection, organization_id, new, now)
            continue
        found[app.topic] = there.id
        if _has_secret(keyring, there, app.secret):
            channels.change_settings(connection, there.id, app.settings)
        else:
            new = _sealed(keyring, organization_id, there.uuid, app)
            channels.renew_channel(connection, there.id, new, now)
    return found


def ensure_devices(
    connection: Connection,
    organization_id: int,
    channel_ids: Mapping[str, int],
    browsers: "Browsers",
    now: int,
) -> None:
    """See that everybody once had their devices, and that browsers are subscribed at the stand-in of this run."""
    site = channel_ids[SITE]
    rows = _devices(connection, organization_id)
    there = {(row.email_folded, row.channel_id, row.model) for row in rows}
    member_ids = _member_ids(connection, organization_id)
    new = []
    for person in PEOPLE:
        email = fold_email(person.email)
        for app, model in person.devices:
            if (email, channel_ids[app], model) not in there and email in member_ids:
                uuid = uuid4()
                address = _new_address(app) if app != SITE else browsers.address(uuid)
                new.append(NewDevice(uuid, member_ids[email], channel_ids[app], address, model))
    if new:
        devices.add_devices(connection, organization_id, new, now)
    for row in rows:
        is_ours = row.channel_id == site and row.retired_at is None and _is_seeded(row, SITE)
        if is_ours and row.address != browsers.address(row.uuid):
            moved = NewDevice(row.uuid, row.member_id, site, browsers.address(row.uuid), row.model)
            devices.register_device(connection, organization_id, moved, now)


def list_phones(
    connection: Connection, organization_id: int, channel_ids: Mapping[str, int], browsers: "Browsers"
) -> list[Phone]:
    """The devices in use, as the sandbox knows them."""
    topics = {channel_id: topic for topic, channel_id in channel_ids.items()}
    found = []
    for row in _devices(connection, organization_id):
        topic = topics.get(row.channel_id)
        if row.retired_at is None and topic is not None and (topic != SITE or _is_seeded(row, SITE)):
            phone = _phone(row, topic, browsers)
            kind = (row.model.split() or ["device"])[0]
            name = f"{row.owner}’s {kind}"
            found.append(replace(phone, name=name, owner=row.owner, email=row.email, model=row.model))
    return found


def _is_seeded(row: Any, app: str) -> bool:
    """Whether a device is one of the demonstration's, not one that somebody registered since."""
    return any(
        fold_email(person.email) == row.email_folded and (app, row.model) in person.devices
        for person in PEOPLE
    )


class Browsers:
    """The browsers of the demonstration. Their keys come from the VAPID key and the device, so nothing is kept."""

    def __init__(self, credentials: Credentials, port: int) -> None:
        self._credentials = credentials
        self._service = f"https://localhost:{port}"

    def address(self, device: UUID) -> str:
        """What the browser hands to the app, as the store keeps it."""
        return check_address("webpush", json.dumps(self._subscribe(device)[0]))

    def phone(self, device: UUID) -> Phone:
        """What the stand-in knows."""
        return self._subscribe(device)[1]

    def _subscribe(self, device: UUID) -> tuple[dict[str, Any], Phone]:
        key = self._credentials.application_server_key
        return subscribe(self._service, SITE, key, octets=self._octets(device))

    def _octets(self, device: UUID) -> Callable[[int], bytes]:
        numbers = count()
        seed = f"{self._credentials.browsers}{device}"
        return lambda length: sha256(f"{seed}{next(numbers)}".encode()).digest()[:length]


def _phone(row: Row[Any], topic: str, browsers: Browsers) -> Phone:
    if topic == SITE:
        return browsers.phone(row.uuid)
    if topic == ANDROID_APP:
        return Phone(row.address.removeprefix("token:"), topic, provider="fcm")
    return Phone(row.address, topic)


def _new_address(app: str) -> str:
    """A device token of Apple, or a registration token of Google."""
    if app == ANDROID_APP:
        return f"token:{secrets.token_urlsafe(16)}:APA91b{secrets.token_urlsafe(100)}"
    return secrets.token_hex(32)


def _sealed(keyring: Keyring, organization_id: int, uuid: UUID, app: App) -> NewChannel:
    sealed = keyring.seal(app.secret, Place(organization_id, uuid), secrets.token_bytes)
    return NewChannel(uuid, app.provider, app.name, app.settings, sealed)


def _has_secret(keyring: Keyring, channel: Channel, secret: str) -> bool:
    try:
        return keyring.open(channel.sealed, Place(channel.organization_id, channel.uuid)) == secret
    except SealingError:
        return False


def _member_ids(connection: Connection, organization_id: int) -> dict[str, int]:
    query = select(members.c.email_folded, members.c.id).where(members.c.organization_id == organization_id)
    return {row.email_folded: row.id for row in connection.execute(query)}


def _devices(connection: Connection, organization_id: int) -> list[Row[Any]]:
    """Every device that ever was, with its owner."""
    query = (
        select(
            devices_table.c.uuid,
            devices_table.c.member_id,
            devices_table.c.channel_id,
            devices_table.c.address,
            devices_table.c.name.label("model"),
            devices_table.c.retired_at,
            members.c.name.label("owner"),
            members.c.email,
            members.c.email_folded,
        )
        .join(members, members.c.id == devices_table.c.member_id)
        .where(devices_table.c.organization_id == organization_id)
        .order_by(devices_table.c.id)
    )
    return list(connection.execute(query))
