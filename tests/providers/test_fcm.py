"""FCM over the wire: our provider against a server that answers as each test says."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from clarion.http2 import client_tls
from clarion.model.delivery import PushKind
from clarion.model.notification import Content, Options
from clarion.model.outcome import ACCEPTED, Gone, Misconfigured, Refused, Unavailable, Unknown
from clarion.model.push import Parcel, Push
from clarion.providers import Surroundings
from clarion.providers.fcm import Fcm
from tests.clock import Clock
from tests.http2.peer import make_certificate
from tests.providers.google import (
    PROJECT,
    Ask,
    Google,
    Reply,
    accepted,
    grant,
    refusal,
    service_account,
    serving,
)

EXPIRED = Reply(401, refusal(401, "UNAUTHENTICATED"))
FORBIDDEN = Reply(403, refusal(403, "PERMISSION_DENIED"))


@pytest.fixture
async def google(tmp_path: Path) -> AsyncIterator[Google]:
    async with serving(make_certificate(tmp_path)) as running:
        yield running


@pytest.fixture
async def around(clock: Clock, tmp_path: Path, google: Google) -> Surroundings:
    return Surroundings(clock, client_tls(str(tmp_path / "chain.pem")))


@pytest.fixture
async def fcm(google: Google, around: Surroundings) -> AsyncIterator[Fcm]:
    provider = make_fcm(google, around)
    yield provider
    await provider.close()


def make_fcm(google: Google, around: Surroundings, **change: Any) -> Fcm:
    secret = service_account(token_uri=f"https://localhost:{google.port}/token")
    return Fcm.from_channel({"host": "localhost", "port": google.port, **change}, secret, around)


def push(clock: Clock, number: int = 1, kind: PushKind = PushKind.ALERT) -> Push:
    content = Content("Check it out", "New", jig="view", inputs={"price": 34})
    return Push(number, uuid4(), uuid4(), None, content, Options(), kind, clock() + 60_000)


def parcels(count: int, first: int = 0) -> list[Parcel]:
    return [Parcel(f"id-{number}", f"token:device:{number}") for number in range(first, first + count)]


async def test_a_page_of_devices_is_accepted_with_one_token(fcm: Fcm, google: Google, clock: Clock) -> None:
    assert await fcm.connect() is None
    assert await fcm.send(push(clock), parcels(500)) == [ACCEPTED] * 500
    assert len(google.grants) == 1
    assert {ask.message["token"] for ask in google.messages} == {f"device:{number}" for number in range(500)}
    ask = google.messages[0]
    assert ask.headers[":method"] == "POST"
    assert ask.path == f"/v1/projects/{PROJECT}/messages:send"
    assert ask.headers[":authority"] == f"localhost:{google.port}"
    assert ask.headers["content-type"] == "application/json"
    assert ask.token == "ya29.1"
    assert json.loads(ask.body).keys() == {"message"}


async def test_both_kinds_of_address_go_out_together_and_others_are_not_asked_about(
    fcm: Fcm, google: Google, clock: Clock
) -> None:
    addresses = ["fid:abc", "plain", 'token:q"uote', "token:", "token:x"]
    outcomes = await fcm.send(push(clock), [Parcel("id", address) for address in addresses])
    impossible = Refused("not an address of FCM", doubts_device=True)
    assert outcomes == [ACCEPTED, impossible, ACCEPTED, impossible, ACCEPTED]
    targets = [ask.message.get("fid") or ask.message["token"] for ask in google.messages]
    assert sorted(targets) == ["abc", 'q"uote', "x"]


async def test_a_hundred_sends_at_once_ask_for_one_token(fcm: Fcm, google: Google, clock: Clock) -> None:
    sends = [fcm.send(push(clock, number), parcels(3)) for number in range(100)]
    assert await asyncio.gather(*sends) == [[ACCEPTED] * 3] * 100
    assert len(google.grants) == 1
    assert len(google.messages) == 300


async def test_every_device_gets_its_own_outcome_in_order(fcm: Fcm, google: Google, clock: Clock) -> None:
    answers = {
        "device:1": Reply(404, refusal(404, "NOT_FOUND", "UNREGISTERED")),
        "device:3": Reply(401, refusal(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR")),
        "device:4": Reply(503, b"<html>", (("retry-after", "30"),)),
        "device:6": Reply(400, refusal(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")),
    }
    google.on_message = lambda ask: answers.get(ask.message["token"], accepted())
    assert await fcm.send(push(clock), parcels(8)) == [
        ACCEPTED,
        Gone("UNREGISTERED", clock()),
        ACCEPTED,
        Unavailable("THIRD_PARTY_AUTH_ERROR", 300, whole_service=False),
        Unavailable("status 503", 30),
        ACCEPTED,
        Refused("INVALID_ARGUMENT"),
        ACCEPTED,
    ]
    assert len(google.grants) == 1


async def test_a_device_that_registers_while_it_is_asked_about_survives(
    fcm: Fcm, google: Google, clock: Clock
) -> None:
    began_at = clock()

    def answer(_: Ask) -> Reply:
        clock.move(seconds=3)
        return Reply(404, refusal(404, "NOT_FOUND", "UNREGISTERED"))

    google.on_message = answer
    assert await fcm.send(push(clock), parcels(1)) == [Gone("UNREGISTERED", began_at)]


async def test_a_withdrawal_is_data_alone(fcm: Fcm, google: Google, clock: Clock) -> None:
    one = push(clock, kind=PushKind.WITHDRAWAL)
    assert await fcm.send(one, parcels(1)) == [ACCEPTED]
    [ask] = google.messages
    assert ask.message["data"]["withdraw"] == f'["{one.notification}"]'
    assert "notification" not in ask.message


async def test_a_validation_asks_and_sends_nothing(fcm: Fcm, google: Google, clock: Clock) -> None:
    assert await fcm.validate(push(clock), parcels(1)[0]) == ACCEPTED
    google.on_message = lambda _: Reply(404, refusal(404, "NOT_FOUND", "UNREGISTERED"))
    assert await fcm.validate(push(clock), parcels(1)[0]) == Gone("UNREGISTERED", clock())
    assert [json.loads(ask.body)["validate_only"] for ask in google.messages] == [True, True]


# ── The token that FCM does not take ─────────────────────────────────────────────────────────────────────


async def test_a_token_that_is_not_taken_is_renewed_once_and_nobody_notices(
    fcm: Fcm, google: Google, clock: Clock
) -> None:
    assert await fcm.send(push(clock), parcels(3)) == [ACCEPTED] * 3
    google.on_message = lambda ask: accepted() if ask.token == "ya29.2" else EXPIRED
    assert await fcm.send(push(clock), parcels(500)) == [ACCEPTED] * 500
    assert len(google.grants) == 2
    assert Counter(ask.token for ask in google.messages) == {"ya29.1": 503, "ya29.2": 500}


async def test_only_what_was_turned_away_is_sent_again(fcm: Fcm, google: Google, clock: Clock) -> None:
    assert await fcm.send(push(clock), parcels(1)) == [ACCEPTED]
    google.messages.clear()
    turned_away = {"device:3", "device:5", "device:6"}
    google.on_message = lambda ask: (
        EXPIRED if ask.token == "ya29.1" and ask.message["token"] in turned_away else accepted()
    )
    assert await fcm.send(push(clock), parcels(8)) == [ACCEPTED] * 8
    again = Counter(ask.message["token"] for ask in google.messages)
    assert {token for token, count in again.items() if count == 2} == turned_away


async def test_a_hundred_sends_that_are_turned_away_renew_the_token_once(
    fcm: Fcm, google: Google, clock: Clock
) -> None:
    assert await fcm.send(push(clock), parcels(1)) == [ACCEPTED]
    google.on_message = lambda ask: accepted() if ask.token == "ya29.2" else EXPIRED
    sends = [fcm.send(push(clock, number), parcels(3)) for number in range(100)]
    assert await asyncio.gather(*sends) == [[ACCEPTED] * 3] * 100
    assert len(google.grants) == 2


async def test_an_account_whose_tokens_are_never_taken_is_shown_twice_and_not_once_per_device(
    fcm: Fcm, google: Google, clock: Clock
) -> None:
    google.on_message = lambda _: EXPIRED
    assert await fcm.send(push(clock), parcels(500)) == [Misconfigured("UNAUTHENTICATED")] * 500
    assert len(google.messages) == 2
    assert len(google.grants) == 2
    sends = [fcm.send(push(clock, number), parcels(3)) for number in range(50)]
    assert await asyncio.gather(*sends) == [[Misconfigured("UNAUTHENTICATED")] * 3] * 50
    assert len(google.messages) == 2


async def test_tokens_that_are_suddenly_no_more_taken_cost_one_page_and_one_device(
    fcm: Fcm, google: Google, clock: Clock
) -> None:
    assert await fcm.send(push(clock), parcels(3)) == [ACCEPTED] * 3
    google.messages.clear()
    google.on_message = lambda _: EXPIRED
    assert await fcm.send(push(clock), parcels(100)) == [Misconfigured("UNAUTHENTICATED")] * 100
    assert len(google.messages) == 101


# ── The credential ───────────────────────────────────────────────────────────────────────────────────────


async def test_an_account_that_may_not_send_is_shown_once_however_many_notifications_wait(
    fcm: Fcm, google: Google, clock: Clock
) -> None:
    google.on_message = lambda _: FORBIDDEN
    sends = [fcm.send(push(clock, number), parcels(10)) for number in range(50)]
    assert await asyncio.gather(*sends) == [[Misconfigured("PERMISSION_DENIED")] * 10] * 50
    assert len(google.messages) == 1


async def test_an_account_that_was_mended_is_taken_after_the_next_connect(
    fcm: Fcm, google: Google, clock: Clock
) -> None:
    google.on_message = lambda _: FORBIDDEN
    await fcm.send(push(clock), parcels(2))
    google.on_message = lambda _: accepted()
    assert await fcm.send(push(clock), parcels(2)) == [Misconfigured("PERMISSION_DENIED")] * 2
    assert await fcm.connect() is None
    assert await fcm.send(push(clock), parcels(2)) == [ACCEPTED] * 2


async def test_an_account_that_google_does_not_know_is_told_before_anything_is_sent(
    fcm: Fcm, google: Google, clock: Clock
) -> None:
    said = b'{"error": "invalid_grant", "error_description": "Invalid grant: account not found"}'
    google.on_grant = lambda _: Reply(400, said)
    unknown = Misconfigured("invalid_grant: Invalid grant: account not found")
    assert await fcm.connect() == unknown
    assert await fcm.send(push(clock), parcels(500)) == [unknown] * 500
    assert google.messages == []
    google.on_grant = lambda _: grant("ya29.good")
    assert await fcm.connect() is None
    assert await fcm.send(push(clock), parcels(5)) == [ACCEPTED] * 5


async def test_a_token_endpoint_that_answers_nonsense_makes_the_service_unavailable(
    fcm: Fcm, google: Google, clock: Clock
) -> None:
    google.on_grant = lambda _: Reply(200, b"<html>")
    away = Unavailable("token endpoint: no access token", retry_after_seconds=10)
    assert await fcm.connect() == away
    assert await fcm.send(push(clock), parcels(5)) == [away] * 5
    assert google.messages == []


async def test_a_service_in_trouble_is_asked_once_before_it_has_taken_anything(
    fcm: Fcm, google: Google, clock: Clock
) -> None:
    google.on_message = lambda _: Reply(503, refusal(503, "UNAVAILABLE", "UNAVAILABLE"))
    assert await fcm.send(push(clock), parcels(500)) == [Unavailable("UNAVAILABLE", 10)] * 500
    assert len(google.messages) == 1


async def test_two_channels_of_one_account_use_one_token(
    google: Google, around: Surroundings, clock: Clock
) -> None:
    one, two = make_fcm(google, around), make_fcm(google, around, project_id="another-app-1")
    assert await one.send(push(clock), parcels(1)) == [ACCEPTED]
    await one.close()
    assert await two.send(push(clock), parcels(1)) == [ACCEPTED]
    assert len(google.grants) == 1
    assert google.messages[1].path == "/v1/projects/another-app-1/messages:send"
    await two.close()
    fresh = make_fcm(google, around)
    assert await fresh.send(push(clock), parcels(1)) == [ACCEPTED]
    assert len(google.grants) == 2
    await fresh.close()


async def test_a_push_that_waited_lives_for_what_remains(fcm: Fcm, google: Google, clock: Clock) -> None:
    one = push(clock)
    for ttl in ("60s", "15s"):
        await fcm.send(one, parcels(1))
        assert google.messages[-1].message["android"]["ttl"] == ttl
        clock.move(seconds=45)


# ── The connection ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_service_that_cannot_be_reached_is_unavailable(
    google: Google, around: Surroundings, clock: Clock
) -> None:
    fcm = make_fcm(google, around, port=1)
    obstacle = await fcm.connect()
    assert isinstance(obstacle, Unavailable)
    outcomes = await fcm.send(push(clock), parcels(3))
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
    await fcm.close()


async def test_what_was_in_flight_at_the_close_is_unknown_and_nothing_is_sent_after_it(
    google: Google, around: Surroundings, clock: Clock
) -> None:
    fcm = make_fcm(google, around)
    assert await fcm.send(push(clock), parcels(1)) == [ACCEPTED]
    arrived, never = asyncio.Event(), asyncio.Event()

    async def say_nothing(_: Ask) -> Reply:
        arrived.set()
        await never.wait()
        return accepted()

    google.on_message = say_nothing
    sending = asyncio.create_task(fcm.send(push(clock), parcels(1)))
    await arrived.wait()
    await fcm.close()
    [outcome] = await sending
    assert isinstance(outcome, Unknown)
    [after] = await fcm.send(push(clock), parcels(1))
    assert isinstance(after, Unavailable)
