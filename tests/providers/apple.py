"""What the tests of APNs share: a key, settings, and a push."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509 import BasicConstraints, CertificateBuilder, Name, NameAttribute, random_serial_number
from cryptography.x509.oid import NameOID

from clarion.model.delivery import PushKind
from clarion.model.notification import Content, Options
from clarion.model.push import Push

TEAM, KEY_ID, TOPIC = "TEAM123456", "KEY1234567", "com.example.field"
SETTINGS: dict[str, Any] = {"team_id": TEAM, "key_id": KEY_ID, "topic": TOPIC}
NOW_MS, DAY_MS = 1_750_000_000_000, 86_400_000
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
KEY = ec.generate_private_key(ec.SECP256R1())
NOTIFICATION, ORGANIZATION, SOLUTION = uuid4(), uuid4(), uuid4()


def pem(key: Any, password: bytes | None = None) -> str:
    sealing = BestAvailableEncryption(password) if password else NoEncryption()
    octets: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealing)
    return octets.decode()


def rsa_with_passphrase() -> str:
    """An encrypted key in the older spelling."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    sealing = BestAvailableEncryption(b"secret")
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, sealing).decode()


def certificate_pem(
    key: ec.EllipticCurvePrivateKey = KEY,
    *,
    uid: str | None = TOPIC,
    common_name: str = f"Apple Push Services: {TOPIC}",
    days: int = 30,
    signer: ec.EllipticCurvePrivateKey | None = None,
    now_ms: int = NOW_MS,
) -> str:
    """A client certificate that is valid from the day before now, its key behind it, its signer's before it."""
    names = [NameAttribute(NameOID.USER_ID, uid)] if uid else []
    subject = Name([*names, NameAttribute(NameOID.COMMON_NAME, common_name)])
    own = _signed(subject, key, days, signer or key, now_ms)
    above = signer_pem(signer, now_ms) if signer else ""
    return above + own + pem(key)


def signer_pem(key: ec.EllipticCurvePrivateKey, now_ms: int = NOW_MS) -> str:
    """The certificate of whoever signs with this key."""
    return _signed(Name([NameAttribute(NameOID.COMMON_NAME, "Signer")]), key, 30, key, now_ms)


def _signed(
    subject: Name, key: ec.EllipticCurvePrivateKey, days: int, signer: ec.EllipticCurvePrivateKey, now_ms: int
) -> str:
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    built = (
        CertificateBuilder()
        .subject_name(subject)
        .issuer_name(Name([NameAttribute(NameOID.COMMON_NAME, "Signer")]))
        .public_key(key.public_key())
        .serial_number(random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(BasicConstraints(ca=key is signer, path_length=None), critical=True)
        .sign(signer, SHA256())
    )
    return built.public_bytes(Encoding.PEM).decode()


def push(content: Content | None = None, **parts: Any) -> Push:
    usual = Push(
        1, NOTIFICATION, ORGANIZATION, None, content or Content("Hello"), Options(), PushKind.ALERT, 1_750_000_060_500
    )  # fmt: skip
    return replace(usual, **parts)
