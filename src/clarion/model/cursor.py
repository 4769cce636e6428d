"""Cursors: where the next page of a list starts, as opaque text.

A cursor is bound to its list, so one that was made elsewhere is refused instead of misread.
"""

import base64
import binascii

_VERSION = "1"
_POSITIONS = 1 << 63  # what the databases can hold


def encode_cursor(list_name: str, position: int) -> str:
    """Make the text that a client hands back."""
    return base64.urlsafe_b64encode(f"{_VERSION}.{list_name}.{position}".encode()).decode().rstrip("=")


def decode_cursor(list_name: str, text: str) -> int:
    """Read a position back; raises ValueError for anything that `encode_cursor` did not make for this list."""
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        version, name, position = octets.decode("ascii").split(".")
        is_ours = (version, name) == (_VERSION, list_name) and position.isdecimal() and len(position) < 20
        if is_ours and int(position) < _POSITIONS:
            return int(position)
    except (binascii.Error, ValueError):
        pass
    raise ValueError("is not a continuation token of this list")
