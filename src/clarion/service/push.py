"""Pushing: targets become pages, answers become decisions, a settled page becomes counts and deviations.

The only place that decides about retries; `decide` holds the rules. `service/lane.py` moves the pages, and
`service/judgement.py` tells it when the answers are about the whole channel.

Killing the worker at any line costs time, never a push: a page is open until `settle` is durable, and an
open page is offered again under the same ids.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, groupby
from operator import attrgetter, itemgetter
from typing import Final

from sqlalchemy import Connection

from clarion.model.delivery import DeliveryState, backoff_ms
from clarion.model.notification import NotificationState
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Refused, Unavailable, Unknown, told
from clarion.store import deliveries, devices, notifications, runs
from clarion.store.deliveries import Deviation, TallyKey
from clarion.store.notifications import StateChange
from clarion.store.runs import Phase, Run
from clarion.store.targets import Target

PAGE_DEVICES: Final = 500
RETRY_ROUND_MS: Final = 1_000
"""Retries of a notification that become due one after another are gathered for so long, and sent together."""

MISCONFIGURED_HOLD_MS: Final = 300_000
"""A channel whose credential was refused is tried again after this long, or when it was changed."""

TO_SENDING: Final = StateChange(
    NotificationState.SENDING, (NotificationState.QUEUED, NotificationState.RETRY)
)
_UNFINISHED: Final = (NotificationState.QUEUED, NotificationState.SENDING, NotificationState.RETRY)


@dataclass(frozen=True, slots=True)
class Expired:
    """Its time to live ran out before it could be offered."""

    reason: str = "expired"


@dataclass(frozen=True, slots=True)
class Superseded:
    """A newer notification with the same collapse key was released: offering this one would undo it."""

    reason: str = "superseded"


Answer = Outcome | Expired | Superseded
"""What became of one try: a provider's outcome, or why no try was made."""


@dataclass(slots=True)
class Segment:
    """A piece of one run inside a page; `answers` are in the order of `targets` once it was sent."""

    run: Run
    targets: list[Target]
    begins_run: bool
    ends_run: bool
    answers: Sequence[Answer] = ()
    is_cancelled: bool = False


