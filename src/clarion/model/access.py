"""Tokens, roles and sessions: the text of a token, what it proves, and what its owner may do.

    clr_us-east-1_0123456789abcdef_<64 hex digits of secret><8 hex digits of checksum>

The region is readable so that a call to the wrong region is answered without a look-up, the checksum tells a
mistyped token from a wrong one, and the secret has 256 bits, so SHA-256 is the right hash to store.

A *session* is one member's app signed in. Its `Access` has the role USER whatever the member is, so an app never
sends and never reads another member's inbox.
"""

import hashlib
import hmac
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

TOKEN_LIFETIME_MS = 183 * 86_400_000
"""Six months after its creation a token expires, used or not."""

TOKEN_LEASE_MS = 14 * 86_400_000
"""A token that nobody used for two weeks lapses."""


class TokenKind(StrEnum):
    """What a token is for: the word that it begins with."""

    PERSONAL = "clr"
    SESSION = "cls"
    REFRESH = "clf"
    DEVICE = "cld"


_TOKEN = re.compile(
    rf"({'|'.join(TokenKind)})_([a-z0-9-]{{1,32}})_([0-9a-f]{{16}})_([0-9a-f]{{64}})([0-9a-f]{{8}})", re.ASCII
)


class Role(StrEnum):
    """What a member is in an organization."""

    OWNER = "owner"
    ADMIN = "admin"
    USER = "user"

    @property
    def may_send(self) -> bool:
        """Only owners and administrators send and list an organization's notifications."""
        return self is not Role.USER


@dataclass(frozen=True, slots=True)
class TokenText:
    """The parts of a well-formed token. `key` finds its row, `secret_hash` must equal the stored one."""

    kind: TokenKind
    region: str
    key: str
    secret_hash: bytes

    def proves(self, stored_hash: bytes) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.secret_hash, stored_hash)


@dataclass(frozen=True, slots=True)
class Session:
    """One member's app, signed in. `ends_at` is when what it showed is good no more.

    `id` is absent when an ID token of the organization's issuer was shown: nothing is stored for those.
    """

    ends_at: int
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """Who calls, and what they are in the organization that they named; `session` when it is a member's app."""

    organization_id: int
    organization: UUID
    region: str
    user_id: int
    user: UUID
    member_id: int
    role: Role
    session: Session | None = None

    def of_session(self, session: Session) -> "Access":
        """The same member through their app, with the powers of an app."""
        return replace(self, role=Role.USER, session=session)

    def may_see(self, user: UUID) -> bool:
        """Whether a member's own things, such as their inbox, are there for this caller."""
        return self.user == user or self.role.may_send


def mint_token(
    region: str, random_octets: Callable[[int], bytes], kind: TokenKind = TokenKind.PERSONAL
) -> tuple[str, TokenText]:
    """Make a new token; its text is shown once and never stored."""
    return spell_token(kind, region, random_octets(8).hex(), random_octets(32))


def spell_token(kind: TokenKind, region: str, key: str, secret: bytes) -> tuple[str, TokenText]:
    """Write a token of these parts."""
    body = f"{kind}_{region}_{key}_{secret.hex()}"
    text = body + _checksum(body)
    parsed = parse_token(text)
    assert parsed is not None
    return text, parsed


def parse_token(text: str) -> TokenText | None:
    """Take a token apart; None when it is not one, which includes a wrong checksum."""
    match = _TOKEN.fullmatch(text)
    if match is None or _checksum(text[:-8]) != match[5]:
        return None
    secret = bytes.fromhex(match[4])
    return TokenText(TokenKind(match[1]), match[2], match[3], hashlib.sha256(secret).digest())


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
