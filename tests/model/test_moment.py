"""Moments: every form that the contract names, and nothing else."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.moment import LAST_MOMENT, SECONDS_BELOW, parse_start_at, to_rfc3339

SPRING = 1_743_754_734_000  # 2025-04-04T08:18:54Z


@pytest.mark.parametrize(
    "text",
    [
        "2025-04-04T08:18:54Z",
        "2025-04-04t08:18:54Z",
        "2025-04-04 08:18:54Z",
        "2025-04-04T08:18:54z",
        "2025-04-04 08:18:54z",
        "2025-04-04T10:18:54+02:00",
        "2025-04-04T10:18:54.000+02:00",
        "2025-04-04T04:48:54-03:30",
        "2025-04-05T08:17:54+23:59",
        "2025-04-04T08:18:54-00:00",
        "2025-04-04T08:18:54.0Z",
    ],
)
def test_every_spelling_of_one_moment_is_that_moment(text: str) -> None:
    assert parse_start_at(text) == SPRING


@pytest.mark.parametrize(
    ("decimals", "milliseconds"),
    [("4", 400), ("43", 430), ("435", 435), ("4359", 435), ("435999999999999999", 435), ("000999", 0)],
)
def test_any_number_of_decimals_is_read_to_the_millisecond(decimals: str, milliseconds: int) -> None:
    assert parse_start_at(f"2025-04-04T08:18:54.{decimals}Z") == SPRING + milliseconds


def test_second_60_is_the_next_second() -> None:
    assert parse_start_at("2016-12-31T23:59:60Z") == parse_start_at("2017-01-01T00:00:00Z")
    assert parse_start_at("2016-12-31T23:59:60.5Z") == parse_start_at("2017-01-01T00:00:00.5Z")


def test_hour_24_is_the_midnight_that_follows() -> None:
    assert parse_start_at("2024-02-28T24:00:00Z") == parse_start_at("2024-02-29T00:00:00Z")


def test_the_year_9999_is_good() -> None:
    assert parse_start_at("9999-12-31T23:59:59.999Z") == LAST_MOMENT
    assert to_rfc3339(LAST_MOMENT) == "9999-12-31T23:59:59.999Z"


@pytest.mark.parametrize(
    "value", ["9999-12-31T24:00:00Z", "9999-12-31T23:59:59-01:00", LAST_MOMENT + 1, 10**400]
)
def test_what_lies_after_the_year_9999_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="year 9999"):
        parse_start_at(value)


@pytest.mark.parametrize(
    "text", ["2025-02-31T00:00:00Z", "2025-02-29T00:00:00Z", "2025-13-01T00:00:00Z", "0000-01-01T00:00:00Z"]
)
def test_a_day_that_the_calendar_lacks_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=f"not a date of the calendar: {text[:10]}"):
        parse_start_at(text)


@pytest.mark.parametrize(
    "text",
    ["2025-04-04T25:00:00Z", "2025-04-04T24:00:01Z", "2025-04-04T08:60:00Z", "2025-04-04T08:18:61Z"],
)
def test_a_time_that_the_day_lacks_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=f"not a time of day: {text[11:19]}"):
        parse_start_at(text)


@pytest.mark.parametrize("offset", ["+24:00", "-99:00", "+01:60"])
def test_an_impossible_offset_is_refused(offset: str) -> None:
    with pytest.raises(ValueError, match="no valid offset"):
        parse_start_at(f"2025-04-04T08:18:54{offset}")


@pytest.mark.parametrize(
    "value",
    [
        "2025-04-04T08:18:54",
        "2025-04-04",
        "2025-04-04T08:18Z",
        "2025-04-04T08:18:54.Z",
        "2025-04-04T08:18:54,5Z",
        "2025-04-04T08:18:54+0200",
        "2025-04-04_08:18:54Z",
        "25-04-04T08:18:54Z",
        "2025-04-04T08:18:54Z ",
        "2025-04-04T08:18:54Z\n",
        "٢٠٢٥-04-04T08:18:54Z",
        "1743754734",
        "",
        "now",
        -1,
        True,
        False,
        1.5,
        1743754734.0,
        float("nan"),
        None,
        [],
        {},
        b"2025-04-04T08:18:54Z",
    ],
)
def test_whatever_else_is_refused_with_an_example_of_what_is_right(value: object) -> None:
    with pytest.raises(ValueError, match="must be an RFC 3339 time with an offset, such as"):
        parse_start_at(value)


def test_an_integer_below_ten_to_the_eleven_is_seconds() -> None:
    assert parse_start_at(0) == 0
    assert parse_start_at(1_743_754_734) == SPRING
    assert parse_start_at(SECONDS_BELOW - 1) == (SECONDS_BELOW - 1) * 1000


def test_an_integer_from_ten_to_the_eleven_on_is_milliseconds() -> None:
    assert parse_start_at(SECONDS_BELOW) == SECONDS_BELOW
    assert parse_start_at(SPRING) == SPRING


def test_a_moment_before_the_epoch_is_the_epoch() -> None:
    assert parse_start_at("1969-12-31T23:59:59Z") == 0
    assert parse_start_at("0001-01-01T00:00:00+23:59") == 0


@given(st.integers(0, LAST_MOMENT))
def test_what_is_written_reads_back_as_the_same_moment(moment: int) -> None:
    assert parse_start_at(to_rfc3339(moment)) == moment


@given(
    st.datetimes(datetime(1970, 1, 3), datetime(9999, 12, 30)),  # noqa: DTZ001 - the zone is drawn beside it
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
    st.sampled_from("Tt "),
)
def test_every_offset_agrees_with_the_standard_library(local: datetime, minutes: int, between: str) -> None:
    zoned = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    since_epoch = zoned - datetime(1970, 1, 1, tzinfo=UTC)
    assert parse_start_at(zoned.isoformat(between)) == since_epoch // timedelta(milliseconds=1)


@given(st.text() | st.from_regex(r"[0-9TtZz :+.-]{15,30}"))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        assert 0 <= parse_start_at(text) <= LAST_MOMENT
    except ValueError as error:
        assert str(error).startswith(("must ", "is not ", "has no "))  # noqa: PT017 - both ways are right
