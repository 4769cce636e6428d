"""The rules of pushing: what follows from an answer, and how targets become pages."""

from itertools import chain
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.delivery import DeliveryState, PushKind, backoff_ms
from clarion.model.outcome import ACCEPTED, Gone, Misconfigured, Refused, Unavailable, Unknown
from clarion.service.push import (
    COUNTED,
    PAGE_DEVICES,
    Answer,
    Decision,
    Expired,
    Segment,
    Settlement,
    Superseded,
    cut_pages,
    decide,
    settle,
)
from clarion.store.runs import Phase, Run
from clarion.store.targets import Target
from tests.service.lanes import tally
from tests.world import World

NOW = 1_000_000
LATE = NOW + 10**9
FRESH = Target(1, 1, 1, 1, "address")
SECOND_TRY = Target(1, 1, 1, 1, "address", attempts=2)

# What happens, to whom, and what follows: counted as, state, wait in milliseconds.
RULES: list[tuple[Answer, Target, str | None, DeliveryState | None, int | None]] = [
    (ACCEPTED, FRESH, "accepted", None, None),
    (ACCEPTED, SECOND_TRY, "accepted", None, None),
    (Gone("Unregistered"), FRESH, "gone", DeliveryState.GONE, None),
    (Gone("Unregistered", since=5), FRESH, "gone", DeliveryState.GONE, None),
    (Refused("PayloadTooLarge"), FRESH, "refused", DeliveryState.REFUSED, None),
    (Refused("BadDeviceToken", doubts_device=True), FRESH, "refused", DeliveryState.REFUSED, None),
    (Expired(), FRESH, "expired", DeliveryState.EXPIRED, None),
    (Superseded(), SECOND_TRY, "superseded", DeliveryState.SUPERSEDED, None),
    (Misconfigured("InvalidProviderToken"), FRESH, None, DeliveryState.RETRY, 300_000),
    (Misconfigured("InvalidProviderToken"), SECOND_TRY, None, DeliveryState.RETRY, 300_000),
    (Unavailable("503"), FRESH, None, DeliveryState.RETRY, 3_750),
    (Unavailable("503"), SECOND_TRY, None, DeliveryState.RETRY, 15_000),
    (Unavailable("429", retry_after_seconds=60), FRESH, None, DeliveryState.RETRY, 67_500),
    (Unavailable("429", retry_after_seconds=2), FRESH, None, DeliveryState.RETRY, 3_750),
    (Unavailable("500", retry_after_seconds=10), SECOND_TRY, None, DeliveryState.RETRY, 15_000),
    (Unavailable("429", retry_after_seconds=0), FRESH, None, DeliveryState.RETRY, 3_750),
    (Unavailable("429", whole_service=False), FRESH, None, DeliveryState.RETRY, 3_750),
    (Unknown("no answer"), FRESH, None, DeliveryState.UNKNOWN, 3_750),
    (Unknown("no answer"), SECOND_TRY, None, DeliveryState.UNKNOWN, 15_000),
]


@pytest.mark.parametrize(("answer", "target", "count", "state", "wait"), RULES)
def test_every_answer_leads_to_what_the_design_says(
    answer: Answer, target: Target, count: str | None, state: DeliveryState | None, wait: int | None
) -> None:
    reason = "" if answer is ACCEPTED else getattr(answer, "reason")  # noqa: B009 - Accepted alone has none
    expected = Decision(count, state, reason, None if wait is None else NOW + wait)
    assert decide(answer, target, now=NOW, expires_at=LATE, random=0.5) == expected


def test_the_table_of_rules_has_every_kind_of_answer() -> None:
    assert {type(answer) for answer, *_ in RULES} == set(get_args(Answer))


@pytest.mark.parametrize("answer", [rule[0] for rule in RULES if rule[4] is not None])
def test_a_retry_that_would_come_after_the_expiry_is_none(answer: Answer) -> None:
    due_at = decide(answer, FRESH, now=NOW, expires_at=LATE, random=0.5).due_at
    assert due_at is not None
    assert decide(answer, FRESH, now=NOW, expires_at=due_at + 1, random=0.5).due_at == due_at
    expired = decide(answer, FRESH, now=NOW, expires_at=due_at, random=0.5)
    assert (expired.count, expired.state, expired.due_at) == ("expired", DeliveryState.EXPIRED, None)


