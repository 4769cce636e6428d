"""The provider token of APNs: a JWT signed with ES256.

Called by `apns_rules.py`. Reads with plain `cryptography`, not with a JWT library, because clients sign with
one: what a library is generous about (a signature in DER, another algorithm) must fail here as at Apple.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_public_key


@dataclass(frozen=True, slots=True)
class Claims:
    """What a provider token says: who, with which key, since when (epoch seconds)."""

    team_id: str
    key_id: str
    issued_at: int


@lru_cache(maxsize=1024)
def read_claims(token: str) -> Claims | None:
    """Return what the token claims, unverified; None when it is not an ES256 token with kid, iss and iat."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    header, claims = _json(parts[0]), _json(parts[1])
    if header is None or claims is None or header.get("alg") != "ES256":
        return None
    key_id, team_id, issued_at = header.get("kid"), claims.get("iss"), claims.get("iat")
    if not (isinstance(key_id, str) and isinstance(team_id, str) and type(issued_at) is int):
        return None
    return Claims(team_id, key_id, issued_at)


@lru_cache(maxsize=1024)
def is_signed_by(token: str, public_key: str) -> bool:
    """Whether the token's signature, R and S of 32 octets each (RFC 7518 §3.4), fits the PEM key."""
    signed, _, signature = token.rpartition(".")
    raw = _octets(signature)
    if raw is None or len(raw) != 64:
        return False
    try:
        key = load_pem_public_key(public_key.encode())
    except ValueError:
        return False
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    try:
        key.verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _json(part: str) -> dict[str, Any] | None:
    raw = _octets(part)
    try:
        value = json.loads(raw) if raw is not None else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _octets(part: str) -> bytes | None:
    try:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        return None
