"""`clarion channel add` and `clarion channel renew`: a credential becomes a channel, or takes the place of another.

Nothing is stored before its provider could be made of it. The secret is sealed in the transaction that stores it.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import click
from sqlalchemy import Connection

from clarion import bootstrap
from clarion.cli import credentials
from clarion.cli.channel import channel_of
from clarion.cli.command import first, run, told, with_settings, write
from clarion.cli.credentials import FILE, Credential
from clarion.cli.organization import organization_of
from clarion.model.push import InvalidChannel
from clarion.providers import make_provider
from clarion.settings import Settings
from clarion.store import channels, directory
from clarion.store.channels import Channel, NewChannel
from clarion.store.sealing import Place

Command = Callable[..., None]


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_whose = _options(
    click.option("--organization", type=click.UUID, required=True, help="The organization's id."),
    click.option("--name", required=True, help="What people call the channel."),
    click.option("--solution", type=click.UUID, help="Carry only what names this solution."),
)
_where = _options(
    click.option("--host", help="Another host than the push service's own, such as a stand-in."),
    click.option("--port", type=click.IntRange(1, 65_535), help="Its port."),
)
_files = _options(
    click.option("--key-file", type=FILE, help="The .p8 file of the key."),
    click.option("--certificate-file", type=FILE, help="A certificate with its private key: PEM or .p12."),
    click.option("--password-file", type=FILE, help="A file with the password of the certificate's file."),
)
_key_ids = _options(
    click.option("--team-id", help="Ten capital letters and digits, as Apple shows them; for a key."),
    click.option("--key-id", help="Likewise, of the key."),
)


@click.group()
def add() -> None:
    """Add a channel: a credential with which an organization reaches devices."""


@add.command(name="apns")
@_whose
@_key_ids
@click.option("--topic", help="The app's bundle id; a certificate knows it.")
@click.option(
    "--environment", type=click.Choice(["production", "development"]), default="production",
    help="Where the app's device tokens come from.",
)  # fmt: skip
@_files
@_where
@with_settings
def add_apns(settings: Settings, **given: Any) -> None:
    """Add a channel to Apple's push service, with a key (.p8) or a certificate."""
    kept = _present(given, "team_id", "key_id", "topic", "environment", "host", "port")
    _add(settings, given, _apns(given, kept))


@add.command(name="fcm")
@_whose
@click.option("--service-account-file", type=FILE, required=True, help="The service account's JSON file.")
@_where
@with_settings
def add_fcm(settings: Settings, **given: Any) -> None:
    """Add a channel to Firebase Cloud Messaging, for Android."""
    kept = _present(given, "host", "port")
    _add(settings, given, credentials.service_account(given["service_account_file"], kept))


@add.command(name="webpush")
@_whose
@click.option("--subject", required=True, help="mailto: or https:, by which push services reach you.")
@click.option("--app-url", required=True, help="The web app's URL, which a tap opens.")
@click.option("--icon", help="The URL of a picture for the banners.")
@click.option("--key-file", type=FILE, help="A VAPID private key as PEM; a new one is made without it.")
@with_settings
def add_webpush(settings: Settings, **given: Any) -> None:
    """Add a channel to the push services of browsers, and print the key with which a page subscribes."""
    credential = credentials.vapid_pair(given["key_file"], _present(given, "subject", "app_url", "icon"))
    _add(settings, given, credential)
    click.echo(f"The page's applicationServerKey: {credential.settings['public_key']}", err=True)


@click.command()
@click.argument("channel", type=click.UUID)
@_key_ids
@_files
@click.option("--service-account-file", type=FILE, help="The service account's JSON file.")
@with_settings
def renew(settings: Settings, channel: UUID, **given: Any) -> None:
    """Give a channel another credential of the same app; its devices stay. CHANNEL is the id that the list shows.

    A browser's subscription belongs to the VAPID key that it was made with: renew such a channel with that key alone.
    """
    found = write(settings, channel_of, channel)
    credential = _renewed(found, given)
    _try(settings, credential)

    def store(connection: Connection) -> None:
        new = _sealed(connection, settings, found.organization_id, channel, found.name, credential)
        channels.renew_channel(connection, found.id, new, bootstrap.now_ms())

    write(settings, store)
    click.echo(f"“{found.name}” has its new credential{_until(credential)}.", err=True)


