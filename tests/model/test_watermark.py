"""Watermarks and continuation tokens as text."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.watermark import (
    KEEP_MS,
    LIFETIME_MS,
    SKEW_MS,
    Filter,
    Walk,
    Watermark,
    decode_continuation,
    decode_watermark,
    encode_continuation,
    encode_watermark,
)

numbers = st.integers(0, (1 << 63) - 1)
watermarks = st.builds(Watermark, numbers, numbers, numbers, numbers, numbers, numbers)
walks = st.builds(Walk, watermarks, numbers, st.sampled_from(Filter))
PRESENT = Watermark(epoch=1, member_id=7, seq=50, state_seq=20, read_through_seq=30, made_at=LIFETIME_MS * 2)


@given(watermarks)
def test_a_watermark_survives_its_text(watermark: Watermark) -> None:
    assert decode_watermark(encode_watermark(watermark)) == watermark


@given(st.one_of(watermarks, walks))
def test_a_continuation_survives_its_text(place: Watermark | Walk) -> None:
    assert decode_continuation(encode_continuation(place)) == place


@given(watermarks, walks)
def test_a_watermark_is_no_continuation_token_and_the_other_way_round(
    watermark: Watermark, walk: Walk
) -> None:
    with pytest.raises(ValueError, match="continuation token"):
        decode_continuation(encode_watermark(watermark))
    for place in (watermark, walk):
        with pytest.raises(ValueError, match="watermark"):
            decode_watermark(encode_continuation(place))


@given(watermarks, st.data())
def test_text_that_was_cut_or_changed_is_none(watermark: Watermark, data: st.DataObject) -> None:
    text = encode_watermark(watermark)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("AZaz09-_+/= é\0").filter(lambda sign: sign != text[place]))
    for wrong in (text[:place], text[:place] + other + text[place + 1 :], text + "A", text + "=", " " + text):
        with pytest.raises(ValueError, match="watermark"):
            decode_watermark(wrong)


@given(st.text() | st.text("ABCDabcd0123-_", max_size=200))
def test_any_other_text_is_none(text: str) -> None:
    for decode in (decode_watermark, decode_continuation):
        with pytest.raises(ValueError, match="is not a"):
            decode(text)


def test_a_watermark_serves_when_the_database_is_not_behind_it() -> None:
    assert PRESENT.is_within(PRESENT)
    assert replace(PRESENT, seq=0, state_seq=0, read_through_seq=0).is_within(PRESENT)
    for ahead in ({"seq": 51}, {"state_seq": 21}, {"read_through_seq": 31}, {"epoch": 0}, {"epoch": 2}):
        assert not replace(PRESENT, **ahead).is_within(PRESENT), ahead


def test_a_watermark_serves_for_thirty_days() -> None:
    made_at = PRESENT.made_at
    assert replace(PRESENT, made_at=made_at - LIFETIME_MS).is_within(PRESENT)
    assert not replace(PRESENT, made_at=made_at - LIFETIME_MS - 1).is_within(PRESENT)
    assert replace(PRESENT, made_at=made_at + SKEW_MS).is_within(PRESENT)
    assert not replace(PRESENT, made_at=made_at + SKEW_MS + 1).is_within(PRESENT)


def test_a_young_watermark_stays_as_it_is() -> None:
    assert PRESENT.at(PRESENT.made_at + KEEP_MS - 1) is PRESENT
    older = PRESENT.at(PRESENT.made_at + KEEP_MS)
    assert older == replace(PRESENT, made_at=PRESENT.made_at + KEEP_MS)
    assert older.is_level_with(PRESENT)
