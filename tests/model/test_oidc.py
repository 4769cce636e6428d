"""What an ID token must say to be accepted, and what an issuer's URL must look like."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.oidc import Claim, InvalidIdToken, Issuer, check_issuer, read_claims

NOW = 1_750_000_000_000
SECONDS = NOW // 1000
ISSUER = Issuer("https://login.example.com/", "the-app", Claim.EMAIL)
GOOD: dict[str, Any] = {
    "iss": "https://login.example.com/",
    "aud": "the-app",
    "sub": "subject-1",
    "iat": SECONDS,
    "exp": SECONDS + 300,
    "email": "username@example.com",
    "email_verified": True,
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_a_good_token_is_of_the_address_until_a_minute_after_its_end() -> None:
    subject = read_claims(GOOD, ISSUER, NOW)
    assert (subject.value, subject.ends_at) == ("username@example.com", NOW + 360_000)


def test_the_subject_may_say_whom_it_is_of_and_then_the_address_may_say_anything() -> None:
    by_subject = Issuer(ISSUER.issuer, ISSUER.audience, Claim.SUBJECT)
    assert read_claims(GOOD | {"email_verified": False}, by_subject, NOW).value == "subject-1"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"iss": "https://login.example.com"}, "iss is another"),
        ({"iss": None}, "iss is another"),
        ({"iss": ["https://login.example.com/"]}, "iss is another"),
        ({"aud": "another-app"}, "aud does not hold"),
        ({"aud": []}, "aud does not hold"),
        ({"aud": None}, "aud does not hold"),
        ({"aud": {"the-app": 1}}, "aud does not hold"),
        ({"aud": "the-app,another"}, "aud does not hold"),
        ({"aud": ["the-app", "another-app"]}, "azp is missing"),
        ({"aud": ["the-app", "another-app"], "azp": "another-app"}, "azp is another"),
        ({"azp": "another-app"}, "azp is another"),
        ({"exp": SECONDS - 60}, "exp has passed"),
        ({"exp": None}, "exp is missing"),
        ({"exp": str(SECONDS + 300)}, "exp is missing"),
        ({"exp": True}, "exp is missing"),
        ({"exp": math.nan}, "exp is missing"),
        ({"exp": math.inf}, "exp is missing"),
        ({"exp": 10**30}, "exp is missing"),
        ({"exp": -1}, "exp is missing"),
        ({"iat": SECONDS + 61}, "iat is to come"),
        ({"iat": None}, "iat is missing"),
        ({"nbf": SECONDS + 61}, "nbf is to come"),
        ({"nbf": "now"}, "nbf is missing"),
        ({"sub": None}, "sub is missing"),
        ({"sub": ""}, "sub is missing"),
        ({"sub": 7}, "sub is missing"),
        ({"sub": "x" * 501}, "sub is missing"),
        ({"sub": "a\nb"}, "sub is missing"),
        ({"email_verified": False}, "email_verified"),
        ({"email_verified": None}, "email_verified"),
        ({"email_verified": "true"}, "email_verified"),
        ({"email_verified": 1}, "email_verified"),
        ({"email": None}, "email is missing"),
        ({"email": ["username@example.com"]}, "email is missing"),
        ({"email": "u\u017fername@example.com"}, "email is not ASCII"),
    ],
)
def test_a_token_is_refused_for(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidIdToken, match=reason) as refusal:
        read_claims(GOOD | wrong, ISSUER, NOW)
    assert "username" not in str(refusal.value)


@pytest.mark.parametrize(
    "other",
    [
        {"exp": SECONDS - 59},
        {"exp": SECONDS + 0.5},
        {"iat": SECONDS + 60},
        {"nbf": SECONDS + 60},
        {"nbf": None},
        {"aud": ["the-app"]},
        {"aud": ["the-app"], "azp": "the-app"},
        {"aud": ["other", "the-app"], "azp": "the-app"},
    ],
)
def test_a_token_is_accepted_with(other: dict[str, Any]) -> None:
    read_claims(GOOD | other, ISSUER, NOW)


@given(st.sampled_from(sorted(GOOD)), json_values)
def test_whatever_stands_in_a_claim_is_judged(name: str, value: Any) -> None:
    try:
        subject = read_claims(GOOD | {name: value}, ISSUER, NOW)
    except InvalidIdToken:
        return
    assert subject.ends_at > NOW


@pytest.mark.parametrize(
    "text",
    [
        "https://login.example.com",
        "https://login.example.com/",
        "https://login.example.com:8443/realms/example",
        "https://127.0.0.1:9000",
        "https://[::1]:9000/",
    ],
)
def test_an_issuer_may_be(text: str) -> None:
    check_issuer(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "https"),
        ("login.example.com", "https"),
        ("http://login.example.com", "https"),
        ("https://", "https"),
        ("https://login.example.com:0", "https"),
        ("https://login.example.com:99999", "is not a URL"),
        ("https://[::1", "is not a URL"),
        ("https://user@login.example.com", "neither a user"),
        ("https://login.example.com/?a=b", "query"),
        ("https://login.example.com/#a", "fragment"),
        ("https://login.example.com/ä", "characters of a URL"),
        ("https://login.example.com/a b", "characters of a URL"),
        ("https://login.example.com/" + "a" * 500, "characters of a URL"),
    ],
)
def test_an_issuer_is_not(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_issuer(text)
