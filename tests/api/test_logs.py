"""No log line names an address, an e-mail or a token."""

import json
from collections.abc import Sequence
from dataclasses import replace
from secrets import token_hex
from traceback import format_exception
from typing import Any

from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from clarion.model.errors import Refusal
from clarion.service.publish import Published, PublishRequest
from clarion.store.database import Together
from tests.api.caller import Caller, add_caller, make_door, make_http
from tests.world import World


async def test_a_send_is_logged_without_addresses_emails_tokens_or_words(
    caller: Caller, world: World
) -> None:
    _, member = await add_caller(caller, world, "somebody@example.com")
    assert caller.token is not None
    body = {
        "content": {"text": "A confidential matter", "inputs": {"salary": "123456"}},
        "scope": "USR",
        "emails": ["somebody@example.com", "stranger@example.com"],
        "description": "private records",
    }
    with capture_logs() as lines:
        created = await caller.send(body, Idempotency_Key="a-key-of-mine")
        await caller.send(body | {"emails": "nobody@example.com"})
        await caller.send_octets(b'{"scope":"somebody@example.com"}')
        await caller.get(f"{caller.inbox(member.user)}/{created.json()['notificationId']}")
        await caller.known_as(caller.token[:-1]).send(body)
        await caller.get(caller.path, continuationToken="somebody@example.com")
        await caller.delete(f"{caller.path}/{created.json()['notificationId']}")
    said = json.dumps(lines)
    assert [line["event"] for line in lines].count("request") == 7
    assert created.json()["notificationId"] in said
    secret = caller.token.split("_")[3]
    for private in (
        *member.addresses, secret, secret[:16], "somebody", "stranger", "nobody", "confidential", "123456",
        "private records", "a-key-of-mine",
    ):  # fmt: skip
        assert private not in said


async def test_a_failing_statement_is_logged_without_its_parameters(caller: Caller, world: World) -> None:
    private = token_hex(8)

    def fail(connection: Connection, _requests: Sequence[PublishRequest]) -> list[Published | Refusal]:
        statement = text("INSERT INTO users (uuid, created_at) VALUES (:name, NULL)")
        connection.execute(statement, {"name": private})
        return []

    broken = replace(make_door(world), publish=Together(world.database, fail))
    with capture_logs() as lines:
        async with make_http(broken) as http:
            answer = await replace(caller, http=http).send({"content": {"text": "Hi"}, "scope": "ORG"})
    assert answer.status_code == 500
    told = "".join(_told(line) for line in lines)
    assert "NOT NULL constraint failed" in told
    assert private not in told


def _told(line: Any) -> str:
    """A line as a renderer would write it, with its traceback."""
    error = line.get("exc_info")
    return repr(line) + ("".join(format_exception(error)) if isinstance(error, BaseException) else "")
