"""The demonstration organization: people, solutions, groups, phones of the sandbox, and a token.

`seed` is what `clarion seed-demo` does, again and again without harm: what is there stays, with the same ids.
The facts are told to scripts in `demo.json` and to people as five requests that can be pasted.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from sqlalchemy import Connection, select

from clarion.api.openapi import EXAMPLES
from clarion.model.access import Role, mint_token, parse_token
from clarion.sandbox.certificates import ensure_certificates
from clarion.sandbox.registry import Key, Phone, write_registry
from clarion.settings import Settings
from clarion.store import channels, devices, directory, tokens
from clarion.store.schema import channels as channels_table
from clarion.store.schema import devices as devices_table
from clarion.store.schema import members as members_table
from clarion.store.schema import organizations, users
from clarion.store.schema import solutions as solutions_table

NAME: Final = "Demonstration"
TEAM: Final = "DEMO0TEAM0"
KEY_ID: Final = "DEMO0KEY00"
PHONE_APP: Final = "com.example.workplace"
TABLET_APP: Final = "com.example.workplace.tablet"

SOLUTIONS: Final = ("sample-crm", "retail-promotions")
GROUPS: Final = {
    "sales": "sample-crm",
    "finance": "sample-crm",
    "managers": "sample-crm",
    "customers": "retail-promotions",
}


class Person(NamedTuple):
    """A member of the demonstration: a role, not a name."""

    email: str
    name: str
    role: Role
    solutions: tuple[str, ...]
    groups: tuple[str, ...]
    phones: tuple[tuple[str, str], ...]  # (app, model)


_PHONE, _MAX, _TABLET = (PHONE_APP, "iPhone 16"), (PHONE_APP, "iPhone 16 Pro Max"), (TABLET_APP, "iPad Air")
_BOTH: Final = SOLUTIONS

PEOPLE: Final = (
    Person("admin@example.com", "Administrator", Role.ADMIN, _BOTH, ("managers",), (_PHONE,)),
    Person("username@example.com", "Everyday user", Role.USER, _BOTH, ("customers",), (_PHONE, _TABLET)),
    Person("sales.lead@example.com", "Sales lead", Role.USER, ("sample-crm",), ("sales",), (_MAX, _TABLET)),
    Person("sales.desk@example.com", "Sales desk", Role.USER, ("sample-crm",), ("sales",), (_PHONE,)),
    Person(
        "sales.controller@example.com", "Sales controller", Role.USER,
        ("sample-crm",), ("sales", "finance"), (_PHONE, _MAX, _TABLET),
    ),
    Person("finance.desk@example.com", "Finance desk", Role.USER, ("sample-crm",), ("finance",), (_PHONE,)),
    Person(
        "store.manager@example.com", "Store manager", Role.USER,
        ("retail-promotions",), ("customers",), (_MAX, _TABLET),
    ),
    Person("new.starter@example.com", "New starter", Role.USER, ("sample-crm",), ("sales",), ()),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Demo:
    """What a newcomer needs to know of the demonstration."""

    base_url: str
    organization: UUID
    token: str
    solutions: Mapping[str, UUID]
    members: Mapping[str, UUID]
    phones_url: str

    def facts(self) -> dict[str, Any]:
        """The same for scripts, as `demo.json` holds it."""
        return {
            "baseUrl": self.base_url,
            "organizationId": str(self.organization),
            "token": self.token,
            "solutions": {name: str(uuid) for name, uuid in self.solutions.items()},
            "groups": {name: str(self.solutions[solution]) for name, solution in GROUPS.items()},
            "members": [{"email": email, "userId": str(user)} for email, user in self.members.items()],
            "phonesUrl": self.phones_url,
        }

    def requests(self) -> list[tuple[str, dict[str, Any]]]:
        """The five requests of the contract, with the ids of this installation."""
        found = []
        for summary, body in EXAMPLES.values():
            solution = "retail-promotions" if body.get("groups") == ["customers"] else "sample-crm"
            ids = {"solutionId": str(self.solutions[solution])} if "solutionId" in body else {}
            found.append((summary, body | ids))
        return found


def seed(connection: Connection, settings: Settings, base_url: str, phones_url: str, now: int) -> Demo:
    """Make the organization where it is missing, and tell the sandbox of its keys and phones."""
    organization_id = connection.scalar(select(organizations.c.id).where(organizations.c.name == NAME))
    key = _ensure_key(settings.sandbox_folder)
    if organization_id is None:
        organization_id = _fill(connection, settings, key, now)
    for channel_id, topic in _channels(connection, organization_id).items():
        channels.change_settings(connection, channel_id, _apns_settings(settings, topic))
    ensure_certificates(settings.sandbox_folder)
    write_registry(
        settings.sandbox_folder,
        [Key(TEAM, KEY_ID, _public(key), (PHONE_APP, TABLET_APP))],
        _phones(connection, organization_id),
    )
    path = settings.store.folder / "demo.json"
    token = _known_token(connection, path, now) or _new_token(connection, settings, organization_id, now)
    demo = _read(connection, organization_id, token, base_url, phones_url)
    path.write_text(json.dumps(demo.facts(), indent=2) + "\n", encoding="utf-8")
    path.chmod(0o600)
    return demo


# ── Filling ──────────────────────────────────────────────────────────────────────────────────────────────


def _fill(connection: Connection, settings: Settings, key: ec.EllipticCurvePrivateKey, now: int) -> int:
    organization_id = directory.add_organization(connection, uuid4(), NAME, settings.server.region, now)
    solution_ids = {
        name: directory.add_solution(connection, organization_id, uuid4(), name, now) for name in SOLUTIONS
    }
    group_ids = {
        name: directory.add_group(connection, organization_id, solution_ids[solution], name, now)
        for name, solution in GROUPS.items()
    }
    new = [directory.NewMember(uuid4(), person.email, person.name, person.role) for person in PEOPLE]
    member_ids = directory.add_members(connection, organization_id, new, now)
    solution_streams = directory.solution_streams(connection, organization_id)
    group_streams = directory.group_streams(connection, organization_id)
    stays = []
    for person, member_id in zip(PEOPLE, member_ids, strict=True):
        stays += [(solution_streams[solution_ids[name]], member_id) for name in person.solutions]
        stays += [(group_streams[group_ids[name]], member_id) for name in person.groups]
    directory.join(connection, organization_id, stays)
    _add_devices(
        connection,
        organization_id,
        member_ids,
        _add_channels(connection, settings, organization_id, key, now),
        now,
    )
    return organization_id


def _add_channels(
    connection: Connection,
    settings: Settings,
    organization_id: int,
    key: ec.EllipticCurvePrivateKey,
    now: int,
) -> dict[str, int]:
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {
        topic: channels.add_channel(
            connection,
            organization_id,
            channels.NewChannel(uuid4(), "apns", name, _apns_settings(settings, topic), secret),
            now,
        )
        for topic, name in ((PHONE_APP, "Workplace for iPhone"), (TABLET_APP, "Workplace for iPad"))
    }


def _add_devices(
    connection: Connection, organization_id: int, member_ids: list[int], channel_ids: dict[str, int], now: int
) -> None:
    new = [
        devices.NewDevice(uuid4(), member_id, channel_ids[app], secrets.token_hex(32), model)
        for person, member_id in zip(PEOPLE, member_ids, strict=True)
        for app, model in person.phones
    ]
    devices.add_devices(connection, organization_id, new, now)


def _apns_settings(settings: Settings, topic: str) -> dict[str, Any]:
    """The sandbox stands in for Apple; its port is a setting of this run."""
    return {
        "team_id": TEAM,
        "key_id": KEY_ID,
        "topic": topic,
        "environment": "development",
        "host": "localhost",
        "port": settings.sandbox.apns_port,
    }


def _ensure_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    """The APNs key of the demonstration, made once."""
    path = folder / "apns-key.p8"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        new = ec.generate_private_key(ec.SECP256R1())
        path.touch(mode=0o600)
        path.write_bytes(new.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key = load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _public(key: ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _new_token(connection: Connection, settings: Settings, organization_id: int, now: int) -> str:
    user_id = directory.find_user(connection, organization_id, PEOPLE[0].email)
    assert user_id is not None
    text, token = mint_token(settings.server.region, secrets.token_bytes)
    tokens.add_token(connection, user_id, token, "demonstration", now)
    return text


def _known_token(connection: Connection, path: Path, now: int) -> str | None:
    """The token of an earlier run, when it still opens the door."""
    try:
        text = json.loads(path.read_text(encoding="utf-8"))["token"]
    except (OSError, ValueError, KeyError):
        return None
    parsed = parse_token(text)
    row = parsed and tokens.find_token(connection, parsed.key)
    return text if row and row.is_valid(now) else None


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────


def _read(connection: Connection, organization_id: int, token: str, base_url: str, phones_url: str) -> Demo:
    uuid = connection.scalars(select(organizations.c.uuid).where(organizations.c.id == organization_id)).one()
    solutions = connection.execute(
        select(solutions_table.c.name, solutions_table.c.uuid)
        .where(solutions_table.c.organization_id == organization_id)
        .order_by(solutions_table.c.id)
    )
    people = connection.execute(
        select(members_table.c.email, users.c.uuid)
        .join(users, users.c.id == members_table.c.user_id)
        .where(members_table.c.organization_id == organization_id)
        .order_by(members_table.c.id)
    )
    return Demo(
        base_url,
        uuid,
        token,
        {row.name: row.uuid for row in solutions},
        {row.email: row.uuid for row in people},
        phones_url,
    )


def _channels(connection: Connection, organization_id: int) -> dict[int, str]:
    """The topic of each channel."""
    rows = connection.execute(
        select(channels_table.c.id, channels_table.c.settings).where(
            channels_table.c.organization_id == organization_id
        )
    )
    return {channel_id: json.loads(values)["topic"] for channel_id, values in rows}


def _phones(connection: Connection, organization_id: int) -> list[Phone]:
    topics = _channels(connection, organization_id)
    rows = connection.execute(
        select(
            devices_table.c.address,
            devices_table.c.channel_id,
            devices_table.c.name,
            members_table.c.name,
            members_table.c.email,
        )
        .join(members_table, members_table.c.id == devices_table.c.member_id)
        .where(devices_table.c.organization_id == organization_id, devices_table.c.retired_at.is_(None))
        .order_by(devices_table.c.id)
    )
    return [
        Phone(token, topics[channel_id], f"{owner}’s {model.split()[0]}", owner, email, model)
        for token, channel_id, model, owner, email in rows
    ]
