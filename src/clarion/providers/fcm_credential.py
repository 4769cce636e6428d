"""Google's credential: a service account, and the access tokens that its signature is exchanged for (RFC 7523).

Made by `fcm.py` from a channel's secret. No text of a key or a token leaves this file but in a request to Google.
"""

import asyncio
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from clarion import http2
from clarion.model.outcome import Misconfigured, Unavailable
from clarion.model.push import InvalidChannel
from clarion.providers.fcm_answers import read_grant_refusal

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
AUDIENCE: Final = "https://oauth2.googleapis.com/token"
"""Whom an assertion is for; the same wherever `token_uri` leads."""

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_SECONDS: Final = 3_600

EARLY_MS: Final = 225_000
JITTER_MS: Final = 75_000
"""A token is renewed so long before its end, and up to so much sooner, beside the sending."""

LAST_MS: Final = 10_000
"""So long before its end a token is used no more: the request has a way to go."""

PAUSE_MS: Final = 10_000
"""Between two tries to renew a token that still serves."""

MOST_TOKEN_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """What a service account's file says. The key is not shown."""

    project_id: str
    client_email: str
    private_key_id: str
    private_key: RSAPrivateKey = field(repr=False)
    token_host: str
    token_port: int
    token_path: str

    @classmethod
    def read(cls, secret: str) -> "ServiceAccount":
        """Read the file's text; raises InvalidChannel with what is wrong, never with a part of the key."""
        values = _read_file(secret)
        for name, pattern in _FIELDS.items():
            if not isinstance(values.get(name), str) or not re.fullmatch(pattern, values[name], re.ASCII):
                what = "malformed" if name in values else "missing"
                raise InvalidChannel(f"{name} is {what} in the service account's file")
        host, port, path = _read_token_uri(values["token_uri"])
        return cls(
            project_id=values["project_id"],
            client_email=values["client_email"],
            private_key_id=values["private_key_id"],
            private_key=_read_key(values.get("private_key")),
            token_host=host,
            token_port=port,
            token_path=path,
        )


PROJECT_ID: Final = r"[a-z0-9][a-z0-9.:-]{0,99}"
"""A project's id, or its number; old ones begin with a domain."""

_FIELDS: Final = {
    "project_id": PROJECT_ID,
    "private_key_id": r"[!-~]{1,200}",
    "client_email": r"[^@\s]{1,200}@[^@\s]{1,200}",
    "token_uri": r"[!-~]{1,500}",
}


def _read_file(secret: str) -> dict[str, Any]:
    try:
        values = json.loads(secret)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise InvalidChannel("the secret is not a service account's file: it is no JSON object")
    if values.get("type") != "service_account":
        raise InvalidChannel(
            'the secret is not a service account\'s file: its "type" is not "service_account". Firebase makes one '
            "under Project settings, Service accounts, Generate new private key"
        )
    return values


def _read_key(pem: object) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None) if isinstance(pem, str) else None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise InvalidChannel("private_key in the service account's file is not an RSA key in PEM")
    if key.key_size < 2048:
        raise InvalidChannel("private_key in the service account's file has fewer than 2,048 bits")
    return key


def _read_token_uri(text: str) -> tuple[str, int, str]:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    else:
        if parts.scheme == "https" and host and port != 0 and not (parts.username or parts.fragment):
            query = f"?{parts.query}" if parts.query else ""
            return host, port or 443, f"{parts.path or '/'}{query}"
    raise InvalidChannel("token_uri in the service account's file must be an https address")


@dataclass(frozen=True, slots=True)
class _Held:
    """A token and its moments, in milliseconds."""

    text: str = field(repr=False)
    made_at: int
    renew_at: int
    ends_at: int


class AccessTokens:
    """The access token of a service account: one for all requests, renewed in time, asked for once at a time.

    `clock` answers in milliseconds, `jitter` in [0, 1).
    """

    def __init__(
        self,
        account: ServiceAccount,
        pool: http2.Pool,
        clock: Callable[[], int],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._account = account
        self._pool = pool
        self._clock = clock
        self._jitter = jitter
        self._template = http2.Template(
            method="POST",
            authority=http2.authority(account.token_host, account.token_port),
            headers=[("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")],
            keep_success=True,
        )
        self._held: _Held | None = None
        self._renewing: asyncio.Task[_Held | Misconfigured | Unavailable] | None = None
        self._renew_again_at = 0

    async def text(self) -> str | Misconfigured | Unavailable:
        """The present token, or why there is none. However many ask at once, Google is asked once."""
        now = self._clock()
        held = self._held
        if held is None or not held.made_at <= now < held.ends_at:
            outcome = await asyncio.shield(self._renewal())
            return outcome.text if isinstance(outcome, _Held) else outcome
        if now >= max(held.renew_at, self._renew_again_at):
            self._renewal()  # beside the sending: this token still serves
        return held.text

    def was_refused(self, text: str) -> None:
        """Use this token no more; a newer one stays."""
        if self._held is not None and self._held.text == text:
            self._held = None

    async def close(self) -> None:
        """Close the connection; a renewal on its way fails."""
        await self._pool.close()
        if self._renewing is not None:
            await asyncio.wait([self._renewing])

    def _renewal(self) -> asyncio.Task[_Held | Misconfigured | Unavailable]:
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew())
        return self._renewing

    async def _renew(self) -> _Held | Misconfigured | Unavailable:
        asked_at = self._clock()
        hole = (http2.literal(b":path", self._account.token_path.encode()), self._form(asked_at))
        [result] = await self._pool.burst(self._template, [hole])
        if not isinstance(result, http2.Answer):
            outcome: _Held | Misconfigured | Unavailable = Unavailable(f"token endpoint: {result.reason}")
        else:
            outcome = self._read(result, asked_at) or read_grant_refusal(result, self._clock())
        if isinstance(outcome, _Held):
            self._held = outcome
        self._renew_again_at = asked_at + PAUSE_MS
        return outcome

    def _form(self, now: int) -> bytes:
        """The request: the account's signature under who it is and what it wants."""
        account, issued_at = self._account, now // 1000
        claims = {
            "iss": account.client_email,
            "scope": SCOPE,
            "aud": AUDIENCE,
            "iat": issued_at,
            "exp": issued_at + ASSERTION_SECONDS,
        }
        headers = {"kid": account.private_key_id}
        assertion = jwt.encode(claims, account.private_key, algorithm="RS256", headers=headers)
        return urlencode({"grant_type": GRANT_TYPE, "assertion": assertion}).encode()

    def _read(self, answer: http2.Answer, asked_at: int) -> _Held | None:
        """The token in an answer, which must be one in every part."""
        try:
            said = json.loads(answer.body) if answer.status == 200 else None
        except (ValueError, RecursionError):
            return None
        if not isinstance(said, dict):
            return None
        text, kind, seconds = said.get("access_token"), said.get("token_type"), said.get("expires_in")
        if not isinstance(text, str) or not re.fullmatch(r"[!-~]{1,4096}", text):
            return None
        if not isinstance(kind, str) or kind.lower() != "bearer" or type(seconds) is not int or seconds <= 0:
            return None
        ends_at = asked_at + min(seconds, MOST_TOKEN_SECONDS) * 1000
        early = min(EARLY_MS + int(self._jitter() * JITTER_MS), (ends_at - asked_at) // 2)
        return _Held(text, asked_at, ends_at - early, ends_at - min(LAST_MS, early))
