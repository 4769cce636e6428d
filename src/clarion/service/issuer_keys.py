"""The public keys of issuers: found by discovery, kept for ten minutes, and fetched again when they rotate.

Called by `service/oidc.py` for every ID token that the gatekeeper's cache does not know, and once by `clarion oidc
set`. What an issuer answers is bounded and read with distrust; a last good copy serves for a day while an issuer is
away. Knows nothing of HTTP: `fetch` is made in `bootstrap.py`.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import InvalidKeyError
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from clarion.model.errors import IssuerUnavailable
from clarion.model.oidc import check_issuer

logger = structlog.get_logger()

PATIENCE_SECONDS: Final = 5
FRESH_MS: Final = 600_000
PAUSE_MS: Final = 30_000
"""An issuer is asked at most this often, whatever tokens come."""

LAST_COPY_MS: Final = 86_400_000
MOST_KEYS: Final = 100
RSA_BITS: Final = range(2_048, 8_193)

ALGORITHMS: Final = {"RS256": "RSA", "ES256": "EC"}
"""What is accepted, and the kind of key that goes with it."""

PublicKey = RSAPublicKey | EllipticCurvePublicKey
Fetch = Callable[[str], Awaitable[bytes]]
"""GET a document of an https URL; raises IssuerTrouble."""


class IssuerTrouble(Exception):  # noqa: N818 - told to the operator as it is
    """An issuer cannot be used; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an issuer; `algorithm` is the one of ours that it is for."""

    id: str | None
    algorithm: str
    public: PublicKey = field(repr=False)


@dataclass(slots=True)
class _Known:
    """What is known of one issuer."""

    keys: tuple[Key, ...] = ()
    fetched_at: int | None = None
    ask_again_at: int = 0
    is_away: bool = False
    asking: asyncio.Task[None] | None = None

    def has_copy(self, now: int) -> bool:
        return self.fetched_at is not None and now < self.fetched_at + LAST_COPY_MS

    def find(self, algorithm: str, key_id: str | None) -> PublicKey | None:
        """The key that a token names; a token that names none is of the only one."""
        fitting = [key for key in self.keys if key.algorithm == algorithm]
        named = fitting if key_id is None else [key for key in fitting if key.id == key_id]
        return named[0].public if len(named) == 1 else None


class IssuerKeys:
    """The keys of all issuers that are asked for. One per process; made inside a running loop."""

    def __init__(
        self, fetch: Fetch, clock: Callable[[], int], patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._known: dict[str, _Known] = {}

    async def find(self, issuer: str, algorithm: str, key_id: str | None) -> PublicKey | None:
        """The key of this id and kind, asking the issuer when it is not known or no longer fresh.

        None when the issuer has no such key; raises IssuerUnavailable when that cannot be known now.
        """
        known = self._known.setdefault(issuer, _Known())
        now = self._clock()
        if known.fetched_at is None or now >= known.fetched_at + FRESH_MS:
            await self._ask(issuer, known, waits=not (known.is_away and known.has_copy(now)))
        key = known.find(algorithm, key_id)
        if key is None:
            await self._ask(issuer, known, waits=True)
            key = known.find(algorithm, key_id)
        if not known.has_copy(self._clock()) or (key is None and known.is_away):
            raise IssuerUnavailable
        return key

    async def close(self) -> None:
        """Wait for no issuer any more."""
        asking = [known.asking for known in self._known.values() if known.asking is not None]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _ask(self, issuer: str, known: _Known, *, waits: bool) -> None:
        """Fetch an issuer's keys, unless it was asked a moment ago; whoever comes meanwhile waits for the same."""
        now = self._clock()
        if known.asking is None and now >= known.ask_again_at:
            known.ask_again_at = now + PAUSE_MS
            known.asking = asyncio.create_task(self._refresh(issuer, known))
        if known.asking is not None and waits:
            await asyncio.shield(known.asking)

    async def _refresh(self, issuer: str, known: _Known) -> None:
        try:
            known.keys = await fetch_keys(issuer, self._fetch, self._patience_seconds)
            known.fetched_at, known.is_away = self._clock(), False
        except IssuerTrouble as error:
            known.is_away = True
            logger.warning("issuer_unavailable", issuer=issuer, reason=str(error))
        finally:
            known.asking = None


async def fetch_keys(
    issuer: str, fetch: Fetch, patience_seconds: float = PATIENCE_SECONDS
) -> tuple[Key, ...]:
    """Find an issuer's key set by discovery and read it; raises IssuerTrouble."""
    place = issuer.rstrip("/") + "/.well-known/openid-configuration"
    try:
        async with asyncio.timeout(patience_seconds):
            keys_url = read_discovery(await fetch(place), issuer)
            return read_keys(await fetch(keys_url))
    except TimeoutError:
        raise IssuerTrouble(f"it did not answer within {patience_seconds:g} seconds") from None


def read_discovery(octets: bytes, issuer: str) -> str:
    """The URL of the key set in an issuer's discovery document; raises IssuerTrouble."""
    document = _read_object(octets, "discovery document")
    if document.get("issuer") != issuer:
        said = repr(document.get("issuer"))[:200]
        raise IssuerTrouble(f"its discovery document says that it is {said}; set the issuer to exactly that")
    keys_url = document.get("jwks_uri")
    if not isinstance(keys_url, str):
        raise IssuerTrouble("its discovery document has no jwks_uri")
    try:
        check_issuer(keys_url.partition("?")[0])
    except ValueError as error:
        raise IssuerTrouble(f"its jwks_uri {error}") from None
    return keys_url


def read_keys(octets: bytes) -> tuple[Key, ...]:
    """The keys of a set that can prove ID tokens; raises IssuerTrouble when there is none."""
    listed = _read_object(octets, "key set").get("keys")
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise IssuerTrouble(f"its key set does not list up to {MOST_KEYS} keys")
    found = [key for entry in listed if isinstance(entry, dict) for key in _read_key(entry)]
    if not found:
        raise IssuerTrouble("its key set has no key for RS256 or ES256")
    return tuple(found)


def _read_key(entry: Mapping[str, Any]) -> list[Key]:
    """A key, or nothing when it is of no use: for encryption, of another kind, too short, or not public."""
    algorithm = next((name for name, kind in ALGORITHMS.items() if kind == entry.get("kty")), None)
    if algorithm is None or entry.get("alg", algorithm) != algorithm or entry.get("use", "sig") != "sig":
        return []
    key_id = entry.get("kid")
    if "d" in entry or not isinstance(key_id, str | None):
        return []
    try:
        family = RSAAlgorithm if algorithm == "RS256" else ECAlgorithm
        public = family.from_jwk(dict(entry))
    except (InvalidKeyError, ValueError, TypeError, KeyError, AttributeError):
        return []
    match public:
        case RSAPublicKey() if public.key_size in RSA_BITS:
            return [Key(key_id, algorithm, public)]
        case EllipticCurvePublicKey() if isinstance(public.curve, SECP256R1):
            return [Key(key_id, algorithm, public)]
    return []


def _read_object(octets: bytes, what: str) -> dict[str, Any]:
    try:
        document = json.loads(octets)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise IssuerTrouble(f"its {what} is no JSON object")
    return document
