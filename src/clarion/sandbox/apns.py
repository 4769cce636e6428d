"""The stand-in for Apple's push service: decides what each request of a connection gets.

`server.py` opens one `Conversation` per connection. Rules are in `apns_rules.py`, what tokens ask for in
`outcomes.py`, what is shown and logged in `stage.py`; octets are `wire.py`'s.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace

from clarion.sandbox.apns_rules import PATH, Authority, authorize, check_path, is_message_id, judge
from clarion.sandbox.conversation import Reply, Request
from clarion.sandbox.fates import Fates
from clarion.sandbox.outcomes import wish_of
from clarion.sandbox.push import Push, Refused, Verdict
from clarion.sandbox.stage import Stage

FIRST_STREAMS, USUAL_STREAMS = 1, 1000


class Apns:
    """What all connections share."""

    def __init__(self, stage: Stage, clock: Callable[[], float]) -> None:
        self.stage = stage
        self.clock = clock
        unavailable = Refused(503, "ServiceUnavailable")
        self.fates = Fates(
            stage, clock, unavailable, first_streams=FIRST_STREAMS, usual_streams=USUAL_STREAMS
        )

    def converse(self) -> AppleConversation:
        """Open a connection's conversation."""
        return AppleConversation(self)


class AppleConversation:
    """One connection to the stand-in."""

    first_streams = FIRST_STREAMS
    goaway_reason = b'{"reason":"Shutdown"}'

    def __init__(self, apns: Apns) -> None:
        self._apns = apns
        self._authority: Authority | None = None

    def answer(self, request: Request) -> Reply:
        """Judge a request, let it meet the fault or wish that applies, and note what came of it."""
        given = next((value for name, value in request.headers if name == "apns-id"), "")
        apns_id = given if is_message_id(given) else str(uuid.uuid4())
        push = self._judge(request)
        if isinstance(push, Refused):
            return self._refuse(request, apns_id, push)
        # A request without an id is the same attempt as every other without.
        fate = self._apns.fates.of(wish_of(push.token), push.token, push.id)
        if isinstance(fate, Refused):
            return self._refuse(request, apns_id, fate)
        headers = (("apns-id", apns_id), ("apns-unique-id", str(uuid.uuid4())))
        return self._apns.fates.take(replace(push, id=apns_id), fate, Reply(headers=headers))

    def _judge(self, request: Request) -> Verdict:
        registry = self._apns.stage.registry.current()
        if refused := check_path(request):
            return refused
        authority = authorize(request, registry, self._authority, self._apns.clock())
        if isinstance(authority, Refused):
            return authority
        verdict = judge(request, registry, authority.claims)
        if isinstance(verdict, Push):
            self._authority = authority
        return verdict

    def _refuse(self, request: Request, apns_id: str, refused: Refused) -> Reply:
        token = request.path.removeprefix(PATH)[:200].lower()
        self._apns.stage.refused("apns", token, apns_id, refused)
        body: dict[str, object] = {"reason": refused.reason}
        if refused.gone_since_ms is not None:
            body["timestamp"] = refused.gone_since_ms
        headers = (("apns-id", apns_id), ("content-type", "application/json"))
        reply = Reply(status=refused.status, headers=headers, body=json.dumps(body).encode())
        return self._apns.fates.delayed(reply)
