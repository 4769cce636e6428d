"""What each answer of FCM means."""

import json
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.http2 import Answer
from clarion.model.outcome import ACCEPTED, Gone, Misconfigured, Outcome, Refused, Unavailable
from clarion.providers import explain
from clarion.providers.fcm_answers import ANSWERS, MOST_WAIT_SECONDS, read_answer, read_grant_refusal
from tests.providers.google import BAD_REQUEST, refusal

ASKED_AT, NOW = 1_750_000_000_000, 1_750_000_001_000
QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
INVALID_TOKEN = "The registration token is not a valid FCM registration token"


def read(status: int, body: bytes = b"", **headers: str) -> Outcome:
    fields = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return read_answer(Answer(status, fields, body), asked_at=ASKED_AT, now=NOW)


def violations(*fields: object) -> dict[str, Any]:
    listed = [{"field": field, "description": "it holds “Hello”"} for field in fields]
    return {"@type": BAD_REQUEST, "fieldViolations": listed}


def this_device(reason: str, seconds: float) -> Unavailable:
    return Unavailable(reason, retry_after_seconds=seconds, whole_service=False)


# The fact sheet, §6: status, its canonical name, FcmError.errorCode, and what it means.
SHEET: list[tuple[int, str, str, Outcome]] = [
    (404, "NOT_FOUND", "UNREGISTERED", Gone("UNREGISTERED", ASKED_AT)),
    (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", Refused("INVALID_ARGUMENT")),
    (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", Refused("SENDER_ID_MISMATCH", doubts_device=True)),
    (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", Unavailable("QUOTA_EXCEEDED", 60)),
    (503, "UNAVAILABLE", "UNAVAILABLE", Unavailable("UNAVAILABLE", 10)),
    (500, "INTERNAL", "INTERNAL", Unavailable("INTERNAL", 10)),
    (401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", this_device("THIRD_PARTY_AUTH_ERROR", 300)),
    (401, "UNAUTHENTICATED", "APNS_AUTH_ERROR", this_device("APNS_AUTH_ERROR", 300)),
    (400, "INVALID_ARGUMENT", "UNSPECIFIED_ERROR", Refused("UNSPECIFIED_ERROR")),
    (401, "UNAUTHENTICATED", "", Misconfigured("UNAUTHENTICATED")),
    (403, "PERMISSION_DENIED", "", Misconfigured("PERMISSION_DENIED")),
    (404, "NOT_FOUND", "", Refused("NOT_FOUND")),
    (429, "RESOURCE_EXHAUSTED", "", Unavailable("RESOURCE_EXHAUSTED", 60)),
]


@pytest.mark.parametrize(("status", "rpc", "code", "outcome"), SHEET, ids=lambda part: str(part)[:40])
def test_every_answer_of_the_sheet_means_what_it_says(
    status: int, rpc: str, code: str, outcome: Outcome
) -> None:
    assert read(status, refusal(status, rpc, code)) == outcome
    assert (status, code or rpc) in ANSWERS
    assert explain("fcm", outcome) == ANSWERS[status, code or rpc].words


@pytest.mark.parametrize(("status", "rpc", "code", "outcome"), SHEET[:8], ids=lambda part: str(part)[:40])
def test_the_error_code_counts_whatever_the_status_beside_it(
    status: int, rpc: str, code: str, outcome: Outcome
) -> None:
    assert read(418, refusal(418, "UNKNOWN", code)) == outcome


def test_a_message_taken_is_accepted() -> None:
    assert read(200, b'{"name":"projects/p/messages/1"}') is ACCEPTED


# ── Whose fault is an invalid argument? ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("field", ["message.token", "message.fid"])
@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", ""])
def test_an_address_that_is_named_is_doubted(field: str, code: str) -> None:
    body = refusal(400, "INVALID_ARGUMENT", code, "Request contains an invalid argument.", violations(field))
    assert read(400, body) == Refused(f"INVALID_ARGUMENT: {field}", doubts_device=True)


@pytest.mark.parametrize(
    "message", [INVALID_TOKEN, "Invalid registration token", "the installation ID is not valid"]
)
def test_an_address_that_the_message_calls_invalid_is_doubted(message: str) -> None:
    outcome = read(400, refusal(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", message))
    assert outcome == Refused("INVALID_ARGUMENT: message.token", doubts_device=True)
    assert "never one of FCM" in explain("fcm", outcome)


@pytest.mark.parametrize(
    ("fields", "message", "reason"),
    [
        (["message.data[0].value"], "", "INVALID_ARGUMENT: message.data[0].value"),
        (["message.token", "message.android.ttl"], "", "INVALID_ARGUMENT: message.android.ttl"),
        (["message.android.ttl"], INVALID_TOKEN, "INVALID_ARGUMENT: message.android.ttl"),
        (["message"], "", "INVALID_ARGUMENT: message"),
        (["message.tokens"], "", "INVALID_ARGUMENT: message.tokens"),
        (["words, and “quotes”", 7, None], "", "INVALID_ARGUMENT"),
        ([], "The message is too big", "INVALID_ARGUMENT"),
        ([], "Invalid value at 'message.data' for registration", "INVALID_ARGUMENT"),
    ],
)
def test_any_other_invalid_argument_fails_the_message_and_never_the_device(
    fields: list[object], message: str, reason: str
) -> None:
    body = refusal(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", message, violations(*fields))
    outcome = read(400, body)
    assert outcome == Refused(reason)
    assert "Hello" not in str(outcome)
    assert explain("fcm", outcome) == ANSWERS[400, "INVALID_ARGUMENT"].words


# ── Too much ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("message", "violation", "outcome"),
    [
        ("Quota exceeded.", {}, Unavailable("QUOTA_EXCEEDED", 60)),
        ("Device message rate exceeded", {}, this_device("QUOTA_EXCEEDED: device", 60)),
        ("", {"subject": "device:1"}, this_device("QUOTA_EXCEEDED: device", 60)),
        ("", {"description": "per-device rate"}, this_device("QUOTA_EXCEEDED: device", 60)),
        ("", {"subject": "project:1", "description": 7}, Unavailable("QUOTA_EXCEEDED", 60)),
    ],
)
def test_too_much_for_one_device_lets_only_that_one_wait(
    message: str, violation: dict[str, object], outcome: Outcome
) -> None:
    detail = {"@type": QUOTA_FAILURE, "violations": [violation, "nonsense"]}
    assert read(429, refusal(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", message, detail)) == outcome


@pytest.mark.parametrize(
    ("asked", "quota", "away"),
    [
        ("120", 120, 120),
        ("5", 60, 10),
        (formatdate(NOW / 1000 + 90, usegmt=True), 90, 90),
        (formatdate(NOW / 1000 - 90, usegmt=True), 60, 10),
        ("9" * 18, MOST_WAIT_SECONDS, MOST_WAIT_SECONDS),
        ("9" * 400, 60, 10),
        (formatdate(NOW / 1000 + 10**9, usegmt=True), MOST_WAIT_SECONDS, MOST_WAIT_SECONDS),
        ("soon", 60, 10),
        ("-5", 60, 10),
        ("1.5", 60, 10),
        ("Sun, 99 Nov 9999 99:99:99 GMT", 60, 10),
        ("", 60, 10),
    ],
)
def test_the_service_is_left_alone_for_as_long_as_it_asks_and_no_less_than_google_advises(
    asked: str, quota: float, away: float
) -> None:
    many = read(429, refusal(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), retry_after=asked)
    assert many == Unavailable("QUOTA_EXCEEDED", quota)
    for status in (500, 502, 503):
        outcome = read(status, b"<html>", retry_after=asked)
        assert outcome == Unavailable(f"status {status}", away)


def test_a_device_that_is_gone_was_so_when_it_was_asked() -> None:
    assert read(404, refusal(404, "NOT_FOUND", "UNREGISTERED")) == Gone("UNREGISTERED", since=ASKED_AT)


# ── What nobody foresaw ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (400, b"<html>", Refused("status 400")),
        (401, b"<html>", Misconfigured("UNAUTHENTICATED")),
        (403, b"<html>", Misconfigured("status 403")),
        (404, b"<html>", Misconfigured("status 404")),
        (302, b"", Misconfigured("status 302")),
        (413, b"", Refused("status 413")),
        (429, b"", Unavailable("status 429", 60)),
        (502, b"<html>", Unavailable("status 502", 10)),
        (599, refusal(599, "NEW"), Unavailable("NEW", 10)),
        (400, refusal(400, "INVALID_ARGUMENT", "ERROR_OF_TOMORROW"), Refused("ERROR_OF_TOMORROW")),
        (404, refusal(404, "NOT_FOUND", "ERROR_OF_TOMORROW"), Refused("ERROR_OF_TOMORROW")),
        (429, refusal(429, "X", "ERROR_OF_TOMORROW"), Unavailable("ERROR_OF_TOMORROW", 60)),
        (503, refusal(503, "UNAVAILABLE", "UNSPECIFIED_ERROR"), Unavailable("UNSPECIFIED_ERROR", 10)),
        (403, refusal(403, "PERMISSION_DENIED", "UNSPECIFIED_ERROR"), Refused("UNSPECIFIED_ERROR")),
        (400, refusal(400, "two words", "<script>"), Refused("status 400")),
    ],
)
def test_an_unlisted_answer_never_takes_a_device_away(status: int, body: bytes, outcome: Outcome) -> None:
    assert read(status, body) == outcome
    assert explain("fcm", outcome)


@pytest.mark.parametrize("reason", ["SERVICE_DISABLED", "IAM_PERMISSION_DENIED"])
def test_a_refused_credential_says_why(reason: str) -> None:
    body = refusal(403, "PERMISSION_DENIED", "", "", {"@type": ERROR_INFO, "reason": reason})
    outcome = read(403, body)
    assert outcome == Misconfigured(f"PERMISSION_DENIED: {reason}")
    assert explain("fcm", outcome) == ANSWERS[403, "PERMISSION_DENIED"].words


nonsense = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9)
    | st.sampled_from([BAD_REQUEST, QUOTA_FAILURE, "FcmError", "INVALID_ARGUMENT", "message.token"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["error", "details", "@type", "errorCode", "fieldViolations", "field", "violations",
                         "status", "message", "reason"]), inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


@given(
    st.integers(201, 599),
    st.binary(max_size=60) | nonsense.map(lambda said: json.dumps({"error": said}).encode()),
    st.text(st.characters(codec="latin-1"), max_size=30),
)
def test_no_answer_is_too_odd_to_be_read_and_only_google_can_say_that_a_device_is_gone(
    status: int, body: bytes, asked: str
) -> None:
    fields = ((b"retry-after", asked.encode("latin-1")),)
    outcome = read_answer(Answer(status, fields, body), asked_at=ASKED_AT, now=NOW)
    assert isinstance(outcome, Refused | Misconfigured | Unavailable)
    assert len(outcome.reason) <= 160
    assert isinstance(read_grant_refusal(Answer(status, fields, body), NOW), Misconfigured | Unavailable)
