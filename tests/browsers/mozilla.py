"""A stand-in for Mozilla's push service: a websocket for Firefox, and the door for senders.

What is said on the websocket was seen from Firefox 153, and is what Mozilla's autopush documents.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from aiohttp import web

from tests.browsers.judging import Fault, octets
from tests.browsers.push_service import Clock, PushService, json_fault, listening, taking_messages
from tests.http2.peer import Certificate

Json = dict[str, Any]

FAULTS = {
    Fault.NO_SUCH: (404, 102, "Not Found"),
    Fault.GONE: (410, 106, "Gone"),
    Fault.NO_TTL: (400, 111, "Bad Request"),
    Fault.BAD_TTL: (400, 112, "Bad Request"),
    Fault.BAD_TOPIC: (400, 113, "Bad Request"),
    Fault.BAD_ENCODING: (400, 110, "Bad Request"),
    Fault.TOO_LARGE: (413, 104, "Payload Too Large"),
    Fault.NO_TOKEN: (401, 109, "Unauthorized"),
    Fault.BAD_TOKEN: (401, 109, "Unauthorized"),
    Fault.OTHER_KEY: (401, 109, "Unauthorized"),
}


@dataclass
class UserAgent:
    """One browser: its channels' tokens, its websocket while it is here, and the messages written on that one."""

    tokens: dict[str, str] = field(default_factory=dict)
    socket: web.WebSocketResponse | None = None
    written: set[str] = field(default_factory=set)


class Mozilla(PushService):
    """The service. `acked`: what browsers said of the messages that they got, by code."""

    path = "/wpush/v2/"

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.acked: list[int] = []
        self._agents: dict[str, UserAgent] = {}

    def spell(self, fault: Fault) -> tuple[int, str]:
        status, number, error = FAULTS[fault]
        message = "VAPID public key mismatch" if fault is Fault.OTHER_KEY else fault.value
        return json_fault(status, number, error, message)

    async def deliver(self, token: str) -> bool:
        for agent in self._agents.values():
            for channel, its_token in agent.tokens.items():
                if its_token == token and agent.socket is not None:
                    await self._send_waiting(agent, channel)
                    return True
        return False

    async def forget(self) -> None:
        """Lose everything about all browsers, as a service may; they learn of it when they come again."""
        agents, self._agents = self._agents, {}
        for agent in agents.values():
            for token in agent.tokens.values():
                self.end(token)
            if agent.socket is not None:
                await agent.socket.close()

    async def converse(self, request: web.Request) -> web.WebSocketResponse:
        """A browser's connection."""
        socket = web.WebSocketResponse(protocols=["push-notification"])
        await socket.prepare(request)
        agent = UserAgent()
        try:
            async for frame in socket:
                told: Json = json.loads(frame.data)
                match told.get("messageType", "ping"):
                    case "hello":
                        agent = await self._greet(socket, told)
                    case "register":
                        await self._register(agent, socket, told)
                    case "unregister":
                        self.end(agent.tokens.pop(told["channelID"]))
                        await socket.send_json({**told, "status": 200})
                    case "ack":
                        self._note_acks(agent, told)
                    case "ping":
                        await socket.send_json({})
        finally:
            agent.socket = None
        return socket

    async def _greet(self, socket: web.WebSocketResponse, told: Json) -> UserAgent:
        """A browser that is not known gets another id, by which it learns that its subscriptions are gone."""
        name = told.get("uaid")
        if name not in self._agents:
            name = uuid4().hex
        agent = self._agents.setdefault(name, UserAgent())
        agent.socket, agent.written = socket, set()
        await socket.send_json(
            {"messageType": "hello", "uaid": name, "status": 200, "use_webpush": True, "broadcasts": {}}
        )
        for channel in list(agent.tokens):
            await self._send_waiting(agent, channel)
        return agent

    async def _register(self, agent: UserAgent, socket: web.WebSocketResponse, told: Json) -> None:
        channel = told["channelID"]
        token = agent.tokens[channel] = self.subscribe(octets(told["key"]))
        endpoint = f"{self.origin}{self.path}{token}"
        await socket.send_json({**told, "status": 200, "pushEndpoint": endpoint})

    async def _send_waiting(self, agent: UserAgent, channel: str) -> None:
        assert agent.socket is not None
        for message in self.waiting(agent.tokens[channel]):
            if message.id in agent.written:
                continue
            agent.written.add(message.id)
            told: Json = {"messageType": "notification", "channelID": channel, "version": message.id}
            if message.body:
                told["data"] = urlsafe_b64encode(message.body).rstrip(b"=").decode()
                told["headers"] = {"encoding": "aes128gcm"}
            await agent.socket.send_json(told)

    def _note_acks(self, agent: UserAgent, told: Json) -> None:
        for update in told["updates"]:
            self.acked.append(update["code"])
            token = agent.tokens.get(update["channelID"])
            if token is not None:
                self.subscriptions[token].waiting.pop(update["version"], None)


@asynccontextmanager
async def mozilla(certificate: Certificate, clock: Clock) -> AsyncIterator[tuple[Mozilla, str]]:
    """Run it; yields it with the address that Firefox connects to."""
    service = Mozilla(clock)
    app = web.Application()
    app.router.add_get("/", service.converse)
    async with taking_messages(service, certificate.server_tls("http/1.1")), listening(app) as port:
        yield service, f"ws://127.0.0.1:{port}/"
