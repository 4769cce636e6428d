"""Personal access tokens: only the hash of a secret is kept; what a caller is in an organization is looked up here.

Called by `service/access.py`.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, insert, select, update

from clarion.model.access import (
    TOKEN_LEASE_MS,
    TOKEN_LIFETIME_MS,
    Access,
    Role,
    TokenText,
)
from clarion.model.audience import fold_email
from clarion.store.schema import members, organizations, tokens, users


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token as stored."""

    id: int
    user_id: int
    secret_hash: bytes
    expires_at: int
    lease_until: int
    last_used_at: int | None

    def is_valid(self, now: int) -> bool:
        """Neither expired nor lapsed."""
        return now < self.expires_at and now < self.lease_until


def add_token(connection: Connection, user_id: int, token: TokenText, name: str, now: int) -> None:
    """Keep a new token's hash; it lives six months, and two weeks without use."""
    connection.execute(
        insert(tokens).values(
            key=token.key,
            user_id=user_id,
            name=name,
            secret_hash=token.secret_hash,
            created_at=now,
            expires_at=now + TOKEN_LIFETIME_MS,
            lease_until=now + TOKEN_LEASE_MS,
        )
    )


def find_token(connection: Connection, key: str) -> TokenRow | None:
    """The token with this public part, valid or not."""
    columns = (
        tokens.c.id,
        tokens.c.user_id,
        tokens.c.secret_hash,
        tokens.c.expires_at,
        tokens.c.lease_until,
        tokens.c.last_used_at,
    )
    row = connection.execute(select(*columns).where(tokens.c.key == key)).one_or_none()
    return None if row is None else TokenRow(*row)


def renew_lease(connection: Connection, token_id: int, now: int) -> None:
    """A use moves the lease on; never beyond the expiry, which the reader checks on its own."""
    connection.execute(
        update(tokens)
        .where(tokens.c.id == token_id)
        .values(lease_until=now + TOKEN_LEASE_MS, last_used_at=now)
    )


def find_access(connection: Connection, user_id: int, organization: UUID) -> Access | None:
    """What a user is in an organization; None when it is absent or not theirs."""
    return _find_access(connection, organization, members.c.user_id == user_id)


def find_member_access(connection: Connection, member_id: int, organization: UUID) -> Access | None:
    """What a member is in their organization; None in any other."""
    return _find_access(connection, organization, members.c.id == member_id)


def find_access_by_email(connection: Connection, email: str, organization: UUID) -> Access | None:
    """What the member with this address is in an organization."""
    return _find_access(connection, organization, members.c.email_folded == fold_email(email))


def find_access_by_user(connection: Connection, user: UUID, organization: UUID) -> Access | None:
    """What the user with this id is in an organization."""
    return _find_access(connection, organization, users.c.uuid == user)


def _find_access(connection: Connection, organization: UUID, who: ColumnElement[bool]) -> Access | None:
    query = (
        select(
            organizations.c.id,
            organizations.c.uuid,
            organizations.c.region,
            users.c.id,
            users.c.uuid,
            members.c.id,
            members.c.role,
        )
        .join_from(members, organizations, members.c.organization_id == organizations.c.id)
        .join(users, members.c.user_id == users.c.id)
        .where(organizations.c.uuid == organization, who)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Access(row[0], row[1], row[2], row[3], row[4], row[5], Role(row[6]))
