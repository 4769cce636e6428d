"""The stand-in for Apple on the wire: TLS, HTTP/2, scripted outcomes and faults."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

import httpx
import pytest

from clarion.sandbox.apns import Apns
from clarion.sandbox.conversation import Act, Request
from clarion.sandbox.outcomes import TABLE, Gone, Mishap
from clarion.sandbox.push import Refused
from clarion.sandbox.server import Sandbox

from .apple import TOKEN, Client, Signer, connect, request
from .conftest import Clock

ID = "01234567-89ab-4cde-8f01-23456789abcd"
UNKNOWN = "00112233"


def received(sandbox: Sandbox) -> list[str]:
    return [item["token"] for item in sandbox.stage.received.after(0)["items"]]


async def test_an_accepted_push_is_answered_with_its_ids(client: Client, provider_token: str) -> None:
    answer = await client.push(provider_token, apns_id=ID)
    assert (answer.status, answer.body, answer.headers["apns-id"]) == (200, b"", ID)
    assert len(answer.headers["apns-unique-id"]) == 36


async def test_an_id_is_made_where_none_was_given(client: Client, provider_token: str) -> None:
    answer = await client.push(provider_token)
    assert len(answer.headers["apns-id"]) == 36


async def test_a_refusal_says_its_reason_and_the_id(client: Client, provider_token: str) -> None:
    answer = await client.push(provider_token, apns_id=ID, apns_priority="7")
    assert (answer.status, answer.reason, answer.headers["apns-id"]) == (400, "BadPriority", ID)


async def test_the_limit_is_one_stream_until_the_first_success(client: Client, provider_token: str) -> None:
    await client.push(provider_token, apns_priority="7")
    await client.push("wrong")
    assert client.settings_seen == [1]
    await client.push(provider_token)
    assert client.settings_seen == [1, 1000]


async def test_streams_above_the_first_limit_are_refused_unprocessed(
    client: Client, sandbox: Sandbox, provider_token: str
) -> None:
    headers, body = request(provider_token)
    first, second = client.begin(headers), client.begin(headers)
    client.finish(first, body)
    client.finish(second, body)
    assert (await client.answer(first)).status == 200
    assert (await client.answer(second)).reset == 7
    assert received(sandbox) == [TOKEN]


async def test_a_thousand_streams_are_answered(client: Client, sandbox: Sandbox, provider_token: str) -> None:
    await client.push(provider_token)
    await client.until(lambda: client.settings_seen[-1] == 1000)
    streams = [client.send(*request(provider_token, f"{n:064x}")) for n in range(1000)]
    assert {(await client.answer(stream)).status for stream in streams} == {200}
    assert len(received(sandbox)) == 1001


async def test_a_large_body_is_taken_in_and_refused(client: Client, provider_token: str) -> None:
    answer = await client.push(provider_token, payload={"aps": {}, "x": "x" * 15_000})
    assert (answer.status, answer.reason) == (413, "PayloadTooLarge")


async def test_an_answer_waits_for_the_clients_window(client: Client, provider_token: str) -> None:
    client.h2.update_settings({4: 5})  # INITIAL_WINDOW_SIZE
    client.flush()
    stream = client.send(*request(provider_token, apns_priority="7"))
    answer = client.answers[stream]
    await client.until(lambda: answer.body)
    assert len(answer.body) == 5
    client.h2.increment_flow_control_window(1000, stream)
    client.flush()
    assert (await client.answer(stream)).reason == "BadPriority"


async def test_a_frame_against_the_rules_ends_the_connection_with_goaway(client: Client) -> None:
    client.writer.write(b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x")  # DATA on stream 0
    await client.until(lambda: False)
    assert client.closed
    assert client.goaway is not None
    assert client.goaway.error_code == 1


async def test_a_client_that_does_not_speak_h2_is_sent_away(sandbox: Sandbox) -> None:
    tls = ssl.create_default_context(cafile=str(sandbox.certificates.ca))
    reader, writer = await asyncio.open_connection("localhost", sandbox.apns_port, ssl=tls)
    assert await reader.read() == b""
    writer.close()


async def test_a_client_with_another_trust_store_does_not_connect(sandbox: Sandbox) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("localhost", sandbox.apns_port, ssl=ssl.create_default_context())


async def test_a_second_new_token_on_the_connection_is_too_many(
    client: Client, signer: Signer, clock: Clock, provider_token: str
) -> None:
    await client.push(provider_token)
    answer = await client.push(signer.token(int(clock()) + 1))
    assert (answer.status, answer.reason) == (429, "TooManyProviderTokenUpdates")


# --- scripted outcomes ---

ANSWERS = {number: outcome for number, outcome in TABLE.items() if isinstance(outcome, (Refused, Gone))}


@pytest.mark.parametrize("number", ANSWERS)
async def test_a_token_asks_for_an_answer(client: Client, provider_token: str, number: int) -> None:
    outcome = ANSWERS[number]
    status = 410 if isinstance(outcome, Gone) else outcome.status
    always, first = f"00dead0{number}", f"00dead1{number}"
    for token, statuses in ((always, [status, status]), (first, [status, 200])):
        answers = [await client.push(provider_token, token, apns_id=ID) for _ in statuses]
        assert [answer.status for answer in answers] == statuses
        assert answers[0].reason == outcome.reason


async def test_each_notification_has_its_own_first_attempt(client: Client, provider_token: str) -> None:
    ids = [ID, ID.replace("0", "1"), ID]
    statuses = [(await client.push(provider_token, "00dead1503", apns_id=i)).status for i in ids]
    assert statuses == [503, 503, 200]


async def test_gone_says_since_when_in_milliseconds(
    client: Client, clock: Clock, provider_token: str
) -> None:
    now = await client.push(provider_token, "00dead0410")
    past = await client.push(provider_token, "00dead0411")
    assert json.loads(now.body)["timestamp"] == clock() * 1000
    assert json.loads(past.body)["timestamp"] == (clock() - 365 * 24 * 3600) * 1000


async def test_a_wish_is_granted_only_to_a_push_that_is_right(client: Client, provider_token: str) -> None:
    assert (await client.push(provider_token, "00dead0410", apns_priority="7")).reason == "BadPriority"


# What of a mishap a client sees (status, RST_STREAM code, last stream id of GOAWAY, connection lost), and
# whether the push was accepted.
MISHAPS: dict[Mishap, tuple[int, int | None, int | None, bool, bool]] = {
    Mishap.REFUSED_STREAM: (0, 7, None, False, False),
    Mishap.CANCELLED_STREAM: (0, 8, None, False, True),
    Mishap.GOAWAY_UNPROCESSED: (0, None, 1, True, False),
    Mishap.GOAWAY_UNANSWERED: (0, None, 3, True, True),
    Mishap.GOAWAY_ANSWERED: (200, None, 3, False, True),
    Mishap.DROPPED: (0, None, None, True, False),
    Mishap.DROPPED_AFTER_ACCEPTING: (0, None, None, True, True),
    Mishap.CUT: (0, None, None, True, True),
}


@pytest.mark.parametrize("mishap", MISHAPS, ids=lambda mishap: mishap.name.lower())
async def test_a_token_asks_for_a_mishap_the_first_time(
    client: Client, sandbox: Sandbox, provider_token: str, mishap: Mishap
) -> None:
    number = next(number for number, outcome in TABLE.items() if outcome is mishap)
    token = f"00dead1{number}"
    await client.push(provider_token, UNKNOWN)
    answer = await client.push(provider_token, token, apns_id=ID)
    last = client.goaway.last_stream_id if client.goaway else None
    seen = (answer.status, answer.reset, last, client.closed, token in received(sandbox))
    assert seen == MISHAPS[mishap]
    async with connect(sandbox.apns_port, sandbox.certificates.ca) as another:
        assert (await another.push(provider_token, token, apns_id=ID)).status == 200


async def test_goaway_names_shutdown_and_closes_after_the_last_answer(
    client: Client, provider_token: str
) -> None:
    assert (await client.push(provider_token, "00dead0612")).status == 200
    assert client.goaway is not None
    assert json.loads(client.goaway.additional_data) == {"reason": "Shutdown"}
    await client.until(lambda: False)
    assert client.closed


async def test_streams_below_the_last_id_of_goaway_keep_their_answers(
    client: Client, provider_token: str
) -> None:
    await client.push(provider_token)
    headers, body = request(provider_token)
    begun = client.begin(headers)
    unprocessed = client.send(*request(provider_token, "00dead0610"))
    await client.until(lambda: client.goaway)
    client.finish(begun, body)
    assert (await client.answer(begun)).status == 200
    assert client.goaway is not None
    assert client.goaway.last_stream_id == begun
    assert not client.answers[unprocessed].ended


async def test_a_slow_token_is_accepted_and_answered_after_two_seconds(
    sandbox: Sandbox, clock: Clock, provider_token: str
) -> None:
    headers, body = request(provider_token, "00dead0602")
    plain = tuple(header for header in headers if not header[0].startswith(":"))
    talk = Apns(sandbox.stage, clock).converse()
    reply = talk.answer(Request("POST", "/3/device/00dead0602", "localhost", plain, body, len(body)))
    assert (reply.act, reply.status, reply.after) == (Act.ANSWER, 200, 2.0)
    assert received(sandbox) == ["00dead0602"]


async def test_a_silent_token_never_answers_and_holds_nobody_up(
    client: Client, sandbox: Sandbox, provider_token: str
) -> None:
    await client.push(provider_token)
    silent = client.send(*request(provider_token, "00dead0600"))
    assert (await client.push(provider_token)).status == 200
    assert client.answers[silent].status == 0
    client.h2.reset_stream(silent)
    client.flush()
    assert (await client.push(provider_token)).status == 200
    assert "00dead0600" not in received(sandbox)


# --- faults for all requests ---


async def set_fault(page: httpx.AsyncClient, mode: str, value: Any = None) -> None:
    answer = await page.post("/api/faults", json={"mode": mode, "value": value})
    assert answer.status_code == 200


async def test_unavailable_answers_503_until_it_is_over(
    client: Client, page: httpx.AsyncClient, provider_token: str
) -> None:
    await set_fault(page, "unavailable")
    assert (await client.push(provider_token)).reason == "ServiceUnavailable"
    await set_fault(page, "none")
    assert (await client.push(provider_token)).status == 200


async def test_slow_answers_later(client: Client, page: httpx.AsyncClient, provider_token: str) -> None:
    await set_fault(page, "slow", 50)
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert (await client.push(provider_token)).status == 200
    assert loop.time() - before >= 0.05


async def test_goaway_comes_every_so_many_requests(
    client: Client, page: httpx.AsyncClient, provider_token: str
) -> None:
    await set_fault(page, "goaway", 2)
    await client.push(provider_token)
    assert client.goaway is None
    assert (await client.push(provider_token)).status == 200
    assert client.goaway is not None


async def test_a_connection_is_lost_every_so_many_requests(
    client: Client, page: httpx.AsyncClient, provider_token: str
) -> None:
    await set_fault(page, "drop", 1)
    await client.push(provider_token)
    assert client.closed


async def test_every_nth_request_is_reset(
    client: Client, page: httpx.AsyncClient, provider_token: str
) -> None:
    await set_fault(page, "reset", 3)
    answers = [await client.push(provider_token) for _ in range(6)]
    assert [answer.status for answer in answers] == [200, 200, 0, 200, 200, 0]
    assert [answer.reset for answer in answers] == [None, None, 8, None, None, 8]


async def test_a_connection_is_cut_every_so_many_requests(
    client: Client, sandbox: Sandbox, page: httpx.AsyncClient, provider_token: str
) -> None:
    await set_fault(page, "tls_cut", 2)
    assert (await client.push(provider_token)).status == 200
    await client.push(provider_token)
    assert client.closed
    assert len(received(sandbox)) == 2


async def test_a_stalled_connection_takes_bodies_later(
    client: Client, sandbox: Sandbox, page: httpx.AsyncClient, provider_token: str
) -> None:
    await client.push(provider_token)
    await set_fault(page, "stalled", 50)
    await client.until(lambda: client.h2.remote_settings.initial_window_size == 0)
    headers, body = request(provider_token)
    stream = client.begin(headers)
    assert client.h2.local_flow_control_window(stream) == 0
    await client.until(lambda: client.h2.local_flow_control_window(stream))
    client.finish(stream, body)
    assert (await client.answer(stream)).status == 200
    async with connect(sandbox.apns_port, sandbox.certificates.ca) as another:
        await another.until(lambda: another.settings_seen)
        assert another.h2.remote_settings.initial_window_size == 0
        await another.until(lambda: another.h2.remote_settings.initial_window_size)
        assert (await another.push(provider_token)).status == 200


async def test_a_stall_ends_when_the_fault_does(
    client: Client, page: httpx.AsyncClient, provider_token: str
) -> None:
    await set_fault(page, "stalled", 1_000_000)
    await client.until(lambda: client.h2.remote_settings.initial_window_size == 0)
    await set_fault(page, "none")
    await client.until(lambda: client.h2.remote_settings.initial_window_size)
    assert (await client.push(provider_token)).status == 200


async def test_a_limit_reaches_open_connections_and_new_ones(
    client: Client, sandbox: Sandbox, page: httpx.AsyncClient, provider_token: str
) -> None:
    await client.push(provider_token)
    await set_fault(page, "limit", 4)
    await client.until(lambda: client.settings_seen[-1] == 4)
    async with connect(sandbox.apns_port, sandbox.certificates.ca) as another:
        await another.push(provider_token)
        assert another.settings_seen == [1, 4]
    await set_fault(page, "none")
    await client.until(lambda: client.settings_seen[-1] == 1000)
    assert client.settings_seen == [1, 1000, 4, 1000]


def test_every_outcome_of_the_table_has_a_test() -> None:
    elsewhere = {Mishap.SILENT, Mishap.SLOW}
    assert set(Mishap) == set(MISHAPS) | elsewhere
    assert {outcome for outcome in TABLE.values() if isinstance(outcome, Mishap)} == set(Mishap)
