"""An issuer's keys: what is read, how long it is kept, and how seldom the issuer is asked."""

import asyncio
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from clarion.model.errors import IssuerUnavailable
from clarion.service.issuer_keys import (
    FRESH_MS,
    LAST_COPY_MS,
    MOST_KEYS,
    PAUSE_MS,
    IssuerKeys,
    IssuerTrouble,
    PublicKey,
    fetch_keys,
    read_discovery,
    read_keys,
)
from tests.clock import Clock
from tests.service.issuer import DISCOVERY, EC_KEY, KEYS, OTHER_RSA_KEY, RSA_KEY, StandIn, public_jwk, said

URL = "https://issuer.example.com"
SHORT_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
OTHER_CURVE = ec.generate_private_key(ec.SECP384R1())


class Line:
    """The way to the issuer, which can be cut or held up."""

    def __init__(self, issuer: StandIn) -> None:
        self.issuer = issuer
        self.is_cut = False
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def fetch(self, url: str) -> bytes:
        octets = await self.issuer.fetch(url)
        await self.is_open.wait()
        if self.is_cut:
            raise IssuerTrouble("the line is cut")
        return octets

    @property
    def times(self) -> int:
        """How often the issuer was asked."""
        return self.issuer.asked.count(DISCOVERY)


@pytest.fixture
async def line(clock: Clock) -> Line:
    issuer = StandIn(clock)
    issuer.publish()
    return Line(issuer)


@pytest.fixture
async def keys(line: Line, clock: Clock) -> IssuerKeys:
    return IssuerKeys(line.fetch, clock)


async def find(keys: IssuerKeys, key_id: str | None = "r1", algorithm: str = "RS256") -> PublicKey | None:
    return await keys.find(URL, algorithm, key_id)


def same(found: PublicKey | None, key: Any) -> bool:
    return found is not None and found.public_numbers() == key.public_key().public_numbers()


async def some_turns() -> None:
    """Let what was begun in the background go on."""
    for _ in range(10):
        await asyncio.sleep(0)


# ── Asking ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_is_found_by_its_id_and_kind(keys: IssuerKeys) -> None:
    assert same(await find(keys), RSA_KEY)
    assert same(await find(keys, "e1", "ES256"), EC_KEY)
    assert await find(keys, "e1") is None
    assert await find(keys, "r2") is None
    assert same(await find(keys, None), RSA_KEY), "the only one of its kind needs no name"


async def test_a_token_without_a_kid_does_not_choose_among_several(keys: IssuerKeys, line: Line) -> None:
    line.issuer.keys["r2"] = OTHER_RSA_KEY
    line.issuer.publish()
    assert await find(keys, None) is None


async def test_whoever_comes_while_the_issuer_is_asked_waits_for_the_same(
    keys: IssuerKeys, line: Line
) -> None:
    line.is_open.clear()
    waiting = [asyncio.create_task(find(keys)) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    line.is_open.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [same(key, RSA_KEY) for key in found[1:] if not isinstance(key, BaseException)] == [True] * 19
    assert line.times == 1


async def test_keys_are_fresh_for_ten_minutes(keys: IssuerKeys, line: Line, clock: Clock) -> None:
    await find(keys)
    clock.move(milliseconds=FRESH_MS - 1)
    await find(keys)
    assert line.times == 1
    clock.move(milliseconds=1)
    await find(keys)
    assert line.times == 2


async def test_a_key_that_was_taken_back_is_gone_after_ten_minutes(
    keys: IssuerKeys, line: Line, clock: Clock
) -> None:
    await find(keys)
    line.issuer.keys = {"r2": OTHER_RSA_KEY}
    line.issuer.publish()
    clock.move(milliseconds=FRESH_MS)
    assert await find(keys) is None


async def test_unknown_ids_ask_at_most_every_half_minute(keys: IssuerKeys, line: Line, clock: Clock) -> None:
    for number in range(100):
        assert await find(keys, f"made-up-{number}") is None
    assert line.times == 1
    clock.move(milliseconds=PAUSE_MS)
    for number in range(100):
        assert await find(keys, f"made-up-{number}") is None
    assert line.times == 2


async def test_issuers_are_asked_each_for_itself(clock: Clock) -> None:
    one, two = StandIn(clock, "https://one.example.com"), StandIn(clock, "https://two.example.com")
    one.keys, two.keys = {"r1": RSA_KEY}, {"r1": OTHER_RSA_KEY}
    one.publish()
    two.publish()

    async def fetch(url: str) -> bytes:
        return await (one if url.startswith(one.url) else two).fetch(url)

    keys = IssuerKeys(fetch, clock)
    assert same(await keys.find(one.url, "RS256", "r1"), RSA_KEY)
    assert same(await keys.find(two.url, "RS256", "r1"), OTHER_RSA_KEY)


# ── Away ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_without_any_copy_a_missing_issuer_is_told_and_asked_every_half_minute(
    keys: IssuerKeys, line: Line, clock: Clock
) -> None:
    line.is_cut = True
    for _ in range(3):
        with pytest.raises(IssuerUnavailable):
            await find(keys)
    assert line.times == 1
    line.is_cut = False
    clock.move(milliseconds=PAUSE_MS)
    assert same(await find(keys), RSA_KEY)


