"""Removing a channel: nothing new is given to it, its devices are retired, and what waits for it ends.

Called by the command, beside a worker that may be running. Every step is a transaction of its own and may be
repeated: a removal that was interrupted goes on when the channel is removed again.
"""

import time
from typing import Final

from sqlalchemy import Engine

from clarion.service.push import conclude
from clarion.store import channels, runs
from clarion.store.channels import Channel
from clarion.store.database import writing

PIECE: Final = 1_000
REASON: Final = "channel removed"
PAUSE_SECONDS: Final = 0.05
"""How long to wait for a page that a worker is settling at this moment."""


def remove_channel(engine: Engine, channel: Channel, now: int, *, piece: int = PIECE) -> tuple[int, int]:
    """Remove a channel; returns how many devices were retired and how many push runs ended."""
    with writing(engine) as connection:
        channels.mark_removed(connection, channel.id, now)
    retired, ended = 0, 0
    while count := _retire_some(engine, channel, now, piece):
        retired += count
    while (some := _end_some(engine, channel, now, piece)) is not None:
        ended += some
        time.sleep(0 if some else PAUSE_SECONDS)
    return retired, ended


def _retire_some(engine: Engine, channel: Channel, now: int, piece: int) -> int:
    with writing(engine) as connection:
        return channels.retire_devices(connection, channel, REASON, now, piece)


def _end_some(engine: Engine, channel: Channel, now: int, piece: int) -> int | None:
    """End the runs that nobody settles at this moment; None when there are no more."""
    with writing(engine) as connection:
        if not channels.count_runs(connection, channel.id):
            return None
        ended = runs.drop_of_channel(connection, channel.id, piece)
        conclude(connection, ended, now)
        return len(ended)
