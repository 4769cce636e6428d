"""`clarion channel list | test | remove`: what an organization's channels are, whether they work, and their end."""

import asyncio
from uuid import UUID, uuid4

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection, Engine

from clarion import bootstrap
from clarion.cli.command import console, first, run, told, with_settings, write
from clarion.cli.organization import organization_of
from clarion.model.delivery import PushKind
from clarion.model.notification import NO_OPTIONS, Content
from clarion.model.outcome import Accepted, Outcome, Unknown
from clarion.model.push import InvalidAddress, InvalidChannel, Parcel, Provider, Push
from clarion.providers import check_address, explain
from clarion.providers.fcm import Fcm
from clarion.service.expiry import DAY_MS, WARN_DAYS, days_left
from clarion.service.removal import remove_channel
from clarion.settings import Settings
from clarion.store import channels, directory
from clarion.store.channels import Channel, Listed
from clarion.store.masterkeys import Opener

PATIENCE_SECONDS = 60
WIDE = 220
"""Columns of a list that no terminal shows."""


@click.group()
def channel() -> None:
    """Channels: the credentials with which an organization reaches devices."""


# ── List ─────────────────────────────────────────────────────────────────────────────────────────────────


@channel.command(name="list")
@click.option("--organization", type=click.UUID, required=True, help="The organization's id.")
@with_settings
def list_channels(settings: Settings, organization: UUID) -> None:
    """Show the channels of an organization: what they send to, whether they rest, when their credentials end."""

    def read(connection: Connection) -> list[Listed]:
        return channels.list_channels(connection, organization_of(connection, organization))

    found, now = write(settings, read), bootstrap.now_ms()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("No.", "Id", "Provider", "Name", "Sends to", "State", "Devices", "Credential"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "Id")
    for one in found:
        table.add_row(
            str(one.id), str(one.uuid), one.provider, one.name, _sends_to(one), _state(one, now),
            str(one.devices), _credential(one, now),
        )  # fmt: skip
    Console(highlight=False, width=None if console.is_terminal else WIDE).print(table)


def _sends_to(one: Listed) -> str:
    settings = one.settings
    target = str(settings.get("topic") or settings.get("project_id") or settings.get("app_url") or "")
    notes = [settings["environment"]] if settings.get("environment", "production") != "production" else []
    notes += [f"at {settings['host']}"] if "host" in settings else []
    notes += [f"only {one.solution}"] if one.solution else []
    return f"{target} ({', '.join(notes)})" if notes else target


def _state(one: Listed, now: int) -> Text:
    if one.held_until is None or one.held_until <= now:
        return Text("ready", "green")
    return Text(f"resting until {told(one.held_until)} because {one.held_reason}", "red")


def _credential(one: Listed, now: int) -> Text:
    if one.expires_at is None:
        return Text("does not end")
    left = days_left(one.expires_at, now)
    if left < 0:
        return Text(f"ended on {told(one.expires_at)}", "red")
    return Text(f"{left:.0f} days, until {told(one.expires_at)}", "yellow" if left < WARN_DAYS else "")


# ── Test ─────────────────────────────────────────────────────────────────────────────────────────────────


@channel.command(name="test")
@click.argument("channel", type=click.UUID)
@click.option("--device", type=click.UUID, help="The id of a device of this channel.")
@click.option("--address", help="An address that is no registered device's.")
@click.option("--text", default="This is a test.", help="What the device shows.")
@click.option(
    "--validate-only", is_flag=True, help="FCM: ask whether it would be taken; the device gets nothing."
)
@with_settings
def try_channel(
    settings: Settings,
    channel: UUID,
    device: UUID | None,
    address: str | None,
    text: str,
    validate_only: bool,
) -> None:
    """Send one message to one device, and explain the answer. CHANNEL is the id that the list shows.

    Exit status 0 only when it was accepted.
    """
    if (device is None) == (address is None):
        raise click.UsageError("Give one of --device and --address.")
    found = write(settings, channel_of, channel)
    if validate_only and found.provider != "fcm":
        raise click.UsageError("Only FCM can be asked without sending: leave out --validate-only.")
    to, organization = write(settings, _address, found, device, address)
    push = _push(organization, text)
    outcome = _send(settings, found, push, to, only_validate=validate_only)
    name = type(outcome).__name__
    reason = "" if isinstance(outcome, Accepted) else f": {outcome.reason}"
    console.print(f"{name}{reason}", style="green" if isinstance(outcome, Accepted) else "red", markup=False)
    console.print(explain(found.provider, outcome), markup=False)
    if not isinstance(outcome, Accepted):
        raise click.exceptions.Exit(1)
    if write(settings, channels.end_rest, found.id):
        console.print("The channel was resting; it goes on at once.")


