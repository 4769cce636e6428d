"""The work on master keys: whoever dies at any line loses nothing, and running it again ends it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_bytes
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Engine, event, select

from clarion.service import keys as work
from clarion.store import channels
from clarion.store.channels import NewChannel
from clarion.store.masterkeys import MasterKeys, Opener
from clarion.store.schema import channels as table
from clarion.store.sealing import Keyring, MasterKey, Place, new_master_key
from tests.world import World

SECRETS = [f"-----BEGIN PRIVATE KEY----- {number}" for number in range(3)]


class Killed(BaseException):
    """Stands for the end of the process."""


@contextmanager
def killed_at(engine: Engine, statement: int) -> Iterator[None]:
    """Whoever runs inside dies before that statement, if there are so many."""
    left = statement

    def count(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    event.listen(engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", count)


class Mortal(MasterKeys):
    """A key file whose writer dies before or after the n-th time."""

    def __init__(self, path: Path, before: int | None = None, after: int | None = None) -> None:
        super().__init__(path)
        self._before, self._after, self._writes = before, after, 0

    def write(self, keyring: Keyring) -> None:
        self._writes += 1
        if self._writes == self._before:
            raise Killed
        super().write(keyring)
        if self._writes == self._after:
            raise Killed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "master.key"


@pytest.fixture
async def sealed(world: World, path: Path) -> list[UUID]:
    """Some channels with secrets under the first key of the file."""
    await world.write(drop_first, world.channel_id)
    keyring = await world.write(MasterKeys(path).ensure, token_bytes)
    return [await world.write(add, world.organization_id, secret, keyring) for secret in SECRETS]


def drop_first(connection: Connection, channel_id: int) -> None:
    """The channel that every world has is none that a command has made."""
    connection.execute(table.delete().where(table.c.id == channel_id))


def add(connection: Connection, organization_id: int, secret: str, keyring: Keyring | None) -> UUID:
    uuid = uuid4()
    text = keyring.seal(secret, Place(organization_id, uuid), token_bytes) if keyring else secret
    channels.add_channel(connection, organization_id, NewChannel(uuid, "apns", "channel", {}, text), 0)
    return uuid


async def opened(world: World, keys: MasterKeys) -> list[str]:
    """What a worker that starts now would read."""
    opener = Opener(keys)
    ids = [row.id for row in await world.rows(table)]
    return sorted(opener.open(channel) for channel in await world.read(channels.find_channels, ids))


def rotate(world: World, keys: MasterKeys) -> work.Rotation:
    return work.rotate(world.database.engine, keys, token_bytes)


async def test_a_rotation_moves_every_secret_to_a_new_key(
    world: World, path: Path, sealed: list[UUID]
) -> None:
    keys = MasterKeys(path)
    [old] = keys.require().keys
    done = rotate(world, keys)
    [new] = keys.require().keys
    assert new != old
    assert done == work.Rotation(new.id, 3, [old.id], [], {})
    assert await world.read(work.count_by_key) == {new.id: 3}
    assert await opened(world, keys) == SECRETS


async def test_killed_before_any_statement_nothing_is_lost_and_the_next_one_ends_it(
    world: World, path: Path, sealed: list[UUID]
) -> None:
    keys, was_killed, statement = MasterKeys(path), True, 0
    while was_killed:
        was_killed = False
        try:
            with killed_at(world.database.engine, statement):
                rotate(world, keys)
        except Killed:
            was_killed = True
        assert await opened(world, keys) == SECRETS
        done = rotate(world, keys)
        assert (await world.read(work.count_by_key)) == {done.first: 3}
        assert len(keys.require().keys) == 1
        statement += 1
    assert statement > 5


@pytest.mark.parametrize("when", [{"before": 1}, {"after": 1}, {"before": 2}, {"after": 2}])
async def test_killed_at_the_file_nothing_is_lost(
    world: World, path: Path, sealed: list[UUID], when: dict[str, int]
) -> None:
    before = MasterKeys(path).require().first
    with pytest.raises(Killed):
        rotate(world, Mortal(path, **when))
    assert await opened(world, MasterKeys(path)) == SECRETS
    rotate(world, MasterKeys(path))
    assert await opened(world, MasterKeys(path)) == SECRETS
    assert before not in MasterKeys(path).require().keys


async def test_a_running_worker_opens_both_during_a_rotation(
    world: World, path: Path, sealed: list[UUID]
) -> None:
    keys = MasterKeys(path)
    opener = Opener(keys)
    before = [await world.read(channels.find_channel, uuid) for uuid in sealed]
    assert [opener.open(channel) for channel in before if channel] == SECRETS
    with pytest.raises(Killed), killed_at(world.database.engine, 6):
        rotate(world, keys)
    during = [await world.read(channels.find_channel, uuid) for uuid in sealed]
    assert [opener.open(channel) for channel in during if channel] == SECRETS
    rotate(world, keys)
    after = [await world.read(channels.find_channel, uuid) for uuid in sealed]
    assert [opener.open(channel) for channel in (*before, *after) if channel] == SECRETS * 2


async def test_given_keys_reseal_under_the_first_and_say_which_may_go(
    world: World, path: Path, sealed: list[UUID]
) -> None:
    [old] = MasterKeys(path).require().keys
    new = new_master_key(token_bytes)
    keys = MasterKeys(path, Keyring((new, old)))
    assert rotate(world, keys) == work.Rotation(new.id, 3, [old.id], [], {})
    assert rotate(world, keys) == work.Rotation(new.id, 0, [old.id], [], {})
    assert await opened(world, MasterKeys(path, Keyring((new,)))) == SECRETS
    assert MasterKeys(path).require() == Keyring((old,)), "the file is nobody's then"


async def test_a_secret_that_does_not_open_is_named_and_keeps_its_key(
    world: World, path: Path, sealed: list[UUID]
) -> None:
    keys = MasterKeys(path)
    [old] = keys.require().keys
    stranger = await world.write(add, world.organization_id, "x", Keyring((MasterKey(b"?" * 32),)))
    await world.write(swap, sealed[0], sealed[1])
    done = rotate(world, keys)
    assert done.resealed == 1
    assert {name[-37:-1] for name in done.unopened} == {str(stranger), str(sealed[0]), str(sealed[1])}
    assert (done.removed, done.kept) == ([], [old.id])
    assert keys.require().ids == [done.first, old.id], "the old key still seals something"
    assert not any(secret in str(done) for secret in SECRETS)
    await world.write(swap, sealed[0], sealed[1])
    assert rotate(world, keys).removed == [old.id]
    assert await world.read(work.unknown_keys, keys.require()) == {MasterKey(b"?" * 32).id: 1}


async def test_more_secrets_than_a_piece_are_all_moved(world: World, path: Path, sealed: list[UUID]) -> None:
    keys = MasterKeys(path)
    keyring = keys.require()

    def add_many(connection: Connection) -> None:
        for _ in range(work.PIECE):
            add(connection, world.organization_id, "many", keyring)

    await world.write(add_many)
    done = rotate(world, keys)
    assert done.resealed == work.PIECE + 3
    assert await world.read(work.count_by_key) == {done.first: work.PIECE + 3}


async def test_secrets_in_clear_are_sealed_once(world: World, path: Path) -> None:
    await world.write(drop_first, world.channel_id)
    for secret in SECRETS:
        await world.write(add, world.organization_id, secret, None)
    keys = MasterKeys(path)
    assert await world.read(work.count_by_key) == {"": 3}
    assert work.seal_clear_secrets(world.database.engine, keys, token_bytes) == 3
    assert await opened(world, keys) == SECRETS
    stored = [row.secret for row in await world.rows(table)]
    assert work.seal_clear_secrets(world.database.engine, keys, token_bytes) == 0
    assert [row.secret for row in await world.rows(table)] == stored


async def test_sealing_that_is_killed_goes_on(world: World, path: Path) -> None:
    await world.write(drop_first, world.channel_id)
    for secret in SECRETS:
        await world.write(add, world.organization_id, secret, None)
    was_killed, statement = True, 0
    while was_killed:
        was_killed = False
        try:
            with killed_at(world.database.engine, statement):
                work.seal_clear_secrets(world.database.engine, MasterKeys(path), token_bytes)
        except Killed:
            was_killed = True
        statement += 1
    assert await opened(world, MasterKeys(path)) == SECRETS


def swap(connection: Connection, one: UUID, other: UUID) -> None:
    """What somebody who can write to the database might try."""
    first, second = (
        connection.scalar(select(table.c.secret).where(table.c.uuid == uuid)) for uuid in (one, other)
    )
    connection.execute(table.update().where(table.c.uuid == one).values(secret=second))
    connection.execute(table.update().where(table.c.uuid == other).values(secret=first))
