"""Web Push over the wire: our provider against the sandbox's stand-in for browsers' push services."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from clarion.http2 import client_tls
from clarion.model.delivery import PushKind, pack_push_id
from clarion.model.notification import Content, Options
from clarion.model.outcome import ACCEPTED, Gone, Outcome, Refused, Unavailable, Unknown
from clarion.model.push import Parcel, Push
from clarion.providers import Surroundings, check_address
from clarion.providers.webpush import WebPush, application_server_key
from clarion.sandbox.faults import Fault
from clarion.sandbox.registry import write_registry
from clarion.sandbox.screens import tap
from clarion.sandbox.server import Sandbox, SandboxConfig, serving
from clarion.sandbox.subscriptions import subscribe
from tests.clock import Clock

KEY = ec.generate_private_key(ec.SECP256R1())
SECRET = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC = application_server_key(KEY)
SITE = "https://app.example.com"
SETTINGS = {"subject": "mailto:push@example.com", "app_url": f"{SITE}/?tenant=7#/start"}
NOTIFICATION = uuid4()


@dataclass
class World:
    """A sandbox, and browsers that subscribe there by their wishes, each to its own number."""

    sandbox: Sandbox
    folder: Path
    clock: Clock
    port: int
    phones: list[Any]

    def subscribe(self, wishes: Sequence[str], *, key: str = PUBLIC, prefix: str = "") -> list[Parcel]:
        found = []
        for wish in wishes:
            content, phone = subscribe(f"https://localhost:{self.port}", SITE, key, wish=wish, prefix=prefix)
            self.phones.append(phone)
            number = pack_push_id(1, len(self.phones), PushKind.ALERT)
            found.append(Parcel(number, check_address("webpush", json.dumps(content))))
        write_registry(
            self.folder, [], [replace(p, name=f"browser {n}") for n, p in zip(count(), self.phones)]
        )
        self.clock.move(seconds=2)
        return found

    def ordinary(self, number: int) -> list[Parcel]:
        return self.subscribe([""] * number)

    def accepted(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.sandbox.stage.received.after(0)["items"]
        return items

    def page(self) -> dict[str, Any]:
        return self.sandbox.stage.describe()

    def push(self, **parts: Any) -> Push:
        content = Content("Check it out", "New", jig="view", inputs={"price": 34})
        usual = Push(
            1, NOTIFICATION, uuid4(), None, content, Options(), PushKind.ALERT, self.clock() + 60_000
        )
        return replace(usual, **parts)


@pytest.fixture(params=["HTTP/2", "HTTP/1.1"])
async def world(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[World]:
    config = SandboxConfig(folder=tmp_path)
    async with serving(config, clock=lambda: clock() / 1000) as sandbox:
        port = sandbox.webpush_port if request.param == "HTTP/2" else sandbox.webpush_http1_port
        yield World(sandbox, tmp_path, clock, port, [])


@pytest.fixture
async def webpush(world: World) -> AsyncIterator[WebPush]:
    ca_file = str(world.sandbox.certificates.ca)
    around = Surroundings(
        world.clock, client_tls(ca_file), ca_file, trusted_hosts=frozenset({f"localhost:{world.port}"})
    )
    provider = WebPush.from_channel(SETTINGS, SECRET, around)
    yield provider
    await provider.close()


async def test_a_page_of_browsers_is_accepted_and_each_reads_its_message(
    webpush: WebPush, world: World
) -> None:
    page = world.ordinary(300)
    assert await webpush.send(world.push(), page) == [ACCEPTED] * 300
    assert Counter(item["token"] for item in world.accepted()) == Counter(p.token for p in world.phones)
    assert {banner["title"] for phone in world.page()["phones"] for banner in phone["banners"]} == {"New"}


async def test_a_tap_opens_the_jig_and_the_link_says_which(webpush: WebPush, world: World) -> None:
    await webpush.send(world.push(options=Options(badge=7)), world.ordinary(1))
    [phone] = world.page()["phones"]
    [banner] = phone["banners"]
    assert (banner["title"], banner["text"], phone["badge"]) == ("New", "Check it out", 7)
    assert world.sandbox.stage.touch(phone["token"], lambda screen: tap(screen, banner["id"]), "tapped")
    opened = world.page()["phones"][0]["opened"]["app"]
    assert opened["inputs"] == {"price": 34}
    assert opened["jigId"] == "view"
    link = urlsplit(opened["navigate"])
    assert (link.netloc, link.fragment) == ("app.example.com", "/start")
    query = parse_qs(link.query)
    assert query["tenant"] == ["7"]
    assert query["notificationId"] == [str(NOTIFICATION)]
    assert query["jigId"] == ["view"]


async def test_the_service_finds_nothing_to_advise(webpush: WebPush, world: World) -> None:
    await webpush.send(world.push(), world.ordinary(3))
    assert not [entry for entry in world.page()["log"] if entry.get("advice")]


async def test_a_repeat_replaces_the_banner(webpush: WebPush, world: World) -> None:
    page = world.ordinary(1)
    for _ in range(2):
        assert await webpush.send(world.push(), page) == [ACCEPTED]
        [phone] = world.page()["phones"]
        assert len(phone["banners"]) == 1


async def test_a_message_of_every_size_arrives(webpush: WebPush, world: World) -> None:
    page = world.ordinary(1)
    for size in (0, 1_000, 3_300, 3_400, 100_000):
        content = Content("Hello", inputs={"long": "x" * size})
        assert await webpush.send(world.push(content=content), page) == [ACCEPTED]


@pytest.mark.parametrize("ttl", [0, 60, 60 * 24 * 3600])
async def test_every_time_to_live_is_taken(webpush: WebPush, world: World, ttl: int) -> None:
    push = world.push(options=Options(ttl_seconds=ttl), expires_at=world.clock() + ttl * 1000)
    assert await webpush.send(push, world.ordinary(1)) == [ACCEPTED]


async def test_every_browser_gets_its_own_outcome_in_order(webpush: WebPush, world: World) -> None:
    wishes = [
        "",
        "gone",
        "404",
        "400",
        "413",
        "418",
        "429",
        "429-seconds",
        "406-wns",
        "redirect",
        "500",
        "599",
        "",
    ]
    page = world.subscribe(wishes) + world.ordinary(20)
    now = world.clock()
    later: dict[str, Any] = {"whole_service": False}
    expected: list[Outcome] = [
        ACCEPTED,
        Gone("errno 106", now),
        Gone("errno 102", now),
        Refused("status 400"),
        Refused("errno 104"),
        Refused("status 418"),
        Unavailable("errno 201", **later),
        Unavailable("errno 201", 30.0, **later),
        Unavailable("the channel is throttled", **later),
        Refused("status 307"),
        Unavailable("status 500", **later),
        Unavailable("status 599", **later),
        ACCEPTED,
    ]
    outcomes = await webpush.send(world.push(), page)
    assert outcomes[: len(wishes)] == expected
    assert outcomes[len(wishes) :] == [ACCEPTED] * 20


async def test_a_subscription_made_with_another_key_is_doubted_and_no_other(
    webpush: WebPush, world: World
) -> None:
    other = application_server_key(ec.generate_private_key(ec.SECP256R1()))
    page = world.ordinary(5) + world.subscribe([""], key=other)
    outcomes = await webpush.send(world.push(), page)
    assert outcomes[:5] == [ACCEPTED] * 5
    if isinstance(outcomes[5], Unavailable):  # the token was renewed for it, once
        [outcomes[5]] = await webpush.send(world.push(), page[5:])
    assert isinstance(outcomes[5], Refused)
    assert outcomes[5].doubts_device


async def test_a_token_is_good_for_days_of_sending(webpush: WebPush, world: World) -> None:
    page = world.ordinary(2)
    for _ in range(12):
        assert await webpush.send(world.push(), page) == [ACCEPTED] * 2
        world.clock.move(seconds=5 * 3600)


async def test_a_service_in_trouble_is_asked_twice_and_not_fifty_times(
    webpush: WebPush, world: World
) -> None:
    page = world.ordinary(50)
    world.sandbox.stage.set_fault(Fault("unavailable"))
    outcomes = await webpush.send(world.push(), page)
    assert outcomes == [Unavailable("errno 201", whole_service=False)] * 50
    assert len([entry for entry in world.page()["log"] if entry["answer"].startswith("refused")]) == 2


async def test_what_was_sent_and_not_answered_is_unknown(webpush: WebPush, world: World) -> None:
    page = world.ordinary(10) + world.subscribe(["dropped-after-accepting"])
    outcomes = await webpush.send(world.push(), page[:10])
    assert outcomes == [ACCEPTED] * 10
    [outcome] = await webpush.send(world.push(), page[10:])
    assert isinstance(outcome, Unknown)


async def test_what_was_in_flight_at_the_close_is_unknown(webpush: WebPush, world: World) -> None:
    page = world.ordinary(1) + world.subscribe(["silent"])
    assert await webpush.send(world.push(), page[:1]) == [ACCEPTED]
    sending = asyncio.create_task(webpush.send(world.push(), page[1:]))
    for _ in range(20):
        await asyncio.sleep(0)
    await webpush.close()
    [outcome] = await sending
    assert isinstance(outcome, Unknown | Unavailable)
