"""Wishes, as addresses spell them."""

from __future__ import annotations

import pytest

from clarion.sandbox import fcm_outcomes, webpush_outcomes
from clarion.sandbox.outcomes import SPELT_MISHAPS, TABLE, Later, Mishap, Outcome, Wish, spelt_wish, wish_of
from clarion.sandbox.push import Refused

NO = Refused(400, "no")
LATER = Later(NO, 30)
WORDS: dict[str, Outcome] = {"date": NO, "503-date": LATER, "dropped": Mishap.DROPPED}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("phone:1-date", Wish(NO, only_first=False)),
        ("phone:1-date-once", Wish(NO, only_first=True)),
        ("phone:1-503-date", Wish(LATER, only_first=False)),
        ("a-b-503-date-once", Wish(LATER, only_first=True)),
        ("x-dropped", Wish(Mishap.DROPPED, only_first=False)),
        ("-date", Wish(NO, only_first=False)),
        ("date", None),
        ("phone:1-dates", None),
        ("phone:1-date-later", None),
        ("phone:1-once", None),
        ("phone:1", None),
        ("", None),
    ],
)
def test_a_wish_is_the_longest_word_at_the_end(address: str, expected: Wish | None) -> None:
    assert spelt_wish(address, WORDS) == expected


def test_apples_wishes_are_hex() -> None:
    assert wish_of("00dead1503") == Wish(TABLE[503], only_first=True)
    assert wish_of("00dead0503") == Wish(TABLE[503], only_first=False)
    assert wish_of("00dead0999") is None
    assert wish_of("00dead0503ab") is None


def test_a_time_to_come_back_is_seconds_or_a_date() -> None:
    now = 1_800_000_000
    assert LATER.at(now).headers == (("retry-after", "30"),)
    assert Later(NO, 30, as_date=True).at(now).headers == (("retry-after", "Fri, 15 Jan 2027 08:00:30 GMT"),)


@pytest.mark.parametrize("table", [fcm_outcomes.TABLE, webpush_outcomes.TABLE], ids=["fcm", "webpush"])
def test_every_table_holds_every_mishap_and_its_words_can_be_asked_for(table: dict[str, Outcome]) -> None:
    assert SPELT_MISHAPS.items() <= table.items()
    assert set(Mishap) == set(SPELT_MISHAPS.values())
    for word, outcome in table.items():
        assert spelt_wish(f"address-{word}", table) == Wish(outcome, only_first=False)
