"""The browsers, the stand-ins and the desktop without Clarion: a page of the tests' own and a sender of its own."""

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browsers.awaiting import until
from tests.browsers.browser import Browser, Page
from tests.browsers.rig import Rig
from tests.browsers.sender import Json, Sender
from tests.http2.peer import Certificate


@pytest.fixture
def sender(certificate: Certificate) -> Sender:
    return Sender(certificate)


async def subscribed(browser: Browser, pages: str, sender: Sender) -> tuple[Page, Json]:
    page = await browser.new_page()
    await page.go(f"{pages}bare.html")
    subscription: Json = await page.evaluate(f"subscribe('{sender.vapid.public}')")
    return page, subscription


async def test_a_message_is_shown_and_a_click_is_a_persons(a_rig: Rig, pages: str, sender: Sender) -> None:
    async with a_rig.browser() as browser:
        page, subscription = await subscribed(browser, pages, sender)
        content = {"title": "Hello", "body": "World 🌍", "tag": "t", "open": "jig"}
        answered = await sender.send(a_rig.service, subscription, content)
        assert answered.status_code == 201, answered.text
        shown = await a_rig.desktop.shown("Hello")
        assert shown.body.endswith("World 🌍")
        assert await page.evaluate("banners()") == [
            {"title": "Hello", "body": "World 🌍", "tag": "t", "data": {"open": "jig"}}
        ]
        await a_rig.desktop.click(shown)

        async def opened() -> list[str]:
            return [url for url in await browser.pages() if "isTrusted" in url]

        query = parse_qs(urlsplit((await until(opened, "a window opens"))[0]).query)
        assert query == {"open": ["jig"], "isTrusted": ["true"]}


async def test_what_waits_for_a_closed_browser_comes_once(a_rig: Rig, pages: str, sender: Sender) -> None:
    async with a_rig.browser() as browser:
        _, subscription = await subscribed(browser, pages, sender)
        await sender.send(a_rig.service, subscription, {"title": "Before"})
        await a_rig.desktop.shown("Before")
    for title, topic in (("One", "a"), ("Other", "b"), ("Two", "a")):
        await sender.send(a_rig.service, subscription, {"title": title}, Topic=topic)
    await sender.send(a_rig.service, subscription, {"title": "Now or never"}, TTL="0")
    async with a_rig.browser():
        await a_rig.desktop.shown("Two")
        await a_rig.desktop.shown("Other")
    assert sorted(one.title for one in a_rig.desktop.history) == ["Before", "Other", "Two"]


async def test_what_the_browser_left_is_gone(a_rig: Rig, pages: str, sender: Sender) -> None:
    async with a_rig.browser() as browser:
        page, subscription = await subscribed(browser, pages, sender)
        assert await page.evaluate("leave()")

        async def status() -> int:
            return (await sender.send(a_rig.service, subscription, {"title": "Too late"})).status_code

        assert await until(status, "the service knows it", lambda code: code != 201) == 410
