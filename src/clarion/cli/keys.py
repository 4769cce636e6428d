"""`clarion keys list | rotate | generate`: the master keys, under which the secrets of channels are sealed."""

import secrets

import click
from sqlalchemy import Engine

from clarion import bootstrap
from clarion.cli.command import console, first, with_settings, write
from clarion.service.keys import Rotation, count_by_key
from clarion.service.keys import rotate as rotate_keys
from clarion.settings import Settings
from clarion.store.masterkeys import KeysError
from clarion.store.sealing import new_master_key


@click.group()
def keys() -> None:
    """The master keys, under which the secrets of channels are sealed."""


@keys.command(name="list")
@with_settings
def list_keys(settings: Settings) -> None:
    """Show the ids of the master keys, and how many secrets each seals."""
    try:
        keyring = bootstrap.master_keys(settings).read()
    except KeysError as error:
        raise click.ClickException(str(error)) from None
    counts = write(settings, count_by_key)
    known = [] if keyring is None else keyring.ids
    for number, key_id in enumerate(known):
        notes = ", seals what is new" if number == 0 else ""
        console.print(f"{key_id}  {counts.pop(key_id, 0)} secrets{notes}")
    for key_id, count in counts.items():
        trouble = "and the key is not here" if key_id else "of an earlier version; run: clarion migrate"
        console.print(f"{key_id or 'in clear':12}  {count} secrets, {trouble}", style="red")


@keys.command()
@with_settings
def rotate(settings: Settings) -> None:
    """Seal all secrets anew: under a new key with a key file, under the first one when keys.master gives them.

    May run beside the service. When it is interrupted, run it again.
    """
    master_keys = bootstrap.master_keys(settings)

    def work(engine: Engine) -> Rotation:
        return rotate_keys(engine, master_keys, secrets.token_bytes)

    done = first(bootstrap.in_store, settings, work)
    console.print(
        f"{done.resealed} secrets were sealed anew; all that open are under the key {done.first} now."
    )
    if done.removed and master_keys.given is None:
        console.print(
            f"The file {master_keys.path} has the new key alone. Make a copy of it for your backups."
        )
    elif done.removed:
        console.print(
            f"These keys seal nothing any more; remove them from keys.master: {', '.join(done.removed)}"
        )
    for channel, reason in done.unopened.items():
        click.echo(f"Not opened: {channel}: {reason}", err=True)
    if done.unopened:
        raise click.ClickException(
            "Secrets that do not open stay as they are. Renew or remove those channels."
        )


@keys.command()
def generate() -> None:
    """Print a new master key for the setting keys.master; nothing is stored."""
    click.echo(new_master_key(secrets.token_bytes).text)
