"""The stand-in for Google on the wire: access tokens, messages, scripted outcomes, faults."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from clarion.sandbox.fcm_outcomes import TABLE
from clarion.sandbox.outcomes import Later, Mishap
from clarion.sandbox.push import Refused
from clarion.sandbox.registry import Phone
from clarion.sandbox.server import Sandbox

from .apple import Answer, Client, connect
from .conftest import Clock
from .google import FORM, PACKAGE, PROJECT, SEND, ServiceAccount, form

TOKEN = "phone-1:APA91b"
PROMOTION = {
    "notification": {"title": "🎉 New product promotion", "body": "Check it out now"},
    "data": {
        "notificationId": "n-1",
        "screen": "jig",
        "jigId": "view-promotion-details",
        "inputs": '{"promo-code": "x-3654", "price": 34}',
    },
    "android": {"notification": {"tag": "n-1"}},
}


@pytest.fixture
def phones() -> list[Phone]:
    return [Phone(TOKEN, PACKAGE, "Sales lead's phone", "Sales lead", "", "Pixel 9", "fcm")]


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Client]:
    async with connect(sandbox.fcm_port, sandbox.certificates.ca) as connected:
        yield connected


async def post(client: Client, path: str, body: bytes, **headers: str) -> Answer:
    pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return await client.answer(client.send([*pseudo, *named], body))


async def fetch_token(client: Client, account: ServiceAccount, clock: Clock) -> str:
    answer = await post(client, "/token", form(account.assertion(int(clock()))), content_type=FORM)
    assert answer.status == 200
    content = json.loads(answer.body)
    assert (content["expires_in"], content["token_type"]) == (3600, "Bearer")
    return str(content["access_token"])


@pytest.fixture
async def access_token(client: Client, account: ServiceAccount, clock: Clock) -> str:
    return await fetch_token(client, account, clock)


async def send(
    client: Client, access_token: str, to: str = TOKEN, *, only_validate: bool = False, **fields: Any
) -> Answer:
    content = {"message": {"token": to, **(fields or PROMOTION)}, "validate_only": only_validate}
    body = json.dumps(content).encode()
    return await post(client, SEND, body, authorization=f"Bearer {access_token}")


def error(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)["error"]
    return found


async def phone(page: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await page.get("/api/phones")).json()["phones"][0]
    return found


async def test_a_message_arrives_and_a_tap_opens_its_screen_with_types(
    client: Client, access_token: str, page: httpx.AsyncClient
) -> None:
    answer = await send(client, access_token)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    name = json.loads(answer.body)["name"]
    assert name.startswith(f"projects/{PROJECT}/messages/")
    shown = await phone(page)
    assert (shown["provider"], shown["model"], shown["badge"]) == ("fcm", "Pixel 9", 1)
    [banner] = shown["banners"]
    assert name.endswith(banner["id"])
    opened = (await page.post(f"/api/phones/{TOKEN}/tap", json={"id": banner["id"]})).json()["opened"]
    assert opened["app"]["jigId"] == "view-promotion-details"
    assert opened["app"]["inputs"] == {"promo-code": "x-3654", "price": 34}


async def test_the_same_tag_replaces_the_banner_and_data_withdraws_it(
    client: Client, access_token: str, page: httpx.AsyncClient
) -> None:
    for _ in range(2):
        await send(client, access_token)
    assert len((await phone(page))["banners"]) == 1
    await send(client, access_token, data={"withdraw": '["n-1"]'})
    assert (await phone(page))["banners"] == []


async def test_what_is_only_validated_is_not_delivered(
    client: Client, sandbox: Sandbox, access_token: str
) -> None:
    answer = await send(client, access_token, only_validate=True)
    assert json.loads(answer.body) == {"name": f"projects/{PROJECT}/messages/fake_message_id"}
    refused = await send(client, access_token, "a-unregistered", only_validate=True)
    assert (refused.status, sandbox.stage.received.after(0)["total"]) == (404, 0)


async def test_access_tokens_end_after_an_hour_or_when_a_test_says_so(
    client: Client, account: ServiceAccount, clock: Clock, page: httpx.AsyncClient, access_token: str
) -> None:
    clock.now += 3600
    expired = await send(client, access_token)
    assert (expired.status, error(expired)["status"]) == (401, "UNAUTHENTICATED")
    fresh = await fetch_token(client, account, clock)
    assert (await send(client, fresh)).status == 200
    assert (await page.delete("/api/access-tokens")).status_code == 204
    assert (await send(client, fresh)).status == 401
    assert (await page.get("/api/access-tokens")).json() == {"issued": 2}


async def test_refusals_are_logged_with_their_address(
    client: Client, access_token: str, page: httpx.AsyncClient
) -> None:
    await send(client, access_token, notification={"title": 3})
    await post(client, "/token", b"", content_type=FORM)
    log = (await page.get("/api/phones")).json()["log"]
    seen = [(entry["provider"], entry["answer"], entry["what"], entry["token"]) for entry in log]
    assert seen == [
        ("fcm", "refused", "400 unsupported_grant_type", ""),
        ("fcm", "refused", "400 INVALID_ARGUMENT", TOKEN),
    ]


# --- scripted outcomes ---


async def test_every_answer_of_the_table_can_be_asked_for_always_or_once(
    client: Client, access_token: str, clock: Clock
) -> None:
    for word, outcome in TABLE.items():
        if isinstance(outcome, Mishap):
            continue
        always = [await send(client, access_token, f"phone:1-{word}") for _ in range(2)]
        once = [await send(client, access_token, f"phone:1-{word}-once") for _ in range(2)]
        refused = outcome.refused if isinstance(outcome, Later) else outcome
        assert isinstance(refused, Refused)
        assert [answer.status for answer in (*always, *once)] == [refused.status] * 3 + [200], word
        assert always[0].body == refused.body
        when = always[0].headers.get("retry-after")
        if isinstance(outcome, Later) and outcome.as_date:
            assert when is not None
            assert parsedate_to_datetime(when).timestamp() == clock() + outcome.seconds
        else:
            assert when == (str(outcome.seconds) if isinstance(outcome, Later) else None)


async def test_each_tag_has_its_own_first_attempt(client: Client, access_token: str) -> None:
    def tagged(tag: str) -> dict[str, Any]:
        return {**PROMOTION, "android": {"notification": {"tag": tag}}}

    answers = [await send(client, access_token, "a-503-once", **tagged(tag)) for tag in ("1", "2", "1")]
    assert [answer.status for answer in answers] == [503, 503, 200]


async def test_unregistered_has_the_shape_of_the_vendor(client: Client, access_token: str) -> None:
    assert error(await send(client, access_token, "a-unregistered")) == {
        "code": 404,
        "message": "Requested entity was not found.",
        "status": "NOT_FOUND",
        "details": [
            {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "UNREGISTERED"}
        ],
    }


async def test_a_bad_gateway_is_html(client: Client, access_token: str) -> None:
    answer = await send(client, access_token, "a-502")
    assert (answer.status, answer.headers["content-type"]) == (502, "text/html; charset=UTF-8")
    assert answer.body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize(("word", "code"), [("refused-stream", 7), ("cancelled-stream", 8)])
async def test_an_address_asks_for_a_mishap(
    client: Client, access_token: str, word: str, code: int, sandbox: Sandbox
) -> None:
    assert (await send(client, access_token, f"a-{word}-once")).reset == code
    assert (await send(client, access_token, f"a-{word}-once")).status == 200
    assert sandbox.stage.received.after(0)["total"] == (1 if code == 7 else 2)


# --- streams and faults ---


async def test_a_hundred_streams_from_the_beginning(client: Client, access_token: str) -> None:
    pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", SEND)]
    streams = [client.begin(pseudo) for _ in range(100)]
    for stream in streams:
        client.finish(stream, b"{}")
    assert {(await client.answer(stream)).status for stream in streams} == {401}
    assert (await send(client, access_token)).status == 200
    assert client.settings_seen == [100]


async def test_a_limit_holds_from_the_next_success_on(
    client: Client, access_token: str, page: httpx.AsyncClient
) -> None:
    await page.post("/api/faults", json={"mode": "limit", "value": 4})
    await send(client, access_token)
    await client.until(lambda: client.settings_seen == [100, 4])
    await page.post("/api/faults", json={"mode": "none"})
    await client.until(lambda: client.settings_seen == [100, 4, 100])
    assert (await send(client, access_token)).status == 200


async def test_unavailable_meets_messages_and_access_tokens(
    client: Client, access_token: str, account: ServiceAccount, clock: Clock, page: httpx.AsyncClient
) -> None:
    await page.post("/api/faults", json={"mode": "unavailable"})
    answer = await send(client, access_token)
    assert (answer.status, error(answer)["status"]) == (503, "UNAVAILABLE")
    granted = await post(client, "/token", form(account.assertion(int(clock()))), content_type=FORM)
    assert granted.status == 503
