"""Where the master keys come from: the setting `keys.master`, else a file beside the database.

The file is made when the first secret is to be sealed, never when secrets are there already: a new key would open
none of them. It belongs to its owner alone, and is replaced in one step. Called by whoever seals (`bootstrap.py`,
`service/keys.py`) and, through `Opener`, where providers are made.
"""

import os
import stat
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from clarion.store import channels
from clarion.store.channels import Channel
from clarion.store.sealing import (
    Keyring,
    Place,
    RandomOctets,
    UnknownKey,
    new_master_key,
    read_master_keys,
)

_HEADING: Final = """\
# The master keys of Clarion: the first one seals the secrets of channels, all of them open them.
# Keep a copy where you keep your backups, and apart from them. Without it no channel can be used.
"""


class KeysError(Exception):
    """The master keys cannot be used; the message says which, why, and what to do."""


class MasterKeys:
    """The master keys of an installation: those given by a setting, else those of a file."""

    def __init__(self, path: Path, given: Keyring | None = None) -> None:
        self.path = path
        self.given = given

    def read(self) -> Keyring | None:
        """The keys as they are now; None when there are none yet. Raises KeysError."""
        return self.given or _read_file(self.path)

    def require(self) -> Keyring:
        """The keys, without which nothing can be opened; raises KeysError."""
        keyring = self.read()
        if keyring is None:
            raise KeysError(
                f"The master key is missing: {self.path} is not there, and the database holds secrets that only it "
                "can open. Put the file back from your backup, or name the key with keys.file or keys.master. If it "
                "is lost, put a new one there (clarion keys generate), and give every channel its secret again "
                "(clarion channel renew)."
            )
        return keyring

    def ensure(self, connection: Connection, random_octets: RandomOctets) -> Keyring:
        """The keys to seal with, made when no secret is sealed yet; raises KeysError.

        `connection` writes, and its transaction is the last word: who rotates the keys waits for it, or it for them.
        """
        channels.lock_channels(connection)
        keyring = self.read()
        if keyring is not None:
            return keyring
        if channels.count_secrets(connection):
            return self.require()
        keyring = Keyring((new_master_key(random_octets),))
        self.write(keyring)
        return keyring

    def write(self, keyring: Keyring) -> None:
        """Replace the file in one step: whoever dies here leaves the old one or the new one. Raises KeysError."""
        try:
            _replace(self.path, _HEADING + "".join(f"{key.text}\n" for key in keyring.keys))
        except OSError as error:
            raise KeysError(f"The master key cannot be written to {self.path}: {error.strerror}") from None


class Opener:
    """Opens the secrets of channels, and looks at the keys again when a secret names one that it has not seen.

    Keys once seen are remembered, so that a row read before a rotation still opens after it.
    """

    def __init__(self, keys: MasterKeys) -> None:
        self._keys = keys
        self._seen: Keyring | None = None

    def open(self, channel: Channel) -> str:
        """The secret of a channel; raises SealingError or KeysError."""
        place = Place(channel.organization_id, channel.uuid)
        if self._seen is not None:
            try:
                return self._seen.open(channel.sealed, place)
            except UnknownKey:
                pass
        fresh = self._keys.require()
        seen = () if self._seen is None else self._seen.keys
        self._seen = Keyring(tuple(dict.fromkeys((*fresh.keys, *seen))))
        return self._seen.open(channel.sealed, place)


def _read_file(path: Path) -> Keyring | None:
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(65_536)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise KeysError(f"The master key file {path} cannot be read: {error}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise KeysError(f"The master key file {path} can be read by others. Run: chmod 600 {path}")
    try:
        return read_master_keys(text)
    except ValueError as error:
        raise KeysError(f"The master key file {path} cannot be used: {error}") from None


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)  # on a full disk it may hold a part of a key
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