async def test_the_last_copy_serves_for_a_day(keys: IssuerKeys, line: Line, clock: Clock) -> None:
    await find(keys)
    line.is_cut = True
    clock.move(milliseconds=LAST_COPY_MS - 1)
    assert same(await find(keys), RSA_KEY)
    clock.move(milliseconds=PAUSE_MS)
    with pytest.raises(IssuerUnavailable):
        await find(keys)


async def test_an_issuer_known_to_be_away_holds_nobody_up(keys: IssuerKeys, line: Line, clock: Clock) -> None:
    await find(keys)
    line.is_cut = True
    clock.move(milliseconds=FRESH_MS)
    assert same(await find(keys), RSA_KEY)
    line.is_open.clear()
    clock.move(milliseconds=PAUSE_MS)
    assert same(await find(keys), RSA_KEY)
    await some_turns()
    assert line.times == 3, "it is asked in the background"
    line.is_cut = False
    line.is_open.set()
    await some_turns()
    await find(keys)
    assert line.times == 3


async def test_whether_an_unknown_id_is_good_cannot_be_said_while_the_issuer_is_away(
    keys: IssuerKeys, line: Line, clock: Clock
) -> None:
    await find(keys)
    line.is_cut = True
    clock.move(milliseconds=PAUSE_MS)
    with pytest.raises(IssuerUnavailable):
        await find(keys, "r2")
    assert same(await find(keys), RSA_KEY)


async def test_an_issuer_that_never_answers_is_away(line: Line, clock: Clock) -> None:
    line.is_open.clear()
    with pytest.raises(IssuerUnavailable):
        await find(IssuerKeys(line.fetch, clock, patience_seconds=0.01))


async def test_closing_waits_for_nobody(keys: IssuerKeys, line: Line) -> None:
    line.is_open.clear()
    waiting = asyncio.create_task(find(keys))
    await some_turns()
    await keys.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "no JSON object"),
        (b"<html>", "no JSON object"),
        (b"[]", "no JSON object"),
        (b"\xff", "no JSON object"),
        (b"[" * 100_000, "no JSON object"),
        (b'{"issuer": ' + b"9" * 5_000 + b"}", "no JSON object"),
        (said({}).body, "says that it is None"),
        (said({"issuer": "https://other.example.com"}).body, "says that it is 'https://other.example.com'"),
        (said({"issuer": URL + "/"}).body, "exactly that"),
        (said({"issuer": URL}).body, "no jwks_uri"),
        (said({"issuer": URL, "jwks_uri": ["https://issuer.example.com"]}).body, "no jwks_uri"),
        (
            said({"issuer": URL, "jwks_uri": "http://issuer.example.com/keys"}).body,
            "jwks_uri must be an https",
        ),
        (said({"issuer": URL, "jwks_uri": "file:///etc/passwd"}).body, "jwks_uri must be an https"),
        (said({"issuer": URL, "jwks_uri": "https://u:p@issuer.example.com/"}).body, "neither a user"),
    ],
)
def test_a_discovery_document_is_refused(octets: bytes, reason: str) -> None:
    with pytest.raises(IssuerTrouble, match=reason):
        read_discovery(octets, URL)


