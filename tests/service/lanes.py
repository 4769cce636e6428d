"""Lanes under test: a push service in memory whose answers a test scripts, over the real store."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from clarion.model.outcome import ACCEPTED, Misconfigured, Outcome, Unavailable
from clarion.model.push import Parcel, Push
from clarion.service.lane import Lane, LaneContext
from clarion.store.schema import channels, deliveries, devices, push_tallies
from tests.world import World


@dataclass(frozen=True)
class Offer:
    """One push that was offered to one device."""

    push: Push
    push_id: str
    address: str


@dataclass
class ScriptedProvider:
    """A push service in memory: each address answers as scripted, try by try, and then as usual."""

    usual: Outcome = ACCEPTED
    obstacle: Unavailable | Misconfigured | None = None
    before_call: Callable[[int], Awaitable[None]] | None = None
    """Awaited at the beginning of each call of `send`, with the number of the call."""
    script: dict[str, list[Outcome]] = field(default_factory=dict)
    offers: list[Offer] = field(default_factory=list)
    calls: int = 0
    is_closed: bool = False
    fault_at_close: Exception | None = None

    def answers(self, address: str, *outcomes: Outcome) -> None:
        """What this address answers to the next tries."""
        self.script[address] = list(outcomes)

    async def connect(self) -> Unavailable | Misconfigured | None:
        """The obstacle, if one is scripted."""
        return self.obstacle

    async def send(self, push: Push, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Note the offers and answer them."""
        self.calls += 1
        if self.before_call is not None:
            await self.before_call(self.calls)
        self.offers += [Offer(push, parcel.push_id, parcel.address) for parcel in parcels]
        return [self._answer(parcel.address) for parcel in parcels]

    async def close(self) -> None:
        """Note that it was closed, or fail as scripted."""
        if self.fault_at_close is not None:
            raise self.fault_at_close
        self.is_closed = True

    @property
    def addresses(self) -> Counter[str]:
        """How often each address was offered something."""
        return Counter(offer.address for offer in self.offers)

    def _answer(self, address: str) -> Outcome:
        waiting = self.script.get(address)
        return waiting.pop(0) if waiting else self.usual


@dataclass
class Notes:
    """Meters that remember."""

    outcomes: Counter[str] = field(default_factory=Counter)
    hand_offs: list[int] = field(default_factory=list)

    def answered(self, provider: str, outcome: str, count: int) -> None:
        """Count an outcome."""
        self.outcomes[f"{provider} {outcome}"] += count

    def handed_off(self, milliseconds: int) -> None:
        """Note a hand-off."""
        self.hand_offs.append(milliseconds)


def make_lane(
    world: World,
    provider: ScriptedProvider,
    *,
    owner: str = "worker",
    channel_id: int | None = None,
    notes: Notes | None = None,
    random: Callable[[], float] = lambda: 0.5,
) -> Lane:
    """A lane of the world's channel, whose jitter is in the middle unless it is given."""
    context = LaneContext(world.database, owner, world.clock, random, notes or Notes())
    return Lane(world.channel_id if channel_id is None else channel_id, "apns", provider, context)


async def tally(world: World, number: int, channel_id: int | None = None, kind: int = 0) -> dict[str, int]:
    """The counts of a notification on a channel that are not zero."""
    on = world.channel_id if channel_id is None else channel_id
    where = {"organization_id": world.organization_id, "channel_id": on}
    rows = await world.rows(push_tallies, **where, notification_id=number, kind=kind)
    names = ("accepted", "refused", "gone", "expired", "superseded", "retried", "repeats")
    return {name: getattr(row, name) for row in rows for name in names if getattr(row, name)}


async def deviations(world: World, number: int) -> dict[str, tuple[str, int, str]]:
    """By address: state, attempts and reason of every delivery that deviates."""
    addresses = {row.id: row.address for row in await world.rows(devices)}
    rows = await world.rows(deliveries, organization_id=world.organization_id, notification_id=number)
    return {addresses[row.device_id]: (row.state, row.attempts, row.reason) for row in rows}


async def held(world: World) -> tuple[int | None, str | None]:
    """Until when the world's channel rests, and why."""
    [row] = await world.rows(channels, id=world.channel_id)
    return row.held_until, row.held_reason


async def retired(world: World) -> dict[str, str]:
    """By address: why a device was retired."""
    rows = await world.rows(devices, organization_id=world.organization_id)
    return {row.address: row.retired_reason for row in rows if row.retired_at is not None}


async def strikes(world: World) -> Counter[str]:
    """By address: how often it was doubted."""
    rows = await world.rows(devices, organization_id=world.organization_id)
    return Counter({row.address: row.strikes for row in rows if row.strikes})
