"""Google's token endpoint, without sockets."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from clarion.sandbox.conversation import Request
from clarion.sandbox.fcm_auth import AccessTokens, grant
from clarion.sandbox.push import Refused
from clarion.sandbox.registry import Registry, registry_of

from .apple import Signer
from .conftest import Clock
from .google import EMAIL, FORM, SCOPE, ServiceAccount, form, post

NOW = 1_800_000_000


@pytest.fixture
def registry(account: ServiceAccount) -> Registry:
    return registry_of([], [], [account.public()])


def asked(body: bytes, content_type: str = FORM) -> Request:
    return post("/token", body, "localhost:8444", content_type=content_type)


def error_of(request: Request, registry: Registry) -> str:
    answer = grant(request, registry, NOW)
    assert isinstance(answer, Refused)
    content = json.loads(answer.body)
    assert (answer.status, content.keys()) == (400, {"error", "error_description"})
    assert answer.reason == content["error"]
    return f"{content['error']}: {content['error_description']}"


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": "https://localhost:8444/token"},
        {"scope": f"openid {SCOPE}"},
        {"scope": "https://www.googleapis.com/auth/cloud-platform"},
        {"iat": NOW + 300, "exp": NOW + 3900},
        {"iat": NOW - 3599, "exp": NOW + 1},
    ],
)
def test_an_assertion_proves_the_account(
    claims: dict[str, Any], account: ServiceAccount, registry: Registry
) -> None:
    assert grant(asked(form(account.assertion(NOW, **claims))), registry, NOW) == EMAIL


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"iss": "nobody@example.com"}, "invalid_grant: iss"),
        ({"iss": None}, "invalid_grant: iss"),
        ({"aud": "https://example.com/token"}, "invalid_grant: aud"),
        ({"aud": None}, "invalid_grant: aud"),
        ({"exp": NOW + 3601}, "invalid_grant: iat"),
        ({"exp": NOW}, "invalid_grant: iat"),
        ({"iat": NOW + 301, "exp": NOW + 3600}, "invalid_grant: iat"),
        ({"iat": NOW - 4000, "exp": NOW - 400}, "invalid_grant: iat"),
        ({"iat": None}, "invalid_grant: iat"),
        ({"exp": None}, "invalid_grant: iat"),
        ({"scope": "openid"}, "invalid_scope: scope"),
        ({"scope": None}, "invalid_scope: scope"),
        ({"header": {"kid": "another"}}, "invalid_grant: the signature"),
        ({"header": {"alg": "RS384"}}, "invalid_grant: the signature"),
        ({"key": ServiceAccount().key}, "invalid_grant: the signature"),
        (
            {"key": ec.generate_private_key(ec.SECP256R1()), "header": {"alg": "ES256"}},
            "invalid_grant: the signature",
        ),
    ],
)
def test_an_assertion_is_refused(
    claims: dict[str, Any], expected: str, account: ServiceAccount, registry: Registry
) -> None:
    request = asked(form(account.assertion(NOW, **claims)))
    assert error_of(request, registry).startswith(expected)


def test_what_is_no_form_or_no_token_is_refused(account: ServiceAccount, registry: Registry) -> None:
    good = form(account.assertion(NOW))
    assert error_of(asked(good, "application/json"), registry).startswith("unsupported_grant_type")
    assert error_of(asked(b""), registry).startswith("unsupported_grant_type")
    assert error_of(asked(form("", grant_type="password")), registry).startswith("unsupported_grant_type")
    assert error_of(asked(form("a.b.c")), registry).startswith("invalid_request")
    assert error_of(asked(good + b"&assertion=again"), registry).startswith("invalid_request")


@pytest.mark.parametrize("pem", ["rubbish", Signer().public().public_key])
def test_a_key_that_is_none_of_rsa_proves_nothing(pem: str, account: ServiceAccount) -> None:
    registry = registry_of([], [], [replace(account.public(), public_key=pem)])
    request = asked(form(account.assertion(NOW)))
    assert error_of(request, registry).startswith("invalid_grant: the signature")


def test_access_tokens_end_after_an_hour_or_all_at_once(clock: Clock) -> None:
    names = (str(number) for number in count())
    tokens = AccessTokens(clock, lambda: next(names))
    first = tokens.issue(EMAIL)
    assert (first, tokens.owner(first), tokens.owner("other")) == ("ya29.0", EMAIL, None)
    clock.now += 3599
    assert tokens.owner(first) == EMAIL
    clock.now += 1
    assert tokens.owner(first) is None
    second = tokens.issue(EMAIL)
    tokens.revoke_all()
    assert (tokens.owner(second), tokens.issued) == (None, 2)
