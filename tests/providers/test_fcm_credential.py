"""The service account's file, a channel's settings, and the access token that is asked for once and kept."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from clarion import http2
from clarion.model.outcome import Misconfigured, Unavailable
from clarion.model.push import InvalidChannel
from clarion.providers import Surroundings, explain, make_provider
from clarion.providers.fcm import HOST, Fcm, FcmSettings
from clarion.providers.fcm_credential import AUDIENCE, GRANT_TYPE, SCOPE, AccessTokens, ServiceAccount
from tests.clock import Clock
from tests.http2.peer import make_certificate
from tests.providers.google import (
    EMAIL,
    KEY,
    KEY_ID,
    PROJECT,
    Ask,
    Google,
    Reply,
    grant,
    pem,
    service_account,
    serving,
)

# ── The file ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_service_accounts_file_is_read() -> None:
    account = ServiceAccount.read(service_account())
    assert (account.project_id, account.client_email, account.private_key_id) == (PROJECT, EMAIL, KEY_ID)
    assert (account.token_host, account.token_port, account.token_path) == (
        "oauth2.googleapis.com",
        443,
        "/token",
    )
    assert "private_key=" not in repr(account)


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [
        ("", "it is no JSON object"),
        (pem(KEY), "it is no JSON object"),
        ("[" * 100_000, "it is no JSON object"),
        ('["service_account"]', "it is no JSON object"),
        ('{"project_info": {}}', 'its "type" is not "service_account"'),
        (service_account(type="authorized_user"), 'its "type" is not "service_account"'),
        (service_account(project_id=None), "project_id is missing"),
        (service_account(project_id="Field App"), "project_id is malformed"),
        (service_account(project_id="a/../b"), "project_id is malformed"),
        (service_account(private_key_id=None), "private_key_id is missing"),
        (service_account(private_key_id=7), "private_key_id is malformed"),
        (service_account(client_email=None), "client_email is missing"),
        (service_account(client_email="nobody"), "client_email is malformed"),
        (service_account(token_uri=None), "token_uri is missing"),
        (service_account(token_uri="http://oauth2.googleapis.com/token"), "token_uri .* must be an https"),
        (service_account(token_uri="https://user@example.com/token"), "token_uri .* must be an https"),
        (service_account(token_uri="https://example.com:99999/token"), "token_uri .* must be an https"),
        (service_account(token_uri="https://[::1/token"), "token_uri .* must be an https"),
        (service_account(token_uri="https:///token"), "token_uri .* must be an https"),
        (service_account(private_key=None), "private_key .* is not an RSA key"),
        (service_account(private_key="AAAA"), "private_key .* is not an RSA key"),
        (service_account(private_key=["AAAA"]), "private_key .* is not an RSA key"),
        (service_account(private_key=pem(ec.generate_private_key(ec.SECP256R1()))), "is not an RSA key"),
        (
            service_account(private_key=pem(rsa.generate_private_key(public_exponent=65_537, key_size=1024))),
            "fewer than 2,048 bits",
        ),
    ],
)
def test_a_secret_that_is_no_such_file_is_refused_without_showing_it(secret: str, sentence: str) -> None:
    with pytest.raises(InvalidChannel, match=sentence) as refusal:
        make_provider("fcm", {}, secret, Surroundings(Clock(), http2.client_tls()))
    assert "AAAA" not in str(refusal.value)
    assert "BEGIN" not in str(refusal.value)


# ── Settings ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_project_is_the_accounts_and_the_host_is_googles_unless_they_are_given() -> None:
    account = ServiceAccount.read(service_account())
    assert FcmSettings.read({}, account) == FcmSettings(PROJECT, HOST, 443)
    values = {"project_id": "123456789", "host": "localhost", "port": 8443}
    assert FcmSettings.read(values, account) == FcmSettings("123456789", "localhost", 8443)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"project": "x", "Host": "y"}, "unknown settings for FCM: Host, project"),
        ({"project_id": ""}, "project_id must be the Firebase project's id"),
        ({"project_id": None}, "project_id must be the Firebase project's id"),
        ({"project_id": "a/b"}, "project_id must be the Firebase project's id"),
        ({"host": "exa mple"}, "host must be a host name"),
        ({"host": 5}, "host must be a host name"),
        ({"port": "443"}, "port must be a number"),
        ({"port": True}, "port must be a number"),
        ({"port": 65_536}, "port must be a number"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_with_what_is_wrong(
    values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidChannel, match=sentence):
        FcmSettings.read(values, ServiceAccount.read(service_account()))


async def test_a_provider_is_made_by_its_name_and_shares_its_token_with_channels_of_the_same_account() -> (
    None
):
    around = Surroundings(Clock(), http2.client_tls())
    one, two = (make_provider("fcm", {}, service_account(), around) for _ in range(2))
    other = make_provider("fcm", {}, service_account(private_key_id="other"), around)
    assert isinstance(one, Fcm)
    for provider in (one, two, other):
        await provider.close()


# ── The token ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def google(tmp_path: Path) -> AsyncIterator[Google]:
    async with serving(make_certificate(tmp_path)) as running:
        yield running


@pytest.fixture
async def tokens(google: Google, clock: Clock, tmp_path: Path) -> AsyncIterator[AccessTokens]:
    made = make_tokens(google, clock, tmp_path)
    yield made
    await made.close()


def make_tokens(google: Google, clock: Clock, folder: Path, jitter: float = 0.0) -> AccessTokens:
    account = ServiceAccount.read(service_account(token_uri=f"https://localhost:{google.port}/token"))
    tls = http2.client_tls(str(folder / "chain.pem"))
    pool = http2.Pool(account.token_host, account.token_port, tls=tls, jitter=lambda: 0.0)
    return AccessTokens(account, pool, clock, jitter=lambda: jitter)


async def test_the_account_signs_who_it_is_and_what_it_wants(
    google: Google, tokens: AccessTokens, clock: Clock
) -> None:
    assert await tokens.text() == "ya29.1"
    [asked] = google.grants
    assert asked.headers[":method"] == "POST"
    assert asked.headers[":authority"] == f"localhost:{google.port}"
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.form.keys() == {"grant_type", "assertion"}
    assert asked.form["grant_type"] == GRANT_TYPE
    assertion = asked.form["assertion"]
    assert jwt.get_unverified_header(assertion) == {"alg": "RS256", "kid": KEY_ID, "typ": "JWT"}
    now = clock() // 1000
    verifier = jwt.PyJWT({"verify_exp": False, "verify_iat": False})
    assert verifier.decode(assertion, KEY.public_key(), algorithms=["RS256"], audience=AUDIENCE) == {
        "iss": EMAIL,
        "scope": SCOPE,
        "aud": "https://oauth2.googleapis.com/token",
        "iat": now,
        "exp": now + 3600,
    }


async def test_however_many_ask_at_once_google_is_asked_once(google: Google, tokens: AccessTokens) -> None:
    assert await asyncio.gather(*(tokens.text() for _ in range(100))) == ["ya29.1"] * 100
    assert len(google.grants) == 1


async def test_one_who_gives_up_does_not_take_the_token_from_the_others(
    google: Google, tokens: AccessTokens
) -> None:
    asked, gate = asyncio.Event(), asyncio.Event()

    async def slowly(_: Ask) -> Reply:
        asked.set()
        await gate.wait()
        return grant("ya29.slow")

    google.on_grant = slowly
    first, second = (asyncio.create_task(tokens.text()) for _ in range(2))
    await asked.wait()
    first.cancel()
    gate.set()
    assert await second == "ya29.slow"
    assert len(google.grants) == 1


@pytest.mark.parametrize(("jitter", "early"), [(0.0, 225), (0.999, 299)])
async def test_a_token_is_renewed_beside_the_sending_before_it_ends(
    google: Google, clock: Clock, tmp_path: Path, jitter: float, early: int
) -> None:
    tokens = make_tokens(google, clock, tmp_path, jitter)
    assert await tokens.text() == "ya29.1"
    clock.move(seconds=3599 - early - 1)
    assert await tokens.text() == "ya29.1"
    assert len(google.grants) == 1
    clock.move(seconds=1)
    renewed = asyncio.Event()

    def renew(_: Ask) -> Reply:
        renewed.set()
        return grant("ya29.2")

    google.on_grant = renew
    assert await asyncio.gather(*(tokens.text() for _ in range(100))) == ["ya29.1"] * 100
    await renewed.wait()
    clock.move(seconds=early)  # now the old one has ended: whoever asks waits for the renewal on its way
    assert await tokens.text() == "ya29.2"
    assert len(google.grants) == 2
    await tokens.close()


async def test_a_token_that_cannot_be_renewed_serves_until_its_end_and_google_is_not_pestered(
    google: Google, tokens: AccessTokens, clock: Clock
) -> None:
    await tokens.text()
    clock.move(seconds=3599 - 225)
    google.on_grant = lambda _: Reply(503, b"away")
    for _ in range(30):
        assert await tokens.text() == "ya29.1"
        if tokens._renewing is not None:
            await asyncio.wait([tokens._renewing])
        clock.move(seconds=1)
    assert len(google.grants) == 1 + 3
    clock.move(seconds=225 - 30 - 10)
    assert await tokens.text() == Unavailable("token endpoint: status 503", retry_after_seconds=10)


async def test_a_token_that_has_ended_is_not_used_even_when_the_clock_was_set_back(
    google: Google, tokens: AccessTokens, clock: Clock
) -> None:
    assert await tokens.text() == "ya29.1"
    clock.move(seconds=-3_600)
    assert await tokens.text() == "ya29.2"
    clock.move(seconds=3_590)
    assert await tokens.text() == "ya29.3"
    assert len(google.grants) == 3


async def test_a_token_that_was_refused_is_used_no_more_and_a_newer_one_stays(
    google: Google, tokens: AccessTokens
) -> None:
    first = await tokens.text()
    assert isinstance(first, str)
    tokens.was_refused(first)
    assert await tokens.text() == "ya29.2"
    tokens.was_refused(first)
    assert await tokens.text() == "ya29.2"


@pytest.mark.parametrize("seconds", [1, 30])
async def test_a_token_of_a_short_life_is_taken_as_it_is(
    google: Google, tokens: AccessTokens, clock: Clock, seconds: int
) -> None:
    google.on_grant = lambda _: grant(f"ya29.{len(google.grants)}", expires_in=seconds)
    assert await tokens.text() == "ya29.1"
    assert await tokens.text() == "ya29.1"
    clock.move(seconds=seconds)
    assert await tokens.text() == "ya29.2"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"[" * 60_000,
        b"\xff",
        grant("").body,
        grant(7).body,
        grant("two words").body,
        grant("a\nb").body,
        grant("ä").body,
        grant("a" * 4_097).body,
        grant("a", token_type="MAC").body,
        grant("a", token_type=None).body,
        grant("a", expires_in="3599").body,
        grant("a", expires_in=True).body,
        grant("a", expires_in=0).body,
        grant("a" * 60_000).body,
        b'{"access_token": "a", "token_type": "Bearer"}',
    ],
)
async def test_an_answer_that_is_no_token_is_trouble_of_the_service(
    google: Google, tokens: AccessTokens, body: bytes
) -> None:
    google.on_grant = lambda _: Reply(200, body)
    assert await tokens.text() == Unavailable("token endpoint: no access token", retry_after_seconds=10)
    google.on_grant = lambda _: grant("ya29.good")
    assert await tokens.text() == "ya29.good"


def said(**words: Any) -> bytes:
    return json.dumps(words).encode()


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, said(error="invalid_grant", error_description="No account."), "invalid_grant: No account."),
        (400, said(error="invalid_grant", error_description="x\n" * 500), "invalid_grant: " + "x " * 100),
        (401, said(error="invalid_client"), "invalid_client"),
        (400, said(error={"code": 400}), "token endpoint: status 400"),
        (400, said(error="two words"), "token endpoint: status 400"),
        (404, b"<html>", "token endpoint: status 404"),
        (302, b"", "token endpoint: status 302"),
    ],
)  # fmt: skip
async def test_a_refused_account_is_misconfigured_in_googles_words(
    google: Google, tokens: AccessTokens, status: int, body: bytes, reason: str
) -> None:
    google.on_grant = lambda _: Reply(status, body)
    assert await tokens.text() == Misconfigured(reason)


def test_a_refused_account_is_explained() -> None:
    words = explain("fcm", Misconfigured("invalid_grant: Invalid JWT Signature."))
    assert "clock of this machine" in words


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (500, (), 10),
        (503, (("retry-after", "120"),), 120),
        (429, (), 60),
        (408, (), 10),
    ],
)
async def test_a_token_endpoint_in_trouble_is_unavailable(
    google: Google, tokens: AccessTokens, status: int, headers: tuple[tuple[str, str], ...], seconds: int
) -> None:
    google.on_grant = lambda _: Reply(status, b"<html>", headers)
    expected = Unavailable(f"token endpoint: status {status}", retry_after_seconds=seconds)
    assert await tokens.text() == expected


async def test_a_token_endpoint_that_cannot_be_reached_is_unavailable(
    google: Google, clock: Clock, tmp_path: Path
) -> None:
    google.port = 1
    tokens = make_tokens(google, clock, tmp_path)
    outcome = await tokens.text()
    assert isinstance(outcome, Unavailable)
    assert outcome.reason.startswith("token endpoint: localhost:1: ")
    await tokens.close()


async def test_no_text_of_a_token_is_shown_by_what_holds_it(tokens: AccessTokens) -> None:
    assert await tokens.text() == "ya29.1"
    assert "ya29" not in repr(tokens._held)
