"""One push service, as its endpoints name it: its token, its messages, its troubles, and what it answered.

`webpush.py` keeps one per origin. A service that is away is asked by one caller at a time, and the others are
answered at once: nobody waits for it, and no other service notices.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key

from clarion import http2
from clarion.model.outcome import ACCEPTED, Outcome, Refused, Unavailable, Unknown
from clarion.model.push import Push
from clarion.providers.webpush_answers import BLAMES_TOKEN, FORBIDDEN_ENDPOINT, read_answer
from clarion.providers.webpush_encryption import CURVE, SALT_OCTETS, encrypt
from clarion.providers.webpush_endpoints import Origin, Subscription
from clarion.providers.webpush_health import Health
from clarion.providers.webpush_payload import encode_headers
from clarion.providers.webpush_vapid import VapidToken
from clarion.providers.webpush_wire import Post, Wire

SLICE: Final = 32
"""Messages encrypted at a stretch, some two milliseconds; then the loop has its turn, and sends them."""

TRIES_AHEAD: Final = 2
"""Messages that go ahead, one by one, to a service that is not known to be well: the second with a new token."""

_TAKEN: Final = frozenset({200, 201, 202})


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
        self._health = Health(clock)
        self._going_ahead = asyncio.Lock()

    @property
    def is_well(self) -> bool:
        """Whether it did its work when it was last asked."""
        return self._health.is_well

    async def offer(
        self, push: Push, plaintext: bytes, subscriptions: Sequence[Subscription]
    ) -> list[Outcome]:
        """Send a message to devices; one outcome each, in order.

        To a service that is not known to be well two messages go ahead, lest five hundred meet the same refusal.
        After each failure they are other devices', lest an odd one stand for all.
        """
        if self._health.failures and (self._health.rests() or self._going_ahead.locked()):
            return [self._health.answer()] * len(subscriptions)
        message = Message(push, plaintext, self._clock())
        first = self._health.failures % len(subscriptions)
        turned = [*subscriptions[first:], *subscriptions[:first]]
        outcomes: list[Outcome] = []
        if not self._health.is_well:
            async with self._going_ahead:
                outcomes = await self._go_ahead(message, turned)
        outcomes += await self._send(message, turned[len(outcomes) :])
        return outcomes[len(turned) - first :] + outcomes[: len(turned) - first]

    async def close(self) -> None:
        """Close the connections; what is in flight becomes unknown."""
        await self._wire.close()

    async def _go_ahead(self, message: Message, subscriptions: Sequence[Subscription]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        if self._health.is_well or self._health.rests():
            return outcomes
        try:
            await self._wire.connect()
        except http2.ConnectFailed as error:
            self._health.begin_rest(self._not_reached(str(error)))
            return outcomes
        while (
            len(outcomes) < min(TRIES_AHEAD, len(subscriptions))
            and not self._health.is_well
            and not self._health.rests()
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
                if self._health.rests():
                    break
                async with self._turn:
                    requests = [_seal(message, each) for each in subscriptions[start : start + SLICE]]
                    answered = self._burst(post, requests, message.sent_at, authorization)
                    bursts.append(group.create_task(answered))
                    await asyncio.sleep(0)
        outcomes = [outcome for burst in bursts for outcome in burst.result()]
        return outcomes + [self._health.answer()] * (len(subscriptions) - len(outcomes))

    async def _burst(
        self, post: Post, requests: Sequence[tuple[bytes, bytes]], sent_at: int, authorization: str
    ) -> list[Outcome]:
        results = await post(requests)
        outcomes = [self._read(result, sent_at, authorization) for result in results]
        self._health.learn(results, outcomes)
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


def _seal(message: Message, subscription: Subscription) -> tuple[bytes, bytes]:
    """Path and body of one request, under a key pair of its own."""
    key, salt = generate_private_key(CURVE), os.urandom(SALT_OCTETS)
    return subscription.path, encrypt(message.plaintext, subscription.keys, sender_key=key, salt=salt)


def _reason(outcome: Outcome) -> str:
    return getattr(outcome, "reason", "")
