"""The demonstration organization: people, solutions, groups, devices of the sandbox, and a token.

`seed` is what `clarion seed-demo` does, again and again without harm: what is there stays, with the same ids.
The facts are told to scripts in `demo.json` and to people as five requests that can be pasted.

    people.py        who and what is in it
    credentials.py   the keys, made once
    apps.py          the channels and the devices
    app_link.py      the way into the reference app
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, select

from clarion import bootstrap
from clarion.api.openapi import EXAMPLES
from clarion.demo.app_link import make_app_link
from clarion.demo.apps import Browsers, ensure_channels, ensure_devices, list_phones, make_apps
from clarion.demo.credentials import ensure_credentials
from clarion.demo.people import GROUPS, KEY_ID, NAME, PEOPLE, PHONE_APP, SOLUTIONS, TEAM
from clarion.model.access import mint_token, parse_token
from clarion.sandbox.certificates import ensure_certificates
from clarion.sandbox.registry import write_registry
from clarion.settings import Settings
from clarion.store import directory, tokens
from clarion.store.schema import members as members_table
from clarion.store.schema import organizations, users
from clarion.store.schema import solutions as solutions_table

__all__ = ["KEY_ID", "PEOPLE", "PHONE_APP", "TEAM", "Demo", "seed"]


@dataclass(frozen=True, slots=True)
class Demo:
    """What a newcomer needs to know of the demonstration."""

    base_url: str
    organization: UUID
    token: str
    solutions: Mapping[str, UUID]
    members: Mapping[str, UUID]
    phones_url: str
    app_link: str

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
    """Make the organization where it is missing, and tell the sandbox of its credentials and devices."""
    keyring = bootstrap.master_keys(settings).ensure(connection, secrets.token_bytes)
    organization_id = connection.scalar(select(organizations.c.id).where(organizations.c.name == NAME))
    if organization_id is None:
        organization_id = _fill(connection, settings, now)
    credentials = ensure_credentials(settings.sandbox_folder, settings.sandbox.fcm_port)
    browsers = Browsers(credentials, settings.sandbox.webpush_port)
    apps = make_apps(settings, credentials, base_url)
    channel_ids = ensure_channels(connection, keyring, organization_id, apps, now)
    ensure_devices(connection, organization_id, channel_ids, browsers, now)
    ensure_certificates(settings.sandbox_folder)
    phones = list_phones(connection, organization_id, channel_ids, browsers)
    write_registry(settings.sandbox_folder, [credentials.key], phones, [credentials.project])
    path = settings.store.folder / "demo.json"
    token = _known_token(connection, path, now) or _new_token(connection, settings, organization_id, now)
    demo = _read(connection, organization_id, token, base_url, phones_url, now)
    path.write_text(json.dumps(demo.facts(), indent=2) + "\n", encoding="utf-8")
    path.chmod(0o600)
    return demo


def _fill(connection: Connection, settings: Settings, now: int) -> int:
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
    return organization_id


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


def _read(
    connection: Connection, organization_id: int, token: str, base_url: str, phones_url: str, now: int
) -> Demo:
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
    members = {row.email: row.uuid for row in people}
    admin, user = PEOPLE[:2]
    return Demo(
        base_url,
        uuid,
        token,
        {row.name: row.uuid for row in solutions},
        members,
        phones_url,
        make_app_link(connection, base_url, uuid, members[admin.email], members[user.email], user.name, now),
    )
