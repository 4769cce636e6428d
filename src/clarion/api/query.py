"""Query parameters that lists share. All are strings on the wire, as the original publishes them."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from clarion.api.schemas_inbox import FILTERS
from clarion.model.cursor import decode_cursor
from clarion.model.errors import Fault, Invalid
from clarion.model.watermark import (
    NO_WATERMARK,
    Filter,
    Walk,
    Watermark,
    decode_continuation,
    decode_watermark,
)

DEFAULT_LIMIT: Final = 50
MOST_LIMIT: Final = 200

T = TypeVar("T")


def read_page(list_name: str, limit: str | None, continuation_token: str | None) -> tuple[int, int | None]:
    """Read `limit` and `continuationToken`; raises Invalid with the faults of both."""
    faults: list[Fault] = []
    size = _read_limit(limit, faults)
    position = _read(
        "continuationToken", continuation_token, lambda text: decode_cursor(list_name, text), faults
    )
    if faults:
        raise Invalid.because(faults)
    return size, position


def read_inbox_page(
    limit: str | None, continuation_token: str | None, sync_token: str | None, filter_mode: str | None
) -> tuple[int, Filter | Walk | Watermark]:
    """Read what the list of an inbox is asked for: how many, and the beginning of a list, its rest, or changes.

    A continuation token alone says which of them goes on, and wins over the `syncToken` with which it began. Raises
    Invalid with the faults of all.
    """
    faults: list[Fault] = []
    size = _read_limit(limit, faults)
    rest = _read("continuationToken", continuation_token, decode_continuation, faults)
    since = _read("syncToken", sync_token, decode_watermark, faults)
    shown = None
    if filter_mode is not None and (shown := FILTERS.get(filter_mode)) is None:
        faults.append(Fault("filterMode", f"must be {' or '.join(FILTERS)}"))
    faults += _contradictions(rest, since, shown)
    if faults:
        raise unreadable(faults)
    return size, rest or since or shown or Filter.USUAL


def unreadable(faults: Sequence[Fault]) -> Invalid:
    """The refusal of a request; it has a code of its own when nothing is wrong but a watermark."""
    if [fault.message for fault in faults] == [NO_WATERMARK]:
        return Invalid.because(faults, code="invalid_sync_token")
    return Invalid.because(faults)


def _contradictions(
    rest: Walk | Watermark | None, since: Watermark | None, shown: Filter | None
) -> list[Fault]:
    """A filter is for lists alone, and a list keeps the one with which it began."""
    faults = []
    if since is not None and isinstance(rest, Walk):
        faults.append(Fault("continuationToken", "is of a list, which has no syncToken"))
    if shown is not None:
        if isinstance(rest, Walk) and rest.filter is not shown:
            faults.append(Fault("filterMode", "is another one than that of the first page"))
        elif since is not None or isinstance(rest, Watermark):
            faults.append(Fault("filterMode", "does not go with a syncToken: changes are told whole"))
    return faults


def _read_limit(limit: str | None, faults: list[Fault]) -> int:
    if limit is None:
        return DEFAULT_LIMIT
    if limit.isascii() and limit.isdecimal() and len(limit) <= 3 and 1 <= int(limit) <= MOST_LIMIT:
        return int(limit)
    faults.append(Fault("limit", f"must be a whole number from 1 to {MOST_LIMIT}"))
    return DEFAULT_LIMIT


def _read(name: str, text: str | None, decode: Callable[[str], T], faults: list[Fault]) -> T | None:
    """A token, decoded; what is wrong with it is added to the faults."""
    if text is None:
        return None
    try:
        return decode(text)
    except ValueError as error:
        faults.append(Fault(name, str(error)))
        return None
