"""Where master keys come from: a setting or a file, which is made once and is its owner's alone."""

import os
import stat
from pathlib import Path
from secrets import token_bytes
from uuid import uuid4

import pytest
from sqlalchemy import Connection

from clarion.store import channels
from clarion.store.channels import NewChannel
from clarion.store.masterkeys import KeysError, MasterKeys, Opener
from clarion.store.sealing import Keyring, MasterKey, Place, SealingError, UnknownKey
from tests.world import World

ONE, TWO = MasterKey(b"1" * 32), MasterKey(b"2" * 32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "master.key"


async def add_sealed(world: World, keyring: Keyring, secret: str = "secret") -> channels.Channel:
    uuid = uuid4()
    sealed = keyring.seal(secret, Place(world.organization_id, uuid), token_bytes)
    new = NewChannel(uuid, "apns", "sealed", {}, sealed)
    await world.write(channels.add_channel, world.organization_id, new, world.clock())
    found = await world.read(channels.find_channel, uuid)
    assert found is not None
    return found


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_the_file_is_made_once_and_for_its_owner_alone(world: World, path: Path) -> None:
    keys = MasterKeys(path)
    assert keys.read() is None
    made = await world.write(keys.ensure, token_bytes)
    assert mode_of(path) == 0o600
    assert await world.write(keys.ensure, token_bytes) == made == keys.read()
    assert os.listdir(path.parent) == ["master.key"]  # noqa: PTH208 - names alone


async def test_no_key_is_made_when_secrets_are_sealed_already(world: World, path: Path) -> None:
    await add_sealed(world, Keyring((ONE,)))
    keys = MasterKeys(path)
    for _ in range(2):
        with pytest.raises(KeysError, match=r"master\.key is not there.*backup.*keys\.file or keys\.master"):
            await world.write(keys.ensure, token_bytes)
    assert keys.read() is None


async def test_a_transaction_that_fails_leaves_at_most_an_unused_key(world: World, path: Path) -> None:
    def fail(connection: Connection) -> None:
        MasterKeys(path).ensure(connection, token_bytes)
        raise LookupError

    with pytest.raises(LookupError):
        await world.write(fail)
    assert await world.write(MasterKeys(path).ensure, token_bytes) == MasterKeys(path).read()


def test_given_keys_win_over_the_file(path: Path) -> None:
    MasterKeys(path).write(Keyring((ONE,)))
    assert MasterKeys(path, Keyring((TWO,))).read() == Keyring((TWO,))


def test_a_file_has_several_keys_in_their_order(path: Path) -> None:
    MasterKeys(path).write(Keyring((TWO, ONE)))
    assert MasterKeys(path).require() == Keyring((TWO, ONE))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_file_that_others_can_read_is_refused(path: Path, mode: int) -> None:
    MasterKeys(path).write(Keyring((ONE,)))
    path.chmod(mode)
    with pytest.raises(KeysError, match=r"can be read by others\. Run: chmod 600 "):
        MasterKeys(path).read()


@pytest.mark.parametrize("content", [b"", b"# nothing but words\n", b"not a key", b"\xff\xfe"])
def test_a_file_without_a_key_is_told_by_its_name(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(KeysError, match=str(path)):
        MasterKeys(path).read()


def test_a_folder_in_its_place_and_a_folder_that_takes_nothing_are_told(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(KeysError, match="cannot be read"):
        MasterKeys(path).read()
    with pytest.raises(KeysError, match="cannot be written"):
        MasterKeys(path).write(Keyring((ONE,)))
    assert list(path.parent.iterdir()) == [path]  # and no half of a key


def test_a_half_written_file_of_one_who_died_is_in_nobodys_way(path: Path) -> None:
    path.parent.mkdir()
    path.with_name("master.key.new").write_text("half a k")
    MasterKeys(path).write(Keyring((ONE,)))
    assert MasterKeys(path).read() == Keyring((ONE,))
    assert os.listdir(path.parent) == ["master.key"]  # noqa: PTH208 - names alone


async def test_whoever_opens_looks_at_the_file_again_for_an_unknown_key(world: World, path: Path) -> None:
    keys = MasterKeys(path)
    keys.write(Keyring((ONE,)))
    opener, old = Opener(keys), await add_sealed(world, Keyring((ONE,)))
    assert opener.open(old) == "secret"
    keys.write(Keyring((TWO,)))
    new = await add_sealed(world, Keyring((TWO,)), "another")
    assert opener.open(new) == "another"
    assert opener.open(old) == "secret", "a row read before a rotation opens after it"


async def test_whoever_opens_tells_a_wrong_key_and_a_moved_secret(world: World, path: Path) -> None:
    MasterKeys(path).write(Keyring((TWO,)))
    opener = Opener(MasterKeys(path))
    with pytest.raises(UnknownKey, match=ONE.id):
        opener.open(await add_sealed(world, Keyring((ONE,))))
    good = await add_sealed(world, Keyring((TWO,)))
    moved = channels.Channel(
        good.id, good.organization_id, uuid4(), good.provider, good.name, {}, None, good.sealed
    )
    with pytest.raises(SealingError, match="sealed for another channel"):
        opener.open(moved)
    with pytest.raises(KeysError, match="missing"):
        Opener(MasterKeys(path.with_name("elsewhere"))).open(good)
