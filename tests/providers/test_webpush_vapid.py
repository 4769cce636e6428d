"""A Web Push channel's settings and key, and the tokens that prove it to push services (RFC 8292)."""

from itertools import pairwise
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from clarion.http2 import client_tls
from clarion.model.push import InvalidAddress, InvalidChannel
from clarion.providers import Surroundings, check_address, make_provider
from clarion.providers.webpush import WebPush
from clarion.providers.webpush_vapid import VapidToken, WebPushSettings, application_server_key, read_key
from tests.clock import Clock
from tests.providers.browser import b64, point

KEY = ec.generate_private_key(ec.SECP256R1())
ORIGIN = "https://push.example.com"
SETTINGS: dict[str, Any] = {"subject": "mailto:push@example.com", "app_url": "https://app.example.com/"}


def pem(key: Any) -> str:
    octets: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return octets.decode()


# ── Settings ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"subject": "https://example.com/contact"},
        {"app_url": "https://app.example.com:8443/field/?tenant=7#/start"},
        {"app_url": "http://localhost:8080/"},
        {"app_url": "http://127.0.0.1:8080/app"},
        {"icon": "https://app.example.com/icon.png"},
    ],
)
def test_settings_are_read(change: dict[str, Any]) -> None:
    values = {**SETTINGS, **change}
    read = WebPushSettings.read(values)
    assert (read.subject, read.app_url, read.icon) == (
        values["subject"], values["app_url"], values.get("icon")
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"subject": None}, "subject must be mailto:"),
        ({"subject": "push@example.com"}, "subject must be mailto:"),
        ({"subject": "mailto:"}, "subject must be mailto:"),
        ({"subject": "mailto:a@b@c"}, "subject must be mailto:"),
        ({"subject": "http://example.com"}, "subject must be mailto:"),
        ({"subject": "https://"}, "subject must be mailto:"),
        ({"app_url": None}, "app_url must be"),
        ({"app_url": "/app"}, "app_url must be"),
        ({"app_url": "http://app.example.com/"}, "app_url must be"),
        ({"app_url": "javascript:alert(1)"}, "app_url must be"),
        ({"app_url": "https://user:secret@app.example.com/"}, "app_url must be"),
        ({"app_url": "https://app.example.com:port/"}, "app_url must be"),
        ({"app_url": "https://app.example.com/ä"}, "app_url must be"),
        ({"app_url": "https://app.example.com/\n"}, "app_url must be"),
        ({"app_url": "https://app.example.com/" + "x" * 300}, "app_url must be"),
        ({"icon": "icon.png"}, "icon must be"),
        ({"icon": 5}, "icon must be"),
        ({"appurl": "x", "Subject": "y"}, "unknown settings for Web Push: Subject, appurl"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_with_what_is_wrong(
    change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidChannel, match=sentence):
        WebPushSettings.read({**SETTINGS, **change})


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [
        ("", "not a private key"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "not a private key"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "not a P-256 key"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "not a P-256 key"),
    ],
)
def test_a_secret_that_is_no_vapid_key_is_refused_without_showing_it(secret: str, sentence: str) -> None:
    with pytest.raises(InvalidChannel, match=sentence) as refusal:
        make_provider("webpush", SETTINGS, secret, Surroundings(Clock(), client_tls()))
    assert "AAAA" not in str(refusal.value)


async def test_a_provider_is_made_by_its_name() -> None:
    provider = make_provider("webpush", SETTINGS, pem(KEY), Surroundings(Clock(), client_tls()))
    assert isinstance(provider, WebPush)
    assert await provider.connect() is None
    await provider.close()
    with pytest.raises(InvalidAddress):
        check_address("webpush", "{}")


def test_the_public_key_is_told_as_an_app_needs_it() -> None:
    told = application_server_key(read_key(pem(KEY)))
    assert told == b64(point(KEY))
    assert len(told) == 87


# ── Tokens ───────────────────────────────────────────────────────────────────────────────────────────────


def token_of(clock: Clock, origin: str = ORIGIN) -> VapidToken:
    return VapidToken(KEY, SETTINGS["subject"], origin, clock)


def claims(authorization: str, audience: str = ORIGIN) -> dict[str, Any]:
    """Verify a header as a push service does; the moment is the test's."""
    scheme, _, parameters = authorization.partition(" ")
    parts = dict(part.split("=", 1) for part in parameters.split(","))
    assert (scheme, parts["k"]) == ("vapid", b64(point(KEY)))
    assert jwt.get_unverified_header(parts["t"]) == {"alg": "ES256", "typ": "JWT"}
    found: dict[str, Any] = jwt.decode(
        parts["t"], KEY.public_key(), algorithms=["ES256"], audience=audience, options={"verify_exp": False}
    )
    return found


def test_a_token_names_service_subject_and_its_end_and_is_signed_with_the_key() -> None:
    clock = Clock()
    assert claims(token_of(clock).authorization()) == {
        "aud": ORIGIN,
        "exp": clock() // 1000 + 12 * 3600,
        "sub": SETTINGS["subject"],
    }


def test_a_service_at_a_port_of_its_own_is_named_with_it() -> None:
    origin = "https://push.example.com:8443"
    assert claims(token_of(Clock(), origin).authorization(), origin)["aud"] == origin


@given(st.lists(st.tuples(st.integers(0, 500), st.booleans()), max_size=30))
def test_tokens_are_renewed_in_time_and_not_twice_an_hour_but_for_one_complaint(
    steps: list[tuple[int, bool]],
) -> None:
    clock = Clock()
    token = token_of(clock)
    made: list[tuple[int, bool]] = []
    for minutes, is_bad in steps:
        before = token.authorization()
        renewed = is_bad and token.was_called_bad(before)
        text = token.authorization()
        assert (text != before) == renewed
        left = claims(text)["exp"] - clock() // 1000
        assert 6 * 3600 < left <= 12 * 3600
        at = claims(text)["exp"]
        if not made or made[-1][0] != at:
            made.append((at, renewed))
        clock.move(seconds=minutes * 60)
    complaints = [at for at, renewed in made if renewed]
    assert all(later - earlier >= 3600 for earlier, later in pairwise(complaints))
    ordinary = [at for at, renewed in made if not renewed]
    assert all(later - earlier >= 6 * 3600 for earlier, later in pairwise(ordinary))


def test_a_complaint_about_a_token_that_was_replaced_meanwhile_replaces_nothing() -> None:
    clock = Clock()
    token = token_of(clock)
    first = token.authorization()
    clock.move(seconds=1)
    assert token.was_called_bad(first)
    second = token.authorization()
    assert second != first
    assert token.was_called_bad(first)
    assert token.authorization() == second
    assert not token.was_called_bad(second)
    assert token.authorization() == second


def test_a_clock_that_was_set_back_renews_the_token() -> None:
    clock = Clock()
    token = token_of(clock)
    first = token.authorization()
    clock.move(seconds=-3600)
    assert claims(token.authorization())["exp"] < claims(first)["exp"]


def test_a_public_key_beside_the_secret_must_be_the_secrets_own() -> None:
    around = Surroundings(Clock(), client_tls())
    own = SETTINGS | {"public_key": application_server_key(KEY)}
    assert isinstance(make_provider("webpush", own, pem(KEY), around), WebPush)
    other = application_server_key(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(InvalidChannel, match="public_key is not that of the VAPID key"):
        make_provider("webpush", own | {"public_key": other}, pem(KEY), around)
