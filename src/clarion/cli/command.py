"""What all commands share: the settings, one transaction in the store, and errors as plain lines."""

import os
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
import uvloop
from rich.console import Console
from sqlalchemy import Connection, Engine

from clarion import bootstrap
from clarion.sandbox.server import SandboxError
from clarion.settings import Settings, SettingsError, load_settings
from clarion.store.database import writing
from clarion.store.single import AnotherWorker
from clarion.telemetry import configure_logging

P = ParamSpec("P")
R = TypeVar("R")

console = Console(highlight=False, soft_wrap=True)


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


def first(step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """A step without which a command cannot go on."""
    try:
        return step(*args, **kwargs)
    except bootstrap.StartError as error:
        raise click.ClickException(str(error)) from None


def write(
    settings: Settings, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """One transaction, outside of any loop."""

    def transaction(engine: Engine) -> R:
        with writing(engine) as connection:
            return function(connection, *args, **kwargs)

    return first(bootstrap.in_store, settings, transaction)


def run(main_coroutine: Coroutine[Any, Any, R]) -> R:
    """Run something that needs a loop, to its end."""
    try:
        return uvloop.run(main_coroutine)
    except (bootstrap.StartError, AnotherWorker, SandboxError) as error:
        raise click.ClickException(str(error)) from None


def told(moment: int) -> str:
    """A moment as people read it."""
    return f"{datetime.fromtimestamp(moment / 1000, UTC):%Y-%m-%d %H:%M} UTC"
