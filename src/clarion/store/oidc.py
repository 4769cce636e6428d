"""Whose ID tokens each organization accepts. Called by `service/oidc.py` and by `clarion oidc`."""

from uuid import UUID

from sqlalchemy import Connection, delete, select

from clarion.model.oidc import Claim, Issuer
from clarion.store.schema import oidc_issuers, organizations
from clarion.store.upsert import insert_or_update


def set_issuer(connection: Connection, organization_id: int, issuer: Issuer, now: int) -> None:
    """Accept this issuer's tokens from now on, and no other's."""
    values = {
        "issuer": issuer.issuer,
        "audience": issuer.audience,
        "claim": issuer.claim,
        "set_at": now,
    }
    statement = insert_or_update(connection, oidc_issuers).values(organization_id=organization_id, **values)
    connection.execute(
        statement.on_conflict_do_update(index_elements=[oidc_issuers.c.organization_id], set_=values)
    )


def find_issuer(connection: Connection, organization: UUID) -> Issuer | None:
    """The issuer that an organization accepts, if any."""
    row = connection.execute(
        select(oidc_issuers.c.issuer, oidc_issuers.c.audience, oidc_issuers.c.claim)
        .join(organizations, organizations.c.id == oidc_issuers.c.organization_id)
        .where(organizations.c.uuid == organization)
    ).one_or_none()
    return None if row is None else Issuer(row.issuer, row.audience, Claim(row.claim))


def remove_issuer(connection: Connection, organization_id: int) -> bool:
    """Accept no ID tokens any more; False when none were accepted."""
    removed = connection.execute(
        delete(oidc_issuers).where(oidc_issuers.c.organization_id == organization_id)
    )
    return removed.rowcount > 0