def _apns(given: dict[str, Any], kept: dict[str, Any]) -> Credential:
    key_file, certificate_file = given["key_file"], given["certificate_file"]
    if (key_file is None) == (certificate_file is None):
        raise click.UsageError("Give one of --key-file and --certificate-file.")
    if key_file is None:
        rest = {name: value for name, value in kept.items() if name not in {"team_id", "key_id"}}
        return credentials.apns_certificate(certificate_file, given["password_file"], rest)
    missing = [name for name in ("team_id", "key_id", "topic") if name not in kept]
    if missing:
        wanted = " and ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise click.UsageError(f"A key needs {wanted} too.")
    return credentials.apns_key(key_file, kept)


def _renewed(channel: Channel, given: dict[str, Any]) -> Credential:
    kept = channel.settings | _present(given, "team_id", "key_id")
    if channel.provider == "apns":
        credential = _apns(given, kept)
    elif channel.provider == "webpush":
        if given["key_file"] is None:
            raise click.UsageError(
                "Give --key-file: the VAPID key that the page subscribes with, and no other."
            )
        credential = credentials.vapid_pair(given["key_file"], channel.settings)
    elif given["service_account_file"] is None:
        raise click.UsageError("Give --service-account-file.")
    else:
        credential = credentials.service_account(given["service_account_file"], {})
        if credential.settings["project_id"] != channel.settings["project_id"]:
            raise click.ClickException(
                f"That service account is of {credential.settings['project_id']}, the channel of "
                f"{channel.settings['project_id']}: the devices of one project cannot be reached with another's."
            )
        credential = replace(credential, settings=channel.settings)
    return credential


def _add(settings: Settings, given: dict[str, Any], credential: Credential) -> None:
    _try(settings, credential)
    uuid = uuid4()

    def store(connection: Connection) -> None:
        organization_id = organization_of(connection, given["organization"])
        new = _sealed(connection, settings, organization_id, uuid, given["name"], credential)
        if any(one.name == new.name for one in channels.list_channels(connection, organization_id)):
            raise click.ClickException(f"There is a channel “{new.name}” already; give another --name.")
        new = replace(new, solution_id=_solution_of(connection, organization_id, given["solution"]))
        channels.add_channel(connection, organization_id, new, bootstrap.now_ms())

    write(settings, store)
    click.echo(uuid)
    click.echo(f"“{given['name']}” is added{_until(credential)}.", err=True)


def _try(settings: Settings, credential: Credential) -> None:
    """See whether a provider can be made of a credential."""
    around = first(bootstrap.surroundings, settings)

    async def make() -> None:
        provider = make_provider(credential.provider, credential.settings, credential.secret, around)
        await provider.close()

    try:
        run(make())
    except InvalidChannel as error:
        raise click.ClickException(f"The channel cannot be used: {error}.") from None


def _sealed(
    connection: Connection,
    settings: Settings,
    organization_id: int,
    uuid: UUID,
    name: str,
    credential: Credential,
) -> NewChannel:
    keyring = bootstrap.master_keys(settings).ensure(connection, secrets.token_bytes)
    sealed = keyring.seal(credential.secret, Place(organization_id, uuid), secrets.token_bytes)
    return NewChannel(
        uuid, credential.provider, name, credential.settings, sealed, expires_at=credential.expires_at
    )


def _solution_of(connection: Connection, organization_id: int, uuid: UUID | None) -> int | None:
    if uuid is None:
        return None
    found = directory.find_solutions(connection, organization_id, [uuid])
    if uuid not in found:
        raise click.ClickException(f"The organization has no solution {uuid}.")
    return found[uuid].id


def _present(given: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: given[name] for name in names if given[name] is not None}


def _until(credential: Credential) -> str:
    return "" if credential.expires_at is None else f"; it is good until {told(credential.expires_at)}"
