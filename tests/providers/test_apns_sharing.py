"""What the channels of one credential share: connections and the provider token; and certificates on the wire."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from clarion.http2 import client_tls
from clarion.model.outcome import ACCEPTED, Misconfigured, Outcome, Unavailable, Unknown
from clarion.model.push import Parcel
from clarion.providers import Surroundings
from clarion.providers.apns import Apns
from tests.clock import Clock
from tests.providers.apple import (
    KEY,
    OTHER_KEY,
    SETTINGS,
    TOPIC,
    certificate_pem,
    pem,
    push,
    signer_pem,
)
from tests.providers.apple_service import OK, AppleService, serving

OTHER_TOPIC = "com.example.office"
NOW_MS = int(time.time() * 1000)
"""TLS asks the real clock whether a certificate is valid."""


@pytest.fixture
async def apple(tmp_path: Path) -> AsyncIterator[AppleService]:
    async with serving(tmp_path) as service:
        yield service


def surroundings(apple: AppleService, clock: Clock) -> Surroundings:
    ca_file = str(apple.certificates.ca)
    return Surroundings(clock, client_tls(ca_file), ca_file)


def channel(apple: AppleService, around: Surroundings, secret: str = pem(KEY), **change: Any) -> Apns:
    settings = SETTINGS | {"host": "localhost", "port": apple.port} | change
    return Apns.from_channel({key: value for key, value in settings.items() if value}, secret, around)


async def send(apns: Apns, count: int = 1) -> list[Outcome]:
    return await apns.send(push(), [Parcel(f"id-{number}", f"{number:064x}") for number in range(count)])


async def test_channels_of_one_key_share_token_and_connection_whatever_their_topics(
    apple: AppleService, clock: Clock
) -> None:
    around = surroundings(apple, clock)
    one, other = channel(apple, around), channel(apple, around, topic=OTHER_TOPIC)
    assert await send(one, 3) + await send(other, 3) == [ACCEPTED] * 6
    clock.move(seconds=49 * 60)
    assert await send(other) == [ACCEPTED]
    assert apple.connections == 1
    assert len({asked.token for asked in apple.asked}) == 1
    assert {asked.headers["apns-topic"] for asked in apple.asked} == {TOPIC, OTHER_TOPIC}
    assert {asked.headers[":authority"] for asked in apple.asked} == {f"localhost:{apple.port}"}
    await one.close()
    assert await send(one) == [Unavailable("closed by us")]
    assert await send(other) == [ACCEPTED]
    await other.close()
    assert apple.connections == 1


@pytest.mark.parametrize(
    ("secret", "change"),
    [(pem(KEY), {"key_id": "OTHER12345"}), (pem(KEY), {"team_id": "OTHERTEAM1"}), (pem(OTHER_KEY), {})],
)
async def test_another_key_has_connections_and_a_token_of_its_own(
    apple: AppleService, clock: Clock, secret: str, change: dict[str, Any]
) -> None:
    around = surroundings(apple, clock)
    one, other = channel(apple, around), channel(apple, around, secret, **change)
    assert await send(one) + await send(other) == [ACCEPTED] * 2
    assert apple.connections == 2
    assert len({asked.token for asked in apple.asked}) == 2
    await asyncio.gather(one.close(), other.close())


async def test_one_key_at_two_hosts_has_one_token_and_two_connections(
    apple: AppleService, clock: Clock, tmp_path: Path
) -> None:
    around = surroundings(apple, clock)
    async with serving(tmp_path) as development:
        one, other = channel(apple, around), channel(development, around)
        assert await send(one) + await send(other) == [ACCEPTED] * 2
        assert apple.asked[0].token == development.asked[0].token
        await asyncio.gather(one.close(), other.close())
    assert (apple.connections, development.connections) == (1, 1)


async def test_a_channel_that_is_closed_twice_does_not_take_anothers_connection(
    apple: AppleService, clock: Clock
) -> None:
    around = surroundings(apple, clock)
    one, other = channel(apple, around), channel(apple, around)
    assert await send(other) == [ACCEPTED]
    await one.close()
    await one.close()
    assert await send(other) == [ACCEPTED]
    assert apple.connections == 1
    await other.close()


async def test_what_a_closed_channel_had_in_flight_is_unknown_and_the_others_is_not(
    apple: AppleService, clock: Clock
) -> None:
    around = surroundings(apple, clock)
    one, other = channel(apple, around), channel(apple, around)
    assert await send(one) + await send(other) == [ACCEPTED] * 2
    sendings = asyncio.gather(send(one, 50), send(other, 50))
    for _ in range(3):
        await asyncio.sleep(0)  # both are on their way
    await one.close()
    ended, went_on = await sendings
    assert set(map(type, ended)) <= {type(ACCEPTED), Unknown}
    assert went_on == [ACCEPTED] * 50
    await other.close()


async def test_a_connection_that_allows_one_request_gets_one_at_a_time(
    apple: AppleService, clock: Clock
) -> None:
    apple.streams = 1
    apns = channel(apple, surroundings(apple, clock))
    assert await send(apns, 20) == [ACCEPTED] * 20
    assert apple.most_open == 1
    await apns.close()


# ── What Apple says of the token ─────────────────────────────────────────────────────────────────────────


async def test_an_expired_token_is_renewed_and_not_before_apple_allows(
    apple: AppleService, clock: Clock
) -> None:
    apns = channel(apple, surroundings(apple, clock))
    apple.answering = lambda asked: (403, {"reason": "ExpiredProviderToken"})
    for minutes in (0, 10, 10):
        clock.move(seconds=minutes * 60)
        assert await send(apns, 5) == [Unavailable("ExpiredProviderToken")] * 5
    apple.answering = lambda _: OK
    assert await send(apns, 5) == [ACCEPTED] * 5
    tokens = [asked.token for asked in apple.asked]
    assert len(tokens) == 3 + 5
    assert len(set(tokens[:3])) == len(set(tokens[3:])) == 1
    assert tokens[2] != tokens[3]
    issued = [jwt.decode(token, options={"verify_signature": False})["iat"] for token in tokens]
    assert issued[3] - issued[2] == 20 * 60
    await apns.close()


async def test_a_token_that_was_renewed_too_often_is_kept_and_the_channel_waits_a_minute(
    apple: AppleService, clock: Clock
) -> None:
    apns = channel(apple, surroundings(apple, clock))
    apple.answering = lambda _: (429, {"reason": "TooManyProviderTokenUpdates"})
    waiting = Unavailable("TooManyProviderTokenUpdates", retry_after_seconds=60)
    assert await send(apns, 5) == [waiting] * 5
    clock.move(seconds=25 * 60)
    assert await send(apns, 5) == [waiting] * 5
    assert len({asked.token for asked in apple.asked}) == 1
    await apns.close()


async def test_a_key_that_is_unrelated_to_the_connection_gets_a_new_one(
    apple: AppleService, clock: Clock
) -> None:
    apns = channel(apple, surroundings(apple, clock))
    apple.answering = lambda asked: (
        (403, {"reason": "UnrelatedKeyIdInToken"}) if asked.connection == 1 else OK
    )
    assert await send(apns, 5) == [Unavailable("UnrelatedKeyIdInToken")] * 5
    assert await send(apns, 5) == [ACCEPTED] * 5
    assert [asked.connection for asked in apple.asked] == [1] + [2] * 5
    await apns.close()


# ── Certificates ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_certificate_is_shown_and_no_token_and_its_channels_share_a_connection(
    tmp_path: Path,
) -> None:
    secret = certificate_pem(KEY, signer=OTHER_KEY, now_ms=NOW_MS)
    clock = Clock(NOW_MS)
    async with serving(tmp_path, client_ca=signer_pem(OTHER_KEY, NOW_MS)) as apple:
        around = surroundings(apple, clock)
        by_itself = channel(apple, around, secret, team_id=None, key_id=None, topic=None)
        named = channel(apple, around, secret, team_id=None, key_id=None, topic=OTHER_TOPIC)
        assert await by_itself.connect() is None
        assert await send(by_itself) + await send(named) == [ACCEPTED] * 2
        assert apple.connections == 1
        assert [asked.headers["apns-topic"] for asked in apple.asked] == [TOPIC, OTHER_TOPIC]
        assert [asked.subject for asked in apple.asked] == [TOPIC] * 2
        assert not any("authorization" in asked.headers for asked in apple.asked)
        await asyncio.gather(by_itself.close(), named.close())


async def test_a_certificate_that_expires_while_in_use_is_told_at_the_next_connect(tmp_path: Path) -> None:
    secret = certificate_pem(KEY, signer=OTHER_KEY, now_ms=NOW_MS)
    clock = Clock(NOW_MS)
    async with serving(tmp_path, client_ca=signer_pem(OTHER_KEY, NOW_MS)) as apple:
        apns = channel(apple, surroundings(apple, clock), secret, team_id=None, key_id=None)
        assert await apns.connect() is None
        clock.move(seconds=31 * 86_400)
        obstacle = await apns.connect()
        assert isinstance(obstacle, Misconfigured)
        assert obstacle.reason.startswith("the certificate expired on ")
        await apns.close()


async def test_a_certificate_that_the_server_does_not_trust_is_unavailable(tmp_path: Path) -> None:
    secret = certificate_pem(KEY, signer=KEY, now_ms=NOW_MS)
    async with serving(tmp_path, client_ca=signer_pem(OTHER_KEY, NOW_MS)) as apple:
        apns = channel(apple, surroundings(apple, Clock(NOW_MS)), secret, team_id=None, key_id=None)
        assert isinstance(await apns.connect(), Unavailable)
        await apns.close()
