"""Sealing: a secret opens under its key and at its place, and nowhere else."""

import re
from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.store.sealing import (
    Keyring,
    MasterKey,
    Place,
    SealingError,
    UnknownKey,
    is_sealed,
    new_master_key,
    read_master_keys,
)

PLACE = Place(7, UUID(int=1))
ONE, TWO = MasterKey(bytes(range(32))), MasterKey(bytes(range(1, 33)))
SECRET = "-----BEGIN PRIVATE KEY-----"


def counting() -> Callable[[int], bytes]:
    """Octets that are never the same twice."""
    numbers = iter(range(1, 1 << 30))
    return lambda count: next(numbers).to_bytes(count, "big")


def seal(secret: str = SECRET, *keys: MasterKey, place: Place = PLACE) -> str:
    return Keyring(keys or (ONE,)).seal(secret, place, counting())


@given(
    secret=st.text(), octets=st.binary(min_size=32, max_size=32), organization=st.integers(1), uuid=st.uuids()
)
def test_what_is_sealed_opens_again(secret: str, octets: bytes, organization: int, uuid: UUID) -> None:
    keyring, place = Keyring((MasterKey(octets),)), Place(organization, uuid)
    sealed = keyring.seal(secret, place, counting())
    assert re.fullmatch(r"v1:[0-9a-f]{12}:[A-Za-z0-9_-]+", sealed)
    assert is_sealed(sealed)
    assert sealed.split(":")[1] == keyring.first.id
    assert keyring.open(sealed, place) == secret


def test_the_same_secret_is_sealed_differently_every_time() -> None:
    random = counting()
    assert Keyring((ONE,)).seal(SECRET, PLACE, random) != Keyring((ONE,)).seal(SECRET, PLACE, random)


def test_the_first_key_seals_and_all_open() -> None:
    sealed = seal(SECRET, TWO)
    assert Keyring((ONE, TWO)).open(sealed, PLACE) == SECRET
    assert seal(SECRET, ONE, TWO).split(":")[1] == ONE.id


def test_another_key_is_named_and_the_secret_is_not() -> None:
    with pytest.raises(UnknownKey) as told:
        Keyring((TWO,)).open(seal(), PLACE)
    assert ONE.id in str(told.value)
    assert TWO.id in str(told.value)
    assert "clarion channel renew" in str(told.value)
    assert SECRET not in str(told.value)


@pytest.mark.parametrize("place", [Place(8, PLACE.channel), Place(7, UUID(int=2))])
def test_a_secret_moved_to_another_row_does_not_open(place: Place) -> None:
    with pytest.raises(SealingError, match=f"does not open with its master key {ONE.id}"):
        Keyring((ONE,)).open(seal(), place)


@given(data=st.data())
def test_a_changed_character_anywhere_is_noticed(data: st.DataObject) -> None:
    sealed = seal()
    at = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda character: character != sealed[at]))
    with pytest.raises(SealingError):
        Keyring((ONE,)).open(sealed[:at] + other + sealed[at + 1 :], PLACE)


@given(length=st.integers(0, len(seal()) - 1))
def test_a_cut_one_is_noticed(length: int) -> None:
    with pytest.raises(SealingError):
        Keyring((ONE,)).open(seal()[:length], PLACE)


@given(st.text())
def test_no_text_but_a_sealed_one_opens(text: str) -> None:
    with pytest.raises(SealingError):
        Keyring((ONE,)).open(text, PLACE)


def test_an_unknown_version_and_a_clear_secret_are_told_apart() -> None:
    with pytest.raises(SealingError, match=r"newer version \(v2\)"):
        Keyring((ONE,)).open("v2:" + seal()[3:], PLACE)
    with pytest.raises(SealingError, match="clarion migrate"):
        Keyring((ONE,)).open(SECRET, PLACE)


@pytest.mark.parametrize("clear", [SECRET, "{}", '{"type": "service_account"}', ""])
def test_no_credential_passes_for_a_sealed_one(clear: str) -> None:
    assert not is_sealed(clear)


def test_nothing_shows_a_key() -> None:
    assert ONE.text not in repr(Keyring((ONE,)))
    assert "octets" not in repr(ONE)


def test_keys_are_read_as_they_are_written() -> None:
    key = new_master_key(counting())
    assert read_master_keys(f"{key.text}, {ONE.text}=\n{key.text}") == Keyring((key, ONE))
    assert read_master_keys(f"# a key file, as it is\n{key.text}\n#{ONE.text}\n{ONE.text}") == Keyring(
        (key, ONE)
    )
    standard = MasterKey(b"\xff" * 32)
    assert read_master_keys(standard.text.replace("_", "/")) == Keyring((standard,))


@pytest.mark.parametrize(
    "text", ["", " , ", "short", ONE.text + "A", ONE.text[:-1] + "!", f"{ONE.text},hunter2"]
)
def test_what_is_no_key_is_told_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="clarion keys generate") as told:
        read_master_keys(text)
    assert "hunter2" not in str(told.value)
    assert not text.strip(" ,") or text not in str(told.value)
