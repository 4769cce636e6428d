"""A lane: one channel's way to its push service, with its own runs, connections and rests.

`drain` claims runs, cuts them into pages, keeps a few pages in flight and settles what is answered. A lane
whose service is away, or whose credential is refused, rests; its runs are kept and no other lane notices.
The worker owns the lanes (`worker.py`).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import structlog
from sqlalchemy import Connection

from clarion.model.delivery import PushKind, pack_push_id
from clarion.model.moment import to_rfc3339
from clarion.model.notification import DEFAULT_TTL_SECONDS
from clarion.model.outcome import ACCEPTED, Accepted, Gone, Misconfigured, Outcome, Unavailable, Unknown
from clarion.model.push import Parcel, Provider, Push
from clarion.service.judgement import Rest, find_doubt, find_obstacle, is_doubt, rest_for
from clarion.service.push import (
    MISCONFIGURED_HOLD_MS,
    TO_SENDING,
    Answer,
    Expired,
    Page,
    Segment,
    Settlement,
    Superseded,
    by_phase,
    cut_pages,
    decide,
    settle,
)
from clarion.service.withdrawals import send_withdrawals
from clarion.store import channels, deliveries, devices, notifications, runs
from clarion.store.database import Database
from clarion.store.notifications import Sending
from clarion.store.runs import Phase, Run
from clarion.store.targets import Target, find_targets

logger = structlog.get_logger()

PAGES_IN_FLIGHT: Final = 4
PAGES_TOGETHER: Final = 4
"""How many pages one transaction settles at most."""

PAGES_UNSETTLED: Final = 40
"""A page that waits for one silent device does not stop the others, up to this many."""

SILENCE_SECONDS: Final = 1.0
"""When no page in flight is answered for so long, others may go: each waits for a silent device, or a slow service."""

LEASE_MS: Final = 30_000
CLOCKS_DIFFER_MS: Final = 60_000
"""By so much the clock of the process that retires a device may lag behind this one."""

Key = tuple[int, int]
"""A notification across organizations: (organization id, number)."""


class Meters(Protocol):
    """What a lane tells about itself; `telemetry.py` keeps it."""

    def answered(self, provider: str, outcome: str, count: int) -> None:
        """So many tries ended in this outcome."""

    def handed_off(self, milliseconds: int) -> None:
        """So long after its release a notification's first page was answered by the push service."""


@dataclass(frozen=True, slots=True)
class LaneContext:
    """What all lanes of a worker share. `random` answers in [0, 1)."""

    database: Database
    owner: str
    clock: Callable[[], int]
    random: Callable[[], float]
    meters: Meters


@dataclass(frozen=True, slots=True)
class _Work:
    """What a claim brought: whom to offer it to, what to offer, and what is not worth offering any more."""

    targets: list[Target]
    sendings: dict[Key, Sending]
    superseded: set[Key]
    loaded_at: int


class _Late(NamedTuple):
    """What became known after a claim was loaded: recalls, and the rows of devices whose members gave them up."""

    cancelled: set[Key]
    left: set[int]


@dataclass(slots=True, eq=False)
class _OpenPage:
    """A page on its way; `sendings` tell until when its retries may come."""

    page: Page
    sendings: dict[Key, Sending]
    offering: asyncio.Task[None]
    is_slow: bool = False