def _address(
    connection: Connection, channel: Channel, device: UUID | None, address: str | None
) -> tuple[str, UUID]:
    """The address to send to, and the organization's id."""
    organization = directory.organization_uuid(connection, channel.organization_id)
    if device is not None:
        found = channels.find_address(connection, channel, device)
        if found is None:
            raise click.ClickException(f"The channel has no device {device} that is in use.")
        return found, organization
    try:
        return check_address(channel.provider, address or ""), organization
    except InvalidAddress as error:
        raise click.ClickException(f"That is no address of {channel.provider}: {error}.") from None


def _push(organization: UUID, text: str) -> Push:
    return Push(
        number=0,
        notification=uuid4(),
        organization=organization,
        solution=None,
        content=Content(text=text, title="Clarion"),
        options=NO_OPTIONS,
        kind=PushKind.ALERT,
        expires_at=bootstrap.now_ms() + DAY_MS,
    )


def _send(settings: Settings, channel: Channel, push: Push, address: str, *, only_validate: bool) -> Outcome:
    around = first(bootstrap.surroundings, settings)
    opener = Opener(bootstrap.master_keys(settings))
    parcel = Parcel(str(uuid4()), address)  # no id of a delivery: nothing may take it for one

    async def send() -> Outcome:
        provider = bootstrap.open_channel(channel, opener, around)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await _offer(provider, push, parcel, only_validate=only_validate)
        except TimeoutError:
            return Unknown(f"no answer in {PATIENCE_SECONDS} seconds")
        finally:
            await provider.close()

    try:
        return run(send())
    except InvalidChannel as error:
        raise click.ClickException(f"The channel cannot be used: {error}.") from None


async def _offer(provider: Provider, push: Push, parcel: Parcel, *, only_validate: bool) -> Outcome:
    obstacle = await provider.connect()
    if obstacle is not None:
        return obstacle
    if only_validate and isinstance(provider, Fcm):
        return await provider.validate(push, parcel)
    [outcome] = await provider.send(push, [parcel])
    return outcome


# ── Remove ───────────────────────────────────────────────────────────────────────────────────────────────


@channel.command(name="remove")
@click.argument("channel", type=click.UUID)
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_settings
def remove(settings: Settings, channel: UUID, yes: bool) -> None:
    """Remove a channel: its secret is erased, its devices are retired, and what waits for it is dropped.

    CHANNEL is the id that the list shows. Devices come back on another channel when their apps register there.
    """
    found, devices, waiting = write(settings, _what_goes, channel)
    click.echo(f"“{found.name}” ({found.provider}) has {devices} devices; {waiting} push runs wait for it.")
    if not yes:
        click.confirm("Remove it, retire its devices and drop what waits?", abort=True)

    def work(engine: Engine) -> tuple[int, int]:
        return remove_channel(engine, found, bootstrap.now_ms())

    retired, ended = first(bootstrap.in_store, settings, work)
    click.echo(f"It is removed; {retired} devices were retired and {ended} push runs dropped.")


def _what_goes(connection: Connection, uuid: UUID) -> tuple[Channel, int, int]:
    """A channel, also one whose removal was interrupted, with how many devices and runs it has."""
    found = channels.find_channel(connection, uuid, removed=True)
    if found is None:
        raise click.ClickException(f"There is no channel {uuid}.")
    return found, channels.count_devices(connection, found), channels.count_runs(connection, found.id)


def channel_of(connection: Connection, uuid: UUID) -> Channel:
    """A channel that must be there."""
    found = channels.find_channel(connection, uuid)
    if found is None:
        raise click.ClickException(f"There is no channel {uuid}.")
    return found
