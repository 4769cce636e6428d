"""The stand-in for Firebase Cloud Messaging, and for Google's token endpoint at the same door.

`server.py` opens one `Conversation` per connection. Rules are in `fcm_rules.py` and `fcm_auth.py`, what
addresses ask for in `fcm_outcomes.py`, what is shown and logged in `stage.py`; octets are `wire.py`'s.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace

from clarion.sandbox.conversation import Reply, Request
from clarion.sandbox.fates import Fates
from clarion.sandbox.fcm_auth import LIFETIME, PATH, AccessTokens, grant
from clarion.sandbox.fcm_errors import JSON_HEADERS
from clarion.sandbox.fcm_outcomes import TABLE, UNAVAILABLE
from clarion.sandbox.fcm_rules import Asked, address_of, authorize, judge, project_of
from clarion.sandbox.outcomes import spelt_wish
from clarion.sandbox.push import Refused
from clarion.sandbox.stage import Stage

STREAMS = 100


class Fcm:
    """What all connections share; itself the conversation, because a connection has nothing of its own."""

    first_streams = STREAMS
    goaway_reason = b""

    def __init__(self, stage: Stage, clock: Callable[[], float]) -> None:
        self.access_tokens = AccessTokens(clock)
        self.fates = Fates(stage, clock, UNAVAILABLE, first_streams=STREAMS, usual_streams=STREAMS)
        self._stage = stage
        self._clock = clock

    def converse(self) -> Fcm:
        """Open a connection's conversation."""
        return self

    def answer(self, request: Request) -> Reply:
        """Judge a request, let it meet the fault or wish that applies, and note what came of it."""
        if request.path == PATH:
            return self._grant(request)
        project, asked = self._judge(request)
        if isinstance(asked, Refused):
            return self._refuse(address_of(request), asked)
        push = replace(asked.push, id=str(uuid.uuid4()))
        fate = self.fates.of(spelt_wish(push.token, TABLE), push.token, push.collapse_id or "")
        if isinstance(fate, Refused):
            return self._refuse(push.token, fate)
        if asked.only_validate:
            return self.fates.meet(fate, _named(project, "fake_message_id"))
        return self.fates.take(push, fate, _named(project, push.id))

    def _judge(self, request: Request) -> tuple[str, Asked | Refused]:
        registry = self._stage.registry.current()
        project_id = project_of(request)
        if isinstance(project_id, Refused):
            return "", project_id
        project = authorize(request, project_id, registry, self.access_tokens.owner)
        if isinstance(project, Refused):
            return project_id, project
        return project_id, judge(request, project, registry, self._clock())

    def _grant(self, request: Request) -> Reply:
        account = grant(request, self._stage.registry.current(), self._clock())
        if isinstance(account, Refused):
            return self._refuse("", account)
        fate = self.fates.of(None, "", "")
        if isinstance(fate, Refused):
            return self._refuse("", fate)
        token = self.access_tokens.issue(account)
        content = {"access_token": token, "expires_in": LIFETIME, "token_type": "Bearer"}
        return self.fates.meet(fate, Reply(headers=JSON_HEADERS, body=json.dumps(content).encode()))

    def _refuse(self, address: str, refused: Refused) -> Reply:
        self._stage.refused("fcm", address, "", refused)
        return self.fates.delayed(Reply(status=refused.status, headers=refused.headers, body=refused.body))


def _named(project_id: str, message_id: str) -> Reply:
    body = json.dumps({"name": f"projects/{project_id}/messages/{message_id}"}).encode()
    return Reply(headers=JSON_HEADERS, body=body)
