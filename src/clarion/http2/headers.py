"""Header fields as octets (RFC 7541): templates of requests, and the reading of answers.

A request is a `Template`, encoded once by the `hpack` library, with one hole in its header block and one in
its body. Nothing here ever enters a dynamic table, so a block means the same on every connection and can be
kept for ever.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

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


def _constant(name: str, value: str) -> bytes:
    """Encode a field without touching any table: an index where the static table has it, else a literal.

    `hpack` leaves its table alone only for fields that are never to be indexed (first octet 0x1_). For fields
    that are no secret that is too strong a word, so it is taken back to "without indexing" (0x0_).
    """
    if _find_bad_octet(value.encode()):
        raise ValueError(f"the value of {name!r} holds an octet that a header field must not hold")
    octets = Encoder().encode([(name, value, True)])
    if octets[0] & 0x80 or name in NEVER_INDEXED:
        return octets
    return bytes((octets[0] & 0x0F,)) + octets[1:]


class Template:
    """A request whose constant parts are encoded once.

    Its header block is `:method`, `:scheme` https, `:authority`, the hole's fields, `headers`; its body is
    the hole's piece between the two of `body`. Unless `keep_success` is set, a 200 (and a 201) is answered by
    a shared constant without headers or body, which is what makes it fast. Immutable; may be used on any
    connection.
    """

    __slots__ = ("asks_for_head", "block_end", "block_start", "body_end", "body_start", "keep_success")

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
        self.block_start = b"".join(_constant(name, value) for name, value in pseudo)
        self.block_end = b"".join(_constant(name, value) for name, value in headers)
        self.body_start, self.body_end = body
        self.keep_success = keep_success
        self.asks_for_head = method == "HEAD"


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
