"""The reference app for everybody: with the keyboard alone, read aloud, in light and dark, narrow and wide."""

from pathlib import Path

from tests.browsers.awaiting import until
from tests.phone.app import STILL, App
from tests.phone.conftest import Phone
from tests.phone.test_app_inbox import until_inbox
from tests.phone.test_app_jigs import PROMOTION

LOOKING = (Path(__file__).parent / "looking.js").read_text()
NAMED_ROLES = {"button", "link", "textbox", "switch", "dialog", "checkbox", "image", "main", "article"}

ORDER = {
    "order-id": "A-1",
    "status": "packed",
    "items": [{"name": "Parka", "count": 2, "price": 89.5}],
    "tracking-url": "https://example.com/",
}


async def test_the_keyboard_alone_does_everything(phone: Phone) -> None:
    ids = [phone.service.send(text, title=text) for text in ("one", "two", "three")]
    one, two, three = (f"row-{sent}" for sent in ids)
    app = await App.signed_in(phone)
    await app.lists("three", "two", "one")
    await app.press("j")
    await app.focuses(three)
    await app.press("j", "ArrowDown", "j")  # the last one is the last
    await app.focuses(one)
    await app.press("k")
    await app.focuses(two)
    await app.press("Enter")
    await app.reads("#reader-title", "two")
    await app.focuses("reader-title")
    await app.press("Escape")
    await app.focuses(two)
    await app.states("SENT", "READ", "SENT")
    await app.press("u")
    await app.states("SENT", "SENT", "SENT")
    await app.press("e")
    await app.lists("three", "one")
    await app.focuses(one)  # the neighbour
    await app.press("3")
    await app.lists("two")
    await app.press("j", "#")
    await app.focuses("confirm-no")
    await app.press("Tab", "Enter")
    await app.reads("#empty", "The trash is empty")
    await app.press("1", "A")
    await app.states("READ", "READ")
    await until_inbox(phone, ["three", "READ"], ["one", "READ"])
    await app.press("?")
    await app.reads("#shortcuts", "Keyboard shortcuts")
    await app.press("e", "Escape")  # no key reaches through a dialog
    await app.lists("three", "one")


async def test_tab_leads_through_everything_that_can_be_pressed(phone: Phone) -> None:
    sent = phone.service.send("one")
    app = await App.signed_in(phone)
    await app.lists("one")
    names = []
    for _ in range(10):
        await app.press("Tab")
        names.append(await app.do("document.activeElement.dataset.action ?? document.activeElement.id"))
        outline = await app.do("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", repr(names)
        if names[-1] == "dismiss":
            break
    filters = ["filter-inbox", "filter-unread", "filter-dismissed"]
    assert names == ["refresh", "mark-all", "open-settings", *filters, "", "read", "dismiss"]
    assert await app.focused() == f"row-{sent}"
    await app.press("k", "Tab", "Enter")
    await app.states("READ")
    assert await app.do("document.activeElement.dataset.action") == "unread"


async def test_single_keys_can_be_turned_off(phone: Phone) -> None:
    phone.service.send("one")
    app = await App.signed_in(phone)
    await app.lists("one")
    await app.press("s")
    await app.reads("#devices", "No device")  # nothing moves any more
    await app.click("#shortcuts-toggle")
    await app.press("Escape", "A")
    await app.focuses("open-settings")
    await app.states("SENT")


async def test_every_screen_is_readable_and_everything_on_it_has_a_name(phone: Phone) -> None:
    phone.service.send("Look", jigId="order-status", inputs=ORDER)
    phone.service.send("Low stock", title="Shelf sensor", jigId="sensor", inputs={"stock": {"socks": 3}})
    phone.service.send("Check it out now", **PROMOTION)
    app = await App.open(phone)
    await app.go("/phone/")
    await app.click("#sign-in-details summary")
    await looks_well(app)
    await app.go(app.link(phone.token, name="Everyday user"))
    rows = await app.lists("🎉 New product promotion", "Shelf sensor", "Look")
    await looks_well(app)
    for row in rows:
        await app.go(f"/phone/#/n/{row['id']}")
        await app.reads("#notification")
        await looks_well(app)
    await app.press("Escape")
    await app.reads("#push-card", "Get a banner")
    await app.press("j", "u", "e")  # a toast, and buttons beside a row
    await app.reads(".toast", "Moved to trash")
    await looks_well(app)
    await app.press("s")
    await app.reads("#devices", "No device")
    await looks_well(app)
    await app.press("?")
    await looks_well(app)


async def test_messages_are_read_aloud(phone: Phone) -> None:
    app = await App.signed_in(phone)
    phone.service.send("cake", title="Kitchen news")
    await app.reads(".toast", "Kitchen news")
    assert await app.do("document.querySelector('.toast').closest('[aria-live=polite]').role") == "status"
    name = "document.querySelector('.row-link').textContent"
    await until(lambda: app.do(name), "it is unread in words", lambda text: text.startswith("Unread: "))


async def looks_well(app: App) -> None:
    """Look at the screen, narrow and wide, by day and by night."""
    for width in (360, 1280):
        await app.resize(width)
        for scheme in ("light", "dark"):
            features = [STILL, {"name": "prefers-color-scheme", "value": scheme}]
            await app.tab.command("Emulation.setEmulatedMedia", {"features": features})
            assert await app.do(LOOKING) == [], (width, scheme)
    tree = await app.tab.command("Accessibility.getFullAXTree")
    for node in tree["nodes"]:
        role = node.get("role", {}).get("value")
        if role in NAMED_ROLES and not node["ignored"]:
            assert node.get("name", {}).get("value"), node
