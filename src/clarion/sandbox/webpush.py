"""The stand-in for the push services of browsers: decides what each request of a connection gets.

`server.py` opens one `Conversation` per connection, at one port over HTTP/2 and at another over HTTP/1.1. Rules
are in `webpush_rules.py`, what subscriptions ask for in `webpush_outcomes.py`, what is shown and logged in
`stage.py`; octets are `wire.py`'s and `http1.py`'s.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace

from clarion.sandbox.conversation import Reply, Request
from clarion.sandbox.fates import Fates
from clarion.sandbox.outcomes import spelt_wish
from clarion.sandbox.push import Refused
from clarion.sandbox.stage import Stage
from clarion.sandbox.webpush_outcomes import TABLE, UNAVAILABLE
from clarion.sandbox.webpush_rules import PATH, judge, shortened_ttl

STREAMS = 100


class WebPush:
    """What all connections share; itself the conversation, because a connection has nothing of its own."""

    first_streams = STREAMS
    goaway_reason = b""

    def __init__(self, stage: Stage, clock: Callable[[], float]) -> None:
        self.fates = Fates(stage, clock, UNAVAILABLE, first_streams=STREAMS, usual_streams=STREAMS)
        self._stage = stage
        self._clock = clock

    def converse(self) -> WebPush:
        """Open a connection's conversation."""
        return self

    def answer(self, request: Request) -> Reply:
        """Judge a request, let it meet the fault or wish that applies, and note what came of it."""
        push = judge(request, self._stage.registry.current(), self._clock())
        if isinstance(push, Refused):
            return self._refuse(request, push)
        fate = self.fates.of(spelt_wish(push.token, TABLE), push.token, push.waits_as or "")
        if isinstance(fate, Refused):
            return self._refuse(request, fate)
        push = replace(push, id=str(uuid.uuid4()))
        location = f"https://{request.authority}/message/{push.id}"
        headers = (("location", location), ("ttl", str(shortened_ttl(request))))
        return self.fates.take(push, fate, Reply(status=201, headers=headers))

    def _refuse(self, request: Request, refused: Refused) -> Reply:
        self._stage.refused("webpush", request.path.removeprefix(PATH)[:200], "", refused)
        return self.fates.delayed(Reply(status=refused.status, headers=refused.headers, body=refused.body))
