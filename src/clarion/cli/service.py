"""The commands that run Clarion, prepare its database and show it: serve, worker, migrate, check and the like."""

import json
import shlex
from typing import Any, Final

import click
from sqlalchemy import Connection

from clarion import bootstrap, demo
from clarion.cli.command import console, first, run, told, with_settings, write
from clarion.sandbox.server import SandboxConfig
from clarion.sandbox.server import run as run_sandbox
from clarion.service.expiry import WARN_DAYS, days_left
from clarion.service.keys import unknown_keys
from clarion.settings import Settings
from clarion.store.channels import list_expiries


@click.command()
@click.option("--role", type=click.Choice(["all", "api"]), default="all", help="api: without a worker.")
@with_settings
def serve(settings: Settings, role: str) -> None:
    """Run the API and, as a child process, the worker."""
    first(bootstrap.check, settings)
    run(bootstrap.serve(settings, with_worker=role == "all"))


@click.command()
@click.option("--hint-pipe", type=int, hidden=True, help="The pipe of hints that `serve` passes on.")
@with_settings
def worker(settings: Settings, hint_pipe: int | None) -> None:
    """Run a worker alone; several may share one PostgreSQL."""
    first(bootstrap.check, settings)
    run(bootstrap.work(settings, hint_pipe=hint_pipe))


@click.command()
@with_settings
def sandbox(settings: Settings) -> None:
    """Run the stand-ins for Apple, Google and browsers' push services, and the page with the phones."""
    config = SandboxConfig(
        folder=settings.sandbox_folder,
        host=settings.sandbox.host,
        apns_port=settings.sandbox.apns_port,
        fcm_port=settings.sandbox.fcm_port,
        webpush_port=settings.sandbox.webpush_port,
        webpush_http1_port=settings.sandbox.webpush_http1_port,
        page_port=settings.sandbox.page_port,
    )
    run(run_sandbox(config))


@click.command()
@with_settings
def migrate(settings: Settings) -> None:
    """Bring the database to this version's schema, and seal the secrets that an earlier one kept in clear."""
    sealed = first(bootstrap.migrate_store, settings)
    console.print("The database is at this version's schema.")
    if sealed:
        console.print(f"{sealed} secrets of channels were in clear; they are sealed now.")
        console.print("Backups made before hold them in clear: keep those safe, or delete them.")


@click.command()
@with_settings
def check(settings: Settings) -> None:
    """Do what `serve` does before it listens: settings, database, schema, keys, certificates."""
    first(bootstrap.check, settings)
    for warning in write(settings, _warnings, settings, bootstrap.now_ms()):
        console.print(f"Warning: {warning}", style="yellow")
    console.print("Everything that `clarion serve` needs is in order.")


@click.command(name="seed-demo")
@with_settings
def seed_demo(settings: Settings) -> None:
    """Make the demonstration organization, and print five requests to paste. Safe to repeat."""
    first(bootstrap.migrate_store, settings)
    base_url = bootstrap.base_url(settings)
    phones_url = f"http://{settings.sandbox.host}:{settings.sandbox.page_port}/"
    seeded = write(settings, demo.seed, settings, base_url, phones_url, bootstrap.now_ms())
    console.print(f"Base URL               {seeded.base_url}")
    console.print(f"Personal access token  {seeded.token}")
    console.print(f"API description        {base_url.removesuffix('/v2.0')}/schema")
    for summary, body in seeded.requests():
        console.print(f"\n# {summary}", style="bold")
        click.echo(_curl(seeded, body))  # to be pasted: no colours, no wrapping
    console.print(f"\nThe phones             {phones_url}", style="bold")
    console.print(f"\nOpen the app as {demo.PEOPLE[1].name}:", style="bold")
    click.echo(seeded.app_link)


COMMANDS: Final = (serve, worker, sandbox, migrate, check, seed_demo)


def _warnings(connection: Connection, settings: Settings, now: int) -> list[str]:
    """What does not keep the service from starting, and wants to be seen to all the same."""
    found = []
    for expiry in list_expiries(connection):
        left = days_left(expiry.expires_at, now)
        if left < WARN_DAYS:
            when = f"has ended on {told(expiry.expires_at)}" if left < 0 else f"ends in {left:.0f} days"
            found.append(f"the credential of channel {expiry.channel_id} {when}; see `clarion channel renew`")
    keyring = bootstrap.master_keys(settings).read()
    if keyring is not None:
        found += [
            f"{count} secrets are sealed with the master key {key_id}, which is not here; their channels will rest"
            for key_id, count in unknown_keys(connection, keyring).items()
        ]
    return found


def _curl(seeded: demo.Demo, body: dict[str, Any]) -> str:
    url = f"{seeded.base_url}/tool/organizations/{seeded.organization}/notifications"
    return (
        f"curl {url} \\\n"
        f"  -H 'Authorization: BEARER {seeded.token}' \\\n"
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"
    )
