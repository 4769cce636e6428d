"""Apple's push service: settings, encoding, sending, and what each answer means.

A provider of `model.push.Provider`, made by `make_provider`. Pages of Apple's documentation are named by
their last path element under developer.apple.com/documentation/usernotifications.
"""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from ssl import SSLContext
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from clarion import http2
from clarion.model.delivery import PushKind
from clarion.model.moment import LAST_MOMENT
from clarion.model.notification import Priority
from clarion.model.outcome import (
    ACCEPTED,
    Accepted,
    Gone,
    Misconfigured,
    Outcome,
    Refused,
    Unavailable,
    Unknown,
)
from clarion.model.push import InvalidChannel, Parcel, Push

HOSTS: Final = {"production": "api.push.apple.com", "development": "api.sandbox.push.apple.com"}

MOST_OCTETS: Final = 4096
"""A payload's limit in octets of UTF-8 (generating-a-remote-notification)."""

_ADDRESS: Final = re.compile(r"(?:[0-9a-fA-F]{2}){1,200}")

MOST_COLLAPSE_OCTETS: Final = 64

TOKEN_AGE_MS: Final = 50 * 60_000
"""A provider token is renewed after 50 minutes: Apple takes it between 20 and 60
(establishing-a-token-based-connection-to-apns)."""

LEAST_TOKEN_AGE_MS: Final = 20 * 60_000


# ── Settings ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ApnsSettings:
    """A channel's settings. `host` and `port` are Apple's for the environment unless they are given."""

    team_id: str
    key_id: str
    topic: str
    host: str
    port: int

    @classmethod
    def read(cls, values: dict[str, Any]) -> "ApnsSettings":
        """Check a channel's settings; raises InvalidChannel with what is wrong."""
        known = {"team_id", "key_id", "topic", "environment", "host", "port"}
        if unknown := sorted(set(values) - known):
            raise InvalidChannel(f"unknown settings for APNs: {', '.join(unknown)}")
        for name in ("team_id", "key_id"):
            if not _is_text(values.get(name), r"[A-Z0-9]{10}"):
                raise InvalidChannel(f"{name} must be ten capital letters and digits, as Apple shows it")
        if not _is_text(values.get("topic"), r"[A-Za-z0-9.-]{1,155}"):
            raise InvalidChannel("topic must be the app's bundle id")
        environment = values.get("environment", "production")
        if not _is_text(environment, "|".join(HOSTS)):
            raise InvalidChannel(f"environment must be one of {', '.join(HOSTS)}")
        host, port = values.get("host", HOSTS[environment]), values.get("port", 443)
        if not _is_text(host, r"[A-Za-z0-9.:-]{1,253}"):
            raise InvalidChannel("host must be a host name")
        if type(port) is not int or not 0 < port < 1 << 16:
            raise InvalidChannel("port must be a number from 1 to 65535")
        return cls(values["team_id"], values["key_id"], values["topic"], host, port)


def _is_text(value: object, pattern: str) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII) is not None