async def test_keys_may_be_at_another_host_and_an_issuer_may_end_with_a_slash() -> None:
    asked = []

    async def fetch(url: str) -> bytes:
        asked.append(url)
        keys_url = "https://keys.example.org/v3/certs?format=jwks"
        return (
            said({"keys": [public_jwk(RSA_KEY, "r1")]}).body
            if url == keys_url
            else said({"issuer": URL + "/realm/", "jwks_uri": keys_url}).body
        )

    assert [key.id for key in await fetch_keys(URL + "/realm/", fetch)] == ["r1"]
    assert asked[0] == URL + "/realm/.well-known/openid-configuration"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "does not list"),
        ({"keys": {}}, "does not list"),
        ({"keys": [public_jwk(RSA_KEY, str(number)) for number in range(MOST_KEYS + 1)]}, "does not list"),
        ({"keys": []}, "no key for"),
        ({"keys": ["", None, 7, []]}, "no key for"),
        ({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "r1", "alg": "HS256"}]}, "no key for"),
        ({"keys": [{"kty": ["RSA"]}]}, "no key for"),
        ({"keys": [{"kty": "RSA"}]}, "no key for"),
        ({"keys": [{"kty": "RSA", "n": 7, "e": 3}]}, "no key for"),
        ({"keys": [{"kty": "RSA", "n": "", "e": ""}]}, "no key for"),
        ({"keys": [{"kty": "RSA", "n": "!", "e": "AQAB"}]}, "no key for"),
        ({"keys": [public_jwk(RSA_KEY, "r1") | {"e": "AA"}]}, "no key for"),
        ({"keys": [public_jwk(RSA_KEY, "r1") | {"n": "w" * 100_001}]}, "no key for"),
        ({"keys": [public_jwk(RSA_KEY, "r1", d="AQAB")]}, "no key for"),
        ({"keys": [public_jwk(RSA_KEY, "r1", use="enc")]}, "no key for"),
        ({"keys": [public_jwk(RSA_KEY, "r1", alg="RS512")]}, "no key for"),
        ({"keys": [public_jwk(RSA_KEY, "r1", kid=7)]}, "no key for"),
        ({"keys": [public_jwk(SHORT_KEY, "r1")]}, "no key for"),
        ({"keys": [public_jwk(OTHER_CURVE, "e1")]}, "no key for"),
        ({"keys": [public_jwk(EC_KEY, "e1") | {"x": "A" * 43}]}, "no key for"),
        ({"keys": [public_jwk(EC_KEY, "e1") | {"y": None}]}, "no key for"),
    ],
)
def test_a_key_set_is_refused(document: Any, reason: str) -> None:
    with pytest.raises(IssuerTrouble, match=reason):
        read_keys(said(document).body)


def test_a_key_of_no_use_does_not_spoil_the_others() -> None:
    listed = [{"kty": "OKP", "crv": "Ed25519"}, public_jwk(SHORT_KEY, "short"), public_jwk(EC_KEY, "e1")]
    assert [(key.id, key.algorithm) for key in read_keys(said({"keys": listed}).body)] == [("e1", "ES256")]


def test_a_hundred_keys_are_taken() -> None:
    listed = [public_jwk(EC_KEY, str(number)) for number in range(MOST_KEYS)]
    assert len(read_keys(said({"keys": listed}).body)) == MOST_KEYS


async def test_the_issuers_key_set_is_where_discovery_says(line: Line) -> None:
    await fetch_keys(URL, line.fetch)
    assert line.issuer.asked == [DISCOVERY, KEYS]
