"""No log line names an address, an e-mail or a token."""

import json
from traceback import format_exception
from typing import Any

from sqlalchemy import text
from structlog.testing import capture_logs

from tests.api.caller import Caller, add_caller
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
    await world.write(lambda connection: connection.execute(text("DROP TABLE notifications")))
    body = {"content": {"text": "A confidential matter"}, "scope": "ORG", "description": "private records"}
    with capture_logs() as lines:
        assert (await caller.send(body)).status_code in {500, 503}
    told = "".join(_told(line) for line in lines)
    assert "notifications" in told
    assert "confidential" not in told
    assert "private records" not in told


def _told(line: Any) -> str:
    """A line as a renderer would write it, with its traceback."""
    error = line.get("exc_info")
    return repr(line) + ("".join(format_exception(error)) if isinstance(error, BaseException) else "")
