"""Web Push: one channel's VAPID key, and the push services that its devices' endpoints name.

A provider of `model.push.Provider`, made by `make_provider`. The parts:

    endpoints    which endpoints may be used; a stored address taken apart        (pure)
    payload      what is said: the JSON, the headers                              (pure)
    encryption   a message for one browser, RFC 8291                              (pure)
    vapid        the channel's settings and key, the token for a service
    service      one push service: slices, troubles, outcomes
    wire, http1  the way to it
    answers      what each answer means                                           (pure)
"""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from clarion import http2
from clarion.model.delivery import PushKind
from clarion.model.outcome import Accepted, Misconfigured, Outcome, Refused, Unavailable
from clarion.model.push import InvalidAddress, InvalidChannel, Parcel, Push
from clarion.providers.around import Surroundings
from clarion.providers.webpush_answers import ANSWERS, NO_WITHDRAWALS
from clarion.providers.webpush_endpoints import Origin, Subscription, check_address, read_address
from clarion.providers.webpush_payload import encode_payload, most_octets
from clarion.providers.webpush_service import Service
from clarion.providers.webpush_vapid import VapidToken, WebPushSettings, application_server_key, read_key
from clarion.providers.webpush_wire import Wire

__all__ = ["ANSWERS", "WebPush", "application_server_key", "check_address", "read_key"]

MOST_SERVICES: Final = 100
"""Push services with open connections at a time; the one that was used longest ago makes room."""

MOST_TRIED: Final = 50
"""Services that are asked at a time without being known to be well: many dead ones keep no other from sending."""

READ_TOGETHER: Final = 50
"""Addresses that are taken apart at a stretch, in half a millisecond."""


class WebPush:
    """One Web Push channel. Its services fail each for itself; `connect` asks none of them."""

    def __init__(
        self,
        settings: WebPushSettings,
        key: EllipticCurvePrivateKey,
        around: Surroundings,
        *,
        resolve: http2.Resolve = http2.look_up,
    ) -> None:
        self._settings = settings
        self._key = key
        self._around = around
        self._resolve = resolve
        self._services: dict[Origin, Service] = {}  # the one that was used last is the last
        self._turn = asyncio.Lock()
        self._room = asyncio.Semaphore(MOST_TRIED)
        self._is_key_taken = False
        self._is_closed = False

    @classmethod
    def from_channel(cls, settings: dict[str, Any], secret: str, around: Surroundings) -> "WebPush":
        """Make the provider of a channel; raises InvalidChannel."""
        read, key = WebPushSettings.read(settings), read_key(secret)
        if read.public_key not in {None, application_server_key(key)}:
            raise InvalidChannel("public_key is not that of the VAPID key")
        return cls(read, key, around)

    async def connect(self) -> Unavailable | Misconfigured | None:
        """There is nothing to reach before an endpoint names it."""
        return None

    async def send(self, push: Push, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Offer a push, to all its services at the same time. A withdrawal is never sent.

        A key that one service refuses and another took is that one's business: its devices wait.
        """
        if push.kind is PushKind.WITHDRAWAL:
            return [Refused(NO_WITHDRAWALS)] * len(parcels)
        outcomes: list[Outcome] = [Refused("not a subscription", doubts_device=True)] * len(parcels)
        by_origin = await _by_origin(parcels)
        async with asyncio.TaskGroup() as group:
            offers = [
                group.create_task(self._offer(origin, push, list(found.values())))
                for origin, found in by_origin.items()
            ]
        for found, offer in zip(by_origin.values(), offers, strict=True):
            for place, outcome in zip(found, offer.result(), strict=True):
                outcomes[place] = outcome
        return self._judge(outcomes)

    async def close(self) -> None:
        """Close all connections; what is in flight becomes unknown."""
        self._is_closed = True
        services, self._services = self._services, {}
        await asyncio.gather(*(service.close() for service in services.values()))

    async def _offer(
        self, origin: Origin, push: Push, subscriptions: Sequence[Subscription]
    ) -> list[Outcome]:
        known = self._services.get(origin)
        async with nullcontext() if known is not None and known.is_well else self._room:
            if self._is_closed:
                return [Unavailable("closed by us", whole_service=False)] * len(subscriptions)
            service = self._services.pop(origin, None) or self._make_service(origin)
            self._services[origin] = service
            plaintext = encode_payload(push, self._settings, most_octets(origin.host))
            service.users += 1
            try:
                return await service.offer(push, plaintext, subscriptions)
            finally:
                service.users -= 1
                await self._make_room()

    def _make_service(self, origin: Origin) -> Service:
        token = VapidToken(self._key, self._settings.subject, str(origin), self._around.clock)
        wire = Wire(origin, self._around, self._resolve)
        return Service(origin, token, wire, self._turn, self._around.clock)

    async def _make_room(self) -> None:
        while len(self._services) > MOST_SERVICES:
            oldest = next((origin for origin, service in self._services.items() if not service.users), None)
            if oldest is None:
                return
            await self._services.pop(oldest).close()

    def _judge(self, outcomes: list[Outcome]) -> list[Outcome]:
        self._is_key_taken = self._is_key_taken or any(isinstance(each, Accepted) for each in outcomes)
        return list(map(_at_one_service, outcomes)) if self._is_key_taken else outcomes


def _at_one_service(outcome: Outcome) -> Outcome:
    if isinstance(outcome, Misconfigured):
        return Unavailable(outcome.reason, whole_service=False)
    return outcome


async def _by_origin(parcels: Sequence[Parcel]) -> dict[Origin, dict[int, Subscription]]:
    """The subscriptions by push service, each with its place; what is none is left out."""
    found: dict[Origin, dict[int, Subscription]] = {}
    for place, parcel in enumerate(parcels):
        if place % READ_TOGETHER == READ_TOGETHER - 1:
            await asyncio.sleep(0)
        try:
            subscription = read_address(parcel.address)
        except InvalidAddress:
            continue
        found.setdefault(subscription.origin, {})[place] = subscription
    return found