@given(st.floats(0, 10**7), st.integers(0, 40), st.floats(0, 1, exclude_max=True))
def test_a_retry_comes_no_earlier_than_asked_and_at_most_a_quarter_later_than_it_must(
    asked: float, attempts: int, random: float
) -> None:
    answer = Unavailable("429", retry_after_seconds=asked)
    target = FRESH._replace(attempts=attempts)
    backoff = backoff_ms(attempts + 1, random)
    due_at = decide(answer, target, now=NOW, expires_at=10**15, random=random).due_at
    assert due_at is not None
    assert due_at - NOW >= max(backoff, int(asked * 1000))
    assert due_at - NOW <= max(backoff, asked * 1250)


def test_what_is_asked_to_wait_for_ever_expires() -> None:
    answer = Unavailable("429", retry_after_seconds=float("inf"))
    assert decide(answer, FRESH, now=NOW, expires_at=LATE, random=0.5).state is DeliveryState.EXPIRED


def run_of(number: int) -> Run:
    return Run(number, 1, number, 1, PushKind.ALERT, Phase.RANGE, 0, None, 10)


@given(st.lists(st.integers(0, 3) | st.integers(0, 3 * PAGE_DEVICES), max_size=12))
def test_pages_hold_every_target_once_in_order_and_every_run_ends_once(sizes: list[int]) -> None:
    claimed = [run_of(number) for number in range(1, len(sizes) + 1)]
    targets = [
        Target(run.id, member, member, member, "")
        for run, size in zip(claimed, sizes, strict=True)
        for member in range(size)
    ]
    pages = list(cut_pages(claimed, targets))
    segments = list(chain.from_iterable(page.segments for page in pages))
    assert list(chain.from_iterable(segment.targets for segment in segments)) == targets
    assert [segment.run for segment in segments if segment.ends_run] == claimed
    assert all(target.run_id == segment.run.id for segment in segments for target in segment.targets)
    page_sizes = [sum(len(segment.targets) for segment in page.segments) for page in pages]
    assert all(size == PAGE_DEVICES for size in page_sizes[:-1])
    assert all(size <= PAGE_DEVICES for size in page_sizes)


async def test_a_settlement_whose_commit_is_tried_again_counts_once(world: World) -> None:
    await world.add_members(3)
    told = await world.tell("to all")
    [run] = await world.claim()
    targets = await world.targets([run])
    begun = Settlement(
        Segment(run, targets[:2], begins_run=True, ends_run=False, answers=[ACCEPTED] * 2), [COUNTED] * 2
    )
    rest = Settlement(
        Segment(run, targets[2:], begins_run=False, ends_run=True, answers=[ACCEPTED]), [COUNTED]
    )
    for part in (begun, begun, rest, rest):
        await world.write(settle, "worker", [part], world.clock())
    assert await tally(world, told.id) == {"accepted": 3}


async def test_a_retry_whose_commit_is_tried_again_counts_once(world: World) -> None:
    await world.add_members(3)
    told = await world.tell("to all")
    [run] = await world.claim()
    targets = await world.targets([run])
    away = decide(
        Unavailable("503"), targets[0], now=world.clock(), expires_at=world.clock() + 10**9, random=0.5
    )
    all_away = Segment(run, targets, begins_run=True, ends_run=True, answers=[Unavailable("503")] * 3)
    await world.write(settle, "worker", [Settlement(all_away, [away] * 3)], world.clock())
    world.clock.move(seconds=10)
    [retry] = await world.claim()
    again = await world.targets([retry])
    begun = Segment(retry, again[:2], begins_run=True, ends_run=False, answers=[ACCEPTED] * 2)
    rest = Segment(retry, again[2:], begins_run=False, ends_run=True, answers=[ACCEPTED])
    for segment in (begun, begun, rest, rest):
        part = Settlement(segment, [COUNTED] * len(segment.targets))
        await world.write(settle, "worker", [part], world.clock())
    assert await tally(world, told.id) == {"accepted": 3, "retried": 3}
