"""Cursors: they lead back to their place in their own list, and nowhere else."""

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.cursor import decode_cursor, encode_cursor

positions = st.integers(0, 2**63 - 1)


def cursor(plain: str) -> str:
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


@given(positions)
def test_a_cursor_leads_back_to_its_position(position: int) -> None:
    assert decode_cursor("notifications", encode_cursor("notifications", position)) == position


@given(positions)
def test_a_cursor_needs_no_quoting_in_a_url(position: int) -> None:
    assert set(encode_cursor("inbox", position)) <= set(string.ascii_letters + string.digits + "-_")


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(ValueError, match="not a continuation token of this list"):
        decode_cursor("inbox", encode_cursor("notifications", 7))


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a continuation token of this list"):
        decode_cursor("inbox", text)


@pytest.mark.parametrize(
    "plain",
    [
        "1.inbox.-1",
        "1.inbox.1.0",
        "1.inbox.",
        "1.inbox",
        "2.inbox.1",
        "1.inbox.²",
        "1.inbox.١",
        "1.inbox. 1",
        f"1.inbox.{2**63}",
        "1.inbox.9999999999999999999",
    ],
)
def test_a_forged_position_is_refused_before_it_reaches_the_database(plain: str) -> None:
    with pytest.raises(ValueError, match="not a continuation token of this list"):
        decode_cursor("inbox", cursor(plain))
