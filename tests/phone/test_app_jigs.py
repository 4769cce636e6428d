"""The reference app's jigs: a notification opens the one it names, with its inputs and their types."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import clarion.phone
from tests.browsers.awaiting import until
from tests.phone.app import App
from tests.phone.conftest import Phone

FOLDER = Path(clarion.phone.__file__).parent / "app"
JIGS = FOLDER / "jigs"
TYPES = {"heading", "text", "code", "number", "money", "date", "image", "list", "steps", "link"}

PROMOTION: dict[str, Any] = {
    "title": "🎉 New product promotion",
    "jigId": "view-promotion-details",
    "screen": "jig",
    "inputs": {"promo-code": "x-3654", "name": "20% on all Winter stock", "price": 34},
}


async def test_the_promotion_opens_with_its_three_inputs_and_34_is_a_number(phone: Phone) -> None:
    phone.service.send("Check it out now", **PROMOTION)
    app = await App.signed_in(phone)
    await app.reads(".row .chip", "Promotion")
    await app.click(".row-link")
    await app.reads("#jig-title", "Promotion")
    assert await app.text("#reader-title") == "🎉 New product promotion"
    assert await app.text("[data-field=name]") == "20% on all Winter stock"
    assert await app.text("[data-field=price] dd") == "34.00"
    assert await app.text("[data-field=promo-code] dd") == "x-3654"
    types = "[...document.querySelectorAll('.jig dd')].map((value) => value.dataset.type)"
    assert await app.do(types) == ["number", "text"]


async def test_a_request_and_an_order_have_jigs_as_well(phone: Phone) -> None:
    items = [{"name": "Parka", "count": 2, "price": 89.5}, {"name": "Wool cap", "count": 1, "price": 14}]
    order = {"order-id": "A-1", "status": "packed", "currency": "EUR", "items": items, "total": 193}
    order["tracking-url"] = "javascript:alert(1)"
    phone.service.send("Look", jigId="order-status", inputs=order)
    links = {"approve-url": "https://example.com/?answer=yes", "decline-url": "http://example.com/"}
    request = {"subject": "Five days", "days": 5, "from": "2026-12-14", **links}
    phone.service.send("Decide", jigId="approve-request", inputs=request)
    app = await App.signed_in(phone)
    await app.lists("Decide", "Look")
    await app.click(".row-link")
    await app.reads("[data-jig=approve-request] .jig", "Five days", "5", "December 14, 2026", "Approve")
    hrefs = "[...document.querySelectorAll('.jig a')].map((link) => [link.href, link.rel, link.target])"
    assert await app.do(hrefs) == [["https://example.com/?answer=yes", "noopener noreferrer", "_blank"]]
    await app.click(".row:nth-of-type(3) .row-link")
    await app.reads("[data-jig=order-status] .jig", "Order A-1", "Parka", "€89.50", "€193.00")
    assert await app.text("[aria-current=step]") == "Packed"
    assert await app.do(hrefs) == []  # nothing but https leads out of the app


async def test_an_unknown_jig_shows_its_inputs_with_their_types(phone: Phone) -> None:
    inputs = {
        "aisle": 7,
        "low": True,
        "seen": ["09:12"],
        "stock": {"socks": 3},
        "note": None,
        "name": "s-0417",
    }
    phone.service.send("Low stock", jigId="../../sensor", inputs=inputs)
    app = await App.signed_in(phone)
    await app.click(".row-link")
    await app.reads(".inputs", "What came with it")
    rows = await app.do(
        "[...document.querySelectorAll('.inputs tbody tr')].map((row) => "
        "[...row.cells].map((cell) => cell.textContent.replaceAll(/\\s+/g, ' ')))"
    )
    assert rows == [
        ["aisle", "7", "number"],
        ["low", "Yes", "yes or no"],
        ["seen", '[ "09:12" ]', "list"],
        ["stock", '{ "socks": 3 }', "object"],
        ["note", "–", "nothing"],
        ["name", "s-0417", "text"],
    ]


async def test_an_address_that_names_a_notification_opens_it(phone: Phone) -> None:
    sent = phone.service.send("Check it out now", **PROMOTION)
    app = await App.signed_in(phone)
    query = f"notificationId={sent}&organizationId={phone.service.organization}&screen=jig&jigId=other"
    await app.go(f"/phone/?{query}")
    await app.reads("#jig-title", "Promotion")
    await app.states("READ")
    assert await app.do("location.search") == ""
    await app.go(f"/phone/?notificationId={sent}&organizationId={sent}")
    await app.reads(".toast", "That link is not for you")
    assert await app.do("location.search") == ""


async def test_what_is_not_there_is_said_to_be_gone(phone: Phone) -> None:
    app = await App.signed_in(phone)
    await app.go("/phone/#/n/3b8f9d2e-0000-4000-8000-000000000000")
    await app.reads("#missing", "It is not there any more")
    await app.press("Escape")
    await until(lambda: app.do("location.hash"), "the inbox is open", lambda at: at in ("", "#/"))


@pytest.mark.parametrize("name", json.loads((JIGS / "index.json").read_text()))
def test_a_jig_is_well_formed(name: str) -> None:
    jig = json.loads((JIGS / f"{name}.json").read_text())
    assert jig["id"] == name
    assert jig["title"]
    for section in jig["sections"]:
        for field in section["fields"]:
            assert field["type"] in TYPES
            assert ("input" in field) != ("template" in field)


def test_every_jig_is_in_the_index() -> None:
    index = json.loads((JIGS / "index.json").read_text())
    assert index == sorted(path.stem for path in JIGS.iterdir() if path.name != "index.json")


def test_every_type_of_field_is_drawn_and_documented() -> None:
    table = re.search(r"const TYPES = {(.*?)};", (FOLDER / "fields.js").read_text(), re.DOTALL)
    assert table is not None
    assert set(re.findall(r"^  (\w+):", table[1], re.MULTILINE)) == TYPES
    page = (Path(__file__).parents[2] / "docs" / "phone.md").read_text()
    assert (
        set(re.findall(r"^\| `(\w+)` \|", page.partition("| type |")[2].partition("\n\n")[0], re.MULTILINE))
        == TYPES
    )


def test_the_service_worker_keeps_every_file_of_the_app() -> None:
    kept = re.search(r"const FILES = \[(.*?)\];", (FOLDER / "service-worker.js").read_text(), re.DOTALL)
    assert kept is not None
    files = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
    client = {f"client/{path.name}" for path in (FOLDER.parent / "client").glob("*.js")}
    workers = {"service-worker.js", "client/service-worker.js"}
    wanted = {file for file in files | client if not file.endswith(".png")} - workers - {"index.html"}
    assert set(re.findall(r'"([^"]+)"', kept[1])) == wanted | {"./"}
