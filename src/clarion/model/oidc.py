"""OpenID Connect, the words and the rules: which issuer an organization trusts, and what an ID token must say.

Pure: whose signature a token bears is found out before (`service/oidc.py`). OpenID Connect Core 1.0 §2 and §3.1.3.7.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

SKEW_MS: Final = 60_000
"""How far the issuer's clock may be from ours."""

LONGEST_TEXT: Final = 500
"""No issuer, audience, subject or address is longer."""


class Claim(StrEnum):
    """The claim that says which member a token is of."""

    EMAIL = "email"
    SUBJECT = "sub"


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer whose ID tokens are accepted as sessions of members.

    A token must be made for `audience`. `claim` EMAIL: its verified address is a member's; SUBJECT: its subject is
    a member's user id.
    """

    issuer: str
    audience: str
    claim: Claim


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a token is of: the value of the issuer's claim, and when the token is good no more."""

    value: str
    ends_at: int


class InvalidIdToken(Exception):  # noqa: N818 - a reason, told in the log alone
    """An ID token proves nothing; the sentence says why and holds nothing of the token."""


def check_issuer(text: str) -> None:
    """Raise ValueError unless a text is an issuer's URL: https, without query or fragment."""
    try:
        parts = urlsplit(text)
        port_is_good = parts.port != 0
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme != "https" or not parts.hostname or not port_is_good:
        raise ValueError("must be an https URL, such as https://login.example.com")
    if parts.username is not None or parts.password is not None or any(mark in text for mark in "?#"):
        raise ValueError("must have neither a user nor a query nor a fragment")
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > LONGEST_TEXT:
        raise ValueError(f"must be at most {LONGEST_TEXT} characters of a URL")


def read_claims(claims: Mapping[str, Any], issuer: Issuer, now: int) -> Subject:
    """Judge what a token says, whose signature was found good; raises InvalidIdToken."""
    if claims.get("iss") != issuer.issuer:
        raise InvalidIdToken("iss is another issuer")
    _check_audience(claims, issuer.audience)
    ends_at = _moment(claims, "exp") + SKEW_MS
    if now >= ends_at:
        raise InvalidIdToken("exp has passed")
    if _moment(claims, "iat") > now + SKEW_MS:
        raise InvalidIdToken("iat is to come")
    if claims.get("nbf") is not None and _moment(claims, "nbf") > now + SKEW_MS:
        raise InvalidIdToken("nbf is to come")
    subject = _text(claims, Claim.SUBJECT)
    return Subject(subject if issuer.claim is Claim.SUBJECT else _verified_email(claims), ends_at)


def _check_audience(claims: Mapping[str, Any], ours: str) -> None:
    """A token for several must say that it was given to us; one that was given to somebody else is not for us."""
    audience, given_to = claims.get("aud"), claims.get("azp")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or ours not in audiences:
        raise InvalidIdToken("aud does not hold our audience")
    if len(audiences) > 1 and given_to is None:
        raise InvalidIdToken("aud holds several, and azp is missing")
    if given_to is not None and given_to != ours:
        raise InvalidIdToken("azp is another")


def _verified_email(claims: Mapping[str, Any]) -> str:
    if claims.get("email_verified") is not True:
        raise InvalidIdToken("email_verified is not true")
    email = _text(claims, Claim.EMAIL)
    if not email.isascii():  # letters that fold into others', such as the sign of the kelvin into k
        raise InvalidIdToken("email is not ASCII")
    return email


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value or len(value) > LONGEST_TEXT or not value.isprintable():
        raise InvalidIdToken(f"{name} is missing or no text")
    return value


def _moment(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 10**11:  # nor NaN
        raise InvalidIdToken(f"{name} is missing or no time")
    return int(value * 1000)
