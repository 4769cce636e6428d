"""Web Push over the wire, to services without HTTP/2: pinning, troubles, and services that fail each for itself."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from clarion import http2
from clarion.model.delivery import PushKind, pack_push_id
from clarion.model.notification import Content, Options
from clarion.model.outcome import ACCEPTED, Gone, Misconfigured, Outcome, Refused, Unavailable, Unknown
from clarion.model.push import Parcel, Push
from clarion.providers import Surroundings, webpush
from clarion.providers.webpush import WebPush
from clarion.providers.webpush_answers import FORBIDDEN_ENDPOINT, NO_WITHDRAWALS
from clarion.providers.webpush_vapid import WebPushSettings
from tests.clock import Clock
from tests.http2.peer import Certificate, make_certificate
from tests.http2.test_proxy import Conduct, Tunnel, listening
from tests.providers.browser import Browser, b64, point
from tests.providers.push_service import Answering, Asked, PushService, Said, created, serving

KEY = ec.generate_private_key(ec.SECP256R1())
SETTINGS = WebPushSettings("mailto:push@example.com", "https://app.example.com/")
BROWSER = Browser()
PUSH = Push(
    1, uuid4(), uuid4(), None, Content("Check it out", "New", jig="view", inputs={"price": 34}), Options(),
    PushKind.ALERT, 1_750_000_060_000,
)  # fmt: skip


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


class World:
    """A provider with its clock, and push services that end with the test."""

    def __init__(self, certificate: Certificate, stack: AsyncExitStack) -> None:
        self.clock = Clock()
        self.certificate = certificate
        self._stack = stack

    def around(self, **parts: Any) -> Surroundings:
        ca_file = str(self.certificate.chain)
        usual = Surroundings(
            self.clock,
            http2.client_tls(ca_file),
            ca_file,
            trusted_hosts=frozenset({"localhost", "push.test"}),
        )
        return replace(usual, **parts)

    def provider(self, *, resolve: http2.Resolve = http2.look_up, **parts: Any) -> WebPush:
        made = WebPush(SETTINGS, KEY, self.around(**parts), resolve=resolve)
        self._stack.push_async_callback(made.close)
        return made

    async def listening(self, conduct: Conduct) -> int:
        return await self._stack.enter_async_context(listening(conduct))

    async def service(self, answering: Answering = created) -> PushService:
        return await self._stack.enter_async_context(serving(self.certificate, answering))


@pytest.fixture
async def world(certificate: Certificate) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(certificate, stack)


def parcels(*endpoints: str) -> list[Parcel]:
    return [
        Parcel(pack_push_id(1, device, PushKind.ALERT), BROWSER.address(endpoint))
        for device, endpoint in enumerate(endpoints, 1)
    ]


def page(service: PushService, count: int) -> list[Parcel]:
    return parcels(*(f"{service.origin}/send/{number}" for number in range(count)))


def always(status: int, body: bytes = b"", **headers: str) -> Answering:
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return lambda _: Said(status, body, fields)


async def test_every_device_gets_the_message_once_under_a_key_of_its_own(world: World) -> None:
    service = await world.service()
    assert await world.provider().send(PUSH, page(service, 100)) == [ACCEPTED] * 100
    assert Counter(asked.path for asked in service.asked) == Counter(f"/send/{n}" for n in range(100))
    messages = {BROWSER.decrypt(asked.body) for asked in service.asked}
    assert len(messages) == 1
    assert json.loads(messages.pop())["clarion"]["inputs"] == {"price": 34}
    assert len({asked.body[:16] for asked in service.asked}) == 100
    assert len({asked.body[21:86] for asked in service.asked}) == 100
    assert len({asked.headers["topic"] for asked in service.asked}) == 1
    assert 1 <= service.connections <= 8 + 1


async def test_a_request_is_the_standards_and_proves_who_sends(world: World) -> None:
    service = await world.service()
    [parcel] = parcels(f"{service.origin}/w/?token=a%2fb%3d")
    assert await world.provider().send(PUSH, [parcel]) == [ACCEPTED]
    [asked] = service.asked
    assert asked.path == "/w/?token=a%2fb%3d"
    assert asked.headers["host"] == f"localhost:{service.port}"
    wanted = {"ttl": "60", "urgency": "high", "content-encoding": "aes128gcm"}
    assert asked.headers.items() >= wanted.items()
    assert not {"cookie", "x-wns-cache-policy"} & asked.headers.keys()
    token, key = asked.headers["authorization"].removeprefix("vapid t=").split(",k=")
    assert key == b64(point(KEY))
    claims = jwt.decode(
        token, KEY.public_key(), algorithms=["ES256"], audience=service.origin, options={"verify_exp": False}
    )
    assert claims["exp"] == world.clock() // 1000 + 12 * 3600


async def test_a_withdrawal_is_never_sent(world: World) -> None:
    service = await world.service()
    withdrawal = replace(PUSH, kind=PushKind.WITHDRAWAL)
    assert await world.provider().send(withdrawal, page(service, 2)) == [Refused(NO_WITHDRAWALS)] * 2
    assert not service.connections


async def test_what_is_no_subscription_is_doubted_and_the_others_are_sent(world: World) -> None:
    service = await world.service()
    good = page(service, 2)
    sent = [good[0], Parcel(good[0].push_id, "{}"), good[1]]
    doubt = Refused("not a subscription", doubts_device=True)
    assert await world.provider().send(PUSH, sent) == [ACCEPTED, doubt, ACCEPTED]


async def test_each_device_gets_its_own_outcome_in_order(world: World) -> None:
    def answering(asked: Asked) -> Said:
        return Said(int(asked.path.rpartition("/")[2]))

    service = await world.service(answering)
    statuses = [201, 410, 413, 404, 201, 400]
    endpoints = [f"{service.origin}/send/{status}" for status in statuses]
    assert await world.provider().send(PUSH, parcels(*endpoints)) == [
        ACCEPTED,
        Gone("status 410", world.clock()),
        Refused("status 413"),
        Gone("status 404", world.clock()),
        ACCEPTED,
        Refused("status 400"),
    ]


# ── Where it may lead ────────────────────────────────────────────────────────────────────────────────────


async def test_an_endpoint_on_a_private_network_is_refused_and_never_connected_to(world: World) -> None:
    service = await world.service()
    provider = world.provider(trusted_hosts=frozenset())
    hosts = ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::ffff:127.0.0.1]"]
    endpoints = [f"https://{host}:{service.port}/x" for host in hosts]
    assert await provider.send(PUSH, parcels(*endpoints)) == [Refused(FORBIDDEN_ENDPOINT)] * len(hosts)
    assert not service.connections


async def test_the_address_that_was_checked_is_the_one_that_is_used(world: World, tmp_path: Path) -> None:
    """No system knows the name push.test, so nothing but the resolver's answer can have led here."""
    world.certificate = make_certificate(tmp_path, "push.test")
    service = await world.service()
    asked: list[tuple[str, int]] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    provider = world.provider(resolve=resolve)
    [parcel] = parcels(f"https://push.test:{service.port}/x")
    assert await provider.send(PUSH, [parcel]) == [ACCEPTED]
    assert service.asked[0].headers["host"] == f"push.test:{service.port}"
    assert set(asked) == {("push.test", service.port)}


