"""A request's body as JSON, read within limits, with every oddity found and its path named.

JSON leaves open what duplicate keys, NaN, a lone surrogate or a number beyond every float mean; receivers
differ, so Clarion refuses them instead of choosing.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, cast

from litestar.types import HTTPDisconnectEvent, HTTPRequestEvent

from clarion.api.context import ApiRequest, header_values
from clarion.api.patience import Patience
from clarion.model.errors import MOST_FAULTS, Fault, Invalid, NotJson, TooLarge, TooSlow

MOST_OCTETS: Final = 1_048_576
MOST_DEPTH: Final = 32

JsonObject = dict[str, Any]

_SURROGATE = re.compile("[\ud800-\udfff]")


async def read_body(request: ApiRequest, patience: Patience) -> bytes:
    """The whole body. Raises TooLarge above 1 MiB, whatever was declared, and TooSlow after half a minute."""
    try:
        return await patience.wait_for(_read_all(request))
    except TimeoutError:
        raise TooSlow(f"The body did not arrive within {patience.seconds:g} seconds.") from None


async def _read_all(request: ApiRequest) -> bytes:
    declared = header_values(request, b"content-length")
    if declared and declared[0].isdecimal() and int(declared[0][:9]) > MOST_OCTETS:
        raise _too_large()
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = cast("HTTPRequestEvent | HTTPDisconnectEvent", await request.receive())
        if message["type"] == "http.disconnect":
            raise Invalid("The body ended before it was complete.")
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size > MOST_OCTETS:
            raise _too_large()
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large() -> TooLarge:
    return TooLarge(f"The body is larger than {MOST_OCTETS:,} octets.")


def check_media_type(media_types: Sequence[str]) -> None:
    """Accept JSON, and callers who do not say what they send; raises NotJson."""
    essence = (media_types[0] if media_types else "").partition(";")[0].strip().lower()
    if essence not in {"", "application/json"} and not essence.endswith("+json"):
        raise NotJson(f"Content-Type must be application/json, not {essence}.")


def parse_object(raw: bytes) -> tuple[JsonObject, list[Fault]]:
    """Parse a body that must be one JSON object; returns it with the faults found in its values.

    Faulty values are None in the object, so that the rules can go on and report their faults too. Raises
    Invalid when there is no object to speak of.
    """
    if not raw:
        raise Invalid.because([Fault("", "the body is empty; it must be a JSON object")])
    try:
        value = _PLAIN.decode(raw.decode())
    except (ValueError, RecursionError):
        return _parse_closely(raw)
    return (value, []) if type(value) is dict and not _looks_odd(raw) else _parse_closely(raw)


def _parse_closely(raw: bytes) -> tuple[JsonObject, list[Fault]]:
    """Parse what is not JSON, or not plain: find what is wrong with it."""
    reader = _Reader()
    try:
        value = json.loads(
            raw.decode("utf-8-sig"),
            object_pairs_hook=reader.pairs,
            parse_constant=reader.constant,
            parse_float=reader.float,
        )
    except RecursionError:
        raise Invalid.because([_too_deep("")]) from None
    except ValueError as error:  # malformed, not UTF-8, or an integer of thousands of digits
        raise Invalid.because([Fault("", f"is not JSON: {_first_line(error)}")]) from None
    if not isinstance(value, dict):
        raise Invalid.because([Fault("", "must be a JSON object")])
    return value, _find_faults(value) if reader.is_odd or _looks_odd(raw) else []


def _plain_object(pairs: list[tuple[str, Any]]) -> JsonObject:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError
    return value


def _plain_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _no_constant(name: str) -> None:
    raise ValueError(name)


_PLAIN: Final = json.JSONDecoder(
    object_pairs_hook=_plain_object, parse_float=_plain_float, parse_constant=_no_constant
)
"""Reads what is plain, as nearly every body is, and raises ValueError for all that needs a closer look."""


class _Odd:
    """Stands for a value that JSON should not have had, until its path is known."""

    def __init__(self, message: str) -> None:
        self.message = message


class _Repeating(dict[str, Any]):
    """An object whose text named keys more than once."""

    repeated: tuple[str, ...] = ()


class _Reader:
    """The hooks of one parse; `is_odd` when something must be looked for."""

    def __init__(self) -> None:
        self.is_odd = False

    def pairs(self, pairs: list[tuple[str, Any]]) -> JsonObject:
        value = dict(pairs)
        if len(value) == len(pairs):
            return value
        self.is_odd = True
        repeating = _Repeating(value)
        counts = Counter(name for name, _ in pairs)
        repeating.repeated = tuple(name for name, count in counts.items() if count > 1)
        return repeating

    def constant(self, name: str) -> _Odd:
        self.is_odd = True
        return _Odd(f"is not a JSON number: {name}")

    def float(self, text: str) -> "float | _Odd":
        number = float(text)
        if math.isfinite(number):
            return number
        self.is_odd = True
        return _Odd("is a number beyond what a double can hold")


def _looks_odd(raw: bytes) -> bool:
    """Whether a walk is worth it: escapes of NUL or surrogates, or brackets enough to be too deep."""
    return (
        b"\\u0000" in raw
        or b"\\ud" in raw
        or b"\\uD" in raw
        or raw.count(b"{") + raw.count(b"[") > MOST_DEPTH
    )


def _find_faults(value: JsonObject) -> list[Fault]:
    faults: list[Fault] = []
    _walk(value, "", 1, faults)
    return faults


def _walk(value: dict[Any, Any] | list[Any], path: str, depth: int, faults: list[Fault]) -> None:
    if depth > MOST_DEPTH:
        faults.append(_too_deep(path))
        return
    repeated = value.repeated[:MOST_FAULTS] if isinstance(value, _Repeating) else ()
    faults.extend(Fault(_join(path, name), "is named more than once in the same object") for name in repeated)
    items: list[tuple[Any, Any]] = list(value.items() if isinstance(value, dict) else enumerate(value))
    for key, item in items:
        if len(faults) >= MOST_FAULTS:
            return
        if isinstance(key, str) and (message := _text_fault(key)):
            faults.append(Fault(path, f"has a key that {message}"))
        if isinstance(item, dict | list):
            _walk(item, _join(path, key), depth + 1, faults)
        elif message := _value_fault(item):
            faults.append(Fault(_join(path, key), message))
            value[key] = None


def _value_fault(value: object) -> str | None:
    if isinstance(value, _Odd):
        return value.message
    return _text_fault(value) if isinstance(value, str) else None


def _text_fault(text: str) -> str | None:
    if "\0" in text:
        return "contains the character NUL"
    if _SURROGATE.search(text):
        return "contains half a surrogate pair, which is no character"
    return None


def _join(path: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{path}[{key}]"
    shown = key.encode("utf-8", "replace").decode()[:100]
    return f"{path}.{shown}" if path else shown


def _too_deep(path: str) -> Fault:
    return Fault(path[:200], f"is nested more than {MOST_DEPTH} deep")


def _first_line(error: ValueError) -> str:
    return str(error).partition("\n")[0][:200]
