"""Retry-After: how long a push service asks to be left alone (RFC 9110 §10.2.3). Pure; called by the answer tables."""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

from clarion.http2 import Answer


def read_retry_after(answer: Answer, now: int, most_seconds: float) -> float | None:
    """The seconds that an answer asks for, by their number or by a date; None without any that can be read.

    `now` in milliseconds. More than `most_seconds` is cut.
    """
    found = next((value for name, value in answer.headers if name == b"retry-after"), b"")
    text = found.decode("ascii", "replace").strip()
    if re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
        return min(float(text), most_seconds)
    try:
        moment = parsedate_to_datetime(text)
        seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now / 1000
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), most_seconds)
