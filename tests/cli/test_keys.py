"""`clarion keys`, and what `migrate` and `check` do about master keys."""

import sqlite3
import stat
from contextlib import closing

import pytest

from clarion.store.masterkeys import MasterKeys
from clarion.store.schema import channels
from clarion.store.sealing import is_sealed, read_master_keys
from tests.cli.conftest import ADDRESS, Desk


def test_migrating_makes_a_key_that_is_its_owners_alone(desk: Desk) -> None:
    path = desk.folder / "master.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_text()
    desk.done("migrate")
    assert path.read_text() == before
    desk.add_apns()
    assert path.read_text() == before


def test_the_file_may_be_elsewhere(empty_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = empty_desk.folder.parent / "secrets" / "key"
    monkeypatch.setenv("CLARION_KEYS_FILE", str(path))
    empty_desk.done("migrate")
    assert MasterKeys(path).require()
    assert not (empty_desk.folder / "master.key").exists()


def test_a_rotation_moves_all_secrets_and_the_list_tells(desk: Desk) -> None:
    desk.add_apns("one")
    desk.add_apns("two")
    before = desk.done("keys", "list")
    [old] = MasterKeys(desk.folder / "master.key").require().ids
    assert before == f"{old}  2 secrets, seals what is new\n"
    told = desk.done("keys", "rotate")
    [new] = MasterKeys(desk.folder / "master.key").require().ids
    assert new != old
    assert f"2 secrets were sealed anew; all that open are under the key {new} now." in told
    assert "Make a copy of it" in told
    assert desk.done("keys", "list") == f"{new}  2 secrets, seals what is new\n"
    assert {row.secret.split(":")[1] for row in desk.rows(channels)} == {new}


def test_keys_of_the_environment_take_over_from_the_file(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.add_apns()
    old = MasterKeys(desk.folder / "master.key").require()
    given = desk.done("keys", "generate").strip()
    [new] = read_master_keys(given).ids
    monkeypatch.setenv("CLARION_KEYS_MASTER", given)
    assert f"the master key {old.first.id}, which is not here" in desk.done("check")
    assert "stay as they are" in desk.refused("keys", "rotate")
    file = desk.file("keys", f"{given},{old.first.text}\n".encode())
    monkeypatch.delenv("CLARION_KEYS_MASTER")
    monkeypatch.setenv("CLARION_KEYS_MASTER_FILE", str(file))
    told = desk.done("keys", "rotate")
    assert f"These keys seal nothing any more; remove them from keys.master: {old.first.id}" in told
    file.write_text(given)
    assert desk.done("keys", "list") == f"{new}  1 secrets, seals what is new\n"
    assert "Warning" not in desk.done("check")
    assert given not in told


def test_secrets_of_an_earlier_version_are_sealed_by_migrate(desk: Desk) -> None:
    desk.add_apns()
    secret = (desk.folder.parent / "AuthKey.p8").read_text()
    desk.change(channels, secret=secret)
    uuid = str(desk.rows(channels)[0].uuid)
    assert "in clear      1 secrets, of an earlier version; run: clarion migrate" in desk.done("keys", "list")
    assert "clarion migrate" in desk.refused("channel", "test", uuid, "--address", ADDRESS)
    assert "1 secrets of channels were in clear; they are sealed now." in desk.done("migrate")
    assert "in clear" not in desk.done("migrate")
    [row] = desk.rows(channels)
    assert is_sealed(row.secret)


def test_a_database_of_the_first_schema_is_brought_here_with_its_secrets(empty_desk: Desk) -> None:
    empty_desk.done("migrate")
    organization = empty_desk.done("organization", "add", "--name", "X", "--admin-email", "a@example.com")
    desk = Desk(empty_desk.folder, organization.strip())
    desk.add_apns()
    secret = (desk.folder.parent / "AuthKey.p8").read_text()
    (desk.folder / "master.key").unlink()
    with closing(sqlite3.connect(desk.folder / "clarion.db")) as connection, connection:
        connection.execute("UPDATE channels SET secret = ?", [secret])
    assert "1 secrets of channels were in clear" in desk.done("migrate")
    assert (desk.folder / "master.key").exists()


@pytest.mark.parametrize("text", ["hunter2", "", ","])
def test_a_given_key_that_is_none_is_told_without_being_shown(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("CLARION_KEYS_MASTER", text)
    told = desk.refused("check")
    assert "keys.master: " in told
    assert "clarion keys generate" in told
    assert "hunter2" not in told


def test_a_key_that_others_can_read_stops_everything_that_needs_it(desk: Desk) -> None:
    desk.add_apns()
    (desk.folder / "master.key").chmod(0o640)
    for words in (["check"], ["keys", "list"], ["keys", "rotate"], ["serve"]):
        assert "can be read by others. Run: chmod 600 " in desk.refused(*words)


def test_generated_keys_differ(empty_desk: Desk) -> None:
    keys = {empty_desk.done("keys", "generate") for _ in range(3)}
    assert len(keys) == 3
    assert not empty_desk.folder.exists()
