"""Refresh tokens: each pair follows from the one before, and an old one is told from one made up."""

import random

from hypothesis import given
from hypothesis import strategies as st

from clarion.model.access import TokenKind, mint_token, parse_token
from clarion.model.refresh import SALT_OCTETS, RefreshText, first_pair, next_pair, parse_refresh_token

seeds = st.integers(0, 2**32).map(random.Random)


def shown(text: str) -> RefreshText:
    parsed = parse_refresh_token(text)
    assert parsed is not None
    return parsed


@given(seeds)
def test_a_pair_has_two_tokens_of_one_session_in_its_region(source: random.Random) -> None:
    pair = first_pair("eu-central-1", source.randbytes)
    token, refresh = parse_token(pair.token), shown(pair.refresh_token)
    assert token is not None
    assert (token.kind, token.region, token.key) == (TokenKind.SESSION, "eu-central-1", pair.key)
    assert (refresh.region, refresh.key) == ("eu-central-1", pair.key)
    assert token.proves(pair.secret_hash)
    assert (refresh.family_hash, refresh.refresh_hash) == (pair.family_hash, pair.refresh_hash)


@given(seeds, st.integers(1, 5))
def test_every_pair_is_new_and_of_the_same_family(source: random.Random, times: int) -> None:
    pairs = [first_pair("us-east-1", source.randbytes)]
    for _ in range(times):
        pairs.append(next_pair(shown(pairs[-1].refresh_token), source.randbytes(SALT_OCTETS)))
    assert len({pair.token for pair in pairs}) == len({pair.refresh_token for pair in pairs}) == times + 1
    assert len({pair.refresh_hash for pair in pairs}) == times + 1
    assert {(pair.key, pair.family_hash) for pair in pairs} == {(pairs[0].key, pairs[0].family_hash)}


@given(seeds)
def test_the_same_salt_gives_the_same_pair_and_another_one_another(source: random.Random) -> None:
    before = shown(first_pair("us-east-1", source.randbytes).refresh_token)
    salt = source.randbytes(SALT_OCTETS)
    assert next_pair(before, salt) == next_pair(before, salt)
    assert next_pair(before, salt) != next_pair(before, source.randbytes(SALT_OCTETS))


def test_other_tokens_are_no_refresh_tokens() -> None:
    source = random.Random(1)
    for kind in set(TokenKind) - {TokenKind.REFRESH}:
        assert parse_refresh_token(mint_token("us-east-1", source.randbytes, kind)[0]) is None
    assert parse_refresh_token(first_pair("us-east-1", source.randbytes).refresh_token[:-1]) is None
    assert parse_refresh_token("") is None


def test_neither_text_nor_secret_is_shown_by_accident() -> None:
    pair = first_pair("us-east-1", random.Random(1).randbytes)
    secret = pair.refresh_token.rpartition("_")[2][:64]
    assert pair.token not in repr(pair)
    assert pair.refresh_token not in repr(pair)
    assert secret not in repr(shown(pair.refresh_token))
    assert repr(bytes.fromhex(secret)) not in repr(shown(pair.refresh_token))
