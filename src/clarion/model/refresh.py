"""A session's two tokens and how one pair follows from the other: the refresh token rotates at every use.

The secret of a refresh token has two halves. The first stays the same while the session lives and proves that the
token was once ours; the second is new in every token. So a refresh token that is used a second time is told from
one that somebody made up, and no list of former ones is kept.

The next pair is derived from the token shown and a salt that is stored with the session. Who repeats a request whose
answer was lost is therefore answered alike, though nothing but hashes is stored: without the token shown the salt
says nothing. Pure functions; called by `service/sessions.py`.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from clarion.model.access import TokenKind, parse_token, spell_token

FAMILY_OCTETS: Final = 16
SECRET_OCTETS: Final = 32
SALT_OCTETS: Final = 32


@dataclass(frozen=True, slots=True)
class RefreshText:
    """The parts of a well-formed refresh token. `key` finds its session."""

    region: str
    key: str
    secret: bytes = field(repr=False)

    @property
    def family_hash(self) -> bytes:
        """The same for all refresh tokens of a session."""
        return hashlib.sha256(self.secret[:FAMILY_OCTETS]).digest()

    @property
    def refresh_hash(self) -> bytes:
        """This token's own."""
        return hashlib.sha256(self.secret).digest()


@dataclass(frozen=True, slots=True)
class Pair:
    """The texts of a session's tokens, which are shown once, and what is stored of them."""

    token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    key: str
    secret_hash: bytes
    family_hash: bytes
    refresh_hash: bytes


def parse_refresh_token(text: str) -> RefreshText | None:
    """Take a refresh token apart; None when it is not one, which includes a wrong checksum."""
    parsed = parse_token(text)
    if parsed is None or parsed.kind is not TokenKind.REFRESH:
        return None
    return RefreshText(parsed.region, parsed.key, bytes.fromhex(text.rpartition("_")[2][: 2 * SECRET_OCTETS]))


def first_pair(region: str, random_octets: Callable[[int], bytes]) -> Pair:
    """The tokens with which a session begins."""
    key = random_octets(8).hex()
    return _pair(region, key, random_octets(SECRET_OCTETS), random_octets(SECRET_OCTETS))


def next_pair(shown: RefreshText, salt: bytes) -> Pair:
    """The tokens that follow a refresh token; the same for the same salt."""
    fresh = _derive(shown, b"refresh", salt)[: SECRET_OCTETS - FAMILY_OCTETS]
    return _pair(
        shown.region, shown.key, _derive(shown, b"access", salt), shown.secret[:FAMILY_OCTETS] + fresh
    )


def _derive(shown: RefreshText, purpose: bytes, salt: bytes) -> bytes:
    return hmac.digest(shown.secret, purpose + b"\0" + salt, "sha256")


def _pair(region: str, key: str, secret: bytes, refresh_secret: bytes) -> Pair:
    token, parsed = spell_token(TokenKind.SESSION, region, key, secret)
    refresh_token, _ = spell_token(TokenKind.REFRESH, region, key, refresh_secret)
    shown = RefreshText(region, key, refresh_secret)
    return Pair(token, refresh_token, key, parsed.secret_hash, shown.family_hash, shown.refresh_hash)
