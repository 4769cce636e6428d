"""The work on master keys: secrets of earlier versions are sealed, and all of them move to a new key.

Called by the commands, beside a service that may be running. A piece is at most 1,000 secrets. Whoever dies at any
line loses nothing: a key leaves the file only after the last secret has left the key, and running it again goes on.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine

from clarion.store import channels
from clarion.store.channels import StoredSecret
from clarion.store.database import writing
from clarion.store.masterkeys import MasterKeys
from clarion.store.sealing import (
    Keyring,
    Place,
    RandomOctets,
    SealingError,
    new_master_key,
)

PIECE: Final = 1_000

SEALED_PREFIX: Final = "v"
"""How every sealed secret begins, of whatever version, and no credential does."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did: the ids of the keys, and the channels whose secrets no key opened, with the reason."""

    first: str
    resealed: int
    removed: list[str]
    kept: list[str]
    unopened: dict[str, str]


def seal_clear_secrets(engine: Engine, keys: MasterKeys, random_octets: RandomOctets) -> int:
    """Seal the secrets that an earlier version kept as they were; makes the key where there is none yet.

    Returns how many there were. Raises KeysError.
    """
    count, after = 0, 0
    while True:
        with writing(engine) as connection:
            keyring = keys.ensure(connection, random_octets)
            piece = channels.secrets_not_under(connection, SEALED_PREFIX, after, PIECE)
            for stored in piece:
                sealed = keyring.seal(stored.text, _place(stored), random_octets)
                count += channels.replace_secret(connection, stored, sealed)
        if not piece:
            return count
        after = piece[-1].channel_id


def rotate(engine: Engine, keys: MasterKeys, random_octets: RandomOctets) -> Rotation:
    """Seal every secret anew under the first key; with a key file, that is a new one, and the others are dropped.

    A file that holds several keys was left by a rotation that did not end: this one ends it. Raises KeysError.
    """
    if keys.given is None:
        with writing(engine) as connection:
            _begin(connection, keys, random_octets)
    count, unopened, after = 0, dict[str, str](), 0
    while True:
        with writing(engine) as connection:
            channels.lock_channels(connection)
            keyring = keys.require()
            piece = channels.secrets_not_under(connection, _prefix(keyring), after, PIECE)
            for stored in piece:
                try:
                    count += _reseal(connection, keyring, stored, random_octets)
                except SealingError as error:
                    unopened[f"{stored.name} ({stored.uuid})"] = str(error)
            if not piece:
                dropped, kept = _end(connection, keys, keyring)
                return Rotation(keyring.first.id, count, dropped, kept, unopened)
        after = piece[-1].channel_id


def count_by_key(connection: Connection) -> dict[str, int]:
    """How many secrets each master key seals, by its id; those that are not sealed are under an empty one."""
    found: dict[str, int] = {}
    for prefix, count in channels.count_by_prefix(connection, len("v1:") + 12).items():
        key_id = prefix.partition(":")[2] if prefix.startswith(SEALED_PREFIX) else ""
        found[key_id] = found.get(key_id, 0) + count
    return found


def _begin(connection: Connection, keys: MasterKeys, random_octets: RandomOctets) -> None:
    """Put a new key before the present one, unless a rotation has been begun already."""
    keyring = keys.ensure(connection, random_octets)
    if len(keyring.keys) == 1:
        keys.write(Keyring((new_master_key(random_octets), *keyring.keys)))


def _reseal(
    connection: Connection, keyring: Keyring, stored: StoredSecret, random_octets: RandomOctets
) -> bool:
    secret = keyring.open(stored.text, _place(stored))
    return channels.replace_secret(connection, stored, keyring.seal(secret, _place(stored), random_octets))


def _end(connection: Connection, keys: MasterKeys, keyring: Keyring) -> tuple[list[str], list[str]]:
    """Drop the keys that seal nothing; returns the ids of those, and of those that still do.

    The transaction holds the channels, so nobody seals under a key that is dropped here.
    """
    used = count_by_key(connection)
    kept = [key for key in keyring.keys[1:] if key.id in used]
    dropped = [key.id for key in keyring.keys[1:] if key.id not in used]
    if keys.given is None and dropped:
        keys.write(Keyring((keyring.first, *kept)))
    return dropped, [key.id for key in kept]


def unknown_keys(connection: Connection, keyring: Keyring) -> dict[str, int]:
    """The master keys that seal secrets and are not in the keyring, with how many each."""
    return {key: count for key, count in count_by_key(connection).items() if key not in keyring.ids}


def _prefix(keyring: Keyring) -> str:
    return f"v1:{keyring.first.id}:"


def _place(stored: StoredSecret) -> Place:
    return Place(stored.organization_id, stored.uuid)