class Lane:
    """One channel's way. `drain` is called by one task at a time."""

    def __init__(self, channel_id: int, provider_name: str, provider: Provider, context: LaneContext) -> None:
        self._channel_id = channel_id
        self._provider_name = provider_name
        self._provider = provider
        self._context = context
        self._open: list[_OpenPage] = []
        self._rest: Rest | None = None
        self._failures = 0
        # A lane before this one may have left some, when the store was away at its end.
        self._leases_in_doubt = True
        self.is_stopping = False
        self.wanted = asyncio.Event()  # set whenever there may be something to claim

    async def drain(self) -> None:
        """Claim and send until nothing is due, or the lane must rest or stop.

        Raises StoreUnavailable when the store is away; called again, it settles first what was answered.
        """
        try:
            if self._leases_in_doubt:
                await self._recover()
            await self._drain()
        except Exception:
            self._leases_in_doubt = True
            raise

    def stop(self) -> None:
        """Claim no more; `drain` returns when what is open was settled."""
        self.is_stopping = True
        self.wanted.set()

    async def abandon(self, error: Exception) -> None:
        """Forget what is open after a fault of ours, and rest, lest the same pushes be repeated in a loop."""
        for open_page in self._open:
            open_page.offering.cancel()
        self._open.clear()
        rest = Rest(self._context.clock() + MISCONFIGURED_HOLD_MS, f"internal error: {type(error).__name__}")
        await self._take_rest(rest)

    async def close(self) -> None:
        """Close the connection; what is still in flight becomes unknown, and a drain that waits for it settles it."""
        await self._provider.close()

    async def _recover(self) -> None:
        """Settle what was answered when the store was away, and give back what was claimed but never sent."""
        while self._open:
            await self._settle_some()
        await self._context.database.write(runs.release_leases, self._context.owner, self._channel_id)
        self._leases_in_doubt = False

    async def _drain(self) -> None:
        if self._rest is None and not self.is_stopping and (obstacle := await self._provider.connect()):
            await self._let_expire()
            self._rest = self._rest_for(obstacle)
        while self._rest is None and not self.is_stopping:
            if claimed := await self._claim():
                await self._send(claimed)
            elif self._open:
                await self._settle_or_wake()
            elif not await self._withdraw():
                return
        while self._open:
            await self._settle_some()
        if self._rest is not None:
            await self._take_rest(self._rest)

    async def _withdraw(self) -> bool:
        """Take away banners that their members dealt with elsewhere, now that no push waits; whether there were any."""
        answers = await send_withdrawals(
            self._context.database, self._channel_id, self._offer_parcels, self._context.clock
        )
        if obstacle := find_obstacle(answers):
            self._rest = self._rest_for(obstacle)
        return bool(answers)

    async def _let_expire(self) -> None:
        """End what has outlived its time; nothing of it is offered, so the service need not be there."""
        while claimed := await self._claim(expired_only=True):
            await self._send(claimed)
            while self._open:
                await self._settle_some()

    async def _take_rest(self, rest: Rest) -> None:
        self._rest = None
        await self._context.database.write(_hold_and_release, self._channel_id, self._context.owner, rest)
        until = to_rfc3339(rest.until)
        logger.warning("lane_rests", channel=self._channel_id, reason=rest.reason, until=until)

    # ── Sending ──────────────────────────────────────────────────────────────────────────────────────────

    async def _claim(self, *, expired_only: bool = False) -> list[Run]:
        now = self._context.clock()
        return await self._context.database.write(
            _claim_runs, self._channel_id, self._context.owner, now, expired_only=expired_only
        )

    async def _send(self, claimed: Sequence[Run]) -> None:
        """Put the pages of a claim on their way; returns when the last one is, or when the lane must rest."""
        work = await self._context.database.read(_load, claimed, self._context.clock())
        for page in cut_pages(claimed, work.targets):
            while self._is_full():
                await self._make_room()
            if self._rest is not None or self.is_stopping:
                return
            await self._drop_late(page, work.loaded_at)
            offering = asyncio.create_task(self._offer(page, work))
            self._open.append(_OpenPage(page, work.sendings, offering))

    def _is_full(self) -> bool:
        quick = sum(not (open_page.is_slow or open_page.offering.done()) for open_page in self._open)
        return quick >= PAGES_IN_FLIGHT or len(self._open) >= PAGES_UNSETTLED

    def _in_flight(self) -> list[asyncio.Task[None]]:
        return [open_page.offering for open_page in self._open if not open_page.offering.done()]

    async def _make_room(self) -> None:
        """Wait until a page was answered, and settle what may be settled: perhaps nothing, behind a silent device."""
        if len(self._open) >= PAGES_UNSETTLED:
            await self._settle_some()
            return
        answered, _ = await asyncio.wait(
            self._in_flight(), timeout=SILENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        for open_page in self._open:
            open_page.is_slow |= not answered
        ready = self._ready()
        if len(ready) >= PAGES_TOGETHER or any(_needs_care(open_page.page) for open_page in ready):
            await self._settle(ready)

    async def _drop_late(self, page: Page, loaded_at: int) -> None:
        """Leave out what was recalled by now, and devices that were given up: neither waits for the end of a run."""
        alerts = [segment for segment in page.segments if segment.run.kind is PushKind.ALERT]
        keys = {_key(segment.run) for segment in alerts}
        since = loaded_at - CLOCKS_DIFFER_MS
        late = await self._context.database.read(_find_late, self._channel_id, keys, since)
        for segment in alerts:
            if _key(segment.run) in late.cancelled:
                segment.targets, segment.is_cancelled = [], True
        if late.left:
            for segment in page.segments:
                segment.targets = [
                    target._replace(is_retired=True) if target.row_id in late.left else target
                    for target in segment.targets
                ]

    async def _offer(self, page: Page, work: _Work) -> None:
        """Offer a page's segments, all at once."""
        await asyncio.gather(
            *(self._offer_segment(segment, work) for segment in page.segments if segment.targets)
        )

    async def _offer_segment(self, segment: Segment, work: _Work) -> None:
        sending = work.sendings[_key(segment.run)]
        if _expires_at(sending, segment.run) <= self._context.clock():
            segment.answers = [Expired()] * len(segment.targets)
        elif segment.run.phase is Phase.RETRY and _key(segment.run) in work.superseded:
            segment.answers = [Superseded()] * len(segment.targets)
        else:
            segment.answers = await self._offer_targets(segment, sending)
            if segment.begins_run and segment.run.phase is Phase.RANGE and segment.run.kind is PushKind.ALERT:
                self._context.meters.handed_off(self._context.clock() - sending.released_at)

    async def _offer_targets(self, segment: Segment, sending: Sending) -> Sequence[Answer]:
        live = [target for target in segment.targets if not target.is_retired]
        push = _push(sending, segment.run)
        outcomes = await self._offer_parcels(
            push, [Parcel(pack_push_id(push.number, t.device_id, push.kind), t.address) for t in live]
        )
        if len(live) == len(segment.targets):
            return outcomes
        rest = iter(outcomes)
        return [Gone("retired") if target.is_retired else next(rest) for target in segment.targets]

    async def _offer_parcels(self, push: Push, parcels: Sequence[Parcel]) -> list[Outcome]:
        try:
            outcomes = await self._provider.send(push, parcels)
        except Exception as error:  # a fault of ours must not stop the lane, nor lose the push
            logger.exception("offer_failed", channel=self._channel_id, notification=str(push.notification))
            outcomes = [Unknown(f"internal error: {type(error).__name__}")] * len(parcels)
        for name, count in Counter(type(outcome).__name__ for outcome in outcomes).items():
            self._context.meters.answered(self._provider_name, name.lower(), count)
        return outcomes

    # ── Settling ─────────────────────────────────────────────────────────────────────────────────────────

    async def _settle_some(self) -> None:
        """Wait until a page that may be settled was answered, and settle all such pages together."""
        await asyncio.wait([p.offering for p in self._open], return_when=asyncio.FIRST_COMPLETED)
        while not (ready := self._ready()):
            await asyncio.wait(self._in_flight(), return_when=asyncio.FIRST_COMPLETED)
        await self._settle(ready)

    async def _settle_or_wake(self) -> None:
        """Wait until a page was answered or there may be something to claim: it must not wait for a silent device."""
        if not self._ready():
            waking = asyncio.create_task(self.wanted.wait())
            await asyncio.wait([*self._in_flight(), waking], return_when=asyncio.FIRST_COMPLETED)
            waking.cancel()
            self.wanted.clear()
        if ready := self._ready():
            await self._settle(ready)

    async def _settle(self, ready: Sequence[_OpenPage]) -> None:
        """Settle the first of these pages, so many that the store is not held for long."""
        ready = ready[:PAGES_TOGETHER]
        for open_page in ready:
            open_page.offering.result()  # a fault of ours ends the drain
        await self._judge([segment for open_page in ready for segment in open_page.page.segments])
        now = self._context.clock()
        settlements = [
            self._settlement(segment, open_page.sendings, now)
            for open_page in ready
            for segment in open_page.page.segments
        ]
        for some in by_phase(settlements):
            await self._context.database.write(settle, self._context.owner, some, now)
        self._open = [open_page for open_page in self._open if open_page not in ready]

    def _ready(self) -> list[_OpenPage]:
        """The answered pages whose runs have no earlier page open: a run is settled in order."""
        ready, waiting = [], set[int]()
        for open_page in self._open:
            run_ids = open_page.page.run_ids
            if open_page.offering.done() and not run_ids & waiting:
                ready.append(open_page)
            else:
                waiting |= run_ids
        return ready

    def _settlement(self, segment: Segment, sendings: dict[Key, Sending], now: int) -> Settlement:
        if not segment.targets:
            return Settlement(segment, ())
        expires_at = _expires_at(sendings[_key(segment.run)], segment.run)
        random = self._context.random
        return Settlement(
            segment,
            [
                decide(answer, target, now=now, expires_at=expires_at, random=random())
                for target, answer in zip(segment.targets, segment.answers, strict=True)
            ],
        )

    # ── Resting ──────────────────────────────────────────────────────────────────────────────────────────

    async def _judge(self, segments: Sequence[Segment]) -> None:
        """Decide from the answers of some pages whether the whole lane must rest. Its own faults strike no device."""
        doubt = await self._find_doubt(segments)
        if doubt is not None:
            for segment in segments:
                segment.answers = [doubt if is_doubt(answer) else answer for answer in segment.answers]
        answers = _answers(segments)
        if obstacle := doubt or find_obstacle(answers):
            self._rest = self._rest_for(obstacle)
        elif any(isinstance(answer, Accepted) for answer in answers):
            self._failures = 0

    async def _find_doubt(self, segments: Sequence[Segment]) -> Misconfigured | None:
        doubted = {
            target.row_id
            for segment in segments
            for target, answer in zip(segment.targets, segment.answers, strict=True)
            if is_doubt(answer)
        }
        if not doubted:
            return None
        organization_id, answers = segments[0].run.organization_id, _answers(segments)
        return await self._context.database.read(
            find_doubt, organization_id, self._channel_id, answers, doubted
        )

    def _rest_for(self, obstacle: Misconfigured | Unavailable) -> Rest:
        if isinstance(obstacle, Unavailable):
            self._failures += 1
        return rest_for(obstacle, self._failures, self._context.clock(), self._context.random())


def _answers(segments: Sequence[Segment]) -> list[Answer]:
    return [answer for segment in segments for answer in segment.answers]


def _needs_care(page: Page) -> bool:
    """Whether not all of a page was simply accepted; one that was may wait for others, to share their transaction."""
    return any(segment.answers.count(ACCEPTED) < len(segment.targets) for segment in page.segments)


def _key(run: Run) -> Key:
    return run.organization_id, run.notification_id


def _push(sending: Sending, run: Run) -> Push:
    return Push(
        number=sending.id,
        notification=sending.uuid,
        organization=sending.organization,
        solution=sending.solution,
        content=sending.content,
        options=sending.options,
        kind=run.kind,
        expires_at=_expires_at(sending, run),
    )


def _expires_at(sending: Sending, run: Run) -> int:
    """A withdrawal has its own time, from the recall on: the banner may outlive the alert's."""
    if run.kind is PushKind.WITHDRAWAL:
        return sending.updated_at + DEFAULT_TTL_SECONDS * 1000
    return sending.expires_at


def _claim_runs(
    connection: Connection, channel_id: int, owner: str, now: int, *, expired_only: bool
) -> list[Run]:
    claimed = runs.claim(connection, channel_id, owner, now, now + LEASE_MS, expired_only=expired_only)
    for organization_id, numbers in _numbers_by_organization(claimed).items():
        notifications.change_state(connection, organization_id, numbers, TO_SENDING, now)
    return claimed


def _numbers_by_organization(claimed: Sequence[Run]) -> dict[int, list[int]]:
    numbers: dict[int, list[int]] = {}
    for run in claimed:
        if run.phase is Phase.RANGE:
            numbers.setdefault(run.organization_id, []).append(run.notification_id)
    return dict(sorted(numbers.items()))


def _load(connection: Connection, claimed: Sequence[Run], now: int) -> _Work:
    sendings = notifications.find_sendings(connection, {_key(run) for run in claimed})
    superseded = {
        _key(run)
        for run in claimed
        if run.phase is Phase.RETRY
        and sendings[_key(run)].options.collapse_key is not None
        and deliveries.is_superseded(connection, *_key(run))
    }
    return _Work(find_targets(connection, claimed, now), sendings, superseded, now)


def _find_late(connection: Connection, channel_id: int, keys: set[Key], since: int) -> _Late:
    cancelled = notifications.find_cancelled(connection, keys) if keys else set()
    return _Late(cancelled, devices.find_left(connection, channel_id, since))


def _hold_and_release(connection: Connection, channel_id: int, owner: str, rest: Rest) -> None:
    channels.hold_channel(connection, channel_id, rest.until, rest.reason)
    runs.release_leases(connection, owner, channel_id)
