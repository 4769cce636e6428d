"""Apple's credentials: a channel's settings, the provider token of a key, and the client certificate.

Made from a channel's settings and secret by `apns.py`. Pages of Apple's documentation are named by their last
path element under developer.apple.com/documentation/usernotifications.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificates
from cryptography.x509.oid import NameOID

from clarion import http2
from clarion.model.moment import to_rfc3339
from clarion.model.push import InvalidChannel

HOSTS: Final = {"production": "api.push.apple.com", "development": "api.sandbox.push.apple.com"}

OTHER_TOPICS: Final = {
    ".voip": "calls (VoIP)",
    ".voip-ptt": "Push to Talk",
    ".complication": "complications of watch faces",
    ".pushkit.fileprovider": "File Provider extensions",
    ".location-query": "location queries",
    ".push-type.liveactivity": "Live Activities",
    ".push-type.widgets": "widgets",
    ".push-type.controls": "controls",
}
"""What ends the topics of pushes that are no notifications (sending-notification-requests-to-apns)."""

TOKEN_AGE_MS: Final = 50 * 60_000
"""A provider token is renewed after 50 minutes: Apple takes it between 20 and 60
(establishing-a-token-based-connection-to-apns)."""

LEAST_TOKEN_AGE_MS: Final = 20 * 60_000

_KEY_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.+?-----END \1-----", re.DOTALL)
_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"
_TOPIC: Final = re.compile(r"[A-Za-z0-9.-]{1,155}")


# ── Settings ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ApnsSettings:
    """A channel's settings. `host` and `port` are Apple's for the environment unless they are given.

    `key` is (team id, key id), or None when the secret is a certificate, which may also know the topic.
    """

    key: tuple[str, str] | None
    topic: str | None
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port as requests name them."""
        return http2.authority(self.host, self.port)

    @classmethod
    def read(cls, values: dict[str, Any]) -> "ApnsSettings":
        """Check a channel's settings; raises InvalidChannel with what is wrong."""
        known = {"team_id", "key_id", "topic", "environment", "host", "port"}
        if unknown := sorted(set(values) - known):
            raise InvalidChannel(f"unknown settings for APNs: {', '.join(unknown)}")
        has_key = "team_id" in values or "key_id" in values
        for name in ("team_id", "key_id") if has_key else ():
            if not _is_text(values.get(name), r"[A-Z0-9]{10}"):
                raise InvalidChannel(f"{name} must be ten capital letters and digits, as Apple shows it")
        topic = values.get("topic")
        if has_key or topic is not None:
            check_topic(topic)
        host, port = _read_place(values)
        return cls((values["team_id"], values["key_id"]) if has_key else None, topic, host, port)


def check_topic(topic: object) -> None:
    """See that a topic is one to which notifications can be sent; raises InvalidChannel."""
    if not isinstance(topic, str) or not _TOPIC.fullmatch(topic):
        raise InvalidChannel("topic must be the app's bundle id")
    for ending, purpose in OTHER_TOPICS.items():
        if topic.endswith(ending):
            bundle = topic.removesuffix(ending)
            raise InvalidChannel(
                f"a topic with {ending} is for {purpose}, which are no notifications; give the bundle id {bundle}"
            )


def _read_place(values: dict[str, Any]) -> tuple[str, int]:
    environment = values.get("environment", "production")
    if not _is_text(environment, "|".join(HOSTS)):
        raise InvalidChannel(f"environment must be one of {', '.join(HOSTS)}")
    host, port = values.get("host", HOSTS[environment]), values.get("port", 443)
    if not _is_text(host, r"[A-Za-z0-9.:-]{1,253}"):
        raise InvalidChannel("host must be a host name")
    if type(port) is not int or not 0 < port < 1 << 16:
        raise InvalidChannel("port must be a number from 1 to 65535")
    return host, port


def _is_text(value: object, pattern: str) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII) is not None


class Credential(Protocol):
    """What proves the sender to Apple."""

    def headers(self) -> list[tuple[str, str]]:
        """The headers of every request that prove it."""

    def check(self, now: int) -> None:
        """See that it can be used now; raises InvalidChannel."""

    def was_called_expired(self) -> None:
        """Apple holds what the headers say to be too old."""


# ── A key ────────────────────────────────────────────────────────────────────────────────────────────────


