"""ID tokens of an organization's issuer, accepted as sessions of its members (OpenID Connect).

Called by `service/access.py`, whose cache of one second stands before it. Only RS256 and ES256 are taken, each with a
key of its own kind from the issuer's key set, so neither "none" nor a secret made of a public key proves anything.
Nothing of a token is logged but why it was refused.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import jwt
import structlog
from sqlalchemy import Connection

from clarion.model.access import Access, Session
from clarion.model.errors import Unauthenticated
from clarion.model.oidc import Claim, InvalidIdToken, Issuer, Subject, read_claims
from clarion.service.issuer_keys import ALGORITHMS, IssuerKeys, PublicKey
from clarion.store import oidc, tokens
from clarion.store.database import Database

logger = structlog.get_logger()

LONGEST_TOKEN: Final = 8_192

_THREE_PARTS: Final = re.compile(r"eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_JWS: Final = jwt.PyJWS(algorithms=list(ALGORITHMS))


@dataclass(frozen=True, slots=True)
class _Header:
    """How a token says that it is signed."""

    algorithm: str
    key_id: str | None


def looks_like_id_token(text: str) -> bool:
    """Three parts in base64url, of which the first begins like a JSON object; of a length that can be meant."""
    return len(text) <= LONGEST_TOKEN and _THREE_PARTS.fullmatch(text) is not None


class IdTokens:
    """Reads ID tokens. One per process; `keys` are those of all issuers, `clock` answers in milliseconds."""

    def __init__(self, database: Database, keys: IssuerKeys, clock: Callable[[], int]) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock

    async def access(self, token: str, organization: UUID) -> Access | None:
        """What the member whom a token is of may do: as a session. None when it is of no member.

        Raises Unauthenticated for a token that proves nothing in this organization, and IssuerUnavailable when the
        issuer's keys cannot be had.
        """
        issuer = await self._database.read(oidc.find_issuer, organization)
        if issuer is None:
            raise Unauthenticated
        try:
            subject = await self._read(token, issuer)
        except InvalidIdToken as error:
            logger.debug("id_token_refused", organization=str(organization), reason=str(error))
            raise Unauthenticated from None
        found = await self._database.read(_find_member, issuer.claim, subject.value, organization)
        if found is None:
            return None
        return found.of_session(Session(subject.ends_at))

    async def _read(self, token: str, issuer: Issuer) -> Subject:
        header = _read_header(token)
        key = await self._keys.find(issuer.issuer, header.algorithm, header.key_id)
        if key is None:
            raise InvalidIdToken("the issuer has no key of that id and kind")
        return read_claims(_verify(token, header.algorithm, key), issuer, self._clock())


def _read_header(token: str) -> _Header:
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        raise InvalidIdToken("is no signed token") from None
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise InvalidIdToken("alg is neither RS256 nor ES256")
    if "crit" in header or not isinstance(kind, str) or kind.upper() != "JWT":
        raise InvalidIdToken("the header is not that of an ID token")
    return _Header(algorithm, key_id)


def _verify(token: str, algorithm: str, key: PublicKey) -> dict[str, Any]:
    """The claims of a token that bears the signature of this key."""
    try:
        claims = json.loads(_JWS.decode(token, key, algorithms=[algorithm]))
    except jwt.InvalidTokenError:
        raise InvalidIdToken("the signature is not the issuer's") from None
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise InvalidIdToken("the claims are no JSON object")
    return claims


def _find_member(connection: Connection, claim: Claim, value: str, organization: UUID) -> Access | None:
    if claim is Claim.EMAIL:
        return tokens.find_access_by_email(connection, value, organization)
    try:
        user = UUID(value)
    except ValueError:
        return None
    return tokens.find_access_by_user(connection, user, organization)
