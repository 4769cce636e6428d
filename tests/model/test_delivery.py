"""Push ids and the wait before a retry."""

from uuid import RFC_4122, UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.delivery import PushKind, backoff_ms, pack_push_id, unpack_push_id

numbers = st.integers(0, 2**56 - 1)
pushes = st.tuples(numbers, numbers, st.sampled_from(PushKind))


@given(pushes)
def test_a_push_id_reads_back_as_what_it_was_made_of(push: tuple[int, int, PushKind]) -> None:
    assert unpack_push_id(UUID(pack_push_id(*push))) == push


@given(pushes)
def test_a_push_id_is_a_uuid_of_version_8_in_its_canonical_spelling(push: tuple[int, int, PushKind]) -> None:
    text = pack_push_id(*push)
    parsed = UUID(text)
    assert (parsed.version, parsed.variant, str(parsed)) == (8, RFC_4122, text)


@given(st.sets(pushes, min_size=2, max_size=20))
def test_no_two_pushes_share_an_id(some: set[tuple[int, int, PushKind]]) -> None:
    assert len({pack_push_id(*push) for push in some}) == len(some)


def test_the_withdrawal_of_a_push_has_an_id_of_its_own() -> None:
    assert pack_push_id(1, 2, PushKind.ALERT) != pack_push_id(1, 2, PushKind.WITHDRAWAL)


@pytest.mark.parametrize(
    "foreign",
    [
        uuid4(),
        UUID(int=0),
        UUID("ffffffff-ffff-8fff-bfff-fffffffffffe"),  # version 8, but a number larger than any of ours
        UUID("00000000-0000-8000-8000-000000000003"),  # a kind that there is not
        UUID("00000000-0000-8000-0000-000000000000"),  # another variant
    ],
)
def test_a_foreign_id_is_not_misread(foreign: UUID) -> None:
    with pytest.raises(ValueError, match=r"not a push id|not a valid PushKind"):
        unpack_push_id(foreign)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_lies_between_half_and_the_whole_of_its_step(attempts: int, random: float) -> None:
    whole = min(5_000 * 2 ** (attempts - 1), 900_000)
    assert whole // 2 <= backoff_ms(attempts, random) <= whole


@given(st.floats(0, 1, exclude_max=True))
def test_waits_grow_until_a_quarter_of_an_hour(random: float) -> None:
    waits = [backoff_ms(attempts, random) for attempts in range(1, 30)]
    assert waits == sorted(waits)
    assert waits[-1] == backoff_ms(1_000_000, random) <= 15 * 60_000