class ProviderToken:
    """The JWT that proves the team to Apple: one per key, shared by all requests, renewed in time."""

    def __init__(
        self, settings: ApnsSettings, key: EllipticCurvePrivateKey, clock: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._key = key
        self._clock = clock
        self._text = ""
        self._made_at: int | None = None

    def text(self) -> str:
        """The present token, a new one every 50 minutes."""
        now = self._clock()
        if self._made_at is None or not 0 <= now - self._made_at < TOKEN_AGE_MS:
            self._made_at = now
            self._text = jwt.encode(
                {"iss": self._settings.team_id, "iat": now // 1000},
                self._key,
                algorithm="ES256",
                headers={"kid": self._settings.key_id},
            )
        return self._text

    def was_called_expired(self) -> None:
        """Renew at the next use, unless that would be sooner than Apple allows."""
        if self._made_at is not None and self._clock() - self._made_at >= LEAST_TOKEN_AGE_MS:
            self._made_at = None


def _read_key(secret: str) -> EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(secret.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidChannel(f"the key is not a .p8 file from Apple: {error}") from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise InvalidChannel("the key is not a P-256 key, as Apple's .p8 files are")
    return key


# ── Encoding ─────────────────────────────────────────────────────────────────────────────────────────────


def encode_payload(push: Push) -> bytes:
    """The JSON of a push, never above 4,096 octets: inputs that do not fit are left for the app to fetch."""
    if push.kind is PushKind.WITHDRAWAL:
        return _to_json({"aps": {"content-available": 1}, "clarion": {"withdraw": str(push.notification)}})
    payload = {"aps": _aps(push), "clarion": _clarion(push)}
    octets = _to_json(payload)
    if len(octets) > MOST_OCTETS:
        payload["clarion"]["inputs"] = {}
        payload["clarion"]["inputsOmitted"] = True
        octets = _to_json(payload)
    return octets


def encode_headers(push: Push, settings: ApnsSettings, token: str) -> list[tuple[str, str]]:
    """The headers that all devices share (sending-notification-requests-to-apns)."""
    is_alert = push.kind is PushKind.ALERT
    high = is_alert and push.options.priority is Priority.HIGH
    headers = [
        ("authorization", f"bearer {token}"),
        ("apns-topic", settings.topic),
        ("apns-push-type", "alert" if is_alert else "background"),
        ("apns-priority", "10" if high else "5"),
        (
            "apns-expiration",
            "0" if is_alert and not push.options.ttl_seconds else str(push.expires_at // 1000),
        ),
    ]
    if is_alert:
        headers.append(("apns-collapse-id", collapse_id(push)))
    return headers


def collapse_id(push: Push) -> str:
    """At most 64 octets of ASCII: the sender's key where it fits, its digest where not, else the notification."""
    key = push.options.collapse_key
    if key is None:
        return str(push.notification)
    fits = len(key) <= MOST_COLLAPSE_OCTETS and re.fullmatch(r"[!-~]+", key)
    return key if fits else sha256(key.encode()).hexdigest()


def _aps(push: Push) -> dict[str, Any]:
    content, options = push.content, push.options
    alert = (
        {"body": content.text} if content.title is None else {"title": content.title, "body": content.text}
    )
    optional = {"badge": options.badge, "category": options.category, "thread-id": options.thread}
    return {
        "alert": alert,
        "sound": options.sound or "default",
        **{key: value for key, value in optional.items() if value is not None},
    }


def _clarion(push: Push) -> dict[str, Any]:
    content = push.content
    optional = {"solutionId": push.solution and str(push.solution), "jigId": content.jig}
    return {
        "notificationId": str(push.notification),
        "organizationId": str(push.organization),
        "screen": content.screen,
        **{key: value for key, value in optional.items() if value is not None},
        "inputs": content.inputs,
    }


def _to_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────


def _this_device_later(reason: str) -> Outcome:
    return Unavailable(reason, whole_service=False)


def _slow_down(reason: str) -> Outcome:
    return Unavailable(reason, retry_after_seconds=60)


def _doubt(reason: str) -> Outcome:
    return Refused(reason, doubts_device=True)


ANSWERS: Final[dict[tuple[int, str], Callable[[str], Outcome]]] = {
    # The address may be wrong: of another environment, of another app, or mistyped.
    (400, "BadDeviceToken"): _doubt,
    (400, "DeviceTokenNotForTopic"): _doubt,
    # The channel's settings are wrong: every push of it would be refused.
    (400, "BadTopic"): Misconfigured,
    (400, "MissingTopic"): Misconfigured,
    (400, "TopicDisallowed"): Misconfigured,
    (400, "InvalidPushType"): Misconfigured,
    (403, "InvalidProviderToken"): Misconfigured,
    (403, "MissingProviderToken"): Misconfigured,
    (403, "BadCertificate"): Misconfigured,
    (403, "BadCertificateEnvironment"): Misconfigured,
    (403, "Forbidden"): Misconfigured,
    (403, "BadEnvironmentKeyIdInToken"): Misconfigured,
    (403, "BadEnvironmentKeyInToken"): Misconfigured,  # undocumented; seen from live servers
    # This message is malformed: our fault or the sender's, never the device's.
    (400, "BadCollapseId"): Refused,
    (400, "BadExpirationDate"): Refused,
    (400, "BadMessageId"): Refused,
    (400, "BadPriority"): Refused,
    (400, "DuplicateHeaders"): Refused,
    (400, "MissingDeviceToken"): Refused,
    (400, "PayloadEmpty"): Refused,
    (404, "BadPath"): Refused,
    (405, "MethodNotAllowed"): Refused,
    (413, "PayloadTooLarge"): Refused,
    # The connection, the provider token or the service: nothing was wrong with the push.
    (400, "IdleTimeout"): Unavailable,
    (403, "ExpiredProviderToken"): Unavailable,
    (403, "UnrelatedKeyIdInToken"): Unavailable,
    (429, "TooManyRequests"): _this_device_later,
    (429, "TooManyProviderTokenUpdates"): _slow_down,
    (500, "InternalServerError"): Unavailable,
    (503, "ServiceUnavailable"): Unavailable,
    (503, "Shutdown"): Unavailable,
    # The app was removed; 410 is no error in Apple's books.
    (410, "Unregistered"): Gone,
    (410, "ExpiredToken"): Gone,
}
"""What every documented answer means (handling-notification-responses-from-apns)."""


_REASON: Final = re.compile(r"[A-Za-z0-9]{1,64}")
"""What a reason looks like; anything else is not worth keeping."""


def read_answer(status: int, body: bytes) -> Outcome:
    """What an answer means. An answer that is not in the table fails the push and never the device."""
    if status == 200:
        return ACCEPTED
    details = _read_body(body)
    reason = details.get("reason")
    if not isinstance(reason, str) or not _REASON.fullmatch(reason):
        reason = f"status {status}"
    known = ANSWERS.get((status, reason))
    if known is Gone or status == 410:
        return Gone(reason, _timestamp(details))
    if known is not None:
        return known(reason)
    return Unavailable(reason) if status >= 500 or status == 429 else Refused(reason)


def _read_body(body: bytes) -> dict[str, Any]:
    try:
        details = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return details if isinstance(details, dict) else {}


def _timestamp(details: dict[str, Any]) -> int | None:
    """When Apple last saw the token invalid, in milliseconds."""
    timestamp = details.get("timestamp")
    return timestamp if type(timestamp) is int and 0 < timestamp <= LAST_MOMENT else None


# ── Sending ──────────────────────────────────────────────────────────────────────────────────────────────


class Apns:
    """One APNs channel: a key, a topic, a connection."""

    def __init__(self, settings: ApnsSettings, token: ProviderToken, origin: http2.Origin) -> None:
        self._settings = settings
        self._token = token
        self._origin = origin
        self._is_proven = False
        self._refusal: Misconfigured | None = None
        self._proving = asyncio.Lock()

    @classmethod
    def from_channel(
        cls, settings: dict[str, Any], secret: str, *, clock: Callable[[], int], tls: SSLContext
    ) -> "Apns":
        """Make the provider of a channel; raises InvalidChannel."""
        checked = ApnsSettings.read(settings)
        token = ProviderToken(checked, _read_key(secret), clock)
        return cls(checked, token, http2.Origin(checked.host, checked.port, tls=tls))

    async def connect(self) -> Unavailable | Misconfigured | None:
        """See that Apple can be reached. What was refused may have been mended: it is shown to Apple once more."""
        self._refusal = None
        try:
            await self._origin.connect()
        except http2.ConnectFailed as error:
            return Unavailable(str(error))
        return None

    async def send(self, push: Push, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Offer a push. Until this credential was taken once, one device goes ahead of the others.

        Apple counts refusals against a sender, so a wrong key must not be shown to it five hundred times: once
        refused, everything is until the next `connect`.
        """
        template = http2.Template(
            method="POST",
            authority=self._settings.host,
            headers=encode_headers(push, self._settings, self._token.text()),
            body=(encode_payload(push), b""),
        )
        async with self._proving:
            may_go = self._is_proven or self._refusal is not None
            ahead = [] if may_go else await self._burst(template, parcels[:1])
        if self._refusal is not None:
            return ahead + [self._refusal] * (len(parcels) - len(ahead))
        if ahead and _is_whole_service(ahead[0]):
            return ahead * len(parcels)
        return ahead + await self._burst(template, parcels[len(ahead) :])

    async def close(self) -> None:
        """Close the connection."""
        await self._origin.close()

    async def _burst(self, template: http2.Template, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Send to the addresses that can be one; Apple need not be asked about the others."""
        possible = [parcel for parcel in parcels if _ADDRESS.fullmatch(parcel.address)]
        if len(possible) == len(parcels):
            return await self._ask(template, parcels)
        asked = iter(await self._ask(template, possible) if possible else ())
        impossible = Refused("not a device token in hexadecimal", doubts_device=True)
        return [next(asked) if _ADDRESS.fullmatch(p.address) else impossible for p in parcels]

    async def _ask(self, template: http2.Template, parcels: Sequence[Parcel]) -> list[Outcome]:
        holes = [
            (
                http2.literal(b":path", b"/3/device/" + parcel.address.encode())
                + http2.literal(b"apns-id", parcel.push_id.encode()),
                b"",
            )
            for parcel in parcels
        ]
        outcomes = [_outcome(result) for result in await self._origin.burst(template, holes)]
        self._learn(outcomes)
        return outcomes

    def _learn(self, outcomes: Sequence[Outcome]) -> None:
        """Note what the answers say about the credential."""
        for outcome in outcomes:
            if isinstance(outcome, Accepted | Gone):
                self._is_proven = True
            elif isinstance(outcome, Misconfigured):
                self._is_proven, self._refusal = False, outcome
            elif isinstance(outcome, Unavailable) and outcome.reason == "ExpiredProviderToken":
                self._token.was_called_expired()


def _is_whole_service(outcome: Outcome) -> bool:
    """Whether what one device was answered would be answered to all."""
    return isinstance(outcome, Unavailable) and outcome.whole_service


def _outcome(result: http2.Result) -> Outcome:
    match result:
        case http2.Answer(status=200):
            return ACCEPTED
        case http2.Answer(status=status, body=body):
            return read_answer(status, body)
        case http2.NotProcessed(reason=reason):
            return Unavailable(reason)
        case http2.Unknown(reason=reason):
            return Unknown(reason)
