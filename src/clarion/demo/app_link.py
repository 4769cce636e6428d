"""The way into the reference app as a member of the demonstration: a link with a session of theirs.

The token stands in the fragment, which no browser sends and so no log sees; the app takes it out of the address
bar at once.
"""

import secrets
from typing import Final
from urllib.parse import urlencode, urlsplit
from uuid import UUID, uuid4

from sqlalchemy import Connection

from clarion.service.sessions import begin_session
from clarion.store import tokens

MINUTES: Final = 24 * 60
"""Without a refresh token, so that the link opens any number of browsers for a day."""

LOCAL: Final = {"localhost", "127.0.0.1", "::1"}


def app_address(base_url: str) -> str:
    """Where the reference app of this installation is."""
    return f"{base_url.removesuffix('/v2.0')}/phone/"


def is_local(address: str) -> bool:
    """Whether browsers let a page there get pushes although it has no certificate."""
    return urlsplit(address).hostname in LOCAL


def make_app_link(
    connection: Connection, base_url: str, organization: UUID, sender: UUID, user: UUID, name: str, now: int
) -> str:
    """Begin a session of a member, on behalf of one who may send, and write it into a link."""
    access = tokens.find_access_by_user(connection, sender, organization)
    assert access is not None
    opened = begin_session(connection, access, user, MINUTES, uuid4(), secrets.token_bytes, now)
    told = {"session": opened.token, "organization": organization, "user": user, "name": name}
    return f"{app_address(base_url)}#{urlencode(told)}"
