"""`clarion oidc set | show | remove`: the issuer whose ID tokens an organization accepts from its members' apps."""

from uuid import UUID

import click
from sqlalchemy import Connection

from clarion import bootstrap
from clarion.cli.command import console, first, run, with_settings, write
from clarion.cli.organization import organization_of
from clarion.model.oidc import LONGEST_TEXT, Claim, Issuer, check_issuer
from clarion.service.issuer_keys import IssuerTrouble, Key, fetch_keys
from clarion.settings import Settings
from clarion.store import oidc as store


class IssuerType(click.ParamType[str]):
    """An issuer's URL."""

    name = "url"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check an issuer."""
        try:
            check_issuer(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)
        return value


@click.group()
def oidc() -> None:
    """The OpenID Connect issuer whose ID tokens are accepted as sessions of an organization's members."""


@oidc.command(name="set")
@click.option("--organization", type=click.UUID, required=True, help="The organization's id.")
@click.option(
    "--issuer", type=IssuerType(), required=True, help="The issuer's URL, exactly as its tokens spell it."
)
@click.option(
    "--audience", required=True, help="The app's client id at the issuer: whom a token must be for."
)
@click.option(
    "--claim",
    type=click.Choice([claim.value for claim in Claim]),
    default=Claim.EMAIL.value,
    help="What names the member: the verified address, or a subject that is their user id.",
)
@with_settings
def set_issuer(settings: Settings, organization: UUID, issuer: str, audience: str, claim: str) -> None:
    """Accept an issuer's ID tokens in place of any other's. Nothing is stored unless its keys can be had."""
    if not audience.isprintable() or not 0 < len(audience) <= LONGEST_TEXT:
        raise click.UsageError(f"The audience must have 1 to {LONGEST_TEXT} printable characters.")
    write(settings, organization_of, organization)
    keys = _fetch(settings, issuer)
    chosen = Issuer(issuer, audience, Claim(claim))

    def keep(connection: Connection) -> None:
        store.set_issuer(connection, organization_of(connection, organization), chosen, bootstrap.now_ms())

    write(settings, keep)
    kinds = ", ".join(sorted({key.algorithm for key in keys}))
    console.print(f"ID tokens of {issuer} are accepted. It has {len(keys)} keys: {kinds}.", markup=False)


@oidc.command()
@click.option("--organization", type=click.UUID, required=True, help="The organization's id.")
@with_settings
def show(settings: Settings, organization: UUID) -> None:
    """Show whose ID tokens an organization accepts, and whether its keys can be had now."""
    issuer = write(settings, _issuer_of, organization)
    if issuer is None:
        console.print("No ID tokens are accepted.")
        return
    console.print(f"Issuer    {issuer.issuer}", markup=False)
    console.print(f"Audience  {issuer.audience}", markup=False)
    console.print(f"Claim     {issuer.claim}", markup=False)
    for key in _fetch(settings, issuer.issuer):
        console.print(f"Key       {key.algorithm} {key.id or 'without an id'}", markup=False)


@oidc.command()
@click.option("--organization", type=click.UUID, required=True, help="The organization's id.")
@with_settings
def remove(settings: Settings, organization: UUID) -> None:
    """Accept no ID tokens any more. Takes effect within a second; open streams end within twenty minutes."""

    def forget(connection: Connection) -> bool:
        return store.remove_issuer(connection, organization_of(connection, organization))

    removed = write(settings, forget)
    console.print("ID tokens are accepted no more." if removed else "No ID tokens were accepted.")


def _issuer_of(connection: Connection, organization: UUID) -> Issuer | None:
    organization_of(connection, organization)
    return store.find_issuer(connection, organization)


def _fetch(settings: Settings, issuer: str) -> tuple[Key, ...]:
    fetcher = first(bootstrap.issuer_fetcher, settings)

    async def fetch() -> tuple[Key, ...]:
        return await fetch_keys(issuer, fetcher)

    try:
        return run(fetch())
    except IssuerTrouble as error:
        raise click.ClickException(f"The issuer {issuer} cannot be used: {error}.") from None
