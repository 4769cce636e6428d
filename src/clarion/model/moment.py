"""Moments: milliseconds since the epoch inside, RFC 3339 outside.

The door reads `startAt` with `parse_start_at` and writes every time with `to_rfc3339`. Nothing here asks
what time it is.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EXPECTED = "must be an RFC 3339 time with an offset, such as 2025-04-04T08:18:54Z, or a whole number >= 0"

SECONDS_BELOW = 10**11
"""An integer below this is read as seconds since the epoch (until the year 5138), otherwise as milliseconds."""

LAST_MOMENT = 253_402_300_799_999
"""The last millisecond of the year 9999, the last that RFC 3339 can write."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?([Zz]|([+-])(\d{2}):(\d{2}))", re.ASCII
)


def parse_start_at(value: object) -> int:
    """Read a moment as a sender may write it; milliseconds since the epoch, never negative.

    Takes what the published pattern takes: `T`, `t` or a blank, `Z`, `z` or an offset, any number of
    decimals, second 60 and hour 24 (the next moment). Raises ValueError with a sentence for the sender.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(_EXPECTED)
    moment = _from_integer(value) if isinstance(value, int) else _from_text(value)
    if moment > LAST_MOMENT:
        raise ValueError("must not be after the year 9999")
    return max(moment, 0)


@lru_cache(maxsize=1024)  # one answer tells the same moment three times
def to_rfc3339(moment: int) -> str:
    """Write a moment in UTC with milliseconds and `Z`, such as 2025-04-04T08:18:54.435Z."""
    written = (_EPOCH + timedelta(milliseconds=moment)).isoformat(timespec="milliseconds")
    return written.replace("+00:00", "Z")


def _from_integer(value: int) -> int:
    if value < 0:
        raise ValueError(_EXPECTED)
    return value * 1000 if value < SECONDS_BELOW else value


def _from_text(text: str) -> int:
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(_EXPECTED)
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):
        raise ValueError(f"is not a time of day: {text[11:19]}")
    try:
        midnight = datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        raise ValueError(f"is not a date of the calendar: {text[:10]}") from None
    since_midnight = timedelta(hours=hour, minutes=minute, seconds=second) - _offset(match)
    days = midnight - _EPOCH
    milliseconds = int((match[7] or "0")[:3].ljust(3, "0"))
    return (days.days * 86_400 + round(since_midnight.total_seconds())) * 1000 + milliseconds


def _offset(match: re.Match[str]) -> timedelta:
    if match[9] is None:
        return timedelta(0)
    hours, minutes = int(match[10]), int(match[11])
    if hours > 23 or minutes > 59:
        raise ValueError(f"has no valid offset: {match[8]}")
    size = timedelta(hours=hours, minutes=minutes)
    return size if match[9] == "+" else -size
