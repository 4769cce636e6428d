"""Refusals: the tree in the docstring is the tree in the code, and every code is its own."""

import re

from clarion.model import errors
from clarion.model.errors import Fault, Invalid, Refusal


def test_the_docstring_names_every_refusal_and_no_other() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    assert drawn == {kind.__name__ for kind in Refusal.__subclasses__()}


def test_every_refusal_has_a_code_of_its_own() -> None:
    kinds: list[type[Refusal]] = [Refusal, *Refusal.__subclasses__()]
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_a_refusal_of_bad_input_names_the_first_fault_and_counts_the_others() -> None:
    faults = [Fault("content.text", "is required"), Fault("scope", "is required"), Fault("", "is odd")]
    refusal = Invalid.because(faults)
    assert refusal.message == "content.text: is required (2 more in details)"
    assert refusal.faults == tuple(faults)


def test_a_fault_of_the_whole_body_has_no_path_before_its_sentence() -> None:
    assert Invalid.because([Fault("", "must be a JSON object")]).message == "must be a JSON object"
