"""Encryption of a Web Push message for one browser: RFC 8291 over RFC 8188, one record. Pure.

Called by `webpush_service.py` for every message, and by `webpush_endpoints.py` to check a browser's key; knows
nothing of HTTP. Nearly all of its time is OpenSSL's: one key pair and one ECDH per message, which the standard
demands.
"""

from hmac import digest
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CURVE: Final = SECP256R1()
POINT_OCTETS: Final = 65
AUTH_OCTETS: Final = 16
SALT_OCTETS: Final = 16

RECORD_OCTETS: Final = 4096
"""The record size that is announced: no push service must take a larger body (RFC 8030 §7.2)."""

MOST_PLAINTEXT_OCTETS: Final = RECORD_OCTETS - (SALT_OCTETS + 4 + 1 + POINT_OCTETS) - 1 - 16
"""3,993: a body of 4,096 less the header, the delimiter and the tag (RFC 8291 §4)."""

_ECDH: Final = ECDH()
_SIZES: Final = RECORD_OCTETS.to_bytes(4, "big") + bytes((POINT_OCTETS,))
_LAST_RECORD: Final = b"\x02"
_INFO: Final = b"WebPush: info\0"
_KEY_INFO: Final = b"Content-Encoding: aes128gcm\0\x01"
_NONCE_INFO: Final = b"Content-Encoding: nonce\0\x01"


class BrowserKeys(NamedTuple):
    """What a subscription brings: the browser's public key (`p256dh`), as octets too, and the secret (`auth`)."""

    key: EllipticCurvePublicKey
    point: bytes
    auth: bytes

    @classmethod
    def read(cls, point: bytes, auth: bytes) -> "BrowserKeys":
        """Check both; raises ValueError for what is no uncompressed point on the curve (RFC 8291 §7)."""
        if len(point) != POINT_OCTETS or point[0] != 0x04:
            raise ValueError("p256dh must be an uncompressed point of P-256: 65 octets")
        if len(auth) != AUTH_OCTETS:
            raise ValueError(f"auth must have {AUTH_OCTETS} octets")
        try:
            return cls(EllipticCurvePublicKey.from_encoded_point(CURVE, point), point, auth)
        except ValueError:
            raise ValueError("p256dh must be a point on the curve P-256") from None


def encrypt(
    plaintext: bytes, browser: BrowserKeys, *, sender_key: EllipticCurvePrivateKey, salt: bytes
) -> bytes:
    """Encrypt a message; returns the body that goes to the push service.

    `sender_key` and `salt` (16 octets) must be new for every message. Raises ValueError for more than 3,993
    octets.
    """
    if len(plaintext) > MOST_PLAINTEXT_OCTETS:
        raise ValueError(f"a message of {len(plaintext)} octets; {MOST_PLAINTEXT_OCTETS} fit into a record")
    if len(salt) != SALT_OCTETS:
        raise ValueError(f"a salt has {SALT_OCTETS} octets")
    shared = sender_key.exchange(_ECDH, browser.key)
    own_point = point_of(sender_key)
    # RFC 8291 §3.4: both points and the shared secret of the subscription go into the key.
    key = digest(browser.auth, shared, "sha256")
    key = digest(key, _INFO + browser.point + own_point + b"\x01", "sha256")
    # RFC 8188 §2.2 and §2.3.
    key = digest(salt, key, "sha256")
    content_key = digest(key, _KEY_INFO, "sha256")[:16]
    nonce = digest(key, _NONCE_INFO, "sha256")[:12]
    sealed = AESGCM(content_key).encrypt(nonce, plaintext + _LAST_RECORD, None)
    return salt + _SIZES + own_point + sealed


def point_of(key: EllipticCurvePrivateKey) -> bytes:
    """A key's public point, uncompressed: 65 octets."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
