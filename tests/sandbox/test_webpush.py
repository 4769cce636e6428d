"""The stand-in for browsers' push services on the wire, over HTTP/2 and over HTTP/1.1."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from clarion.sandbox.outcomes import Later, Mishap
from clarion.sandbox.push import Refused
from clarion.sandbox.registry import Phone, write_registry
from clarion.sandbox.server import Sandbox
from clarion.sandbox.subscriptions import subscribe
from clarion.sandbox.webpush_outcomes import TABLE

from .apple import Answer, Client, connect
from .browser import DECLARATIVE, NOTIFICATION, SERVICE, SITE, Vapid, sealed
from .conftest import Clock

Subscribed = dict[str, tuple[str, dict[str, str]]]


@pytest.fixture(scope="module")
def made(vapid: Vapid) -> list[tuple[str, dict[str, Any], Phone]]:
    """One subscription of its own for every wish, always and once, and an ordinary one."""
    wishes = ["", *TABLE, *(f"{word}-once" for word in TABLE)]
    return [(wish, *subscribe(SERVICE, SITE, vapid.public, wish=wish)) for wish in wishes]


@pytest.fixture
def phones(made: list[tuple[str, dict[str, Any], Phone]]) -> list[Phone]:
    return [replace(phone, name="Firefox", owner="Sales lead", model="Linux") for _, _, phone in made]


@pytest.fixture
def subscribed(made: list[tuple[str, dict[str, Any], Phone]]) -> Subscribed:
    """Path and keys by wish."""
    return {wish: (content["endpoint"].removeprefix(SERVICE), content["keys"]) for wish, content, _ in made}


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Client]:
    async with connect(sandbox.webpush_port, sandbox.certificates.ca) as connected:
        yield connected


@pytest.fixture
async def old(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """A client of HTTP/1.1, one connection."""
    tls = ssl.create_default_context(cafile=str(sandbox.certificates.ca))
    address = f"https://localhost:{sandbox.webpush_http1_port}"
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(base_url=address, verify=tls, limits=limits) as http:
        yield http


class Sender:
    """Sends to subscriptions by their wishes."""

    def __init__(self, subscribed: Subscribed, vapid: Vapid, clock: Clock) -> None:
        self.subscribed, self.vapid, self.clock = subscribed, vapid, clock

    def headers(self, origin: str = SERVICE, **more: str) -> dict[str, str]:
        usual = {"ttl": "60", "content_encoding": "aes128gcm"}
        named = {name.replace("_", "-"): value for name, value in {**usual, **more}.items()}
        return {**named, "authorization": self.vapid.authorization(self.clock(), aud=origin)}

    async def send(
        self, client: Client, wish: str = "", content: Any = DECLARATIVE, **headers: str
    ) -> Answer:
        path, keys = self.subscribed[wish]
        pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        named = list(self.headers(**headers).items())
        return await client.answer(client.send([*pseudo, *named], sealed(content, keys)))

    async def send_old(self, http: httpx.AsyncClient, wish: str = "", **headers: str) -> httpx.Response:
        path, keys = self.subscribed[wish]
        origin = str(http.base_url).removesuffix("/")
        body = sealed(DECLARATIVE, keys)
        return await http.post(path, content=body, headers=self.headers(origin, **headers))


@pytest.fixture
def sender(subscribed: Subscribed, vapid: Vapid, clock: Clock) -> Sender:
    return Sender(subscribed, vapid, clock)


async def first_phone(page: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await page.get("/api/phones")).json()["phones"][0]
    return found


async def test_a_message_is_accepted_decrypted_and_shown(
    client: Client, page: httpx.AsyncClient, sender: Sender
) -> None:
    app = {"notificationId": "n-1", "jigId": "promo", "inputs": {"price": 34}}
    answer = await sender.send(client, content={**DECLARATIVE, "clarion": app}, ttl="99999999")
    assert (answer.status, answer.body, answer.headers["ttl"]) == (201, b"", "2592000")
    assert answer.headers["location"].startswith("https://localhost/message/")
    shown = await first_phone(page)
    assert (shown["provider"], shown["topic"]) == ("webpush", SITE)
    [banner] = shown["banners"]
    assert (banner["title"], banner["text"]) == ("Hello", "World")
    tapped = await page.post(f"/api/phones/{shown['token']}/tap", json={"id": banner["id"]})
    assert tapped.json()["opened"]["app"] == {**app, "navigate": NOTIFICATION["navigate"]}


async def test_the_same_tag_replaces_the_banner(
    client: Client, page: httpx.AsyncClient, sender: Sender
) -> None:
    for title in ("First", "Second"):
        notification = {**NOTIFICATION, "title": title, "tag": "offer"}
        await sender.send(client, content={"web_push": 8030, "notification": notification})
    assert [banner["title"] for banner in (await first_phone(page))["banners"]] == ["Second"]


async def test_a_topic_replaces_what_a_browser_that_is_away_has_not_got_yet(
    client: Client, page: httpx.AsyncClient, sender: Sender, clock: Clock
) -> None:
    token = (await first_phone(page))["token"]
    await page.post(f"/api/phones/{token}/offline")
    for title, topic, ttl in (("1", "a", "60"), ("2", "a", "60"), ("3", "b", "5"), ("4", "c", "0")):
        content = {"web_push": 8030, "notification": {**NOTIFICATION, "title": title}}
        assert (await sender.send(client, content=content, topic=topic, ttl=ttl)).status == 201
    assert (await first_phone(page))["waiting"] == 2
    clock.now += 5
    back = (await page.post(f"/api/phones/{token}/online")).json()
    assert [banner["title"] for banner in back["banners"]] == ["2"]


async def test_what_a_browser_cannot_show_is_accepted_and_the_log_says_why(
    client: Client, page: httpx.AsyncClient, sender: Sender
) -> None:
    assert (await sender.send(client, content={"title": "Hello"})).status == 201
    state = (await page.get("/api/phones")).json()
    assert state["phones"][0]["banners"] == []
    assert "not declarative" in state["log"][0]["advice"]


async def test_every_answer_of_the_table_can_be_asked_for_always_or_once(
    client: Client, sender: Sender, clock: Clock
) -> None:
    for word, outcome in TABLE.items():
        if isinstance(outcome, Mishap):
            continue
        always = [await sender.send(client, word) for _ in range(2)]
        once = [await sender.send(client, f"{word}-once") for _ in range(2)]
        refused = outcome.refused if isinstance(outcome, Later) else outcome
        assert isinstance(refused, Refused)
        assert [answer.status for answer in (*always, *once)] == [refused.status] * 3 + [201], word
        assert always[0].body == refused.body
        assert dict(refused.headers).items() <= always[0].headers.items()
        when = always[0].headers.get("retry-after")
        if isinstance(outcome, Later) and outcome.as_date:
            assert when is not None
            assert parsedate_to_datetime(when).timestamp() == clock() + outcome.seconds
        else:
            assert when == (str(outcome.seconds) if isinstance(outcome, Later) else None)


async def test_each_topic_has_its_own_first_attempt(client: Client, sender: Sender) -> None:
    topics = ["a", "b", "a"]
    statuses = [(await sender.send(client, "503-once", topic=topic)).status for topic in topics]
    assert statuses == [503, 503, 201]


async def test_gone_has_the_shape_of_the_vendor(client: Client, sender: Sender) -> None:
    answer = await sender.send(client, "gone")
    assert answer.headers["cache-control"] == "max-age=86400"
    content = {"code": 410, "errno": 106, "error": "Gone", "message": "the subscription has ended"}
    assert json.loads(answer.body) == content


async def test_a_subscription_that_is_new_in_the_registry_is_served(
    client: Client, sender: Sender, folder: Path, vapid: Vapid, clock: Clock
) -> None:
    content, phone = subscribe(SERVICE, SITE, vapid.public)
    sender.subscribed["new"] = content["endpoint"].removeprefix(SERVICE), content["keys"]
    assert (await sender.send(client, "new")).status == 404
    write_registry(folder, [], [phone])
    clock.now += 2
    assert (await sender.send(client, "new")).status == 201


# --- HTTP/1.1 ---


async def test_the_same_over_http_1(old: httpx.AsyncClient, page: httpx.AsyncClient, sender: Sender) -> None:
    answers = [await sender.send_old(old) for _ in range(2)]
    assert [(answer.status_code, answer.http_version) for answer in answers] == [(201, "HTTP/1.1")] * 2
    assert answers[0].headers["location"].startswith(str(old.base_url))
    assert len((await first_phone(page))["banners"]) == 2
    refused = await sender.send_old(old, "406-wns")
    assert (refused.status_code, refused.headers["x-wns-status"]) == (406, "appthrottled")
    assert (await sender.send_old(old, "599")).status_code == 599
    assert (await sender.send_old(old, ttl="soon")).json()["errno"] == 112


async def test_the_door_of_http_1_speaks_nothing_newer(sandbox: Sandbox) -> None:
    tls = ssl.create_default_context(cafile=str(sandbox.certificates.ca))
    tls.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection("localhost", sandbox.webpush_http1_port, ssl=tls)
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    writer.transport.abort()


@pytest.mark.parametrize(
    "wish", ["dropped", "dropped-after-accepting", "refused-stream", "goaway-unprocessed", "cut"]
)
async def test_a_mishap_of_http_2_is_a_lost_connection(
    old: httpx.AsyncClient, sender: Sender, wish: str
) -> None:
    with pytest.raises(httpx.TransportError):
        await sender.send_old(old, f"{wish}-once")
    assert (await sender.send_old(old, f"{wish}-once")).status_code == 201


async def test_goaway_is_the_wish_to_close(old: httpx.AsyncClient, sender: Sender) -> None:
    answer = await sender.send_old(old, "goaway-answered")
    assert (answer.status_code, answer.headers["connection"]) == (201, "close")
    assert (await sender.send_old(old)).status_code == 201


async def test_silence_over_http_1(old: httpx.AsyncClient, sender: Sender) -> None:
    old.timeout = httpx.Timeout(5, read=0.05)
    with pytest.raises(httpx.ReadTimeout):
        await sender.send_old(old, "silent")


async def test_slow_answers_later_over_http_1(
    old: httpx.AsyncClient, page: httpx.AsyncClient, sender: Sender
) -> None:
    await page.post("/api/faults", json={"mode": "slow", "value": 20})
    answers = [await sender.send_old(old) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]


@asynccontextmanager
async def connected(sandbox: Sandbox) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Octets over TLS."""
    tls = ssl.create_default_context(cafile=str(sandbox.certificates.ca))
    reader, writer = await asyncio.open_connection("localhost", sandbox.webpush_http1_port, ssl=tls)
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    "octets",
    [
        b"rubbish\r\n\r\n",
        b"POST /push/x HTTP/1.1\r\n\r\n",
        b"POST /push/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnot hex\r\n",
    ],
)
async def test_what_is_no_http_1_is_answered_and_closed(sandbox: Sandbox, octets: bytes) -> None:
    async with connected(sandbox) as (reader, writer):
        writer.write(octets)
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")


async def test_a_client_that_waits_for_leave_gets_it(sandbox: Sandbox) -> None:
    head = b"POST /push/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n"
    async with connected(sandbox) as (reader, writer):
        writer.write(head + b"Content-Length: 20000\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(bytes(20_000))
        assert (await reader.read()).startswith(b"HTTP/1.1 404 ")
