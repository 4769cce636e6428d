"""The registry on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clarion.sandbox.registry import (
    Key,
    Phone,
    Project,
    RegistryFile,
    Subscription,
    registry_of,
    write_registry,
)

from .conftest import Clock

PROJECT = Project("sample", "sender@sample.example.com", "key-1", "pem", ("com.example.a",))
KEY = Key("TEAM", "KEY", "pem", ("com.example.a",))
PHONE = Phone("AB12", "com.example.a", "iPhone", "Sales lead", "lead@example.com", "iPhone 16")
ANDROID = Phone("aB-12:cD", "com.example.a", provider="fcm", former=("old",))
BROWSER = Phone(
    "iD", "https://app.example.com", provider="webpush", subscription=Subscription("private", "auth", "key")
)


def test_what_is_written_is_read(tmp_path: Path, clock: Clock) -> None:
    devices = [PHONE, ANDROID, BROWSER]
    write_registry(tmp_path, [KEY], devices, [PROJECT])
    registry = RegistryFile(tmp_path, clock).current()
    assert registry.keys == {("TEAM", "KEY"): KEY}
    assert registry.projects == {"sender@sample.example.com": PROJECT}
    assert registry.phones == {"ab12": PHONE, "aB-12:cD": ANDROID, "iD": BROWSER}
    assert registry.former == {"old"}


def test_an_address_in_use_is_no_former_one() -> None:
    assert registry_of([], [PHONE, Phone("new", "x", former=("AB12", "ab12"))]).former == {"AB12"}


def test_the_file_says_what_the_guide_says(tmp_path: Path) -> None:
    write_registry(tmp_path, [KEY], [PHONE, ANDROID, BROWSER], [PROJECT])
    content = json.loads((tmp_path / "registry.json").read_text())
    assert content["keys"] == [
        {"teamId": "TEAM", "keyId": "KEY", "publicKey": "pem", "topics": ["com.example.a"]}
    ]
    assert content["phones"][0] == {
        "provider": "apns",
        "token": "AB12",
        "topic": "com.example.a",
        "name": "iPhone",
        "owner": "Sales lead",
        "email": "lead@example.com",
        "model": "iPhone 16",
    }
    assert content["phones"][1]["former"] == ["old"]
    assert content["phones"][2]["subscription"] == {
        "privateKey": "private",
        "auth": "auth",
        "applicationServerKey": "key",
    }
    assert content["projects"] == [
        {
            "projectId": "sample",
            "clientEmail": "sender@sample.example.com",
            "privateKeyId": "key-1",
            "publicKey": "pem",
            "packages": ["com.example.a"],
        }
    ]


def test_entries_for_one_key_add_up(tmp_path: Path, clock: Clock) -> None:
    write_registry(tmp_path, [KEY, Key("TEAM", "KEY", "pem", ("com.example.b", "com.example.a"))], [])
    key = RegistryFile(tmp_path, clock).current().keys["TEAM", "KEY"]
    assert key.topics == ("com.example.a", "com.example.b")


def test_a_change_is_seen_once_a_second_is_over(tmp_path: Path, clock: Clock) -> None:
    file = RegistryFile(tmp_path, clock)
    assert file.current().phones == {}
    write_registry(tmp_path, [KEY], [PHONE])
    assert file.current().phones == {}
    clock.now += 1
    assert list(file.current().phones) == ["ab12"]


def test_an_unchanged_file_is_the_same_registry(tmp_path: Path, clock: Clock) -> None:
    write_registry(tmp_path, [KEY], [PHONE])
    file = RegistryFile(tmp_path, clock)
    first = file.current()
    clock.now += 1
    assert file.current() is first


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"keys": [{}]}',
        '{"projects": [{"projectId": "x"}]}',
        '{"phones": [{"token": 1, "topic": "x"}]}',
        '{"phones": [{"token": "a", "topic": "x", "provider": "pigeon"}]}',
        '{"phones": [{"token": "a", "topic": "x", "provider": "webpush"}]}',
    ],
)
def test_a_damaged_file_leaves_the_last_good_one_standing(tmp_path: Path, clock: Clock, content: str) -> None:
    write_registry(tmp_path, [KEY], [PHONE])
    file = RegistryFile(tmp_path, clock)
    good = file.current()
    (tmp_path / "registry.json").write_text(content)
    clock.now += 1
    assert file.current() is good


def test_a_removed_file_is_an_empty_registry(tmp_path: Path, clock: Clock) -> None:
    write_registry(tmp_path, [KEY], [PHONE])
    file = RegistryFile(tmp_path, clock)
    file.current()
    (tmp_path / "registry.json").unlink()
    clock.now += 1
    assert file.current().keys == {}


def test_the_least_that_a_phone_needs_is_a_token_and_a_topic(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "registry.json").write_text(
        '{"phones": [{"token": "ab", "topic": "com.example.a", "name": null}]}'
    )
    assert RegistryFile(tmp_path, clock).current().phones["ab"] == Phone("ab", "com.example.a")
