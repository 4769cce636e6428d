"""One push service, as its endpoints name it: its token, its messages, its troubles, and what it answered.

`webpush.py` keeps one per origin. A service that is away is asked by one caller at a time, and the others are
answered at once: nobody waits for it, and no other service notices.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key

from clarion import http2
from clarion.model.outcome import ACCEPTED, Misconfigured, Outcome, Refused, Unavailable, Unknown
from clarion.model.push import Push
from clarion.providers.webpush_answers import BLAMES_TOKEN, FORBIDDEN_ENDPOINT, read_answer
from clarion.providers.webpush_encryption import CURVE, SALT_OCTETS, encrypt
from clarion.providers.webpush_endpoints import Origin, Subscription
from clarion.providers.webpush_payload import encode_headers
from clarion.providers.webpush_vapid import VapidToken
from clarion.providers.webpush_wire import Post, Wire

SLICE: Final = 32
"""Messages encrypted at a stretch, some two milliseconds; then the loop has its turn, and sends them."""

TRIES_AHEAD: Final = 2
"""Messages that go ahead, one by one, to a service that is not known to be well: the second with a new token."""

MANY: Final = 8
"""From so many answers "slow down" on, when they are half of all, the whole service is left alone."""

FIRST_REST_MS: Final = 1_000
LONGEST_REST_MS: Final = 300_000
LONGEST_ASKED_REST_MS: Final = 3_600_000
MISCONFIGURED_REST_MS: Final = 60_000

_NOT_ASKED: Final = Unavailable("not asked", whole_service=False)
_TAKEN: Final = frozenset({200, 201, 202})
_HASTY: Final = frozenset({406, 429})


@dataclass(frozen=True, slots=True)
class Message:
    """A push as one service gets it. `sent_at` is when sending began: what registers later is another device."""

    push: Push
    plaintext: bytes
    sent_at: int


class Service:
    """A push service. It tells Misconfigured for itself; whether that is all of the channel is for others to say.

    `turn` is shared by all that encrypt: one slice is encrypted between two looks at the network.
    """

    def __init__(
        self, origin: Origin, token: VapidToken, wire: Wire, turn: asyncio.Lock, clock: Callable[[], int]
    ) -> None:
        self.users = 0
        self._origin = origin
        self._token = token
        self._wire = wire
        self._turn = turn
        self._clock = clock
        self._is_well = False
        self._going_ahead = asyncio.Lock()
        self._trouble: Outcome = _NOT_ASKED
        self._failures = 0  # rests in a row; above 0 it is in trouble
        self._faults = 0  # answers in a row that say that it is away; a single one may be about its device
        self._rests_until = 0
        self._was_asked_to_rest = False

    @property
    def is_well(self) -> bool:
        """Whether it did its work when it was last asked."""
        return self._is_well

    async def offer(
        self, push: Push, plaintext: bytes, subscriptions: Sequence[Subscription]
    ) -> list[Outcome]:
        """Send a message to devices; one outcome each, in order.

        To a service that is not known to be well two messages go ahead, lest five hundred meet the same refusal;
        after each failure those of others, lest one odd device stand for all.
        """
        if self._failures and (self._rests() or self._going_ahead.locked()):
            return [self._answer_for_trouble()] * len(subscriptions)
        message = Message(push, plaintext, self._clock())
        first = self._failures % len(subscriptions)
        turned = [*subscriptions[first:], *subscriptions[:first]]
        outcomes: list[Outcome] = []
        if not self._is_well:
            async with self._going_ahead:
                outcomes = await self._go_ahead(message, turned)
        outcomes += await self._send(message, turned[len(outcomes) :])
        return outcomes[len(turned) - first :] + outcomes[: len(turned) - first]

    async def close(self) -> None:
        """Close the connections; what is in flight becomes unknown."""
        await self._wire.close()

    async def _go_ahead(self, message: Message, subscriptions: Sequence[Subscription]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        if self._is_well or self._rests():
            return outcomes
        try:
            await self._wire.connect()
        except http2.ConnectFailed as error:
            self._begin_rest(self._not_reached(str(error)))
            return outcomes
        while (
            len(outcomes) < min(TRIES_AHEAD, len(subscriptions)) and not self._is_well and not self._rests()
        ):
            outcomes += await self._send(message, [subscriptions[len(outcomes)]])
        return outcomes

    # ── Sending ──────────────────────────────────────────────────────────────────────────────────────────

    async def _send(self, message: Message, subscriptions: Sequence[Subscription]) -> list[Outcome]:
        """Encrypt in slices, each on its way while the next is encrypted; what a rest overtakes is not sent."""
        if not subscriptions:
            return []
        authorization = self._token.authorization()
        headers = encode_headers(message.push, self._origin.host, authorization, self._clock())
        post = self._wire.post(headers)
        bursts: list[asyncio.Task[list[Outcome]]] = []
        async with asyncio.TaskGroup() as group:
            for start in range(0, len(subscriptions), SLICE):
                if self._rests():
                    break
                async with self._turn:
                    requests = [_seal(message, each) for each in subscriptions[start : start + SLICE]]
                    answered = self._burst(post, requests, message.sent_at, authorization)
                    bursts.append(group.create_task(answered))
                    await asyncio.sleep(0)
        outcomes = [outcome for burst in bursts for outcome in burst.result()]
        return outcomes + [self._answer_for_trouble()] * (len(subscriptions) - len(outcomes))

    async def _burst(
        self, post: Post, requests: Sequence[tuple[bytes, bytes]], sent_at: int, authorization: str
    ) -> list[Outcome]:
        results = await post(requests)
        outcomes = [self._read(result, sent_at, authorization) for result in results]
        self._learn(results, outcomes)
        return outcomes

    def _read(self, result: http2.Result, sent_at: int, authorization: str) -> Outcome:
        match result:
            case http2.Answer(status=status) if status in _TAKEN:
                return ACCEPTED
            case http2.Answer():
                outcome = read_answer(result, sent_at)
                if _reason(outcome) in BLAMES_TOKEN and self._token.was_called_bad(authorization):
                    return Unavailable(_reason(outcome), whole_service=False)
                return outcome
            case http2.NotProcessed(reason=reason):
                return self._not_reached(reason)
            case http2.Unknown(reason=reason):
                return Unknown(reason)

    def _not_reached(self, reason: str) -> Outcome:
        if self._wire.is_forbidden:
            return Refused(FORBIDDEN_ENDPOINT)
        return Unavailable(reason, whole_service=False)

    # ── Troubles ─────────────────────────────────────────────────────────────────────────────────────────

    def _rests(self) -> bool:
        return self._clock() < self._rests_until

    def _learn(self, results: Sequence[http2.Result], outcomes: Sequence[Outcome]) -> None:
        """Judge the service by what it answered to one burst."""
        statuses = [result.status if isinstance(result, http2.Answer) else 0 for result in results]
        away = [outcome for status, outcome in zip(statuses, outcomes, strict=True) if not 0 < status < 500]
        faults = sum(2 if status == 0 else 1 for status in statuses if not 0 < status < 500)
        hasty = [outcome for status, outcome in zip(statuses, outcomes, strict=True) if status in _HASTY]
        wrong = [outcome for outcome in outcomes if isinstance(outcome, Misconfigured)]
        if wrong:
            self._begin_rest(wrong[0])
        elif len(away) * 2 >= len(outcomes):
            self._faults += faults
            if self._faults > 1:
                self._begin_rest(_longest_wait(away))
        elif len(hasty) >= MANY and len(hasty) * 2 >= len(outcomes):
            self._begin_rest(_longest_wait(hasty))
        elif any(_is_ordinary(outcome) for outcome in outcomes):
            self._is_well, self._failures, self._faults = True, 0, 0

    def _begin_rest(self, trouble: Outcome) -> None:
        """Leave the service alone: as long as it asked, at least a second, and twice as long each time."""
        if self._rests():
            return
        rest = min(FIRST_REST_MS << min(self._failures, 16), LONGEST_REST_MS)
        asked = trouble.retry_after_seconds if isinstance(trouble, Unavailable) else None
        if asked is not None:
            rest = max(rest, min(int(asked * 1000), LONGEST_ASKED_REST_MS))
        if isinstance(trouble, Misconfigured):
            rest = max(rest, MISCONFIGURED_REST_MS)
        self._is_well = False
        self._failures += 1
        self._trouble = (
            trouble if not isinstance(trouble, Unknown) else Unavailable(trouble.reason, whole_service=False)
        )
        self._was_asked_to_rest = asked is not None
        self._rests_until = self._clock() + rest

    def _answer_for_trouble(self) -> Outcome:
        """What those are told for whom the service is not asked."""
        if not isinstance(self._trouble, Unavailable) or not self._was_asked_to_rest:
            return self._trouble
        return replace(self._trouble, retry_after_seconds=max(0, self._rests_until - self._clock()) / 1000)


def _seal(message: Message, subscription: Subscription) -> tuple[bytes, bytes]:
    """Path and body of one request, under a key pair of its own."""
    key, salt = generate_private_key(CURVE), os.urandom(SALT_OCTETS)
    return subscription.path, encrypt(message.plaintext, subscription.keys, sender_key=key, salt=salt)


def _reason(outcome: Outcome) -> str:
    return getattr(outcome, "reason", "")


def _is_ordinary(outcome: Outcome) -> bool:
    """Whether it tells that the service does its work, and takes the token."""
    return (
        not isinstance(outcome, Unavailable | Unknown | Misconfigured)
        and _reason(outcome) not in BLAMES_TOKEN
    )


def _longest_wait(outcomes: Sequence[Outcome]) -> Outcome:
    return max(outcomes, key=lambda outcome: getattr(outcome, "retry_after_seconds", None) or 0.0)
