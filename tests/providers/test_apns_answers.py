"""What each answer of Apple means."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.moment import LAST_MOMENT
from clarion.model.outcome import ACCEPTED, Gone, Misconfigured, Outcome, Refused, Unavailable
from clarion.providers.apns_answers import ANSWERS, read_answer

# Apple's documentation: status, reasons, and who is to blame.
SHEET: list[tuple[int, str, type[Outcome]]] = [
    (400, "BadDeviceToken DeviceTokenNotForTopic", Refused),
    (400, "BadTopic MissingTopic TopicDisallowed InvalidPushType", Misconfigured),
    (400, "BadCollapseId BadExpirationDate BadMessageId BadPriority DuplicateHeaders", Refused),
    (400, "MissingDeviceToken PayloadEmpty", Refused),
    (400, "IdleTimeout", Unavailable),
    (403, "ExpiredProviderToken UnrelatedKeyIdInToken", Unavailable),
    (
        403,
        "InvalidProviderToken MissingProviderToken BadCertificate BadCertificateEnvironment",
        Misconfigured,
    ),
    (403, "Forbidden BadEnvironmentKeyIdInToken BadEnvironmentKeyInToken", Misconfigured),
    (404, "BadPath", Refused),
    (405, "MethodNotAllowed", Refused),
    (410, "Unregistered ExpiredToken", Gone),
    (413, "PayloadTooLarge", Refused),
    (429, "TooManyRequests TooManyProviderTokenUpdates", Unavailable),
    (500, "InternalServerError", Unavailable),
    (503, "ServiceUnavailable Shutdown", Unavailable),
]
ROWS = [(status, reason, kind) for status, reasons, kind in SHEET for reason in reasons.split()]


def answer(status: int, **details: Any) -> Outcome:
    return read_answer(status, json.dumps(details).encode())


@pytest.mark.parametrize(("status", "reason", "kind"), ROWS)
def test_every_documented_answer_is_filed_by_who_is_to_blame(
    status: int, reason: str, kind: type[Outcome]
) -> None:
    outcome = answer(status, reason=reason)
    assert type(outcome) is kind
    assert getattr(outcome, "reason") == reason  # noqa: B009 - Accepted alone has none


def test_the_table_has_every_documented_answer_and_no_other() -> None:
    assert set(ANSWERS) == {(status, reason) for status, reason, _ in ROWS}


def test_every_answer_is_explained_in_sentences() -> None:
    for meaning in ANSWERS.values():
        assert meaning.words[0].isupper()
        assert meaning.words.endswith(".")


def test_only_a_doubtful_address_is_doubted() -> None:
    doubted = {
        reason
        for status, reason, kind in ROWS
        if kind is Refused and answer(status, reason=reason) == Refused(reason, doubts_device=True)
    }
    assert doubted == {"BadDeviceToken", "DeviceTokenNotForTopic"}


def test_a_device_that_gets_too_much_waits_alone_and_a_sender_that_does_waits_a_minute() -> None:
    assert answer(429, reason="TooManyRequests") == Unavailable("TooManyRequests", whole_service=False)
    updates = answer(429, reason="TooManyProviderTokenUpdates")
    assert updates == Unavailable("TooManyProviderTokenUpdates", retry_after_seconds=60)


def test_200_is_accepted_whatever_is_in_it() -> None:
    assert read_answer(200, b"") is read_answer(200, b"\xff") is ACCEPTED


def test_a_gone_device_says_since_when() -> None:
    assert answer(410, reason="Unregistered", timestamp=1_750_000_000_000) == Gone(
        "Unregistered", 1_750_000_000_000
    )


@pytest.mark.parametrize("timestamp", [None, 0, -5, 1.5, "1750000000000", True, LAST_MOMENT + 1, 10**40, []])
def test_an_odd_timestamp_is_none(timestamp: object) -> None:
    assert answer(410, reason="ExpiredToken", timestamp=timestamp) == Gone("ExpiredToken")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, Refused("ReasonOfTomorrow")),
        (403, Refused("ReasonOfTomorrow")),
        (418, Refused("ReasonOfTomorrow")),
        (301, Refused("ReasonOfTomorrow")),
        (410, Gone("ReasonOfTomorrow")),
        (429, Unavailable("ReasonOfTomorrow")),
        (500, Unavailable("ReasonOfTomorrow")),
        (599, Unavailable("ReasonOfTomorrow")),
    ],
)
def test_an_unknown_reason_fails_the_push_or_is_tried_again_and_never_doubts_the_device(
    status: int, expected: Outcome
) -> None:
    assert answer(status, reason="ReasonOfTomorrow") == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"[]",
        b"null",
        b'{"reason": 5}',
        b'{"reason": "with \\u0000 in it"}',
        b'{"reason": "\\ud800"}',
        b'{"reason": "' + b"A" * 65 + b'"}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"reason": ' + b"9" * 5_000 + b"}",
    ],
)
def test_a_body_that_says_nothing_leaves_the_status_to_speak(body: bytes) -> None:
    assert read_answer(400, body) == Refused("status 400")
    assert read_answer(503, body) == Unavailable("status 503")


@given(st.integers(100, 599), st.binary(max_size=200))
def test_no_answer_of_a_peer_is_an_error_of_ours(status: int, body: bytes) -> None:
    outcome = read_answer(status, body)
    assert isinstance(outcome, Refused | Gone | Unavailable | Misconfigured) or outcome is ACCEPTED
    assert not (isinstance(outcome, Refused) and outcome.doubts_device)
