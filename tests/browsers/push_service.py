"""What the vendors' push services have in common: subscriptions, what waits for them, and the door for senders.

`mozilla.py` and `google.py` are the vendors' ways to the browser and their spelling of faults.
"""

import asyncio
import json
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from aiohttp import web

from tests.browsers.judging import Fault, judge

Clock = Callable[[], float]


@dataclass(frozen=True)
class Message:
    """A message that was taken and that the browser has not yet."""

    id: str
    body: bytes
    topic: str | None
    expires_at: float


@dataclass
class Subscription:
    """What a browser subscribed to, with the key that its page gave."""

    key: bytes
    is_ended: bool = False
    waiting: dict[str, Message] = field(default_factory=dict)

    def keep(self, message: Message) -> None:
        """Let a message wait; it replaces what waits under the same topic (RFC 8030 §5.4)."""
        replaced = [one.id for one in self.waiting.values() if message.topic and one.topic == message.topic]
        for number in replaced:
            del self.waiting[number]
        self.waiting[message.id] = message

    def drop_expired(self, now: float) -> None:
        """Forget what is out of date."""
        self.waiting = {one.id: one for one in self.waiting.values() if one.expires_at > now}


@dataclass(frozen=True)
class Posted:
    """What a sender posted, and what it was answered."""

    token: str
    headers: dict[str, str]
    size: int
    fault: Fault | None


class PushService(ABC):
    """Subscriptions by their tokens, which end their endpoints."""

    path: str

    def __init__(self, clock: Clock) -> None:
        self.origin = ""
        self.subscriptions: dict[str, Subscription] = {}
        self.posted: list[Posted] = []
        self._clock = clock

    @abstractmethod
    async def deliver(self, token: str) -> bool:
        """Hand out what waits for a subscription, if its browser is here; whether it is."""

    @abstractmethod
    def spell(self, fault: Fault) -> tuple[int, str]:
        """The vendor's status and body for a fault."""

    def subscribe(self, key: bytes) -> str:
        """Make a subscription; returns its token."""
        token = uuid4().hex
        self.subscriptions[token] = Subscription(key)
        return token

    def end(self, token: str) -> None:
        """End a subscription, as the browser or the service may at any time."""
        self.subscriptions[token].is_ended = True

    def waiting(self, token: str) -> list[Message]:
        """What a browser has not got yet."""
        subscription = self.subscriptions[token]
        subscription.drop_expired(self._clock())
        return list(subscription.waiting.values())

    async def take(self, request: web.Request) -> web.Response:
        """A sender's request."""
        token, body = request.match_info["token"], await request.read()
        fault = self._judge(token, request, body)
        self.posted.append(Posted(token, dict(request.headers), len(body), fault))
        if fault is not None:
            status, text = self.spell(fault)
            return web.Response(status=status, text=text)
        ttl, message_id = int(request.headers["TTL"]), uuid4().hex
        message = Message(message_id, body, request.headers.get("Topic"), self._clock() + ttl)
        await self._hand_over(token, message, ttl)
        headers = {"Location": f"{self.origin}/m/{message_id}", "TTL": str(ttl)}
        return web.Response(status=201, headers=headers)

    def _judge(self, token: str, request: web.Request, body: bytes) -> Fault | None:
        subscription = self.subscriptions.get(token)
        if subscription is None:
            return Fault.NO_SUCH
        if subscription.is_ended:
            return Fault.GONE
        return judge(request.headers, body, subscription.key, self.origin, self._clock())

    async def _hand_over(self, token: str, message: Message, ttl: int) -> None:
        """TTL 0 is for a browser that is here now (RFC 8030 §5.2)."""
        subscription = self.subscriptions[token]
        subscription.keep(message)
        if not await self.deliver(token) and ttl == 0:
            subscription.waiting.pop(message.id, None)


@asynccontextmanager
async def taking_messages(service: PushService, tls: ssl.SSLContext) -> AsyncIterator[None]:
    """Open the door for senders, on a free port."""
    app = web.Application(client_max_size=1 << 20)
    app.router.add_post(service.path + "{token}", service.take)
    async with listening(app, tls) as port:
        service.origin = f"https://localhost:{port}"
        yield


@asynccontextmanager
async def listening(
    app: web.Application, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[int]:
    """Serve on a port, or on a free one; it is yielded. At the end clients are left without a farewell."""
    transports: set[asyncio.Transport] = set()

    async def note(request: web.Request, _: web.StreamResponse) -> None:
        if request.transport is not None:
            transports.add(request.transport)

    app.on_response_prepare.append(note)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        for transport in transports:
            if not transport.is_closing():
                transport.abort()
        await runner.cleanup()


def json_fault(status: int, number: int, error: str, message: str) -> tuple[int, str]:
    """A fault as Mozilla tells it."""
    return status, json.dumps({"code": status, "errno": number, "error": error, "message": message})