async def test_a_name_that_turns_private_is_refused_from_then_on(world: World, tmp_path: Path) -> None:
    """The proxy leads every tunnel here, so that a public address can be had in a test."""
    world.certificate = make_certificate(tmp_path, "push.test")
    service, tunnel = await world.service(always(201, connection="close")), Tunnel()
    answers = [["8.8.8.8"]] * 2  # to see that there is no HTTP/2, and to send

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return answers.pop() if answers else ["169.254.169.254"]

    proxy = http2.Proxy("127.0.0.1", await world.listening(tunnel))
    provider = world.provider(resolve=resolve, proxy=proxy, trusted_hosts=frozenset())
    sent = parcels(f"https://push.test:{service.port}/x")
    assert await provider.send(PUSH, sent) == [ACCEPTED]
    assert await provider.send(PUSH, sent) == [Refused(FORBIDDEN_ENDPOINT)]
    assert set(tunnel.asked_for) == {f"8.8.8.8:{service.port}"}
    assert len(service.asked) == 1


async def test_a_proxy_gets_its_credential_and_only_addresses(world: World) -> None:
    service, tunnel = await world.service(), Tunnel("Basic bmFtZTpzZWNyZXQ=")
    port = await world.listening(tunnel)
    good = world.provider(proxy=http2.Proxy("127.0.0.1", port, "Basic bmFtZTpzZWNyZXQ="))
    assert await good.send(PUSH, page(service, 3)) == [ACCEPTED] * 3
    assert set(tunnel.asked_for) == {f"127.0.0.1:{service.port}"}
    bad = world.provider(proxy=http2.Proxy("127.0.0.1", port))
    [outcome] = await bad.send(PUSH, page(service, 1))
    assert isinstance(outcome, Unavailable)
    assert not outcome.whole_service


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(world: World, status: int) -> None:
    elsewhere = await world.service()
    service = await world.service(always(status, location=f"{elsewhere.origin}/x"))
    assert await world.provider().send(PUSH, page(service, 1)) == [Refused(f"status {status}")]
    assert not elsewhere.connections


