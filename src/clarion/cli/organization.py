"""The commands with which an installation gets its first people: organization add, member add, token create."""

import secrets
from typing import Final
from uuid import UUID, uuid4

import click
from sqlalchemy import Connection

from clarion import bootstrap
from clarion.cli.command import with_settings, write
from clarion.model.access import Role, mint_token
from clarion.settings import Settings
from clarion.store import directory, tokens
from clarion.store.directory import NewMember

LONGEST_EMAIL: Final = 100


class EmailType(click.ParamType[str]):
    """An e-mail address, as the API takes them."""

    name = "email"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check an address."""
        local, _, domain = value.partition("@")
        plain = value.isprintable() and " " not in value and len(value) <= LONGEST_EMAIL
        if not (local and domain and plain) or "@" in domain:
            self.fail(f"{value!r} is no e-mail address", param, ctx)
        return value


EMAIL: Final = EmailType()
ROLES: Final = click.Choice([role.value for role in Role])


@click.group()
def organization() -> None:
    """Organizations, each with its own members and channels."""


@organization.command(name="add")
@click.option("--name", required=True, help="What people call it.")
@click.option("--admin-email", type=EMAIL, required=True, help="The address of its first administrator.")
@click.option("--admin-name", default="Administrator", help="The name of that member.")
@with_settings
def add_organization(settings: Settings, name: str, admin_email: str, admin_name: str) -> None:
    """Make an organization with its first administrator, and print its id."""
    uuid, now = uuid4(), bootstrap.now_ms()

    def add(connection: Connection) -> None:
        organization_id = directory.add_organization(connection, uuid, name, settings.server.region, now)
        administrator = NewMember(uuid4(), admin_email, admin_name, Role.ADMIN)
        directory.add_members(connection, organization_id, [administrator], now)

    write(settings, add)
    click.echo(uuid)
    click.echo(
        f"The administrator's token: clarion token create --organization {uuid} --email {admin_email}",
        err=True,
    )


@click.group()
def member() -> None:
    """The people of an organization."""


@member.command(name="add")
@click.option("--organization", type=click.UUID, required=True, help="The organization's id.")
@click.option("--email", type=EMAIL, required=True, help="The member's address.")
@click.option("--name", help="The member's name; the address's first part when it is not given.")
@click.option("--role", type=ROLES, default=Role.USER.value, help="Owners and administrators may send.")
@with_settings
def add_member(settings: Settings, organization: UUID, email: str, name: str | None, role: str) -> None:
    """Add a person to an organization, and print their user id."""
    new = NewMember(uuid4(), email, name or email.partition("@")[0], Role(role))

    def add(connection: Connection) -> None:
        organization_id = organization_of(connection, organization)
        if directory.find_user(connection, organization_id, email) is not None:
            raise click.ClickException(f"{email} is a member of that organization already.")
        directory.add_members(connection, organization_id, [new], bootstrap.now_ms())

    write(settings, add)
    click.echo(new.user)


@click.group()
def token() -> None:
    """Personal access tokens."""


@token.command(name="create")
@click.option("--organization", type=click.UUID, required=True, help="The organization's id.")
@click.option("--email", required=True, help="The member's address.")
@click.option("--name", default="command line", help="What the token is for.")
@with_settings
def create_token(settings: Settings, organization: UUID, email: str, name: str) -> None:
    """Make a token for a member and show it, once."""
    text, minted = mint_token(settings.server.region, secrets.token_bytes)

    def add(connection: Connection) -> bool:
        organization_id = directory.find_organization(connection, organization)
        user_id = organization_id and directory.find_user(connection, organization_id, email)
        if user_id is None:
            return False
        tokens.add_token(connection, user_id, minted, name, bootstrap.now_ms())
        return True

    if not write(settings, add):
        raise click.ClickException(f"No member {email} in an organization {organization}.")
    click.echo(
        "Keep it now; it is not shown again. It expires in six months, or after two weeks unused.", err=True
    )
    click.echo(text)


def organization_of(connection: Connection, uuid: UUID) -> int:
    """The row's id of an organization that must be there."""
    organization_id = directory.find_organization(connection, uuid)
    if organization_id is None:
        raise click.ClickException(f"There is no organization {uuid}.")
    return organization_id
