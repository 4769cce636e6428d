"""Retry-After, by its number or by its date. What each provider makes of it is tested with its table."""

import time
from collections.abc import Iterator

import pytest

from clarion.http2 import Answer
from clarion.providers.retry_after import read_retry_after

MOMENT_MS = 784_111_777_000
"""Sun, 06 Nov 1994 08:49:37 GMT."""


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_greenwich")
@pytest.mark.parametrize("zone", ["GMT", "+0000", "-0000"])
def test_a_date_means_the_same_wherever_this_machine_is(zone: str) -> None:
    answer = Answer(503, ((b"retry-after", f"Sun, 06 Nov 1994 08:49:37 {zone}".encode()),), b"")
    assert read_retry_after(answer, MOMENT_MS - 90_000, 3_600) == 90


@pytest.mark.parametrize(("said", "seconds"), [(b" 120 ", 120), (b"9" * 18, 3_600), (b"\xff", None)])
def test_what_can_be_read_is_cut_and_the_rest_is_none(said: bytes, seconds: float | None) -> None:
    answer = Answer(503, ((b"date", b"5"), (b"retry-after", said), (b"retry-after", b"7")), b"")
    assert read_retry_after(answer, MOMENT_MS, 3_600) == seconds
