"""Google's token endpoint: a service account's signed assertion for an access token (RFC 7523).

`grant` is a pure function; `AccessTokens` remembers what was handed out, in memory. Called by `fcm.py`, and by
the page's API, which can revoke all tokens at once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from urllib.parse import parse_qs

from clarion.sandbox.conversation import Request
from clarion.sandbox.fcm_errors import grant_error
from clarion.sandbox.jose import WebToken, fits_rs256, read_token
from clarion.sandbox.push import Refused
from clarion.sandbox.registry import Registry

PATH = "/token"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCE = "https://oauth2.googleapis.com/token"
SCOPES = frozenset(
    {
        "https://www.googleapis.com/auth/firebase.messaging",
        "https://www.googleapis.com/auth/cloud-platform",
    }
)
LIFETIME = 3600
SKEW = 300
"""Seconds by which a client's clock may be ahead."""


class AccessTokens:
    """The access tokens that were handed out: whose, and until when."""

    def __init__(
        self, clock: Callable[[], float], make: Callable[[], str] = lambda: secrets.token_urlsafe(90)
    ) -> None:
        self.issued = 0
        """How many were ever handed out."""
        self._clock = clock
        self._make = make
        self._owners: dict[str, tuple[str, float]] = {}

    def issue(self, account: str) -> str:
        """Hand out a new token."""
        now = self._clock()
        self._owners = {text: owner for text, owner in self._owners.items() if owner[1] > now}
        token = f"ya29.{self._make()}"
        self._owners[token] = (account, now + LIFETIME)
        self.issued += 1
        return token

    def owner(self, token: str) -> str | None:
        """Return the account of a token; None when it is unknown, revoked or older than an hour."""
        account, expires_at = self._owners.get(token, ("", 0.0))
        return account if expires_at > self._clock() else None

    def revoke_all(self) -> None:
        """Let every token be refused from now on."""
        self._owners.clear()


def grant(request: Request, registry: Registry, now: float) -> str | Refused:
    """Return the account that an assertion proves, or why it does not."""
    form = _form(request)
    if form.get("grant_type") != GRANT_TYPE:
        return grant_error(400, "unsupported_grant_type", f"grant_type must be {GRANT_TYPE}")
    token = read_token(form.get("assertion", ""))
    if token is None:
        return grant_error(400, "invalid_request", "assertion must be a JSON web token")
    project = registry.projects.get(str(token.claims.get("iss")))
    if project is None:
        return grant_error(400, "invalid_grant", "iss: there is no such service account")
    if token.header.get("kid") != project.private_key_id or not fits_rs256(token, project.public_key):
        return grant_error(400, "invalid_grant", "the signature does not fit the account's key (RS256, kid)")
    return _claims(token, request, now) or project.client_email


def _form(request: Request) -> dict[str, str]:
    types = [value for name, value in request.headers if name == "content-type"]
    if [one.partition(";")[0].strip().lower() for one in types] != ["application/x-www-form-urlencoded"]:
        return {}
    pairs = parse_qs(request.body.decode("ascii", "replace"))
    return {name: values[0] for name, values in pairs.items() if len(values) == 1}


def _claims(token: WebToken, request: Request, now: float) -> Refused | None:
    if token.claims.get("aud") not in (AUDIENCE, f"https://{request.authority}{PATH}"):
        return grant_error(400, "invalid_grant", f"aud must be {AUDIENCE}")
    issued_at, expires_at = token.claims.get("iat"), token.claims.get("exp")
    if not (type(issued_at) is int and type(expires_at) is int):
        return grant_error(400, "invalid_grant", "iat and exp must be whole numbers")
    if not (issued_at <= now + SKEW and now < expires_at <= issued_at + LIFETIME):
        return grant_error(400, "invalid_grant", "iat must be past, exp ahead, and at most an hour between")
    wanted = token.claims.get("scope")
    if not isinstance(wanted, str) or SCOPES.isdisjoint(wanted.split()):
        return grant_error(400, "invalid_scope", f"scope must contain one of: {', '.join(sorted(SCOPES))}")
    return None