async def test_a_service_with_another_name_on_its_certificate_is_not_sent_to(
    world: World, tmp_path: Path
) -> None:
    service = await world.service()

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    [outcome] = await world.provider(resolve=resolve).send(
        PUSH, parcels(f"https://push.test:{service.port}/x")
    )
    assert isinstance(outcome, Unavailable)
    assert not service.asked


# ── Troubles ─────────────────────────────────────────────────────────────────────────────────────────────


def trouble(outcome: Outcome) -> tuple[str, float | None]:
    """A device's Unavailable, and never the channel's."""
    assert isinstance(outcome, Unavailable)
    assert outcome.whole_service is False
    return outcome.reason, outcome.retry_after_seconds


async def test_a_service_that_is_away_delays_its_own_devices_alone(world: World) -> None:
    well, away, dead = await world.service(), await world.service(always(503)), await world.service()
    nobody = dead.origin.replace(str(dead.port), str(unused_port()))
    sent = [
        parcel
        for number in range(40)
        for parcel in parcels(*(f"{origin}/{number}" for origin in (well.origin, away.origin, nobody)))
    ]
    outcomes = await world.provider().send(PUSH, sent)
    assert outcomes[0::3] == [ACCEPTED] * 40
    assert {trouble(outcome) for outcome in outcomes[1::3]} == {("status 503", None)}
    assert len(away.asked) == 2
    assert len({trouble(outcome) for outcome in outcomes[2::3]}) == 1


async def test_a_service_is_left_alone_for_as_long_as_it_asks(world: World) -> None:
    said = [Said(503, headers=(("retry-after", "120"),))]
    service = await world.service(lambda _: said[0])
    provider = world.provider()
    assert {trouble(outcome) for outcome in await provider.send(PUSH, page(service, 50))} == {
        ("status 503", 120.0)
    }
    world.clock.move(seconds=119)
    assert {trouble(outcome) for outcome in await provider.send(PUSH, page(service, 2))} == {
        ("status 503", 1.0)
    }
    assert len(service.asked) == 2
    said[0] = Said(201)
    world.clock.move(seconds=1)
    assert await provider.send(PUSH, page(service, 50)) == [ACCEPTED] * 50


async def test_each_failure_doubles_the_rest_up_to_five_minutes(world: World) -> None:
    service = await world.service(always(500))
    provider = world.provider()
    asked = 2
    for rest in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]:
        await provider.send(PUSH, page(service, 3))
        assert len(service.asked) == asked
        world.clock.move(milliseconds=rest * 1000 - 1)
        await provider.send(PUSH, page(service, 3))
        assert len(service.asked) == asked
        world.clock.move(milliseconds=1)
        asked += 1
    assert len({asked.path for asked in service.asked}) == 3


async def test_a_clock_that_is_set_back_does_not_prolong_a_rest(world: World) -> None:
    said = [Said(503, headers=(("retry-after", "120"),))]
    service = await world.service(lambda _: said[0])
    provider = world.provider()
    await provider.send(PUSH, page(service, 3))
    said[0] = Said(201)
    world.clock.move(seconds=-86_400)
    assert await provider.send(PUSH, page(service, 3)) == [ACCEPTED] * 3


