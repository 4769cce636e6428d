"""Header fields as octets (RFC 7541): templates of requests, and the reading of answers.

A request is a `Template`, encoded once by the `hpack` library, with one hole in its header block and one in
its body. What all requests of a template share, the peer may be asked to remember in its dynamic table (RFC 7541
§2.3.2), from the first request on: all others then name it by a few octets. What is in the hole never enters a table.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from hpack import Decoder, Encoder, HPACKError
from hpack.table import HeaderTable

from clarion.http2.errors import PeerError
from clarion.http2.frames import Code

Hole = tuple[bytes, bytes]
"""What one request puts into a template: header fields made with `literal`, `:path` first, and a piece of
body."""

Fields = tuple[tuple[bytes, bytes], ...]

PATH: Final = b"\x04"
"""The first octet of a `:path` literal, hence of every hole."""

HTTPS_PORT: Final = 443
FIRST_DYNAMIC: Final = 62
ENTRY_OCTETS: Final = 32
"""What an entry of a table costs beside name and value (RFC 7541 §4.1)."""

NEVER_INDEXED: Final = frozenset({"authorization", "proxy-authorization", "cookie"})
HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te", "host"}
)
OF_A_CONNECTION: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)

_name_is_good = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_is_visible = re.compile(rb"[!-~]*").fullmatch
_find_bad_octet = re.compile(rb"[\0\r\n]|^[ \t]|[ \t]$").search
_status_is_good = re.compile(rb"[1-9][0-9]{2}").fullmatch


def literal(name: bytes, value: bytes) -> bytes:
    """Encode one header field as a literal without indexing, the value raw: what a hole is made of."""
    if not _is_visible(value) and _find_bad_octet(value):
        raise ValueError(f"the value of {name!r} holds an octet that a header field must not hold")
    octets = len(value)
    if octets < 0x7F:
        return b"%b%c%b" % (_literal_name(name), octets, value)
    return _literal_name(name) + _integer(octets, 0x7F) + value


def authority(host: str, port: int) -> str:
    """A host and port as requests name them (RFC 9113 §8.3.1): an IPv6 address in brackets, no port if it is 443."""
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port == HTTPS_PORT else f"{bracketed}:{port}"


@lru_cache(maxsize=256)
def _literal_name(name: bytes) -> bytes:
    if not _name_is_good(name):
        raise ValueError(
            f"{name!r} is not a header name of HTTP/2: lower-case letters, digits and !#$%&'*+-.^_`|~"
        )
    if name in HeaderTable.STATIC_TABLE_MAPPING:
        return _integer(HeaderTable.STATIC_TABLE_MAPPING[name][0], 0x0F)
    return b"\0" + _integer(len(name), 0x7F) + name


def _integer(number: int, mask: int) -> bytes:
    """RFC 7541 §5.1, with nothing set above the prefix."""
    if number < mask:
        return bytes((number,))
    octets, number = bytearray((mask,)), number - mask
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


class _Field(NamedTuple):
    """A constant field: as it is right anywhere, as the peer is asked to remember it, and what that costs its table."""

    plain: bytes
    teaching: bytes
    table_octets: int


def _constant(name: str, value: str) -> _Field:
    """Encode a field that all requests of a template share; a secret is never to be remembered by anybody."""
    if _find_bad_octet(value.encode()):
        raise ValueError(f"the value of {name!r} holds an octet that a header field must not hold")
    if name not in NEVER_INDEXED:
        return _encode(name, value)
    octets = Encoder().encode([(name, value, True)])
    return _Field(octets, octets, 0)


@lru_cache(maxsize=256)
def _encode(name: str, value: str) -> _Field:
    """An index where the static table has the field, else a literal. What `hpack` makes with an empty table is to be
    remembered (first octet 0x40 and an index of the static table, RFC 7541 §6.2.1); the plain one is not (§6.2.2)."""
    octets = Encoder().encode([(name, value)])
    if octets[0] & 0x80:
        return _Field(octets, octets, 0)
    plain = _integer(octets[0] & 0x3F, 0x0F) + octets[1:]
    return _Field(plain, octets, len(name.encode()) + len(value.encode()) + ENTRY_OCTETS)


class Template:
    """A request whose constant parts are encoded once.

    Its header block is `:method`, `:scheme` https, `:authority`, the hole's fields, `headers`; its body is
    the hole's piece between the two of `body`. Unless `keep_success` is set, a 200 (and a 201) is answered by
    a shared constant without headers or body, which is what makes it fast. Immutable; may be used on any
    connection.

    `plain` are the two parts of the block around the hole as they are right anywhere. `teaching` asks the peer to
    remember them, which takes `table_octets` of its table; `short` refers to what it remembers, as long as nothing
    else was taught after that.
    """

    __slots__ = (
        "asks_for_head", "body_end", "body_start", "keep_success", "plain", "short", "table_octets", "teaching",
    )  # fmt: skip

    def __init__(
        self,
        *,
        method: str,
        authority: str,
        headers: Sequence[tuple[str, str]],
        body: tuple[bytes, bytes] = (b"", b""),
        keep_success: bool = False,
    ) -> None:
        for name, _ in headers:
            if name.startswith(":") or name in HOP_BY_HOP or not _name_is_good(name.encode()):
                raise ValueError(f"{name!r} cannot be a header of an HTTP/2 request")
        pseudo = ((":method", method), (":scheme", "https"), (":authority", authority))
        starts = [_constant(name, value) for name, value in pseudo]
        ends = [_constant(name, value) for name, value in headers]
        self.plain = _both(starts, ends, lambda field: field.plain)
        self.teaching = _both(starts, ends, lambda field: field.teaching)
        self.table_octets = sum(field.table_octets for field in starts + ends)
        newest = FIRST_DYNAMIC - 1 + sum(field.table_octets > 0 for field in starts + ends)
        indices = iter(range(newest, 0, -1))
        self.short = _both(starts, ends, lambda field: _reference(field, indices))
        self.body_start, self.body_end = body
        self.keep_success = keep_success
        self.asks_for_head = method == "HEAD"


def _both(starts: list[_Field], ends: list[_Field], spell: Callable[[_Field], bytes]) -> tuple[bytes, bytes]:
    return b"".join(map(spell, starts)), b"".join(map(spell, ends))


def _reference(field: _Field, indices: Iterator[int]) -> bytes:
    """A field by its place in the table, where the newest entry is the first (RFC 7541 §2.3.3, §6.1)."""
    if not field.table_octets:
        return field.plain
    first, *rest = _integer(next(indices), 0x7F)
    return bytes((first | 0x80, *rest))


class BlockReader:
    """Decodes header blocks that are not a plain success, within a limit.

    The peer may use its dynamic table until it has acknowledged that ours has no room; `become_stateless`
    says when.
    """

    def __init__(self, max_octets: int) -> None:
        self._decoder = Decoder(max_header_list_size=max_octets)

    def become_stateless(self) -> None:
        """Empty the table: from now on a reference into it ends the connection."""
        self._decoder.header_table_size = 0
        self._decoder.max_allowed_table_size = 0

    def read(self, block: bytes) -> Fields:
        """Decode a whole block, or raise `PeerError`."""
        try:
            return tuple((bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True))
        except HPACKError as error:
            # Not the error's own words: they quote the block.
            reason = f"unreadable header block ({type(error).__name__})"
            raise PeerError(Code.COMPRESSION_ERROR, reason) from error


def read_status(fields: Fields) -> int | None:
    """Return the status of an answer's fields, or None when they are malformed (RFC 9113 §8.2, §8.3)."""
    if not fields or fields[0][0] != b":status" or not _status_is_good(fields[0][1]):
        return None
    return int(fields[0][1]) if are_plain(fields[1:]) else None


def are_plain(fields: Fields) -> bool:
    """Whether all fields are well formed, none a pseudo-header or one of HTTP/1.1's connections; also what
    trailers must be."""
    return all(
        _name_is_good(name)
        and not name.startswith(b":")
        and name not in OF_A_CONNECTION
        and not _find_bad_octet(value)
        for name, value in fields
    )


def content_length(fields: Fields) -> int | None:
    """Return how long a body is said to be; None when nothing is said, -1 when nobody can make sense of it."""
    said = {value for name, value in fields if name == b"content-length"}
    if not said:
        return None
    value = said.pop()
    return int(value) if value.isdigit() and len(value) < 20 and not said else -1
