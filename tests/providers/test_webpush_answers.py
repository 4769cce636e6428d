"""What push services answer, row by row."""

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.http2 import Answer
from clarion.model.outcome import ACCEPTED, Accepted, Gone, Misconfigured, Outcome, Refused, Unavailable
from clarion.providers import explain
from clarion.providers.webpush_answers import ANSWERS, FORBIDDEN_ENDPOINT, NO_WITHDRAWALS, read_answer

NOW = 1_750_000_000_000


def apple(reason: str) -> bytes:
    return json.dumps({"reason": reason}).encode()


def mozilla(errno: int, message: str = "whatever") -> bytes:
    return json.dumps({"code": 400, "errno": errno, "error": "whatever", "message": message}).encode()


def google(sentence: str) -> bytes:
    return f"<HTML>\n<HEAD>\n<TITLE>{sentence}</TITLE>\n</HEAD>".encode()


OTHER_KEY = "do not correspond to the credentials used to create the subscriptions"
OTHER_SENDER = "does not correspond to the sender ID"

SAID: list[tuple[int, bytes, str, type[Outcome], bool]] = [
    # Any service, by the status alone: RFC 8030, RFC 8292, RFC 9110.
    (200, b"", "", Accepted, False),
    (201, b"", "", Accepted, False),
    (202, b"", "", Accepted, False),
    (301, b"", "status 301", Refused, False),
    (302, b"", "status 302", Refused, False),
    (303, b"", "status 303", Refused, False),
    (307, b"", "status 307", Refused, False),
    (308, b"", "status 308", Refused, False),
    (400, b"", "status 400", Refused, False),
    (401, b"", "status 401", Refused, True),
    (403, b"", "status 403", Refused, True),
    (404, b"", "status 404", Gone, False),
    (405, b"", "status 405", Refused, False),
    (406, b"", "status 406", Unavailable, False),
    (410, b"", "status 410", Gone, False),
    (413, b"", "status 413", Refused, False),
    (429, b"", "status 429", Unavailable, False),
    (500, b"", "status 500", Unavailable, False),
    (502, b"", "status 502", Unavailable, False),
    (503, b"", "status 503", Unavailable, False),
    (504, b"", "status 504", Unavailable, False),
    # Not listed: careful.
    (204, b"", "status 204", Refused, False),
    (402, b"", "status 402", Refused, False),
    (418, b"", "status 418", Refused, False),
    (507, b"", "status 507", Unavailable, False),
    (599, b"", "status 599", Unavailable, False),
    # Apple.
    *((400, apple(r), r, Refused, False) for r in ("BadTtl", "BadUrgency", "BadWebPushTopic", "BadWebPushRequest")),
    (400, apple("VapidPkHashMismatch"), "VapidPkHashMismatch", Refused, True),
    (403, apple("VapidPkHashMismatch"), "VapidPkHashMismatch", Refused, True),
    *(
        (status, apple(r), r, Misconfigured, False)
        for r in ("BadJwtToken", "BadAuthorizationHeader", "BadVapidPublicKey")
        for status in (400, 401, 403)
    ),
    (413, apple("PayloadTooLarge"), "PayloadTooLarge", Refused, False),
    (429, apple("TooManyRequests"), "TooManyRequests", Unavailable, False),
    (400, apple("IdleTimeout"), "IdleTimeout", Unavailable, False),
    (500, apple("InternalServerError"), "InternalServerError", Unavailable, False),
    (503, apple("ServiceUnavailable"), "ServiceUnavailable", Unavailable, False),
    (503, apple("Shutdown"), "Shutdown", Unavailable, False),
    (400, apple("ReasonOfTomorrow"), "ReasonOfTomorrow", Refused, False),
    (410, apple("ReasonOfTomorrow"), "ReasonOfTomorrow", Gone, False),
    # Mozilla.
    *((400, mozilla(n), f"errno {n}", Refused, False) for n in (101, 110, 111, 112, 113, 114)),
    (400, mozilla(108), "errno 108", Refused, True),
    (401, mozilla(109), "errno 109", Refused, True),
    (401, mozilla(109, "VAPID public key mismatch"), "VAPID public key mismatch", Refused, True),
    (404, mozilla(102), "errno 102", Gone, False),
    *((410, mozilla(n), f"errno {n}", Gone, False) for n in (103, 105, 106)),
    (413, mozilla(104), "errno 104", Refused, False),
    (429, mozilla(201), "errno 201", Unavailable, False),
    (500, mozilla(999), "errno 999", Unavailable, False),
    *((502, mozilla(n), f"errno {n}", Unavailable, False) for n in (900, 901, 902, 903)),
    *((503, mozilla(n), f"errno {n}", Unavailable, False) for n in (201, 202)),
    (400, mozilla(777), "errno 777", Refused, False),
    # Google.
    (403, f"the VAPID credentials in the authorization header {OTHER_KEY}.\n".encode(), OTHER_KEY, Refused, True),
    (403, f"the key in the authorization header {OTHER_SENDER} used".encode(), OTHER_SENDER, Refused, True),
    (400, google("UnauthorizedRegistration"), "UnauthorizedRegistration", Refused, True),
    (403, b"invalid JWT provided\n", "invalid JWT provided", Misconfigured, False),
    (
        401, b"authorization header must be specified.",
        "authorization header must be specified", Misconfigured, False,
    ),
    (410, google("NotRegistered"), "NotRegistered", Gone, False),
    (404, b"NotRegistered", "NotRegistered", Gone, False),
]  # fmt: skip


