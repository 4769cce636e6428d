"""The registry: which provider keys and which phones the stand-ins know.

`registry.json` in the data folder is written by whoever prepares the scene (`write_registry`) and re-read
here when it changes. The stand-ins look things up; nobody in the sandbox writes it.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE_NAME = "registry.json"
CHECK_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Key:
    """A provider key: the public half, and the bundle ids that it may push to."""

    team_id: str
    key_id: str
    public_key: str
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone on the page: one device token of one app."""

    token: str
    topic: str
    name: str = ""
    owner: str = ""
    email: str = ""
    model: str = "iPhone"


@dataclass(frozen=True, slots=True)
class Registry:
    """What the file said: keys by (team, key id), phones by token in lower case."""

    keys: dict[tuple[str, str], Key] = field(default_factory=dict)
    phones: dict[str, Phone] = field(default_factory=dict)


def registry_of(keys: Iterable[Key], phones: Iterable[Phone]) -> Registry:
    """Index keys and phones; entries for one and the same key add up their topics."""
    by_id: dict[tuple[str, str], Key] = {}
    for key in keys:
        known = by_id.get((key.team_id, key.key_id))
        topics = (*known.topics, *key.topics) if known else key.topics
        by_id[key.team_id, key.key_id] = Key(
            key.team_id, key.key_id, key.public_key, tuple(dict.fromkeys(topics))
        )
    return Registry(by_id, {phone.token.lower(): phone for phone in phones})


def write_registry(folder: Path, keys: list[Key], phones: list[Phone]) -> None:
    """Replace the registry; a sandbox that is running follows within a second or two."""
    content = {
        "keys": [
            {"teamId": k.team_id, "keyId": k.key_id, "publicKey": k.public_key, "topics": list(k.topics)}
            for k in keys
        ],
        "phones": [
            {
                "token": p.token,
                "topic": p.topic,
                "name": p.name,
                "owner": p.owner,
                "email": p.email,
                "model": p.model,
            }
            for p in phones
        ],
    }
    write_atomically(folder / FILE_NAME, json.dumps(content, indent=1))


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new content, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".new")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(fresh).replace(path)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise


def read_registry(path: Path) -> Registry:
    """Read the file as it is now; raises OSError or ValueError."""
    content = json.loads(path.read_text(encoding="utf-8"))
    try:
        return registry_of(map(_key, content.get("keys", [])), map(_phone, content.get("phones", [])))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a registry: {error!r}") from error


def _key(entry: dict[str, Any]) -> Key:
    return Key(entry["teamId"], entry["keyId"], entry["publicKey"], tuple(entry["topics"]))


def _phone(entry: dict[str, Any]) -> Phone:
    optional = {name: str(entry[name]) for name in ("name", "owner", "email", "model") if entry.get(name)}
    return Phone(entry["token"], entry["topic"], **optional)


class RegistryFile:
    """The registry on disk, looked at again at most once a second."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._path = folder / FILE_NAME
        self._clock = clock
        self._looked_at = float("-inf")
        self._stamp: tuple[int, int, int] | None = None
        self._registry = Registry()

    def current(self) -> Registry:
        """Return the registry, at most a second old.

        A file that cannot be read leaves the last good content standing; a file that is gone is an empty one.
        """
        now = self._clock()
        if abs(now - self._looked_at) >= CHECK_SECONDS:
            self._looked_at = now
            self._look()
        return self._registry

    def _look(self) -> None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._registry = None, Registry()
            return
        # The inode tells two files of one size apart that replaced each other within a tick of the clock.
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._registry = read_registry(self._path)
        except (OSError, ValueError) as error:
            log.warning("keeping the previous registry: %s", error)
