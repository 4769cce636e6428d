"""Tokens and roles: what a token's text proves, and who may send."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.access import Role, mint_token, parse_token

seeds = st.integers(0, 2**32).map(random.Random)


def test_a_token_says_its_region_and_has_256_bits_of_secret() -> None:
    text, _ = mint_token("us-east-1", lambda count: bytes(range(count)))
    assert text.startswith("clr_us-east-1_0001020304050607_000102030405")
    assert len(text.rpartition("_")[2]) == 64 + 8


@given(seeds, st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True))
def test_a_minted_token_parses_to_its_parts(source: random.Random, region: str) -> None:
    text, minted = mint_token(region, source.randbytes)
    parsed = parse_token(text)
    assert parsed == minted
    assert parsed is not None
    assert parsed.region == region
    assert parsed.proves(minted.secret_hash)


@given(seeds, st.data())
def test_a_mistyped_character_is_noticed_without_a_look_up(
    source: random.Random, data: st.DataObject
) -> None:
    text, _ = mint_token("us-east-1", source.randbytes)
    place = data.draw(st.integers(0, len(text) - 1))
    wrong = data.draw(st.characters(codec="ascii").filter(lambda character: character != text[place]))
    assert parse_token(text[:place] + wrong + text[place + 1 :]) is None


@given(seeds)
def test_a_wrong_secret_with_a_right_checksum_proves_nothing(source: random.Random) -> None:
    _, stored = mint_token("us-east-1", source.randbytes)
    _, other = mint_token("us-east-1", source.randbytes)
    assert not other.proves(stored.secret_hash)


@given(st.text())
def test_any_other_text_is_no_token(text: str) -> None:
    assert parse_token(text) is None


def test_the_secret_itself_is_kept_nowhere() -> None:
    text, minted = mint_token("us-east-1", random.Random(1).randbytes)
    secret = text.rpartition("_")[2][:64]
    assert secret not in repr(minted)
    assert bytes.fromhex(secret) != minted.secret_hash


@pytest.mark.parametrize(("role", "may"), [(Role.OWNER, True), (Role.ADMIN, True), (Role.USER, False)])
def test_owners_and_administrators_send_and_users_do_not(role: Role, may: bool) -> None:
    assert role.may_send is may