@dataclass(slots=True)
class Page:
    """Some five hundred devices that are offered together and settled together."""

    segments: list[Segment] = field(default_factory=list)

    @property
    def run_ids(self) -> set[int]:
        """The runs that this page settles a part of."""
        return {segment.run.id for segment in self.segments}


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from an answer. `state` is None for a plain success, which is only counted."""

    count: str | None
    state: DeliveryState | None
    reason: str = ""
    due_at: int | None = None


COUNTED: Final = Decision("accepted", None)


def cut_pages(claimed: Sequence[Run], targets: Sequence[Target]) -> Iterator[Page]:
    """Cut targets, which are in the order of `find_targets`, into pages; every run ends in exactly one segment."""
    by_run = {run_id: list(group) for run_id, group in groupby(targets, key=attrgetter("run_id"))}
    page, room = Page(), PAGE_DEVICES
    for run in claimed:
        rest = by_run.get(run.id, [])
        is_first = run.after_member_id == 0
        while True:
            piece, rest = rest[:room], rest[room:]
            page.segments.append(Segment(run, piece, begins_run=is_first, ends_run=not rest))
            is_first = False
            room -= len(piece)
            if room <= 0:
                yield page
                page, room = Page(), PAGE_DEVICES
            if not rest:
                break
    if page.segments:
        yield page


def decide(answer: Answer, target: Target, *, now: int, expires_at: int, random: float) -> Decision:
    """What follows from an answer for one device. A retry never comes after the push has expired.

    It waits for the back-off of its tries, and at least as long as the service asked for plus up to a quarter,
    so that many devices that were told the same do not come back in one instant.
    """
    match answer:
        case Accepted():
            return COUNTED
        case Gone(reason=reason):
            return Decision("gone", DeliveryState.GONE, told(reason))
        case Refused(reason=reason):
            return Decision("refused", DeliveryState.REFUSED, told(reason))
        case Superseded(reason=reason):
            return Decision("superseded", DeliveryState.SUPERSEDED, reason)
        case Expired(reason=reason):
            return Decision("expired", DeliveryState.EXPIRED, reason)
        case Misconfigured(reason=reason):
            state, due_at = DeliveryState.RETRY, now + MISCONFIGURED_HOLD_MS
        case Unavailable(reason=reason, retry_after_seconds=seconds):
            state = DeliveryState.RETRY
            wait = max(backoff_ms(target.attempts + 1, random), (seconds or 0) * 1000 * (1 + random / 4))
            due_at = int(min(now + wait, expires_at))
        case Unknown(reason=reason):
            state, due_at = DeliveryState.UNKNOWN, now + backoff_ms(target.attempts + 1, random)
    if due_at >= expires_at:
        return Decision("expired", DeliveryState.EXPIRED, told(reason))
    return Decision(None, state, told(reason), due_at)


@dataclass(frozen=True, slots=True)
class Settlement:
    """A sent segment with the decisions for its targets."""

    segment: Segment
    decisions: Sequence[Decision]


def by_phase(settlements: Iterable[Settlement]) -> list[list[Settlement]]:
    """Settlements as `settle` takes them, one transaction each: ranges schedule the retries that others settle."""
    phases = {phase: list[Settlement]() for phase in Phase}
    for item in settlements:
        phases[item.segment.run.phase].append(item)
    return [some for some in phases.values() if some]


def settle(connection: Connection, owner: str, settlements: Sequence[Settlement], now: int) -> None:
    """Make sent segments, all of one phase, durable in the order in which their runs were cut.

    What lost its lease is left alone, and so is what is settled already: a commit whose answer was lost may
    be tried again.
    """
    settled = runs.lock_owned(connection, owner, {item.segment.run.id for item in settlements})
    mine = [_without_settled(connection, item) for item in settlements if _is_open(item.segment, settled)]
    runs.schedule_retries(connection, _scheduled(mine))
    counts: dict[TallyKey, Counter[str]] = {}
    for item in mine:
        run = item.segment.run
        key = TallyKey(run.organization_id, run.notification_id, run.channel_id, run.kind)
        _count(counts.setdefault(key, Counter()), item)
        _keep_deviations(connection, item, now)
    _judge_devices(connection, mine, now)
    deliveries.add_counts(connection, counts)
    ended = _move_runs(connection, mine, now)
    conclude(connection, ended, now)


def _is_open(segment: Segment, settled: dict[int, tuple[int, int]]) -> bool:
    """Whether this worker holds the segment's run, and has not settled it beyond the segment yet."""
    if segment.run.id not in settled:
        return False
    if segment.run.phase is Phase.RETRY or not segment.targets:
        return True
    last = segment.targets[-1]
    return settled[segment.run.id] < (last.member_id, last.device_id)


def _without_settled(connection: Connection, item: Settlement) -> Settlement:
    """A retry's settlement without the deliveries that were settled already; a range has its cursor for that."""
    segment = item.segment
    if segment.run.phase is Phase.RANGE or not segment.targets:
        return item
    attempts = deliveries.open_attempts(connection, segment.run, [t.device_id for t in segment.targets])
    still = [attempts.get(target.device_id) == target.attempts for target in segment.targets]
    rest = replace(
        segment,
        targets=list(compress(segment.targets, still)),
        answers=list(compress(segment.answers, still)),
    )
    return Settlement(rest, list(compress(item.decisions, still)))


def _scheduled(settlements: Iterable[Settlement]) -> Iterator[tuple[Run, int]]:
    """When retries of ranges are due first; a retry's own next round is found when it is moved on."""
    for item in settlements:
        due = [decision.due_at for decision in item.decisions if decision.due_at is not None]
        if due and item.segment.run.phase is Phase.RANGE:
            yield item.segment.run, min(due)


def _count(count: Counter[str], item: Settlement) -> None:
    segment = item.segment
    for target, answer, decision in zip(segment.targets, segment.answers, item.decisions, strict=True):
        if decision.count is not None:
            count[decision.count] += 1
        was_tried = not target.is_retired and not isinstance(answer, Expired | Superseded)
        if was_tried and target.attempts:
            count["retried"] += 1
        if was_tried and target.was_unknown:
            count["repeats"] += 1


