"""Protocol buffers as far as `google.py` needs them: fields by their numbers, without a schema."""

from collections.abc import Iterator

VARINT, FIXED64, OCTETS, FIXED32 = 0, 1, 2, 5

Value = int | bytes


def varint(number: int) -> bytes:
    """Encode a number, seven bits at a time, the lowest first."""
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """Encode a message of numbers and of octets, which may be messages themselves."""
    return b"".join(_field(number, value) for number, value in fields)


def fixed64(number: int, value: int) -> bytes:
    """Encode a field of eight octets."""
    return varint(number << 3 | FIXED64) + value.to_bytes(8, "little")


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3 | VARINT) + varint(value)
    octets = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | OCTETS) + varint(len(octets)) + octets


def read(octets: bytes) -> Iterator[tuple[int, Value]]:
    """The fields of a message, in their order."""
    place = 0
    while place < len(octets):
        key, place = _read_varint(octets, place)
        value: Value
        if key & 7 == VARINT:
            value, place = _read_varint(octets, place)
            yield key >> 3, value
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(key & 7)
        if size is None:
            size, place = _read_varint(octets, place)
        yield key >> 3, octets[place : place + size]
        place += size


def _read_varint(octets: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while octets[place] & 0x80:
        number |= (octets[place] & 0x7F) << shift
        place, shift = place + 1, shift + 7
    return number | octets[place] << shift, place + 1
