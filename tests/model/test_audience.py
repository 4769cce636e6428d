"""Names of an audience: every spelling of a list, without repeats."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.audience import fold_email, split_names, without_repeats

names = st.text(st.characters(exclude_characters=",")).map(str.strip).filter(bool)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["sales", "finance"], ("sales", "finance")),
        ("sales,finance", ("sales", "finance")),
        ("sales", ("sales",)),
        (["sales, finance", " customers "], ("sales", "finance", "customers")),
        (" ,sales,, ,finance, ", ("sales", "finance")),
        (["field sales"], ("field sales",)),
        ("", ()),
        ([], ()),
        ([" , ", ""], ()),
    ],
)
def test_an_array_a_string_and_commas_inside_either_are_one_list(
    value: str | list[str], expected: tuple[str, ...]
) -> None:
    assert split_names(value) == expected


@given(st.lists(names))
def test_joined_by_commas_or_not_the_names_are_the_same(some: list[str]) -> None:
    assert split_names(some) == split_names(" , ".join(some)) == tuple(some)


def test_the_first_spelling_of_an_address_stays_at_its_place() -> None:
    spelt = ("Ann@example.com", "bob@example.com", "ANN@EXAMPLE.COM", "ann@example.com")
    assert without_repeats(spelt, fold=True) == ("Ann@example.com", "bob@example.com")


def test_group_names_that_differ_in_case_are_two_groups() -> None:
    assert without_repeats(("Sales", "sales", "Sales"), fold=False) == ("Sales", "sales")


@given(st.lists(st.sampled_from(["a", "A", "b", "B", "ß", "SS", "c"])), st.booleans())
def test_without_repeats_keeps_each_name_once_in_the_senders_order(some: list[str], fold: bool) -> None:
    kept = without_repeats(tuple(some), fold=fold)
    keys = [fold_email(name) if fold else name for name in some]
    expected = tuple(name for place, name in enumerate(some) if keys.index(keys[place]) == place)
    assert kept == expected
