"""What a sender of Web Push has: a VAPID key, and encryption written here from RFC 8291."""

from __future__ import annotations

import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SITE = "https://app.example.com"
SERVICE = "https://localhost"
NOTIFICATION = {"title": "Hello", "navigate": f"{SITE}/jig/promo", "body": "World"}
DECLARATIVE = {"web_push": 8030, "notification": NOTIFICATION}


def b64(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


class Vapid:
    """An application server's key."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.public = b64(point(self.key))

    def token(self, now: float, **claims: Any) -> str:
        usual = {"aud": SERVICE, "exp": int(now) + 12 * 3600, "sub": "mailto:push@example.com"}
        whole = {name: value for name, value in (usual | claims).items() if value is not None}
        return jwt.encode(whole, self.key, "ES256")

    def authorization(self, now: float, **claims: Any) -> str:
        return f"vapid t={self.token(now, **claims)}, k={self.public}"


def encrypt(
    plaintext: bytes,
    keys: dict[str, str],
    *,
    sender: ec.EllipticCurvePrivateKey | None = None,
    padding: bytes = b"\x02",
    record_size: int = 4096,
) -> bytes:
    """Seal a message for a subscription's keys."""
    sender, salt = sender or ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
    there, here = unb64(keys["p256dh"]), point(sender)
    peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), there)
    secret = _derive(sender.exchange(ec.ECDH(), peer), unb64(keys["auth"]), b"WebPush: info\0" + there + here)
    key = _derive(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(secret, salt, b"Content-Encoding: nonce\0", 12)
    sealed = AESGCM(key).encrypt(nonce, plaintext + padding, None)
    return salt + record_size.to_bytes(4) + bytes([len(here)]) + here + sealed


def _derive(secret: bytes, salt: bytes, info: bytes, length: int = 32) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def sealed(content: Any, keys: dict[str, str]) -> bytes:
    return encrypt(json.dumps(content).encode(), keys)
