"""What browsers' push services check of a message before they take it: RFC 8030, RFC 8188, RFC 8292. Pure.

Called by `push_service.py`. Each vendor's stand-in spells the faults in its vendor's way.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from enum import Enum
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

MOST_BODY_OCTETS = 4096
LONGEST_TOKEN_SECONDS = 24 * 3600
HEAD_OCTETS, TAG_OCTETS = 86, 16

_VAPID = re.compile(r"vapid t=(?P<token>[\w.-]+), ?k=(?P<key>[\w-]+)", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,9}")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")


class Fault(Enum):
    """Why a message is not taken."""

    NO_SUCH = "there is no such subscription"
    GONE = "the subscription has ended"
    NO_TTL = "TTL is missing"
    BAD_TTL = "TTL must be seconds"
    BAD_TOPIC = "Topic must be at most 32 characters of base64url"
    BAD_ENCODING = "the body must be encrypted with aes128gcm"
    TOO_LARGE = "the body is too large"
    NO_TOKEN = "Authorization must be: vapid t=…, k=…"
    BAD_TOKEN = "the token is not good: signature, audience, expiry or subject"
    OTHER_KEY = "the subscription was made with another key"


def judge(headers: Mapping[str, str], body: bytes, key: bytes, origin: str, now: float) -> Fault | None:
    """The first fault of a message to a subscription that was made with a key; None when there is none."""
    return _judge_headers(headers, body) or _judge_token(headers.get("Authorization", ""), key, origin, now)


def _judge_headers(headers: Mapping[str, str], body: bytes) -> Fault | None:
    if "TTL" not in headers:
        return Fault.NO_TTL
    if not _SECONDS.fullmatch(headers["TTL"]):
        return Fault.BAD_TTL
    if "Topic" in headers and not _TOPIC.fullmatch(headers["Topic"]):
        return Fault.BAD_TOPIC
    if len(body) > MOST_BODY_OCTETS:
        return Fault.TOO_LARGE
    is_encrypted = headers.get("Content-Encoding") == "aes128gcm" and _has_one_record(body)
    return None if is_encrypted or not body else Fault.BAD_ENCODING


def _has_one_record(body: bytes) -> bool:
    """Whether it is laid out as RFC 8291 §4 says; nobody but the browser can open it."""
    record_octets = int.from_bytes(body[16:20])
    return body[20:22] == b"\x41\x04" and TAG_OCTETS < len(body) - HEAD_OCTETS <= record_octets


def _judge_token(authorization: str, key: bytes, origin: str, now: float) -> Fault | None:
    found = _VAPID.fullmatch(authorization)
    if found is None:
        return Fault.NO_TOKEN
    given = octets(found["key"])
    claims = _claims(found["token"], given)
    if claims is None or claims.get("aud") != origin or not _is_reachable(claims.get("sub")):
        return Fault.BAD_TOKEN
    if not now < claims.get("exp", 0) <= now + LONGEST_TOKEN_SECONDS:
        return Fault.BAD_TOKEN
    return None if given == key else Fault.OTHER_KEY


def _claims(token: str, key: bytes) -> dict[str, Any] | None:
    try:
        signer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key)
        unchecked = {"verify_aud": False, "verify_exp": False}
        return jwt.decode(token, signer, algorithms=["ES256"], options=unchecked)  # type: ignore[arg-type]
    except (ValueError, jwt.InvalidTokenError):
        return None


def _is_reachable(subject: object) -> bool:
    return isinstance(subject, str) and subject.startswith(("mailto:", "https://"))


def octets(text: str) -> bytes:
    """Read base64url, with padding or without."""
    bare = text.rstrip("=")
    return urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
