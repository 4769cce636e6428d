"""APNs without a network: settings, the token, the payload, the headers, and what each answer means."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from clarion.http2 import client_tls
from clarion.model.delivery import PushKind
from clarion.model.moment import LAST_MOMENT
from clarion.model.notification import Content, Options, Priority
from clarion.model.outcome import ACCEPTED, Gone, Misconfigured, Outcome, Refused, Unavailable
from clarion.model.push import InvalidChannel, Push
from clarion.providers import Surroundings, make_provider
from clarion.providers.apns import (
    ANSWERS,
    HOSTS,
    MOST_OCTETS,
    Apns,
    ApnsSettings,
    ProviderToken,
    collapse_id,
    encode_headers,
    encode_payload,
    read_answer,
)
from tests.clock import Clock

TEAM, KEY_ID, TOPIC = "TEAM123456", "KEY1234567", "com.example.field"
SETTINGS: dict[str, Any] = {"team_id": TEAM, "key_id": KEY_ID, "topic": TOPIC}
KEY = ec.generate_private_key(ec.SECP256R1())
NOTIFICATION, ORGANIZATION, SOLUTION = uuid4(), uuid4(), uuid4()


def pem(key: Any) -> str:
    octets: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return octets.decode()


def push(content: Content | None = None, **parts: Any) -> Push:
    usual = Push(
        1, NOTIFICATION, ORGANIZATION, None, content or Content("Hello"), Options(), PushKind.ALERT, 1_750_000_060_500
    )  # fmt: skip
    return replace(usual, **parts)


# ── Settings ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_channel_talks_to_apples_host_of_its_environment() -> None:
    assert ApnsSettings.read(SETTINGS) == ApnsSettings(TEAM, KEY_ID, TOPIC, "api.push.apple.com", 443)
    development = ApnsSettings.read({**SETTINGS, "environment": "development"})
    assert development.host == HOSTS["development"] == "api.sandbox.push.apple.com"


def test_a_stand_in_may_take_apples_place() -> None:
    given_ = ApnsSettings.read({**SETTINGS, "host": "localhost", "port": 8443})
    assert (given_.host, given_.port) == ("localhost", 8443)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"team_id": "team123456"}, "team_id must be ten capital letters"),
        ({"team_id": 1234567890}, "team_id must be ten capital letters"),
        ({"team_id": None}, "team_id must be ten capital letters"),
        ({"key_id": "KEY123456"}, "key_id must be ten capital letters"),
        ({"key_id": "KEY1234567\n"}, "key_id must be ten capital letters"),
        ({"topic": "com example"}, "topic must be the app's bundle id"),
        ({"topic": ""}, "topic must be the app's bundle id"),
        ({"environment": "sandbox"}, "environment must be one of production, development"),
        ({"environment": ["production"]}, "environment must be one of production, development"),
        ({"host": "exa mple"}, "host must be a host name"),
        ({"host": 5}, "host must be a host name"),
        ({"port": "https"}, "port must be a number from 1 to 65535"),
        ({"port": 0}, "port must be a number from 1 to 65535"),
        ({"port": True}, "port must be a number from 1 to 65535"),
        ({"teamid": "x", "Key": "y"}, "unknown settings for APNs: Key, teamid"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_with_what_is_wrong(
    change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidChannel, match=sentence):
        ApnsSettings.read({**SETTINGS, **change})


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [
        ("", r"not a \.p8 file"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", r"not a \.p8 file"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "not a P-256 key"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "not a P-256 key"),
    ],
)
def test_a_secret_that_is_no_key_of_apples_is_refused_without_showing_it(secret: str, sentence: str) -> None:
    with pytest.raises(InvalidChannel, match=sentence) as refusal:
        make_provider("apns", SETTINGS, secret, Surroundings(Clock(), client_tls()))
    assert "AAAA" not in str(refusal.value)


async def test_a_provider_is_made_by_its_name() -> None:
    around = Surroundings(Clock(), client_tls())
    provider = make_provider("apns", SETTINGS, pem(KEY), around)
    assert isinstance(provider, Apns)
    await provider.close()
    with pytest.raises(InvalidChannel, match="no provider 'carrier pigeon'"):
        make_provider("carrier pigeon", {}, "", around)


# ── The token ────────────────────────────────────────────────────────────────────────────────────────────


def token_of(clock: Clock) -> ProviderToken:
    return ProviderToken(ApnsSettings.read(SETTINGS), KEY, clock)


def test_the_token_names_team_key_and_moment_and_is_signed_with_the_key() -> None:
    clock = Clock()
    text = token_of(clock).text()
    assert jwt.decode(text, KEY.public_key(), algorithms=["ES256"]) == {"iss": TEAM, "iat": clock() // 1000}
    assert jwt.get_unverified_header(text) == {"alg": "ES256", "kid": KEY_ID, "typ": "JWT"}


def test_another_key_does_not_verify_the_token() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token_of(Clock()).text(), other, algorithms=["ES256"])


@given(st.lists(st.tuples(st.integers(0, 90), st.booleans()), max_size=40))
def test_tokens_are_never_renewed_within_20_minutes_and_never_used_at_an_hour(
    steps: list[tuple[int, bool]],
) -> None:
    clock = Clock()
    token = token_of(clock)
    issued: list[int] = []
    for minutes, expired in steps:
        if expired:
            token.was_called_expired()
        text = token.text()
        at = jwt.decode(text, options={"verify_signature": False})["iat"]
        assert clock() // 1000 - at < 60 * 60
        if not issued or at != issued[-1]:
            issued.append(at)
        assert token.text() == text
        clock.move(seconds=minutes * 60)
    assert all(later - earlier >= 20 * 60 for earlier, later in pairwise(issued))


def test_a_token_that_apple_calls_expired_is_renewed_as_soon_as_apple_allows() -> None:
    clock = Clock()
    token = token_of(clock)
    first = token.text()
    clock.move(seconds=20 * 60 - 1)
    token.was_called_expired()
    assert token.text() == first
    clock.move(seconds=1)
    token.was_called_expired()
    assert token.text() != first


def test_a_clock_that_was_set_back_renews_the_token() -> None:
    clock = Clock()
    token = token_of(clock)
    first = token.text()
    clock.move(seconds=-3_600)
    assert token.text() != first


# ── The payload ──────────────────────────────────────────────────────────────────────────────────────────

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(characters),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(characters), inner),
    max_leaves=10,
)  # fmt: skip
keys = st.none() | st.text(characters, min_size=1, max_size=64)
contents = st.builds(
    Content,
    text=st.text(characters, max_size=200),
    title=st.none() | st.text(characters, max_size=100),
    screen=st.text(characters, max_size=50),
    jig=st.none() | st.text(characters, max_size=50),
    inputs=st.dictionaries(st.text(characters, max_size=40), json_values, max_size=6)
    | st.builds(lambda size: {"long": "é" * size}, st.integers(1_500, 2_100)),
)
options = st.builds(
    Options,
    priority=st.sampled_from(Priority),
    collapse_key=keys,
    badge=st.none() | st.integers(0, 1_000_000),
    sound=keys,
    category=keys,
    thread=keys,
)


@given(contents, options, st.sampled_from([None, SOLUTION]))
def test_a_payload_fits_whatever_the_api_takes_and_cuts_nothing_in_two(
    content: Content, options: Options, solution: UUID | None
) -> None:
    octets = encode_payload(push(content, options=options, solution=solution))
    assert len(octets) <= MOST_OCTETS
    payload = json.loads(octets.decode("utf-8", "strict"))
    alert, told = payload["aps"]["alert"], payload["clarion"]
    assert (alert["body"], alert.get("title")) == (content.text, content.title)
    assert told["notificationId"] == str(NOTIFICATION)
    assert (told["screen"], told.get("jigId")) == (content.screen, content.jig)
    assert told.get("solutionId") == (solution and str(solution))
    if told.get("inputsOmitted"):
        assert told["inputs"] == {}
        del told["inputsOmitted"]
        told["inputs"] = content.inputs
        assert len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()) > MOST_OCTETS
    else:
        assert repr(told["inputs"]) == repr(content.inputs)  # 34 stays 34, not 34.0 and not "34"


@pytest.mark.parametrize("character", ["\x01", "\\", '"', "🎉", "\u2028", "é", "a"])
def test_the_longest_that_the_api_takes_fits_without_its_inputs(character: str) -> None:
    content = Content(
        character * 200, character * 100, character * 50, character * 50, {"long": character * 5_000}
    )
    key = character * 64
    longest = Options(badge=1_000_000, sound=key, category=key, thread=key, collapse_key=key)
    octets = encode_payload(push(content, options=longest, solution=SOLUTION))
    assert len(octets) <= MOST_OCTETS
    assert json.loads(octets)["clarion"]["inputsOmitted"] is True


def test_inputs_are_kept_to_the_last_octet_that_fits() -> None:
    def payload(size: int) -> bytes:
        return encode_payload(push(Content("Hello", inputs={"long": "a" * size})))

    size = MOST_OCTETS - len(payload(0))
    assert len(payload(size)) == MOST_OCTETS
    assert "inputsOmitted" not in json.loads(payload(size))["clarion"]
    assert json.loads(payload(size + 1))["clarion"]["inputsOmitted"] is True


def test_a_payload_reads_as_apple_documents_it() -> None:
    content = Content(
        "Check it out", "🎉 New", "jig", "view-promotion", {"promo-code": "x-3654", "price": 34}
    )
    options = Options(badge=3, sound="bell.caf", category="offers", thread="promotions")
    assert json.loads(encode_payload(push(content, options=options, solution=SOLUTION))) == {
        "aps": {
            "alert": {"title": "🎉 New", "body": "Check it out"},
            "sound": "bell.caf",
            "badge": 3,
            "category": "offers",
            "thread-id": "promotions",
        },
        "clarion": {
            "notificationId": str(NOTIFICATION),
            "organizationId": str(ORGANIZATION),
            "solutionId": str(SOLUTION),
            "screen": "jig",
            "jigId": "view-promotion",
            "inputs": {"promo-code": "x-3654", "price": 34},
        },
    }


def test_what_was_not_asked_for_is_not_in_the_payload() -> None:
    payload = json.loads(encode_payload(push()))
    assert payload["aps"] == {"alert": {"body": "Hello"}, "sound": "default"}
    assert payload["clarion"].keys() == {"notificationId", "organizationId", "screen", "inputs"}


def test_a_badge_of_zero_is_sent_because_it_clears() -> None:
    assert json.loads(encode_payload(push(options=Options(badge=0))))["aps"]["badge"] == 0


def test_a_withdrawal_is_silent_and_names_the_notification() -> None:
    payload = json.loads(encode_payload(push(Content("secret"), kind=PushKind.WITHDRAWAL)))
    assert payload == {"aps": {"content-available": 1}, "clarion": {"withdraw": str(NOTIFICATION)}}


# ── The headers ──────────────────────────────────────────────────────────────────────────────────────────


def headers(one: Push) -> dict[str, str]:
    listed = encode_headers(one, ApnsSettings.read(SETTINGS), "token")
    assert len(dict(listed)) == len(listed)
    return dict(listed)


def test_an_alert_has_the_headers_that_apple_asks_for() -> None:
    assert headers(push()) == {
        "authorization": "bearer token",
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": "1750000060",
        "apns-collapse-id": str(NOTIFICATION),
    }


def test_a_normal_priority_lets_the_device_save_power() -> None:
    assert headers(push(options=Options(priority=Priority.NORMAL)))["apns-priority"] == "5"


def test_a_withdrawal_is_a_background_push_of_low_priority_that_replaces_nothing() -> None:
    sent = headers(push(kind=PushKind.WITHDRAWAL))
    assert (sent["apns-push-type"], sent["apns-priority"]) == ("background", "5")
    assert "apns-collapse-id" not in sent


@given(keys)
def test_a_collapse_id_is_at_most_64_octets_of_ascii_and_the_same_for_the_same_key(key: str | None) -> None:
    made = collapse_id(push(options=Options(collapse_key=key)))
    assert 0 < len(made.encode("ascii")) <= 64
    assert made.isprintable()
    assert " " not in made
    assert made == collapse_id(push(Content("another"), options=Options(collapse_key=key)))


@given(st.lists(keys.filter(bool), min_size=2, max_size=2, unique=True))
def test_two_keys_never_collapse_into_one(two: list[str]) -> None:
    ids = {collapse_id(push(options=Options(collapse_key=key))) for key in two}
    assert len(ids) == 2


def test_a_key_that_fits_is_sent_as_it_is() -> None:
    assert collapse_id(push(options=Options(collapse_key="a" * 64))) == "a" * 64


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────

# The fact sheet, §5: status, reasons, and who is to blame.
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
