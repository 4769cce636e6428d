"""A notification from Clarion's door to the screen of a real browser, and a tap on it back into the app."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.browsers.app import App, OwnApp, PhoneApp
from tests.browsers.awaiting import until
from tests.browsers.browser import Browser, Page
from tests.browsers.mozilla import Mozilla
from tests.browsers.rig import Rig
from tests.browsers.site import site_at
from tests.browsers.workplace import Json, Organization, Workplace, add_person, found
from tests.process.installation import Installation

PROMOTION: Json = {
    "title": "🎉 New product promotion",
    "text": "Check it out now",
    "jigId": "view-promotion-details",
    "screen": "jig",
    "inputs": {"promo-code": "x-3654", "name": "20% on all Winter stock", "price": 34},
}


@pytest.fixture(scope="module")
def app(request: pytest.FixtureRequest, installation: Installation, pages_port: int) -> App:
    if getattr(request, "param", OwnApp) is PhoneApp:
        return PhoneApp(f"http://127.0.0.1:{installation.port}/phone/")
    return OwnApp(f"{site_at(pages_port)}app.html")


both_apps = pytest.mark.parametrize("app", [OwnApp, PhoneApp], indirect=True)


@pytest.fixture(scope="module")
def organization(installation: Installation, app: App) -> Organization:
    return found(installation, app.address)


@pytest.fixture
async def workplace(
    installation: Installation, organization: Organization, pages: str
) -> AsyncIterator[Workplace]:
    person = add_person(installation, organization)
    base_url = f"http://127.0.0.1:{installation.port}/v2.0"
    headers = {"Authorization": f"BEARER {organization.token}"}
    async with httpx.AsyncClient(base_url=f"{base_url}/tool/", headers=headers) as http:
        yield Workplace(base_url, organization, person, http)


@asynccontextmanager
async def in_use(a_rig: Rig, app: App, workplace: Workplace) -> AsyncIterator[tuple[Browser, Page]]:
    """A browser with the app open, signed in, and pushes switched on."""
    async with a_rig.browser() as browser:
        page = await browser.new_page()
        await app.sign_in(page, await workplace.account())
        await app.switch_on(page)
        yield browser, page


@both_apps
async def test_a_notification_is_shown_and_a_tap_opens_its_jig_with_the_inputs(
    a_rig: Rig, app: App, workplace: Workplace
) -> None:
    async with in_use(a_rig, app, workplace) as (browser, _):
        notification_id = await workplace.notify(PROMOTION)
        shown = await a_rig.desktop.shown(PROMOTION["title"])
        assert shown.body.endswith(PROMOTION["text"])
        await a_rig.desktop.click(shown)
        opened = await app.opened(browser)
        assert (opened["jigId"], opened["inputs"]) == (PROMOTION["jigId"], PROMOTION["inputs"])

        async def receipts() -> tuple[int, int]:
            figures = await workplace.stats(notification_id)
            return figures["displayed"], figures["opened"]

        await until(receipts, "the browser told of it", lambda told: told == (1, 1))


@both_apps
async def test_a_notification_waits_for_a_closed_browser_and_a_tap_opens_a_window(
    a_rig: Rig, app: App, workplace: Workplace
) -> None:
    async with in_use(a_rig, app, workplace):
        pass
    await workplace.notify(PROMOTION)
    async with a_rig.browser() as browser:
        shown = await a_rig.desktop.shown(PROMOTION["title"])
        assert not any(app.is_at(url) for url in await browser.pages())
        await a_rig.desktop.click(shown)
        opened = await app.opened(browser)
        assert (opened["jigId"], opened["inputs"]) == (PROMOTION["jigId"], PROMOTION["inputs"])


async def test_what_waits_is_replaced_by_a_newer_one_with_the_same_collapse_key(
    a_rig: Rig, app: App, workplace: Workplace
) -> None:
    async with in_use(a_rig, app, workplace):
        pass
    for title in ("Score 1:0", "Score 2:0"):
        await workplace.notify({"title": title, "text": "Half-time"}, collapseKey="match")
    await workplace.notify({"title": "Something else", "text": "Hi"})
    async with a_rig.browser():
        await a_rig.desktop.shown("Score 2:0")
        await a_rig.desktop.shown("Something else")
    assert "Score 1:0" not in {one.title for one in a_rig.desktop.history}


async def test_a_subscription_that_the_browser_gave_up_is_retired(
    a_rig: Rig, app: App, workplace: Workplace
) -> None:
    async with in_use(a_rig, app, workplace) as (_, page):
        assert len(await workplace.devices()) == 1
        await page.evaluate(
            "navigator.serviceWorker.ready.then(({ pushManager }) => pushManager.getSubscription())"
            ".then((subscription) => subscription.unsubscribe())"
        )

        async def is_ended() -> bool:
            return all(one.is_ended for one in a_rig.service.subscriptions.values())

        await until(is_ended, "the push service knows it")
        await workplace.notify(PROMOTION)
        await until(workplace.devices, "the device is retired", lambda devices: not devices)
    assert a_rig.service.posted[-1].fault is not None


@pytest.mark.parametrize("a_rig", ["firefox"], indirect=True)
async def test_a_browser_whose_push_service_forgot_it_subscribes_again_and_tells_clarion(
    a_rig: Rig, app: App, workplace: Workplace
) -> None:
    async with in_use(a_rig, app, workplace):
        (before,) = await workplace.devices()
        assert isinstance(a_rig.service, Mozilla)
        await a_rig.service.forget()

        def is_told(devices: list[Json]) -> bool:
            return [one["registeredAt"] for one in devices] != [before["registeredAt"]]

        (after,) = await until(workplace.devices, "Clarion has the new address", is_told)
        assert after["deviceId"] == before["deviceId"]
        await workplace.notify(PROMOTION)
        await a_rig.desktop.shown(PROMOTION["title"])
    assert all(posted.fault is None for posted in a_rig.service.posted)
