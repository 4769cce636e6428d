"""A browser's side of message encryption: RFC 8291 over RFC 8188, one record.

A pure function, called by `webpush_rules.py`. Written from the RFCs with `cryptography` alone, so that it
checks a sender that was written from them too.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

POINT_OCTETS = 65
HEADER_OCTETS = 16 + 4 + 1 + POINT_OCTETS
TAG_OCTETS = 16


class Undecipherable(ValueError):  # noqa: N818 - it says what the message is
    """A browser would drop this message without a word; the sentence says why."""


def private_key_of(octets: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key of 32 octets; raises ValueError."""
    return ec.derive_private_key(int.from_bytes(octets), ec.SECP256R1())


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as an uncompressed point, 65 octets."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def sender_key(body: bytes) -> bytes:
    """Return the sender's ephemeral public key, which the header of an encrypted body carries as key id."""
    return body[HEADER_OCTETS - POINT_OCTETS : HEADER_OCTETS]


def decrypt(body: bytes, private_key: ec.EllipticCurvePrivateKey, auth: bytes) -> bytes:
    """Return the message in an `aes128gcm` body; raises Undecipherable."""
    if len(body) < HEADER_OCTETS or body[20] != POINT_OCTETS:
        raise Undecipherable("the header must be salt, record size and a key id of 65 octets")
    salt, record_size, sealed = body[:16], int.from_bytes(body[16:20]), body[HEADER_OCTETS:]
    if record_size <= len(sealed):  # RFC 8291 §4: greater than the one record that there is
        raise Undecipherable(f"the record size {record_size} is not greater than the record, {len(sealed)}")
    if len(sealed) <= TAG_OCTETS:
        raise Undecipherable("there is no record")
    key, nonce = _content_keys(sender_key(body), private_key, auth, salt)
    try:
        padded = AESGCM(key).decrypt(nonce, sealed, None)
    except InvalidTag:
        raise Undecipherable("the keys do not fit the subscription") from None
    message, delimiter = padded.rstrip(b"\0")[:-1], padded.rstrip(b"\0")[-1:]
    if delimiter != b"\x02":  # RFC 8188 §2: the last record, and the only one
        raise Undecipherable("the padding does not begin with the delimiter of a last record, 0x02")
    return message


def _content_keys(
    sender_point: bytes, private_key: ec.EllipticCurvePrivateKey, auth: bytes, salt: bytes
) -> tuple[bytes, bytes]:
    """The content encryption key and the nonce (RFC 8291 §3.4)."""
    try:
        sender = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender_point)
    except ValueError:
        raise Undecipherable("the key id is no point on P-256") from None
    shared = private_key.exchange(ec.ECDH(), sender)
    info = b"WebPush: info\0" + point_of(private_key.public_key()) + sender_point
    keying = _expand(_hmac(auth, shared), info)
    secret = _hmac(salt, keying)
    key = _expand(secret, b"Content-Encoding: aes128gcm\0")[:16]
    return key, _expand(secret, b"Content-Encoding: nonce\0")[:12]


def _expand(key: bytes, info: bytes) -> bytes:
    """The first block of HKDF-Expand (RFC 5869 §2.3); nothing here needs a second."""
    return _hmac(key, info + b"\x01")


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, sha256)