class ProviderToken:
    """The JWT that proves the team to Apple: one per key, shared by all connections, renewed in time."""

    def __init__(
        self, team_id: str, key_id: str, key: EllipticCurvePrivateKey, clock: Callable[[], int]
    ) -> None:
        self._team_id = team_id
        self._key_id = key_id
        self._key = key
        self._clock = clock
        self._text = ""
        self._made_at: int | None = None

    def headers(self) -> list[tuple[str, str]]:
        """The token as a header."""
        return [("authorization", f"bearer {self.text()}")]

    def check(self, now: int) -> None:
        """A key does not end by itself."""

    def text(self) -> str:
        """The present token, a new one every 50 minutes.

        A clock that was set back by a little does not renew it, because Apple counts renewals; by more, the
        moment in the token may be wrong.
        """
        now = self._clock()
        if self._made_at is None or not -LEAST_TOKEN_AGE_MS < now - self._made_at < TOKEN_AGE_MS:
            self._made_at = now
            self._text = jwt.encode(
                {"iss": self._team_id, "iat": now // 1000},
                self._key,
                algorithm="ES256",
                headers={"kid": self._key_id},
            )
        return self._text

    def was_called_expired(self) -> None:
        """Renew at the next use, unless that would be sooner than Apple allows."""
        if self._made_at is not None and self._clock() - self._made_at >= LEAST_TOKEN_AGE_MS:
            self._made_at = None


def read_key(secret: str) -> EllipticCurvePrivateKey:
    """The key in a .p8 file; raises InvalidChannel."""
    if _CERTIFICATE in secret:
        raise InvalidChannel("the secret is a certificate: leave team_id and key_id out of the settings")
    try:
        key = load_pem_private_key(secret.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidChannel(f"the key is not a .p8 file from Apple: {error}") from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise InvalidChannel("the key is not a P-256 key, as Apple's .p8 files are")
    return key


# ── A certificate ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate with its key, as TLS needs them: `pem` has the key, the certificate, and what signed it.

    `names` are what its subject says of the app. Times in milliseconds.
    """

    pem: str = field(repr=False)
    names: tuple[str, ...]
    starts_at: int
    expires_at: int

    def headers(self) -> list[tuple[str, str]]:
        """None: it is shown when the connection is made."""
        return []

    def was_called_expired(self) -> None:
        """It has no token."""

    def find_topic(self) -> str:
        """The bundle id that it was made for; raises InvalidChannel when it names none, or no app's."""
        topic = next((name for name in self.names if "." in name and _TOPIC.fullmatch(name)), None)
        if topic is None:
            raise InvalidChannel("the certificate names no app: set topic to the app's bundle id")
        check_topic(topic)
        return topic

    def check(self, now: int) -> None:
        """See that it is valid now; raises InvalidChannel."""
        if now >= self.expires_at:
            raise InvalidChannel(f"the certificate expired on {_date(self.expires_at)}; make a new one")
        if now < self.starts_at:
            raise InvalidChannel(f"the certificate is not valid before {_date(self.starts_at)}")


def read_certificate(secret: str) -> ClientCertificate:
    """The certificate and its key in a PEM; raises InvalidChannel."""
    key_pem, key = _find_key(secret)
    try:
        certificates = load_pem_x509_certificates(secret.encode())
    except ValueError as error:
        raise InvalidChannel(f"the certificate cannot be read: {error}") from None
    certificates.sort(key=lambda each: each.public_key() != key.public_key())
    own = certificates[0]
    if own.public_key() != key.public_key():
        raise InvalidChannel(
            "the private key is not the certificate's: export both together from the keychain"
        )
    chain = b"".join(each.public_bytes(Encoding.PEM) for each in certificates).decode()
    return ClientCertificate(
        f"{key_pem}\n{chain}",
        _names(own),
        _milliseconds(own.not_valid_before_utc),
        _milliseconds(own.not_valid_after_utc),
    )


def _find_key(secret: str) -> tuple[str, PrivateKeyTypes]:
    if _CERTIFICATE not in secret:
        raise InvalidChannel(
            "the secret has no certificate: give certificate and private key in one PEM, "
            "or team_id and key_id of a .p8 key"
        )
    block = _KEY_BLOCK.search(secret)
    if block is None:
        raise InvalidChannel("the secret has a certificate and no private key: give both in one PEM")
    try:
        return block[0], load_pem_private_key(block[0].encode(), password=None)
    except TypeError:
        raise InvalidChannel(
            "the private key is encrypted: take its passphrase away with “openssl pkey”; Clarion seals it itself"
        ) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidChannel(f"the private key cannot be read: {error}") from None


def _names(certificate: Certificate) -> tuple[str, ...]:
    """Apple writes the bundle id as the subject's UID, and behind the colon of its common name."""
    return tuple(
        str(attribute.value).rpartition(": ")[2]
        for kind in (NameOID.USER_ID, NameOID.COMMON_NAME)
        for attribute in certificate.subject.get_attributes_for_oid(kind)
    )


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _date(moment: int) -> str:
    return to_rfc3339(moment)[:10]