def answer(status: int, body: bytes = b"", **headers: str) -> Outcome:
    fields = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return read_answer(Answer(status, fields, body), NOW)


@pytest.mark.parametrize(("status", "body", "reason", "kind", "is_doubt"), SAID)
def test_every_answer_means_what_it_should(
    status: int, body: bytes, reason: str, kind: type[Outcome], is_doubt: bool
) -> None:
    outcome = answer(status, body)
    assert type(outcome) is kind
    assert getattr(outcome, "reason", "") == reason
    assert getattr(outcome, "doubts_device", False) is is_doubt
    assert getattr(outcome, "whole_service", False) is False


CONFLICT = "Ttl value conflicts with X-WNS-Cache-Policy."


@pytest.mark.parametrize(
    ("status", "headers", "reason", "kind"),
    [
        (400, {"x_wns_status": "dropped", "x_wns_error_description": CONFLICT}, CONFLICT, Refused),
        (406, {"x_wns_status": "appthrottled"}, "appthrottled", Unavailable),
        (406, {"x_wns_status": "channelthrottled"}, "channelthrottled", Unavailable),
        (406, {"x_wns_error_description": "some new words"}, "some new words", Unavailable),
        (410, {"x_wns_notificationstatus": "dropped"}, "status 410", Gone),
        (400, {"x_wns_error_description": "https://example.com/w/?token=abc"}, "status 400", Refused),
    ],
)
def test_windows_says_why_in_headers(
    status: int, headers: dict[str, str], reason: str, kind: type[Outcome]
) -> None:
    outcome = answer(status, b"", **headers)
    assert type(outcome) is kind
    assert getattr(outcome, "reason", "") == reason


def test_every_row_is_tested() -> None:
    tested = {(status, reason) for status, _, reason, _, _ in SAID}
    tested |= {(status, "") for status, _, reason, _, _ in SAID if reason in ("", f"status {status}")}
    tested |= {(400, CONFLICT), (406, "appthrottled"), (406, "channelthrottled")}
    tested |= {(0, FORBIDDEN_ENDPOINT), (0, NO_WITHDRAWALS)}
    assert ANSWERS.keys() <= tested


def test_a_row_says_what_it_means_in_plain_words() -> None:
    for (status, reason), meaning in ANSWERS.items():
        outcome = meaning.read(reason or f"status {status}")
        if outcome != ACCEPTED:
            assert explain("webpush", outcome)
        assert len(meaning.words) > 20


def test_a_subscription_that_ended_had_ended_when_the_push_was_sent() -> None:
    assert answer(410) == Gone("status 410", NOW)
    assert answer(404, mozilla(102)) == Gone("errno 102", NOW)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("999999999", 604_800.0),
        (format_datetime(datetime.fromtimestamp(NOW / 1000 + 90, UTC), usegmt=True), 90.0),
        (format_datetime(datetime.fromtimestamp(NOW / 1000 - 90, UTC), usegmt=True), 0.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("9" * 5_000, None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 999999 08:49:37 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 406])
def test_a_service_says_how_long_it_wants_to_be_left_alone(
    status: int, value: str, seconds: float | None
) -> None:
    outcome = answer(status, retry_after=value)
    assert isinstance(outcome, Unavailable)
    assert outcome.retry_after_seconds == seconds


statuses = st.integers(100, 599)
bodies = (
    st.binary(max_size=200)
    | st.dictionaries(
        st.sampled_from(["reason", "errno", "message"]), st.none() | st.integers() | st.text() | st.lists(st.none())
    ).map(lambda body: json.dumps(body).encode())
    | st.just(b"{" * 100_000)
    | st.just(b'{"a":' * 10_000)
)  # fmt: skip
fields = st.dictionaries(
    st.sampled_from([b"retry-after", b"x-wns-status", b"x-wns-error-description"]), st.binary(max_size=50)
)


@given(statuses, bodies, fields)
def test_no_answer_is_too_strange(status: int, body: bytes, given_: dict[Any, Any]) -> None:
    outcome = read_answer(Answer(status, tuple(given_.items()), body), NOW)
    assert len(getattr(outcome, "reason", "")) <= 100
    if isinstance(outcome, Gone):
        assert status in (404, 410)
    if isinstance(outcome, Unavailable):
        assert outcome.whole_service is False