async def test_one_odd_device_does_not_stand_for_all(world: World) -> None:
    """It goes ahead of the others, and its fault is not theirs; alone with its service it is left alone in time."""
    service = await world.service(lambda asked: Said(500 if asked.path.endswith("/0") else 201))
    provider = world.provider()
    for _ in range(3):
        first, *others = await provider.send(PUSH, page(service, 20))
        assert trouble(first) == ("status 500", None)
        assert others == [ACCEPTED] * 19
    for _ in range(5):
        await provider.send(PUSH, page(service, 1))
        world.clock.move(seconds=0.5)
    world.clock.move(seconds=300)
    assert await provider.send(PUSH, page(service, 20)[::-1]) == [ACCEPTED] * 19 + [first]
    world.clock.move(seconds=300)
    assert await provider.send(PUSH, page(service, 20)) == [first] + [ACCEPTED] * 19


async def test_one_device_that_is_too_fast_waits_alone(world: World) -> None:
    def answering(asked: Asked) -> Said:
        return Said(429, headers=(("retry-after", "30"),)) if asked.path.endswith("/0") else Said(201)

    service = await world.service(answering)
    provider = world.provider()
    first, *others = await provider.send(PUSH, page(service, 20))
    assert trouble(first) == ("status 429", 30.0)
    assert others == [ACCEPTED] * 19
    assert [await provider.send(PUSH, page(service, 20)[1:])] == [[ACCEPTED] * 19]


async def test_a_service_that_wants_fewer_of_all_is_left_alone(world: World) -> None:
    service = await world.service(always(429, retry_after="30"))
    provider = world.provider()
    outcomes = await provider.send(PUSH, page(service, 200))
    assert {reason for reason, _ in map(trouble, outcomes)} == {"status 429"}
    asked = len(service.asked)
    assert (
        await provider.send(PUSH, page(service, 10))
        == [Unavailable("status 429", 30.0, whole_service=False)] * 10
    )
    assert len(service.asked) == asked


async def test_nobody_waits_while_a_troubled_service_is_asked_again(world: World) -> None:
    """The first asks; the page behind it is answered at once, though the service says nothing."""
    said: list[Said | None] = [Said(503)]
    asked = asyncio.Event()

    def answering(_: Asked) -> Said | None:
        if said[0] is None:
            asked.set()
        return said[0]

    service = await world.service(answering)
    provider = world.provider()
    await provider.send(PUSH, page(service, 2))
    world.clock.move(seconds=10)
    said[0] = None
    asking = asyncio.create_task(provider.send(PUSH, page(service, 1)))
    await asked.wait()
    assert {trouble(outcome) for outcome in await provider.send(PUSH, page(service, 50))} == {
        ("status 503", None)
    }
    assert len(service.asked) == 3
    await provider.close()
    [outcome] = await asking
    assert isinstance(outcome, Unknown)


async def test_an_answer_that_is_none_leaves_it_unknown(world: World) -> None:
    broken = await world.service(always(201, transfer_encoding="chunked"))  # and a length as well
    [outcome] = await world.provider().send(PUSH, page(broken, 1))
    assert isinstance(outcome, Unknown)
    assert len(broken.asked) == 1


async def test_after_the_close_nothing_is_sent(world: World) -> None:
    service = await world.service()
    provider = world.provider()
    await provider.close()
    [outcome] = await provider.send(PUSH, page(service, 1))
    assert trouble(outcome)[0] == "closed by us"
    assert not service.connections


@pytest.mark.parametrize("size", [100_000, 5_000_000])
async def test_an_answer_without_end_is_cut(world: World, size: int) -> None:
    service = await world.service(always(410, b"x" * size))
    outcomes = await world.provider().send(PUSH, page(service, 2))
    assert outcomes == [Gone("status 410", world.clock())] * 2


# ── The token ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_token_that_is_refused_is_renewed_once_and_then_the_device_is_doubted(world: World) -> None:
    service = await world.service(always(403))
    provider = world.provider()
    [first] = await provider.send(PUSH, page(service, 1))
    assert trouble(first) == ("status 403", None)
    [second] = await provider.send(PUSH, page(service, 1))
    assert second == Refused("status 403", doubts_device=True)
    old, new = (asked.headers["authorization"] for asked in service.asked)
    assert old != new


