"""The provider token of Apple: a JSON web token signed with ES256.

Called by `apns_rules.py`; what a web token is stands in `jose.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from clarion.sandbox.jose import fits_es256, read_token


@dataclass(frozen=True, slots=True)
class Claims:
    """What a provider token says: who, with which key, since when (epoch seconds)."""

    team_id: str
    key_id: str
    issued_at: int


@lru_cache(maxsize=1024)
def read_claims(text: str) -> Claims | None:
    """Return what the token claims, unverified; None when it is not an ES256 token with kid, iss and iat."""
    token = read_token(text)
    if token is None or token.header.get("alg") != "ES256":
        return None
    key_id, team_id, issued_at = token.header.get("kid"), token.claims.get("iss"), token.claims.get("iat")
    if not (isinstance(key_id, str) and isinstance(team_id, str) and type(issued_at) is int):
        return None
    return Claims(team_id, key_id, issued_at)


@lru_cache(maxsize=1024)
def is_signed_by(text: str, public_key: str) -> bool:
    """Whether the token's signature fits the PEM key."""
    token = read_token(text)
    try:
        key = load_pem_public_key(public_key.encode())
    except ValueError:
        return False
    return token is not None and isinstance(key, ec.EllipticCurvePublicKey) and fits_es256(token, key)
