"""`clarion seed-demo`: Apple's, Google's and browsers' devices, again and again without harm."""

import json
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import Table, delete

from clarion.demo.people import ANDROID_APP, PEOPLE, SITE
from clarion.sandbox.registry import Registry, read_registry
from clarion.store.database import Database, writing
from clarion.store.schema import channels, devices
from clarion.store.sealing import Place, read_master_keys
from tests.cli.conftest import Desk


@pytest.fixture
def seeded(empty_desk: Desk) -> Desk:
    empty_desk.done("seed-demo")
    return empty_desk


def registry(desk: Desk) -> Registry:
    return read_registry(desk.folder / "sandbox" / "registry.json")


def secret_of(desk: Desk, provider: str) -> str:
    """The opened secret of the first channel of a provider."""
    keyring = read_master_keys((desk.folder / "master.key").read_text().splitlines()[-1])
    [row, *_] = [row for row in desk.rows(channels) if row.provider == provider]
    return keyring.open(row.secret, Place(row.organization_id, row.uuid))


def test_everybody_has_their_devices_on_the_channel_of_each_app(seeded: Desk) -> None:
    assert Counter(row.provider for row in seeded.rows(channels)) == {"apns": 2, "fcm": 1, "webpush": 1}
    wanted = Counter((person.email, app, model) for person in PEOPLE for app, model in person.devices)
    phones = registry(seeded).phones.values()
    assert Counter((phone.email, phone.topic, phone.model) for phone in phones) == wanted
    assert {phone.provider for phone in phones} == {"apns", "fcm", "webpush"}
    assert {person.email for person in PEOPLE if not person.devices} == {"new.starter@example.com"}
    for name in ("apns-key.p8", "fcm-key.pem", "vapid-key.pem"):
        assert (seeded.folder / "sandbox" / name).stat().st_mode & 0o777 == 0o600


def test_seeding_again_changes_nothing(seeded: Desk) -> None:
    before, known = rows(seeded, channels) + rows(seeded, devices), registry(seeded)
    seeded.done("seed-demo")
    assert rows(seeded, channels) + rows(seeded, devices) == before
    assert registry(seeded) == known


def test_a_demonstration_of_an_earlier_version_gets_what_is_new(seeded: Desk) -> None:
    apple = [row for row in seeded.rows(channels) if row.provider == "apns"]
    database = Database(f"sqlite:///{seeded.folder / 'clarion.db'}")
    with writing(database.engine) as connection:
        ids = [row.id for row in apple]
        connection.execute(delete(devices).where(devices.c.channel_id.not_in(ids)))
        connection.execute(delete(channels).where(channels.c.id.not_in(ids)))
        clear = (seeded.folder / "sandbox" / "apns-key.p8").read_text()
        connection.execute(channels.update().values(secret=clear))
    database.close()
    for name in ("master.key", "sandbox/fcm-key.pem", "sandbox/vapid-key.pem"):
        (seeded.folder / name).unlink()
    before = {str(row.uuid) for row in seeded.rows(devices)}
    seeded.done("seed-demo")
    assert [row.uuid for row in seeded.rows(channels)][:2] == [row.uuid for row in apple]
    assert secret_of(seeded, "apns") == clear
    after = seeded.rows(devices)
    assert before < {str(row.uuid) for row in after}
    assert len(registry(seeded).phones) == len(after) == sum(len(person.devices) for person in PEOPLE)


def test_other_ports_are_followed_by_channels_and_browsers(
    seeded: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, port in (("APNS", 9001), ("FCM", 9002), ("WEBPUSH", 9003)):
        monkeypatch.setenv(f"CLARION_SANDBOX_{name}_PORT", str(port))
    before = {row.uuid: row.address for row in seeded.rows(devices)}
    seeded.done("seed-demo")
    settings = [json.loads(row.settings) for row in seeded.rows(channels)]
    assert [values.get("port") for values in settings] == [9001, 9001, 9002, None]
    assert json.loads(secret_of(seeded, "fcm"))["token_uri"] == "https://localhost:9002/token"
    live = {row.uuid: row.address for row in seeded.rows(devices) if row.retired_at is None}
    assert live.keys() == before.keys()
    moved = [address for uuid, address in live.items() if address != before[uuid]]
    assert len(moved) == sum(app == SITE for person in PEOPLE for app, _ in person.devices)
    assert all("https://localhost:9003/push/" in address for address in moved)
    assert {phone.token for phone in registry(seeded).phones.values() if phone.provider == "webpush"} == {
        address.partition("/push/")[2].partition('"')[0] for address in moved
    }


def test_a_device_that_is_gone_stays_gone(seeded: Desk) -> None:
    gone = [row for row in seeded.rows(devices) if row.address.startswith("token:")]
    seeded.change(devices, retired_at=1, retired_reason="gone")
    seeded.done("seed-demo")
    assert len(gone) == sum(app == ANDROID_APP for person in PEOPLE for app, _ in person.devices)
    assert registry(seeded).phones == {}


def test_a_new_master_key_heals_the_channels(seeded: Desk) -> None:
    path = seeded.folder / "master.key"
    path.unlink()
    assert "The master key is missing" in seeded.refused("seed-demo")
    path.touch(0o600)
    path.write_text(seeded.done("keys", "generate"))
    seeded.done("seed-demo")
    assert "Warning" not in seeded.done("check")


def rows(desk: Desk, table: Table) -> list[Any]:
    return [tuple(row) for row in desk.rows(table)]
