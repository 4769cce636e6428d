"""Whether answers are about devices or about their whole channel: when a lane must rest, and for how long.

Called by `service/lane.py` for what was just answered, before it is settled.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, TypeGuard

from sqlalchemy import Connection

from clarion.model.delivery import backoff_ms
from clarion.model.outcome import Accepted, Misconfigured, Refused, Unavailable, told
from clarion.service.push import MISCONFIGURED_HOLD_MS, Answer
from clarion.store import deliveries, devices

MOST_DOUBTS: Final = 20
"""From so many doubted devices on, when doubts are the majority of some answers, the channel is at fault."""

LONGEST_REST_MS: Final = 86_400_000
"""However long a service asks to be left alone, it is tried once a day."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Why a lane stops for a while."""

    until: int
    reason: str


def find_obstacle(answers: Sequence[Answer]) -> Misconfigured | Unavailable | None:
    """Why a lane must rest: half of the answers say that the credential is refused or the service away.

    Fewer are about single devices, an origin among many, or one platform of several: those wait alone.
    """
    refused = [answer for answer in answers if isinstance(answer, Misconfigured)]
    away = [answer for answer in answers if isinstance(answer, Unavailable) and answer.whole_service]
    if (refused or away) and (len(refused) + len(away)) * 2 >= len(answers):
        return refused[0] if refused else away[0]
    return None


def rest_for(obstacle: Misconfigured | Unavailable, failures: int, now: int, random: float) -> Rest:
    """How long a lane rests for an obstacle that it has met so many times in a row."""
    if isinstance(obstacle, Misconfigured):
        return Rest(now + MISCONFIGURED_HOLD_MS, told(obstacle.reason))
    wait = backoff_ms(failures, random, first_ms=1_000, most_ms=300_000)
    asked = min((obstacle.retry_after_seconds or 0) * 1000, LONGEST_REST_MS)
    return Rest(now + max(wait, int(asked)), told(obstacle.reason))


def is_doubt(answer: Answer) -> TypeGuard[Refused]:
    """Whether an answer says that the address is perhaps wrong."""
    return isinstance(answer, Refused) and answer.doubts_device


def find_doubt(
    connection: Connection,
    organization_id: int,
    channel_id: int,
    answers: Sequence[Answer],
    doubted: Collection[int],
) -> Misconfigured | None:
    """What is wrong with the channel when addresses are doubted, or None when the doubts are the devices' own.

    A wrong environment or topic makes every address of a channel look wrong, so a doubt counts against a device
    (a strike; three in a row retire it) only where the channel is seen to work. The channel is at fault when

    - doubts are the majority of the answers, and of at least `MOST_DOUBTS` devices; or
    - nothing among the answers was accepted, and either nothing was on this channel lately, or no live device
      of it is left undoubted: a strike is forgotten when its device accepts, so strikes tell the last word.

    Then it is held, no device is struck, and the pushes come again. With every device in doubt a hold keeps
    nothing from anybody; it ends when one push is accepted. `doubted` are the rows of the devices in doubt.
    """
    doubts = [answer for answer in answers if is_doubt(answer)]
    if not doubts:
        return None
    if len(doubted) < MOST_DOUBTS or len(doubts) * 2 <= len(answers):
        if any(isinstance(answer, Accepted) for answer in answers):
            return None
        is_proven = deliveries.accepted_lately(connection, organization_id, channel_id)
        if is_proven and devices.has_undoubted(connection, organization_id, channel_id, doubted):
            return None
    return Misconfigured(f"{told(doubts[0].reason)} for {len(doubts)} of {len(answers)} pushes")
