"""Settings, keys and certificates of APNs channels."""

import re
from itertools import pairwise
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509 import load_pem_x509_certificates
from hypothesis import given
from hypothesis import strategies as st

from clarion.http2 import client_tls
from clarion.model.push import InvalidAddress, InvalidChannel
from clarion.providers import Surroundings, check_address, make_provider
from clarion.providers.apns import Apns
from clarion.providers.apns_credentials import (
    HOSTS,
    OTHER_TOPICS,
    ApnsSettings,
    ProviderToken,
    read_certificate,
)
from tests.clock import Clock
from tests.providers.apple import (
    DAY_MS,
    KEY,
    KEY_ID,
    NOW_MS,
    OTHER_KEY,
    SETTINGS,
    TEAM,
    TOPIC,
    certificate_pem,
    pem,
    rsa_with_passphrase,
)

# ── Settings ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_channel_talks_to_apples_host_of_its_environment() -> None:
    assert ApnsSettings.read(SETTINGS) == ApnsSettings((TEAM, KEY_ID), TOPIC, "api.push.apple.com", 443)
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
        ({"topic": None}, "topic must be the app's bundle id"),
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


@pytest.mark.parametrize("ending", OTHER_TOPICS)
def test_a_topic_for_what_is_no_notification_is_refused_with_the_reason(ending: str) -> None:
    for change in ({}, {"team_id": TEAM, "key_id": KEY_ID}):
        with pytest.raises(
            InvalidChannel, match=rf"{re.escape(ending)} is for .* bundle id {re.escape(TOPIC)}$"
        ):
            ApnsSettings.read({**change, "topic": TOPIC + ending})


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [
        (certificate_pem(), "is a certificate: leave team_id and key_id out"),
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


# ── The token ───────────────────────────────────────────────────────────────────────────────────────────────


def token_of(clock: Clock) -> ProviderToken:
    return ProviderToken(TEAM, KEY_ID, KEY, clock)


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


def test_a_clock_that_was_set_far_back_renews_the_token() -> None:
    clock = Clock()
    token = token_of(clock)
    first = token.text()
    clock.move(seconds=-3_600)
    assert token.text() != first


def test_a_clock_that_was_set_back_a_little_does_not_because_apple_counts_renewals() -> None:
    clock = Clock()
    token = token_of(clock)
    first = token.text()
    for _ in range(19):
        clock.move(seconds=-60)
        assert token.text() == first


# ── Certificates ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_certificate_names_its_app_and_its_end() -> None:
    read = read_certificate(certificate_pem(days=30))
    assert read.find_topic() == TOPIC
    assert read.expires_at == NOW_MS + 30 * DAY_MS
    assert "PRIVATE" not in repr(read)


def test_an_app_is_read_from_the_common_name_where_there_is_no_uid() -> None:
    assert read_certificate(certificate_pem(uid=None)).find_topic() == TOPIC


@pytest.mark.parametrize(
    ("uid", "sentence"),
    [(None, "names no app: set topic"), ("com.example.field.voip", r"\.voip is for calls")],
)
def test_a_certificate_without_an_app_needs_a_topic(uid: str | None, sentence: str) -> None:
    with pytest.raises(InvalidChannel, match=sentence):
        read_certificate(certificate_pem(uid=uid, common_name="push")).find_topic()


def test_what_signed_it_may_stand_before_it_and_notes_around_it() -> None:
    secret = "Bag Attributes\n    friendlyName: Apple Push\n" + certificate_pem(KEY, signer=OTHER_KEY)
    read = read_certificate(secret)
    assert read.find_topic() == TOPIC
    [own, signer] = load_pem_x509_certificates(read.pem.encode())
    assert (own.public_key(), signer.public_key()) == (KEY.public_key(), OTHER_KEY.public_key())
    assert "Bag" not in read.pem


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [
        ("", "has no certificate: give certificate and private key in one PEM, or team_id and key_id"),
        (pem(KEY), "has no certificate"),
        (certificate_pem().partition("-----BEGIN PRIVATE KEY")[0], "a certificate and no private key"),
        (certificate_pem().replace(pem(KEY), pem(OTHER_KEY)), "not the certificate's"),
        (certificate_pem().replace(pem(KEY), pem(KEY, password=b"secret")), "private key is encrypted"),
        (certificate_pem().replace(pem(KEY), rsa_with_passphrase()), "private key is encrypted"),
        (certificate_pem().replace("MII", "QQQ"), "cannot be read"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_refused_with_what_is_wrong(secret: str, sentence: str) -> None:
    with pytest.raises(InvalidChannel, match=sentence):
        make_provider("apns", {"topic": TOPIC}, secret, Surroundings(Clock(NOW_MS), client_tls()))


@pytest.mark.parametrize(
    ("days", "sentence"),
    [(31, r"expired on 2025-07-15; make a new one"), (-2, "not valid before 2025-06-14")],
)
def test_a_certificate_out_of_its_time_is_refused_with_the_day(days: int, sentence: str) -> None:
    clock = Clock(NOW_MS + days * DAY_MS)
    with pytest.raises(InvalidChannel, match=sentence):
        make_provider("apns", {}, certificate_pem(days=30), Surroundings(clock, client_tls()))


# ── Addresses ────────────────────────────────────────────────────────────────────────────────────────────


@given(st.binary(min_size=1, max_size=200))
def test_an_address_has_one_spelling(token: bytes) -> None:
    assert check_address("apns", token.hex()) == check_address("apns", token.hex().upper()) == token.hex()


@pytest.mark.parametrize("address", ["", "abc", "abcg", "a" * 402, "ab\n", " ab", "٣٣"])
def test_what_is_no_device_token_is_refused(address: str) -> None:
    with pytest.raises(InvalidAddress, match="even number of hexadecimal digits"):
        check_address("apns", address)
