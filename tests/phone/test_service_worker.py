"""The service worker in a real browser: what it shows, what it tells, and what it does when nothing is as it should be.

Pushes are handed to it by the browser's own tools here; `tests/browsers` sends real ones.
"""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select

from clarion.store.schema import devices
from tests.browsers.awaiting import until
from tests.browsers.browser import Page
from tests.browsers.chromium import Tab as DevTools
from tests.phone.conftest import Json, Phone, Service, Tab
from tests.process.installation import Installation, free_port
from tests.providers.browser import Browser

REGISTER = """(async () => {
  const registration = await navigator.serviceWorker.register("/phone/client/service-worker.js", { scope: "/phone/" });
  const worker = registration.installing ?? registration.active;
  while (worker.state !== "activated") {
    await new Promise((changed) => worker.addEventListener("statechange", changed, { once: true }));
  }
  const { keepDevice } = await import("/phone/client/device.js");
  await keepDevice(%s);
})()"""

BANNERS = """navigator.serviceWorker.getRegistration("/phone/").then((registration) => registration.getNotifications())
  .then((all) => all.map(({ title, body, tag, data }) => ({ title, body, tag, data })))"""

LETTERS = """new Promise((resolve) => {
  const request = indexedDB.open("clarion-push");
  request.onsuccess = () => {
    const all = request.result.transaction("letters").objectStore("letters").getAll();
    all.onsuccess = () => resolve(all.result.map(({ kind, event }) => event ?? kind)) ?? request.result.close();
  };
})"""

READ_ELSEWHERE = """new Promise((resolve) => {
  const request = indexedDB.open(%s);
  request.onsuccess = () => {
    const transaction = request.result.transaction("entries", "readwrite");
    const entries = transaction.objectStore("entries");
    entries.get(%s).onsuccess = (event) => entries.put({ ...event.target.result, state: "READ" });
    transaction.oncomplete = () => resolve(request.result.close());
  };
})"""

TAP = """registration.getNotifications().then(([notification]) => {
  dispatchEvent(new NotificationEvent("notificationclick", { notification }));
})"""

CHANGE = """dispatchEvent(Object.assign(new ExtendableEvent("pushsubscriptionchange"), {
  newSubscription: { toJSON: () => (%s) },
}))"""

ODD = [
    "", "nonsense", "[]", "null", "7", "{}", '{"notification": 3}', '{"notification": {"title": ""}}',
    '{"notification": {"title": {"toString": 1}, "tag": 5, "data": []}, "clarion": []}',
    '{"notification": {"icon": "http://["}, "app_badge": "many", "clarion": {"notificationId": "x"}}',
]  # fmt: skip


@dataclass(frozen=True)
class Worker:
    """A tab, and the service worker behind it, which has a device."""

    tab: Tab
    device: Json
    phone: Phone

    async def push(self, data: str) -> None:
        """Hand a push to the service worker."""
        assert isinstance(self.tab.page, DevTools)
        await self.tab.page.command("ServiceWorker.enable")
        origin = f"http://127.0.0.1:{self.tab.service.port}"
        push = {"origin": origin, "registrationId": "0", "data": data}
        await self.tab.page.command("ServiceWorker.deliverPushMessage", push)

    async def shows(self, *titles: str) -> list[Json]:
        """Wait until these banners are on the screen."""
        return await until(
            lambda: self.tab.do(BANNERS),
            f"{titles} are on the screen",
            lambda banners: sorted(one["title"] for one in banners) == sorted(titles),
        )

    async def has_told_all(self) -> None:
        """Wait until nothing is left to be told."""
        await until(lambda: self.tab.do(LETTERS), "everything is told", lambda letters: not letters)

    async def awake(self) -> Page:
        """The service worker itself."""
        workers = await until(self.phone.browser.workers, "the service worker is awake")
        return next(iter(workers.values()))

    def stats(self, notification: str) -> tuple[int, int]:
        """How often it was displayed and opened, as the service counts."""
        told = self.tab.service.call("GET", f"notifications/{notification}/stats")
        return told["displayed"], told["opened"]


