"""The registry: which credentials and which devices the stand-ins know.

`registry.json` in the data folder is written by whoever prepares the scene (`write_registry`) and re-read
here when it changes. The stand-ins look things up; nobody in the sandbox writes it.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from clarion.sandbox.push import Provider

FILE_NAME = "registry.json"
CHECK_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Key:
    """A provider key of Apple: the public half, and the bundle ids that it may push to."""

    team_id: str
    key_id: str
    public_key: str
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Project:
    """A Firebase project with one service account: the key's public half, and the packages of its apps."""

    project_id: str
    client_email: str
    private_key_id: str
    public_key: str
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A browser's half of a subscription: what never leaves the browser, and the key it was made with.

    All three as base64url without padding: the private key's 32 octets, the authentication secret, the
    application server's uncompressed public key.
    """

    private_key: str
    auth: str
    application_server_key: str


@dataclass(frozen=True, slots=True)
class Phone:
    """A device on the page: one address of one app.

    `token` is a device token at Apple, a registration token or an installation id at Google, the last part of
    the endpoint in Web Push. `topic` is a bundle id, a package, or the origin of a site. `former` are addresses
    that this device had before: they are gone. A browser has a `subscription`.
    """

    token: str
    topic: str
    name: str = ""
    owner: str = ""
    email: str = ""
    model: str = ""
    provider: Provider = "apns"
    former: tuple[str, ...] = ()
    subscription: Subscription | None = None

    @property
    def key(self) -> str:
        """The address as it is compared: Apple's tokens are hex, the others mean what they say."""
        return self.token.lower() if self.provider == "apns" else self.token


@dataclass(frozen=True, slots=True)
class Registry:
    """What the file said: keys by (team, key id), projects by service account, devices by address."""

    keys: Mapping[tuple[str, str], Key] = field(default_factory=dict)
    projects: Mapping[str, Project] = field(default_factory=dict)
    phones: Mapping[str, Phone] = field(default_factory=dict)
    former: frozenset[str] = frozenset()


def registry_of(keys: Iterable[Key], phones: Iterable[Phone], projects: Iterable[Project] = ()) -> Registry:
    """Index keys, devices and projects; entries for one and the same key add up their topics."""
    by_id: dict[tuple[str, str], Key] = {}
    for key in keys:
        known = by_id.get((key.team_id, key.key_id))
        topics = (*known.topics, *key.topics) if known else key.topics
        by_id[key.team_id, key.key_id] = Key(
            key.team_id, key.key_id, key.public_key, tuple(dict.fromkeys(topics))
        )
    by_address = {phone.key: phone for phone in phones}
    former = frozenset(old for phone in by_address.values() for old in phone.former) - by_address.keys()
    return Registry(by_id, {project.client_email: project for project in projects}, by_address, former)


def write_registry(
    folder: Path, keys: Iterable[Key], phones: Iterable[Phone], projects: Iterable[Project] = ()
) -> None:
    """Replace the registry; a sandbox that is running follows within a second or two."""
    content = {
        "keys": [
            {"teamId": k.team_id, "keyId": k.key_id, "publicKey": k.public_key, "topics": list(k.topics)}
            for k in keys
        ],
        "projects": [
            {
                "projectId": p.project_id,
                "clientEmail": p.client_email,
                "privateKeyId": p.private_key_id,
                "publicKey": p.public_key,
                "packages": list(p.packages),
            }
            for p in projects
        ],
        "phones": [_phone_to_json(phone) for phone in phones],
    }
    write_atomically(folder / FILE_NAME, json.dumps(content, indent=1))


def _phone_to_json(phone: Phone) -> dict[str, Any]:
    names = ("provider", "token", "topic", "name", "owner", "email", "model")
    entry: dict[str, Any] = {name: getattr(phone, name) for name in names}
    if phone.former:
        entry["former"] = list(phone.former)
    if phone.subscription:
        entry["subscription"] = {
            "privateKey": phone.subscription.private_key,
            "auth": phone.subscription.auth,
            "applicationServerKey": phone.subscription.application_server_key,
        }
    return entry


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
        return registry_of(
            map(_key, content.get("keys", [])),
            map(_phone, content.get("phones", [])),
            map(_project, content.get("projects", [])),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a registry: {error!r}") from error


def _key(entry: dict[str, Any]) -> Key:
    team_id, key_id, public_key = (_text(entry, name) for name in ("teamId", "keyId", "publicKey"))
    return Key(team_id, key_id, public_key, tuple(entry["topics"]))


def _project(entry: dict[str, Any]) -> Project:
    return Project(
        _text(entry, "projectId"),
        _text(entry, "clientEmail"),
        _text(entry, "privateKeyId"),
        _text(entry, "publicKey"),
        tuple(entry["packages"]),
    )


def _phone(entry: dict[str, Any]) -> Phone:
    provider = entry.get("provider", "apns")
    if provider not in get_args(Provider):
        raise TypeError(f"provider {provider!r}")
    return Phone(
        _text(entry, "token"),
        _text(entry, "topic"),
        str(entry.get("name") or ""),
        str(entry.get("owner") or ""),
        str(entry.get("email") or ""),
        str(entry.get("model") or ""),
        provider=provider,
        former=tuple(entry.get("former", ())),
        subscription=_subscription(entry["subscription"]) if provider == "webpush" else None,
    )


def _subscription(entry: dict[str, Any]) -> Subscription:
    private_key, auth, key = (_text(entry, name) for name in ("privateKey", "auth", "applicationServerKey"))
    return Subscription(private_key, auth, key)


def _text(entry: dict[str, Any], name: str) -> str:
    value = entry[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text")
    return value


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
