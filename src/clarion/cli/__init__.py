"""The command line: `clarion serve | worker | sandbox | migrate | check | seed-demo`, and a group of commands per noun.

Every command reads the settings first and says everything that is wrong with them at once. Errors are plain
lines on standard error, and exit status 1.

    command.py       what all commands share: the settings, the store, how errors are told
    service.py       the processes, the schema, the demonstration
    organization.py  organization add, member add, token create
    channel.py       channel list, test, remove
    channel_add.py   channel add and renew
    credentials.py   reads the files that hold a credential
    keys.py          keys list, rotate, generate
    oidc.py          oidc set, show, remove
"""

from importlib.metadata import version

import click

from clarion.cli import channel_add, service
from clarion.cli.channel import channel
from clarion.cli.keys import keys
from clarion.cli.oidc import oidc
from clarion.cli.organization import member, organization, token

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("clarion"))
def main() -> None:
    """Self-hosted push notifications: one POST reaches every phone in the audience."""


for command in service.COMMANDS:
    main.add_command(command)
for group in (organization, member, token, channel, keys, oidc):
    main.add_command(group)
channel.add_command(channel_add.add)
channel.add_command(channel_add.renew)
