"""The page and its API."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from clarion.sandbox.faults import MODES
from clarion.sandbox.server import Sandbox
from clarion.sandbox.web import FILES, FOLDER

from .apple import TOKEN, Client

PROMOTION = {
    "aps": {"alert": {"title": "🎉 New product promotion", "body": "Check it out now"}},
    "clarion": {
        "notificationId": "n-1",
        "organizationId": "o-1",
        "screen": "jig",
        "jigId": "view-promotion-details",
        "inputs": {"promo-code": "x-3654", "name": "20% on all Winter stock", "price": 34},
    },
}


async def phone(page: httpx.AsyncClient) -> dict[str, Any]:
    state = (await page.get("/api/phones")).json()
    found: dict[str, Any] = state["phones"][0]
    return found


async def banner_ids(page: httpx.AsyncClient) -> list[str]:
    return [banner["id"] for banner in (await phone(page))["banners"]]


async def test_a_push_arrives_on_the_screen_of_its_phone(
    client: Client, page: httpx.AsyncClient, provider_token: str
) -> None:
    await client.push(provider_token, payload=PROMOTION)
    state = await phone(page)
    assert (state["owner"], state["name"], state["badge"]) == ("Sales lead", "Sales lead's iPhone", 1)
    [banner] = state["banners"]
    assert (banner["title"], banner["text"]) == ("🎉 New product promotion", "Check it out now")


async def test_a_tap_opens_the_jig_with_its_inputs_and_their_types(
    client: Client, page: httpx.AsyncClient, provider_token: str
) -> None:
    await client.push(provider_token, payload=PROMOTION)
    [banner_id] = await banner_ids(page)
    answer = await page.post(f"/api/phones/{TOKEN}/tap", json={"id": banner_id})
    assert answer.json() == await phone(page)
    assert answer.json()["opened"]["app"] == PROMOTION["clarion"]
    assert answer.json()["banners"] == []
    assert (await page.post(f"/api/phones/{TOKEN}/back")).json()["opened"] is None


async def test_the_same_collapse_id_replaces_the_banner(
    client: Client, page: httpx.AsyncClient, provider_token: str
) -> None:
    for title in ("First", "Second"):
        payload = {"aps": {"alert": {"title": title}}}
        await client.push(provider_token, payload=payload, apns_collapse_id="offer")
    assert [banner["title"] for banner in (await phone(page))["banners"]] == ["Second"]


async def test_a_withdrawal_takes_the_banner_away(
    client: Client, page: httpx.AsyncClient, provider_token: str
) -> None:
    await client.push(provider_token, payload=PROMOTION)
    payload = {"aps": {"content-available": 1}, "clarion": {"withdraw": ["n-1"]}}
    await client.push(provider_token, payload=payload, apns_push_type="background", apns_priority="5")
    assert await banner_ids(page) == []


async def test_banners_are_dismissed_one_by_one_or_all(
    client: Client, page: httpx.AsyncClient, provider_token: str
) -> None:
    for _ in range(3):
        await client.push(provider_token)
    newest, *others = await banner_ids(page)
    await page.post(f"/api/phones/{TOKEN}/dismiss", json={"id": newest})
    assert await banner_ids(page) == others
    await page.post(f"/api/phones/{TOKEN}/dismiss")
    assert await banner_ids(page) == []


async def test_a_phone_without_network_gets_its_push_later(
    client: Client, page: httpx.AsyncClient, provider_token: str
) -> None:
    await page.post(f"/api/phones/{TOKEN}/offline")
    for title in ("First", "Second"):
        await client.push(provider_token, payload={"aps": {"alert": {"title": title}}})
    waiting = await phone(page)
    assert (waiting["away"], waiting["waiting"], waiting["banners"]) == (True, 1, [])
    back = (await page.post(f"/api/phones/{TOKEN}/online")).json()
    assert (back["away"], [banner["title"] for banner in back["banners"]]) == (False, ["Second"])


@pytest.mark.parametrize(
    "path",
    [
        f"/api/phones/{TOKEN}/tap",
        "/api/phones/ffff/tap",
        "/api/phones/ffff/dismiss",
        "/api/phones/ffff/offline",
    ],
)
async def test_what_is_not_there_is_404(page: httpx.AsyncClient, path: str) -> None:
    answer = await page.post(path, json={"id": "unknown"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_the_log_of_accepted_pushes_is_for_tests(
    client: Client, sandbox: Sandbox, page: httpx.AsyncClient, provider_token: str
) -> None:
    await client.push(provider_token, apns_collapse_id="c")
    await client.push(provider_token, apns_priority="7")
    first = (await page.get("/api/received")).json()
    [item] = first["items"]
    assert (item["n"], item["token"], item["pushType"], item["collapseId"]) == (1, TOKEN, "alert", "c")
    await client.push(provider_token, "ffff")
    after = (await page.get("/api/received", params={"after": first["last"]})).json()
    assert [entry["token"] for entry in after["items"]] == ["ffff"]
    assert (await page.delete("/api/received")).status_code == 204
    assert (await page.get("/api/received")).json()["items"] == []
    assert (await page.get("/api/received", params={"after": -1})).status_code == 400


async def events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    async for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


async def test_the_stream_tells_of_pushes_taps_and_faults(
    client: Client, page: httpx.AsyncClient, provider_token: str
) -> None:
    async with page.stream("GET", "/api/stream") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.aiter_lines()
        assert await anext(lines) == "retry: 1000"
        following = events(lines)
        await client.push(provider_token, payload=PROMOTION)
        name, entry = await anext(following)
        assert (name, entry["answer"], entry["title"]) == ("push", "accepted", "🎉 New product promotion")
        name, change = await anext(following)
        assert (name, change["reason"], len(change["phone"]["banners"])) == ("phone", "banner", 1)
        await page.post(f"/api/phones/{TOKEN}/tap", json={"id": change["phone"]["banners"][0]["id"]})
        name, change = await anext(following)
        assert (name, change["reason"], change["phone"]["banners"]) == ("phone", "tapped", [])
        await page.post("/api/faults", json={"mode": "unavailable"})
        assert await anext(following) == ("reread", {})


@pytest.mark.parametrize("mode", MODES)
async def test_every_fault_has_a_usual_value(page: httpx.AsyncClient, mode: str) -> None:
    answer = await page.post("/api/faults", json={"mode": mode})
    assert answer.json() == {"mode": mode, "value": MODES[mode][1]}
    assert (await page.get("/api/phones")).json()["fault"] == answer.json()


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{", '{"mode": "chaos"}', '{"mode": "slow", "value": 0}', '{"mode": "slow", "value": "1"}'],
)
async def test_a_fault_that_cannot_be_is_refused_in_words(page: httpx.AsyncClient, body: str) -> None:
    answer = await page.post("/api/faults", content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_fault")
    assert "must be" in answer.json()["message"]


async def test_it_says_that_it_is_well(page: httpx.AsyncClient) -> None:
    assert (await page.get("/healthz")).json() == {"status": "ok"}


@pytest.mark.parametrize("name", FILES)
async def test_every_file_of_the_page_is_served_with_its_type(page: httpx.AsyncClient, name: str) -> None:
    answer = await page.get(f"/page/{name}")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, FILES[name])
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert answer.content == (FOLDER / name).read_bytes()


async def test_the_page_is_at_the_root_and_nothing_else_is_served(page: httpx.AsyncClient) -> None:
    assert "<title>Clarion sandbox</title>" in (await page.get("/")).text
    assert (await page.get("/page/server.py")).status_code == 404
    assert (await page.get("/page/..%2Fserver.py")).status_code == 404


def test_the_page_needs_nothing_from_outside_and_makes_no_markup_of_data() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(FILES)
    for name in FILES:
        text = (FOLDER / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(
            r"https?://|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text
        ), name
