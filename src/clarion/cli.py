"""The command line: `clarion serve | worker | sandbox | migrate | check | seed-demo | token create`.

Every command reads the settings first and says everything that is wrong with them at once. Errors are plain
lines on standard error, and exit status 1.
"""

import json
import os
import secrets
import shlex
from collections.abc import Callable, Coroutine
from contextlib import closing
from functools import wraps
from importlib.metadata import version
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

import click
import uvloop
from rich.console import Console
from sqlalchemy import Connection

from clarion import bootstrap, demo
from clarion.model.access import mint_token
from clarion.sandbox.server import SandboxConfig, SandboxError
from clarion.sandbox.server import run as run_sandbox
from clarion.settings import Settings, SettingsError, load_settings
from clarion.store import directory, tokens
from clarion.store.database import Database
from clarion.store.single import AnotherWorker
from clarion.telemetry import configure_logging

P = ParamSpec("P")
R = TypeVar("R")

console = Console(highlight=False, soft_wrap=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("clarion"))
def main() -> None:
    """Self-hosted push notifications: one POST reaches every phone in the audience."""


def with_settings(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the settings, and start logging as they say."""

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        os.umask(0o077)  # the data folder holds keys: what is made there is its owner's alone
        try:
            settings = load_settings(os.environ)
            settings.store.folder.mkdir(parents=True, exist_ok=True)
        except SettingsError as error:
            raise click.ClickException(f"The settings cannot be used:\n{error}") from None
        except OSError as error:
            raise click.ClickException(f"The data folder cannot be made: {error}") from None
        configure_logging(settings.log.format, settings.log.level)
        function(settings, *args, **kwargs)

    return run


@main.command()
@click.option("--role", type=click.Choice(["all", "api"]), default="all", help="api: without a worker.")
@with_settings
def serve(settings: Settings, role: str) -> None:
    """Run the API and, as a child process, the worker."""
    _first(bootstrap.check, settings)
    _run(bootstrap.serve(settings, with_worker=role == "all"))


@main.command()
@click.option("--hint-pipe", type=int, hidden=True, help="The pipe of hints that `serve` passes on.")
@with_settings
def worker(settings: Settings, hint_pipe: int | None) -> None:
    """Run a worker alone; several may share one PostgreSQL."""
    _first(bootstrap.check, settings)
    _run(bootstrap.work(settings, hint_pipe=hint_pipe))


@main.command()
@with_settings
def sandbox(settings: Settings) -> None:
    """Run the stand-in for Apple's push service, and the page with the phones."""
    config = SandboxConfig(
        folder=settings.sandbox_folder,
        host=settings.sandbox.host,
        apns_port=settings.sandbox.apns_port,
        page_port=settings.sandbox.page_port,
    )
    _run(run_sandbox(config))


@main.command(name="migrate")
@with_settings
def migrate_command(settings: Settings) -> None:
    """Bring the database to this version's schema."""
    _first(bootstrap.migrate_store, settings)
    console.print("The database is at this version's schema.")


@main.command()
@with_settings
def check(settings: Settings) -> None:
    """Do what `serve` does before it listens: settings, database, schema, certificates."""
    _first(bootstrap.check, settings)
    console.print("Everything that `clarion serve` needs is in order.")


@main.command(name="seed-demo")
@with_settings
def seed_demo(settings: Settings) -> None:
    """Make the demonstration organization, and print five requests to paste. Safe to repeat."""
    _first(bootstrap.migrate_store, settings)
    base_url = bootstrap.base_url(settings)
    phones_url = f"http://{settings.sandbox.host}:{settings.sandbox.page_port}/"
    seeded = _write(settings, demo.seed, settings, base_url, phones_url, bootstrap.now_ms())
    console.print(f"Base URL               {seeded.base_url}")
    console.print(f"Personal access token  {seeded.token}")
    console.print(f"API description        {base_url.removesuffix('/v2.0')}/schema")
    for summary, body in seeded.requests():
        console.print(f"\n# {summary}", style="bold")
        print(_curl(seeded, body))  # noqa: T201 - to be pasted: no colours, no wrapping
    console.print(f"\nThe phones             {phones_url}", style="bold")


@main.group()
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

    if not _write(settings, add):
        raise click.ClickException(f"No member {email} in an organization {organization}.")
    console.print("Keep it now; it is not shown again. It expires in six months, or after two weeks unused.")
    print(text)  # noqa: T201 - for pipes


def _curl(seeded: demo.Demo, body: dict[str, Any]) -> str:
    url = f"{seeded.base_url}/tool/organizations/{seeded.organization}/notifications"
    return (
        f"curl {url} \\\n"
        f"  -H 'Authorization: BEARER {seeded.token}' \\\n"
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"
    )


def _write(
    settings: Settings, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """One transaction, outside of any loop."""
    _first(bootstrap.check_store, settings)
    with (
        closing(Database(settings.database_url)) as database,
        database.engine.connect().execution_options(writes=True) as connection,
        connection.begin(),
    ):
        return function(connection, *args, **kwargs)


def _first(step: Callable[[Settings], None], settings: Settings) -> None:
    """A step without which a command cannot go on."""
    try:
        step(settings)
    except bootstrap.StartError as error:
        raise click.ClickException(str(error)) from None


def _run(main_coroutine: Coroutine[Any, Any, None]) -> None:
    try:
        uvloop.run(main_coroutine)
    except (bootstrap.StartError, AnotherWorker, SandboxError) as error:
        raise click.ClickException(str(error)) from None