async def test_a_new_token_is_enough_for_a_service_that_only_disliked_the_old_one(world: World) -> None:
    tokens: list[str] = []

    def answering(asked: Asked) -> Said:
        tokens.append(asked.headers["authorization"])
        return Said(403 if tokens[-1] == tokens[0] else 201)

    service = await world.service(answering)
    first, *others = await world.provider().send(PUSH, page(service, 20))
    assert trouble(first) == ("status 403", None)
    assert others == [ACCEPTED] * 19


BAD_TOKEN = always(403, b'{"reason":"BadJwtToken"}')


async def test_a_key_that_no_service_takes_holds_the_channel_and_is_shown_twice(world: World) -> None:
    service = await world.service(BAD_TOKEN)
    provider = world.provider()
    first, *others = await provider.send(PUSH, page(service, 100))
    assert trouble(first) == ("BadJwtToken", None)
    assert others == [Misconfigured("BadJwtToken")] * 99
    assert await provider.send(PUSH, page(service, 2)) == [Misconfigured("BadJwtToken")] * 2
    assert len(service.asked) == 2
    world.clock.move(seconds=60)
    assert await provider.send(PUSH, page(service, 100)) == [Misconfigured("BadJwtToken")] * 100
    assert len(service.asked) == 3


async def test_a_key_that_another_service_takes_delays_the_devices_of_the_one_that_does_not(
    world: World,
) -> None:
    well, strict = await world.service(), await world.service(BAD_TOKEN)
    provider = world.provider()
    for _ in range(3):
        outcomes = await provider.send(PUSH, page(well, 10) + page(strict, 10))
        assert outcomes[:10] == [ACCEPTED] * 10
        assert {trouble(outcome) for outcome in outcomes[10:]} == {("BadJwtToken", None)}
    assert len(strict.asked) == 2


async def test_a_subscription_made_with_another_key_is_doubted_at_once(world: World) -> None:
    def answering(asked: Asked) -> Said:
        is_old = asked.path.endswith("/3")
        return Said(400, b'{"reason":"VapidPkHashMismatch"}') if is_old else Said(201)

    service = await world.service(answering)
    outcomes = await world.provider().send(PUSH, page(service, 10))
    assert outcomes[3] == Refused("VapidPkHashMismatch", doubts_device=True)
    assert outcomes.count(ACCEPTED) == 9
    assert len({asked.headers["authorization"] for asked in service.asked}) == 1


# ── Many services ────────────────────────────────────────────────────────────────────────────────────────


async def test_the_service_that_was_used_longest_ago_makes_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webpush, "MOST_SERVICES", 2)
    services = [await world.service() for _ in range(5)]
    provider = world.provider()
    sent = [parcel for service in services for parcel in page(service, 2)]
    assert await provider.send(PUSH, sent) == [ACCEPTED] * 10
    connections = [service.connections for service in services]
    for service in (services[0], services[1], services[0], services[1]):
        assert await provider.send(PUSH, page(service, 1)) == [ACCEPTED]
    after = [service.connections for service in services]
    assert after[2:] == connections[2:]
    assert after[0] <= connections[0] + 2
    assert after[1] <= connections[1] + 2


async def test_services_that_do_not_answer_keep_no_other_from_sending(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webpush, "MOST_TRIED", 1)
    asked = asyncio.Event()

    def never(_: Asked) -> None:
        asked.set()

    well, silent = await world.service(), await world.service(never)
    provider = world.provider()
    assert await provider.send(PUSH, page(well, 1)) == [ACCEPTED]
    waiting = asyncio.create_task(provider.send(PUSH, page(silent, 1)))
    await asked.wait()
    assert await provider.send(PUSH, page(well, 10)) == [ACCEPTED] * 10
    await provider.close()
    [outcome] = await waiting
    assert isinstance(outcome, Unknown)


async def test_the_loop_has_its_turn_between_slices_of_messages(world: World) -> None:
    service = await world.service()
    provider = world.provider()
    loop = asyncio.get_running_loop()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = loop.create_task(count())
    assert await provider.send(PUSH, page(service, 500)) == [ACCEPTED] * 500
    counting.cancel()
    assert turns > 500 // 32


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening_:
        return int(listening_.getsockname()[1])
