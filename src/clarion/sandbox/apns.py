"""The stand-in for Apple's push service: decides what each request of a connection gets.

`server.py` opens one `Conversation` per connection. Rules are in `apns_rules.py`, what tokens ask for in
`outcomes.py`, what is shown and logged in `stage.py`; octets are `wire.py`'s.
"""

from __future__ import annotations

import json
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from h2.errors import ErrorCodes

from clarion.sandbox.apns_rules import PATH, Authority, authorize, check_path, is_message_id, judge
from clarion.sandbox.outcomes import SLOW_SECONDS, Gone, Mishap, wish_of
from clarion.sandbox.push import Push, Refused, Verdict
from clarion.sandbox.stage import Stage
from clarion.sandbox.wire import Act, Reply, Request

USUAL_STREAMS = 1000
REMEMBERED_ATTEMPTS = 100_000

# Mishap -> (is the push accepted all the same, what happens on the wire).
_ON_THE_WIRE = {
    Mishap.SILENT: (False, Reply(Act.IGNORE)),
    Mishap.SLOW: (True, Reply(after=SLOW_SECONDS)),
    Mishap.REFUSED_STREAM: (False, Reply(Act.RESET, code=ErrorCodes.REFUSED_STREAM)),
    Mishap.CANCELLED_STREAM: (True, Reply(Act.RESET, code=ErrorCodes.CANCEL)),
    Mishap.GOAWAY_UNPROCESSED: (False, Reply(Act.GOAWAY_BEFORE)),
    Mishap.GOAWAY_UNANSWERED: (True, Reply(Act.GOAWAY_UNANSWERED)),
    Mishap.GOAWAY_ANSWERED: (True, Reply(Act.GOAWAY_ANSWER)),
    Mishap.DROPPED: (False, Reply(Act.DROP)),
    Mishap.DROPPED_AFTER_ACCEPTING: (True, Reply(Act.DROP)),
}


class Apns:
    """What all connections share."""

    def __init__(self, stage: Stage, clock: Callable[[], float]) -> None:
        self.stage = stage
        self.clock = clock
        self._attempted: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._requests = 0

    def converse(self) -> AppleConversation:
        """Open a connection's conversation."""
        return AppleConversation(self)

    def streams(self) -> int:
        """Return the limit of concurrent streams after the first success."""
        fault = self.stage.fault
        return fault.value if fault.mode == "limit" else USUAL_STREAMS

    def outcome_of(self, push: Push) -> Refused | Mishap | None:
        """Return what happens to a push that is right: a fault, a wish of its token, or nothing special."""
        self._requests += 1
        fault = self.stage.fault
        nth = fault.mode in ("goaway", "drop") and self._requests % fault.value == 0
        if fault.mode == "unavailable":
            return Refused(503, "ServiceUnavailable")
        if nth:
            return Mishap.GOAWAY_ANSWERED if fault.mode == "goaway" else Mishap.DROPPED
        return self._wish(push.token, push.id)

    def _wish(self, token: str, request_id: str) -> Refused | Mishap | None:
        wish = wish_of(token)
        if wish is None or (wish.only_first and not self._is_first(token, request_id)):
            return None
        if isinstance(wish.outcome, Gone):
            since = int(self.clock() * 1000) - wish.outcome.age_ms
            return Refused(410, wish.outcome.reason, gone_since_ms=since)
        return wish.outcome

    def _is_first(self, token: str, request_id: str) -> bool:
        """Whether this is the first attempt; one without an id counts for all without."""
        if (token, request_id) in self._attempted:
            return False
        self._attempted[token, request_id] = None
        if len(self._attempted) > REMEMBERED_ATTEMPTS:
            self._attempted.popitem(last=False)
        return True


class AppleConversation:
    """One connection to the stand-in."""

    first_streams = 1
    goaway_reason = b'{"reason":"Shutdown"}'

    def __init__(self, apns: Apns) -> None:
        self._apns = apns
        self._authority: Authority | None = None

    def answer(self, request: Request) -> Reply:
        """Judge a request, let it meet the fault or wish that applies, and note what came of it."""
        given = next((value for name, value in request.headers if name == "apns-id"), "")
        apns_id = given if is_message_id(given) else str(uuid.uuid4())
        verdict = self._judge(request)
        outcome = verdict if isinstance(verdict, Refused) else self._apns.outcome_of(verdict)
        if isinstance(outcome, Refused):
            return self._delayed(self._refuse(request, apns_id, outcome))
        assert isinstance(verdict, Push)
        return self._delayed(self._take(replace(verdict, id=apns_id), outcome))

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
        self._apns.stage.refused(token, apns_id, refused)
        body: dict[str, object] = {"reason": refused.reason}
        if refused.gone_since_ms is not None:
            body["timestamp"] = refused.gone_since_ms
        headers = (("apns-id", apns_id), ("content-type", "application/json"))
        return Reply(status=refused.status, headers=headers, body=json.dumps(body).encode())

    def _take(self, push: Push, outcome: Mishap | None) -> Reply:
        accepted, reply = _ON_THE_WIRE[outcome] if outcome else (True, Reply())
        if accepted:
            self._apns.stage.accepted(push)
        if outcome and outcome is not Mishap.SLOW:
            self._apns.stage.noted(push, outcome.name.lower().replace("_", " "))
        headers = (("apns-id", push.id), ("apns-unique-id", str(uuid.uuid4())))
        return replace(reply, headers=headers, streams=self._apns.streams() if accepted else None)

    def _delayed(self, reply: Reply) -> Reply:
        fault = self._apns.stage.fault
        return replace(reply, after=fault.value / 1000) if fault.mode == "slow" else reply
