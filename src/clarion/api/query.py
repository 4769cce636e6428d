"""Query parameters that lists share. All are strings on the wire, as the original publishes them."""

from typing import Final

from clarion.model.cursor import decode_cursor
from clarion.model.errors import Fault, Invalid

DEFAULT_LIMIT: Final = 50
MOST_LIMIT: Final = 200


def read_page(list_name: str, limit: str | None, continuation_token: str | None) -> tuple[int, int | None]:
    """Read `limit` and `continuationToken`; raises Invalid with the faults of both."""
    faults: list[Fault] = []
    size, position = DEFAULT_LIMIT, None
    if limit is not None:
        if limit.isascii() and limit.isdecimal() and len(limit) <= 3 and 1 <= int(limit) <= MOST_LIMIT:
            size = int(limit)
        else:
            faults.append(Fault("limit", f"must be a whole number from 1 to {MOST_LIMIT}"))
    if continuation_token is not None:
        try:
            position = decode_cursor(list_name, continuation_token)
        except ValueError as error:
            faults.append(Fault("continuationToken", str(error)))
    if faults:
        raise Invalid.because(faults)
    return size, position
