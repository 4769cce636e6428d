"""JSON web tokens, read and verified with plain `cryptography`.

Called by the credentials of all three providers. No JWT library here, because clients sign with one: what a
library is generous about (a signature in DER, another algorithm) must fail here as at the vendors.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_public_key

_URL_SAFE = re.compile(r"[A-Za-z0-9_-]*\Z")


@dataclass(frozen=True, slots=True)
class WebToken:
    """A token's two halves, unverified, and what its signature is over."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


@lru_cache(maxsize=1024)
def read_token(text: str) -> WebToken | None:
    """Return a token's content; None when it is not three parts of base64url, two of them JSON objects."""
    parts = [octets_of(part) for part in text.split(".")]
    if len(parts) != 3 or None in parts:
        return None
    header, claims = _json(parts[0] or b""), _json(parts[1] or b"")
    if header is None or claims is None:
        return None
    return WebToken(header, claims, text.rpartition(".")[0].encode(), parts[2] or b"")


def octets_of(text: str) -> bytes | None:
    """Return what base64url without padding (RFC 7515 §2) says; None for anything else."""
    if not _URL_SAFE.match(text):
        return None
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None


def text_of(octets: bytes) -> str:
    """Return octets as base64url without padding."""
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def fits_es256(token: WebToken, key: ec.EllipticCurvePublicKey) -> bool:
    """Whether the signature, R and S of 32 octets each (RFC 7518 §3.4), fits the key."""
    if token.header.get("alg") != "ES256" or len(token.signature) != 64:
        return False
    r, s = int.from_bytes(token.signature[:32]), int.from_bytes(token.signature[32:])
    try:
        key.verify(encode_dss_signature(r, s), token.signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def fits_rs256(token: WebToken, pem: str) -> bool:
    """Whether the signature, RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3), fits the PEM key."""
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError:
        return False
    if token.header.get("alg") != "RS256" or not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        key.verify(token.signature, token.signed, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _json(raw: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