def _keep_deviations(connection: Connection, item: Settlement, now: int) -> None:
    """Write what deviates. What expired before its first try is a whole range: it is counted, not listed."""
    segment = item.segment
    is_retry = segment.run.phase is Phase.RETRY
    deviations, accepted = [], []
    for target, answer, decision in zip(segment.targets, segment.answers, item.decisions, strict=True):
        if decision.state is None:
            accepted.append(target.device_id)
        elif is_retry or not isinstance(answer, Expired):
            deviations.append(
                Deviation(
                    target.device_id, decision.state, target.attempts + 1, decision.reason, decision.due_at
                )
            )
    deliveries.keep_deviations(connection, segment.run, deviations, now)
    if is_retry:
        deliveries.forget_deviations(connection, segment.run, accepted)


def _judge_devices(connection: Connection, settlements: Sequence[Settlement], now: int) -> None:
    """Retire devices that are gone, strike those whose address was doubted, forget the strikes of those that accepted.

    In the order of their ids: two workers that judge the same devices never wait for each other in a circle.
    """
    judged = [
        (target.row_id, item.segment.run.organization_id, answer)
        for item in settlements
        for target, answer in zip(item.segment.targets, item.segment.answers, strict=True)
        if (target.strikes or isinstance(answer, Gone | Refused)) and not target.is_retired
    ]
    for row_id, organization_id, answer in sorted(judged, key=itemgetter(0)):
        match answer:
            case Accepted():
                devices.forget_strikes(connection, organization_id, row_id)
            case Gone(reason=reason, since=since):
                devices.retire_device(connection, organization_id, row_id, told(reason), now, since)
            case Refused(reason=reason, doubts_device=True):
                devices.strike_device(connection, organization_id, row_id, told(reason), now)


def _move_runs(connection: Connection, settlements: Sequence[Settlement], now: int) -> list[Run]:
    """Move the runs on to where they are settled; returns those that ended."""
    ended: list[Run] = []
    for item in settlements:
        segment = item.segment
        if segment.is_cancelled:
            ended.append(segment.run)
        elif segment.ends_run and segment.run.phase is Phase.RETRY:
            due_at = deliveries.next_due(connection, segment.run)
            if due_at is None:
                ended.append(segment.run)
            else:
                again_at = now if due_at <= now else max(due_at, now + RETRY_ROUND_MS)
                runs.give_back(connection, [segment.run.id], again_at)
        elif segment.ends_run:
            ended.append(segment.run)
        elif segment.targets and segment.run.phase is Phase.RANGE:
            last = segment.targets[-1]
            runs.advance(connection, segment.run.id, last.member_id, last.device_id)
    if ended:
        runs.finish(connection, [run.id for run in ended])
    return ended


def conclude(connection: Connection, ended: Iterable[Run], now: int) -> None:
    """Give notifications without further runs their last state; only retries remaining is a state of its own."""
    by_organization = attrgetter("organization_id")
    for organization_id, group in groupby(sorted(ended, key=by_organization), key=by_organization):
        numbers = sorted({run.notification_id for run in group})
        notifications.lock(connection, organization_id, numbers)
        phases = runs.remaining_phases(connection, organization_id, numbers)
        counted = deliveries.count_devices(connection, organization_id, numbers)
        for target, some in _by_state(numbers, phases, counted).items():
            notifications.change_state(
                connection, organization_id, some, StateChange(target, _UNFINISHED), now
            )


def _by_state(
    numbers: Sequence[int], phases: dict[int, set[Phase]], counted: dict[int, tuple[int, int]]
) -> dict[NotificationState, list[int]]:
    states: dict[NotificationState, list[int]] = {}
    for number in numbers:
        remaining = phases.get(number, set())
        if Phase.RANGE in remaining:
            continue
        accepted, tried = counted.get(number, (0, 0))
        if remaining:
            state = NotificationState.RETRY
        elif tried and not accepted:
            state = NotificationState.FAILED
        else:
            state = NotificationState.SENT
        states.setdefault(state, []).append(number)
    return states
