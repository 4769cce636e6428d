"""VAPID: how Clarion proves to a push service who it is (RFC 8292), and a Web Push channel's settings.

Called by `webpush.py`, which makes a `VapidToken` per push service, and by whoever must tell the app the public key.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from clarion.model.push import InvalidChannel
from clarion.providers.webpush_encryption import point_of

LIFE_MS: Final = 12 * 3_600_000
"""A token's life: at most a day is allowed (RFC 8292 §2); half of it leaves room for clocks that differ."""

RENEWAL_MS: Final = LIFE_MS // 2
LEAST_AGE_MS: Final = 3_600_000
"""Apple asks that tokens be renewed at most once an hour."""

_VISIBLE_URL: Final = re.compile(r"[!#-;=?-\[\]_a-z~]{1,300}")
"""So short that a notification's link always fits beside its text."""

_MAILBOX: Final = re.compile(r"mailto:[!-;=?A-~]{1,64}@[A-Za-z0-9.-]{1,190}")
_LOCAL: Final = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class WebPushSettings:
    """A channel's settings: whom a push service may write to, the app that a tap opens, and its icon.

    `public_key` is the key with which pages subscribe; it stands here so that it can be told without the secret.
    """

    subject: str
    app_url: str
    icon: str | None = None
    public_key: str | None = None

    @classmethod
    def read(cls, values: dict[str, Any]) -> "WebPushSettings":
        """Check a channel's settings; raises InvalidChannel with what is wrong."""
        if unknown := sorted(set(values) - {"subject", "app_url", "icon", "public_key"}):
            raise InvalidChannel(f"unknown settings for Web Push: {', '.join(unknown)}")
        subject, icon = values.get("subject"), values.get("icon")
        if not isinstance(subject, str) or not (_MAILBOX.fullmatch(subject) or _is_url(subject, ("https",))):
            raise InvalidChannel(
                "subject must be mailto: with an address, or an https: URL, that reaches you"
            )
        if not _is_app_url(values.get("app_url")):
            raise InvalidChannel("app_url must be the app's https: URL, at most 300 characters of ASCII")
        if icon is not None and not _is_app_url(icon):
            raise InvalidChannel("icon must be an https: URL, at most 300 characters of ASCII")
        return cls(subject, values["app_url"], icon, values.get("public_key"))


def _is_app_url(value: object) -> bool:
    """HTTPS; browsers let service workers live on this machine without it."""
    return _is_url(value, ("https",)) or (
        _is_url(value, ("http",)) and urlsplit(str(value)).hostname in _LOCAL
    )


def _is_url(value: object, schemes: tuple[str, ...]) -> bool:
    if not isinstance(value, str) or not _VISIBLE_URL.fullmatch(value):
        return False
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises for a port that is none
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname) and "@" not in parts.netloc


def read_key(secret: str) -> EllipticCurvePrivateKey:
    """Read the VAPID key of a channel; raises InvalidChannel, whose sentence does not repeat it."""
    try:
        key = load_pem_private_key(secret.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidChannel("the VAPID key is not a private key in PEM without a password") from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise InvalidChannel("the VAPID key is not a P-256 key")
    return key


def application_server_key(key: EllipticCurvePrivateKey) -> str:
    """The public key as an app gives it to `pushManager.subscribe`, and as a push service is told it."""
    return base64.urlsafe_b64encode(point_of(key)).rstrip(b"=").decode()


class VapidToken:
    """The signed token for one push service: kept for six hours, since services remember what they verified.

    `origin` is the push service's: scheme, host, and the port unless it is 443.
    """

    def __init__(
        self, key: EllipticCurvePrivateKey, subject: str, origin: str, clock: Callable[[], int]
    ) -> None:
        self._key = key
        self._subject = subject
        self._origin = origin
        self._clock = clock
        self._public = application_server_key(key)
        self._text = ""
        self._made_at: int | None = None
        self._blamed_at: int | None = None

    def authorization(self) -> str:
        """The value of the Authorization header (RFC 8292 §3)."""
        now = self._clock()
        if self._made_at is None or not 0 <= now - self._made_at < RENEWAL_MS:
            self._make(now)
        return self._text

    def was_called_bad(self, authorization: str) -> bool:
        """Renew, if a service does not take this one, once an hour at most; whether there is a newer one now."""
        now = self._clock()
        if authorization != self._text:
            return True
        if self._blamed_at is not None and 0 <= now - self._blamed_at < LEAST_AGE_MS:
            return False
        self._blamed_at = now
        self._make(now)
        return True

    def _make(self, now: int) -> None:
        claims = {"aud": self._origin, "exp": (now + LIFE_MS) // 1000, "sub": self._subject}
        token = jwt.encode(claims, self._key, algorithm="ES256")
        self._made_at = now
        self._text = f"vapid t={token},k={self._public}"