def a_push(service: Service, notification: str, **said: Any) -> str:
    """A push as the service writes it."""
    app = {
        "notificationId": notification, "organizationId": str(service.organization),
        "screen": "jig", "jigId": "view", "inputs": {"price": 34},
    }  # fmt: skip
    link = f"{service.site}?notificationId={notification}&organizationId={service.organization}"
    banner = {
        "title": "Title",
        "body": "Body",
        "navigate": link,
        "tag": notification,
        "data": {"a": 1},
        **said,
    }
    return json.dumps({"web_push": 8030, "notification": banner, "mutable": True, "clarion": app})


@pytest.fixture
async def worker(phone: Phone, service: Service, serving: Installation) -> Worker:
    """A registered service worker whose device the service knows."""
    added = serving.run(
        "channel", "add", "webpush", "--organization", str(service.organization), "--name", "browsers",
        "--subject", "mailto:admin@example.com", "--app-url", "https://app.example.com/",
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    path, name = f"members/{service.member}", f"of {service.member}"
    (channel,) = service.call("GET", f"{path}/channels", token=phone.token)["items"]
    body = {
        "channelId": channel["channelId"], "installationId": "test", "name": name,
        "address": Browser().subscription(f"https://localhost:{free_port()}/push/1"),
    }  # fmt: skip
    told = service.call("POST", f"{path}/devices", body, token=phone.token)
    tab = await phone.open()
    base = f"http://127.0.0.1:{service.port}/v2.0/tool/organizations/{service.organization}"
    account = {"organizationId": str(service.organization), "userId": str(service.member)}
    device = {
        **account, "deviceId": told["deviceId"], "deviceToken": told["deviceToken"], "asked": {},
        "url": f"{base}/devices/{told['deviceId']}", "channelId": channel["channelId"], "address": body["address"],
        "applicationServerKey": channel["applicationServerKey"], "registeredAt": 0,
        "inbox": f"clarion.{service.organization}.{service.member}",
    }  # fmt: skip
    await tab.do(REGISTER % json.dumps(device))
    return Worker(tab, device, phone)


async def test_a_push_is_shown_and_told(worker: Worker, service: Service) -> None:
    one = service.send("one")
    await worker.push(a_push(service, one))
    (banner,) = await worker.shows("Title")
    assert (banner["body"], banner["tag"]) == ("Body", one)
    assert (banner["data"]["a"], banner["data"]["clarion"]["inputs"]) == (1, {"price": 34})
    await worker.has_told_all()
    assert worker.stats(one) == (1, 0)
    await worker.push(a_push(service, one))
    await worker.has_told_all()
    await worker.shows("Title")
    assert worker.stats(one) == (1, 0)


async def test_every_push_ends_with_a_banner(worker: Worker) -> None:
    for number, data in enumerate(ODD, 1):
        await worker.push(data)
        await worker.shows(*["New notification"] * number)


async def test_what_cannot_be_told_now_is_told_later(worker: Worker, service: Service) -> None:
    one = service.send("one")
    nowhere = {**worker.device, "url": f"http://127.0.0.1:{free_port()}/nothing"}
    await worker.tab.do(f"import('/phone/client/device.js').then((m) => m.keepDevice({json.dumps(nowhere)}))")
    await worker.push(a_push(service, one))
    await worker.shows("Title")
    await until(lambda: worker.tab.do(LETTERS), "it is kept", lambda letters: letters == ["displayed"])
    await worker.tab.do(
        f"import('/phone/client/device.js').then((m) => m.keepDevice({json.dumps(worker.device)}))"
    )
    two = service.send("two")
    await worker.push(a_push(service, two, title="Two"))
    await worker.has_told_all()
    assert (worker.stats(one), worker.stats(two)) == ((1, 0), (1, 0))


async def test_what_nobody_wants_to_hear_is_not_told_for_ever(worker: Worker, service: Service) -> None:
    service.call("DELETE", f"members/{service.member}/devices/{worker.device['deviceId']}")
    await worker.push(a_push(service, service.send("one")))
    await worker.shows("Title")
    await worker.has_told_all()


async def test_a_tap_reaches_the_page_with_the_inputs(worker: Worker, service: Service) -> None:
    one = service.send("one")
    await worker.push(a_push(service, one))
    await worker.shows("Title")
    await (await worker.awake()).evaluate(TAP)
    opened = await worker.tab.hears("opened")
    assert opened == {
        "notificationId": one, "screen": "jig", "jigId": "view", "inputs": {"price": 34}, "missing": None,
    }  # fmt: skip
    await worker.shows()
    await worker.has_told_all()
    assert worker.stats(one) == (1, 1)


async def test_a_page_that_a_tap_opened_reads_the_inputs_from_the_inbox(
    worker: Worker, service: Service
) -> None:
    one = service.send("one", jigId="view", inputs={"price": 34})
    query = f"?notificationId={one}&organizationId={service.organization}&screen=other&jigId=other&tab=2"
    await worker.phone.load(worker.tab, query)
    await worker.tab.do("clarion.start()")
    opened = await worker.tab.hears("opened")
    assert (opened["screen"], opened["jigId"], opened["inputs"]) == ("jig", "view", {"price": 34})
    assert await worker.tab.do("location.search") == "?tab=2"
    late = "new Promise((resolve) => clarion.onOpen(resolve)).then(({ jigId }) => jigId)"
    assert await worker.tab.do(late) == "view"
    await worker.has_told_all()
    assert worker.stats(one) == (1, 1)


async def test_banners_of_what_was_read_go_away(worker: Worker, service: Service) -> None:
    ids = {title: service.send(title) for title in ("one", "two", "three", "four")}
    await worker.tab.do("clarion.sync()")
    for title in ("one", "two", "three"):
        await worker.push(a_push(service, ids[title], title=title))
    await worker.shows("one", "two", "three")
    await worker.tab.do(f"clarion.markRead('{ids['one']}')")
    await worker.shows("two", "three")
    service.call("DELETE", f"notifications/{ids['two']}")
    await worker.tab.do("clarion.sync()")
    await worker.shows("three")
    await worker.tab.do(READ_ELSEWHERE % (json.dumps(worker.device["inbox"]), json.dumps(ids["three"])))
    await worker.push(a_push(service, ids["four"], title="four"))
    await worker.shows("four")


async def test_a_push_makes_an_open_page_look(worker: Worker, service: Service) -> None:
    one = service.send("one")
    await worker.push(a_push(service, one))
    await worker.tab.sees(["one", "SENT"])


async def test_a_new_address_is_told(worker: Worker, service: Service, serving: Installation) -> None:
    address = Browser().subscription(f"https://localhost:{free_port()}/push/2")
    await worker.push(a_push(service, service.send("one")))  # which wakes it
    await (await worker.awake()).evaluate(f"void {CHANGE % json.dumps(address)}")
    living = select(devices.c.address).where(
        devices.c.retired_at.is_(None), devices.c.name == f"of {service.member}"
    )

    async def endpoint() -> str:
        kept: str = serving.in_database(lambda connection: connection.scalars(living).one())
        return str(json.loads(kept)["endpoint"])

    await until(endpoint, "the address is changed", lambda told: told == address["endpoint"])
    await worker.has_told_all()


async def test_who_signs_out_leaves_the_service(worker: Worker, service: Service) -> None:
    await worker.push(a_push(service, service.send("one")))
    await worker.shows("Title")
    await worker.tab.do("clarion.signOut()")
    await worker.shows()
    await worker.has_told_all()
    assert service.call("GET", f"members/{service.member}/devices")["items"] == []
