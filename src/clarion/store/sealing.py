"""Sealing: a channel's secret as the store keeps it, encrypted under a master key (AES-256-GCM).

    v1:<id of the master key>:<base64url of nonce, ciphertext and tag>

What a secret was sealed for (the organization and the channel) is authenticated with it, so that nobody who can
write to the database can move it to another row. Pure functions; `masterkeys.py` knows where the keys come from.
No error and no `repr` tells a secret or a key.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_OCTETS: Final = 32
NONCE_OCTETS: Final = 12
"""96 random bits per secret: safe for 2^32 secrets under one key (NIST SP 800-38D §8.3)."""

_KEY: Final = re.compile(r"[A-Za-z0-9_+/-]{43}=?")
_SEALED: Final = re.compile(r"v1:([0-9a-f]{12}):([A-Za-z0-9_-]+)")
_ANY_VERSION: Final = re.compile(r"v[0-9]+:")

RandomOctets = Callable[[int], bytes]


class SealingError(Exception):
    """A secret cannot be opened; the sentence says why and what to do, and tells nothing of the secret."""


class UnknownKey(SealingError):  # noqa: N818 - it says what is unknown
    """A secret was sealed with a master key that is not here."""


class Place(NamedTuple):
    """What a secret belongs to: it opens nowhere else."""

    organization_id: int
    channel: UUID


@dataclass(frozen=True, slots=True)
class MasterKey:
    """32 octets, and the id by which sealed secrets name them; the id is a digest, so it needs no keeping."""

    octets: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits."""
        return sha256(b"clarion master key " + self.octets).hexdigest()[:12]

    @property
    def text(self) -> str:
        """As settings and key files spell it."""
        return urlsafe_b64encode(self.octets).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Keyring:
    """Master keys: the first one seals, all of them open. There is at least one."""

    keys: tuple[MasterKey, ...]

    @property
    def first(self) -> MasterKey:
        """The key that seals."""
        return self.keys[0]

    @property
    def ids(self) -> list[str]:
        """The ids of all keys, in their order."""
        return [key.id for key in self.keys]

    def seal(self, secret: str, place: Place, random_octets: RandomOctets) -> str:
        """Encrypt a secret for the place where it belongs."""
        nonce = random_octets(NONCE_OCTETS)
        head = _head(self.first.id)
        sealed = AESGCM(self.first.octets).encrypt(nonce, secret.encode(), _authenticated(head, place))
        return head + _to_text(nonce + sealed)

    def open(self, sealed: str, place: Place) -> str:
        """Decrypt a secret; raises SealingError, and UnknownKey when its key is not among these."""
        key_id, octets = _take_apart(sealed)
        key = next((key for key in self.keys if key.id == key_id), None)
        if key is None:
            raise UnknownKey(
                f"the secret is sealed with the master key {key_id}, and the keys here are {', '.join(self.ids)}; "
                "put that key back, or give the channel its secret again (clarion channel renew)"
            )
        nonce, rest = octets[:NONCE_OCTETS], octets[NONCE_OCTETS:]
        try:
            return AESGCM(key.octets).decrypt(nonce, rest, _authenticated(_head(key_id), place)).decode()
        except (InvalidTag, ValueError):
            raise SealingError(
                f"the secret does not open with its master key {key_id}: it was changed, or sealed for another channel"
            ) from None


def new_master_key(random_octets: RandomOctets) -> MasterKey:
    """Make a master key."""
    return MasterKey(random_octets(KEY_OCTETS))


def read_master_keys(text: str) -> Keyring:
    """Read base64url keys of 32 octets, separated by commas or line ends; raises ValueError without telling them.

    A line that begins with # says nothing, so that the text of a key file is one of these too.
    """
    bare = re.sub(r"^#.*", "", text, flags=re.MULTILINE)
    pieces = [piece for piece in re.split(r"[,\s]+", bare) if piece]
    if not pieces:
        raise ValueError("there is no master key in it; `clarion keys generate` makes one")
    for number, piece in enumerate(pieces, start=1):
        if not _KEY.fullmatch(piece):
            raise ValueError(
                f"master key {number} is not 32 octets in base64url; `clarion keys generate` makes one"
            )
    keys = (MasterKey(_to_octets(piece.rstrip("=").translate(_TO_URL))) for piece in pieces)
    return Keyring(tuple(dict.fromkeys(keys)))


def is_sealed(text: str) -> bool:
    """Whether a stored text is a sealed one, of whatever version; no credential begins like that."""
    return _ANY_VERSION.match(text) is not None


def _take_apart(sealed: str) -> tuple[str, bytes]:
    found = _SEALED.fullmatch(sealed)
    if found is None and is_sealed(sealed) and not sealed.startswith("v1:"):
        raise SealingError(f"the secret was sealed by a newer version ({sealed.partition(':')[0]})")
    if found is None:
        raise SealingError(
            "what is stored is not a sealed secret; `clarion migrate` seals those of earlier versions"
        )
    octets = _to_octets(found[2])
    if len(octets) < NONCE_OCTETS or _to_text(octets) != found[2]:
        raise SealingError(f"the secret that master key {found[1]} sealed was changed")
    return found[1], octets


def _head(key_id: str) -> str:
    return f"v1:{key_id}:"


def _authenticated(head: str, place: Place) -> bytes:
    return f"clarion channel {head}{place.organization_id}:{place.channel}".encode()


def _to_text(octets: bytes) -> str:
    return urlsafe_b64encode(octets).decode().rstrip("=")


def _to_octets(text: str) -> bytes:
    return urlsafe_b64decode(text[: len(text) - (len(text) % 4 == 1)] + "=" * (-len(text) % 4))


_TO_URL: Final = str.maketrans("+/", "-_")
