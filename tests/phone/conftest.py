"""A service with one member, and a browser whose pages use the library against it."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from secrets import token_bytes
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import Connection

from clarion.bootstrap import now_ms
from clarion.model.access import Role, mint_token
from clarion.store import directory, tokens
from tests.browsers.awaiting import until
from tests.browsers.browser import Page
from tests.browsers.chromium import Chromium, chromium
from tests.browsers.chromium import Tab as DevTools
from tests.browsers.desktop import desktop
from tests.browsers.google import Doors
from tests.browsers.outside import outside
from tests.process.installation import Installation

NO_PUSH = Doors(http=9, mcs=9, key="", endpoints="")
"""These browsers never subscribe."""

START = """(async () => {
  const { Clarion } = await import("/phone/client/clarion.js");
  const told = %s;
  globalThis.said = [];
  globalThis.clarion = new Clarion({
    ...told, session: async () => told.token, serviceWorker: { scope: "/phone/" }, ...globalThis.extra,
  });
  for (const type of ["change", "arrived", "opened", "live", "signedout"]) {
    clarion.addEventListener(type, ({ detail }) => said.push([type, detail]));
  }
})()"""

LOOK = """(async () => {
  const entries = await clarion.list({ filter: "all", limit: 10000 });
  return { unread: await clarion.unread(), entries: entries.map(({ content, state }) => [content.text, state]) };
})()"""

Json = dict[str, Any]


@dataclass(frozen=True)
class Service:
    """A running service, and an organization with an administrator and one other member."""

    port: int
    organization: UUID
    member: UUID
    http: httpx.Client

    @property
    def site(self) -> str:
        """A page without scripts below `/phone/`, where the library can be loaded."""
        return f"http://127.0.0.1:{self.port}/phone/client/package.json"

    def send(self, text: str, **content: Any) -> str:
        """Send to everybody; returns the notification's id."""
        body = {"content": {"text": text, **content}, "scope": "ORG"}
        return str(self.call("POST", "notifications", body)["notificationId"])

    def session(self) -> str:
        """A token of the member."""
        return str(self.call("POST", f"members/{self.member}/sessions")["token"])

    def inbox(self, token: str) -> Json:
        """The member's inbox as the service tells it, in the words of `Tab.look`."""
        path = f"members/{self.member}/notifications"
        items = self.call("GET", f"{path}?filterMode=all&limit=200", token=token)["items"]
        summary = self.call("GET", f"{path}/summary", token=token)
        return {
            "unread": summary["unread"],
            "entries": [[item["content"]["text"], item["state"]] for item in items],
        }

    def call(self, method: str, path: str, body: Json | None = None, *, token: str | None = None) -> Json:
        """A request below the organization, as the administrator or with another token."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        answer = self.http.request(method, path, json=body, headers=headers)
        assert answer.is_success, answer.text
        told: Json = answer.json() if answer.content else {}
        return told


@dataclass(frozen=True)
class Tab:
    """A page in which the library runs as `clarion`; `said` holds the events that it told."""

    page: Page
    service: Service
    token: str

    async def do(self, expression: str) -> Any:
        """What an expression, or a promise, comes to."""
        return await self.page.evaluate(expression)

    async def look(self) -> Json:
        """The inbox as the person sees it: {unread, entries: [[text, state]]}."""
        seen: Json = await self.do(LOOK)
        return seen

    async def sees(self, *entries: list[str]) -> None:
        """Wait until the person sees these entries."""
        await until(self.look, f"the inbox is {entries}", lambda seen: seen["entries"] == list(entries))

    async def agrees(self) -> None:
        """Wait until the person sees what the service tells."""

        async def both() -> tuple[Json, Json]:
            return await self.look(), self.service.inbox(self.token)

        await until(both, "the device agrees with the service", lambda pair: pair[0] == pair[1])

    async def hears(self, kind: str) -> Any:
        """Wait for an event; returns its detail."""
        source = f"said.findLast(([type]) => type === {json.dumps(kind)}) ?? null"
        return (await until(lambda: self.do(source), f"{kind} is told"))[1]


class Phone:
    """A browser that shows one member's inbox in any number of tabs."""

    def __init__(self, browser: Chromium, service: Service) -> None:
        self.browser = browser
        self.service = service
        self.token = service.session()

    async def open(self, query: str = "", **extra: Any) -> Tab:
        """A new tab."""
        return await self.load(Tab(await self.browser.new_page(), self.service, self.token), query, **extra)

    async def go_offline(self, tab: Tab) -> None:
        """Take the network away from a tab."""
        await self._network(tab, offline=True)

    async def go_online(self, tab: Tab) -> None:
        """Give it back."""
        await self._network(tab, offline=False)

    async def _network(self, tab: Tab, *, offline: bool) -> None:
        assert isinstance(tab.page, DevTools)
        await tab.page.command("Network.enable")
        unlimited = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        await tab.page.command("Network.emulateNetworkConditions", {"offline": offline, **unlimited})

    async def load(self, tab: Tab, query: str = "", **extra: Any) -> Tab:
        """Load the page anew."""
        await tab.page.go(f"{self.service.site}{query}")
        told = {
            "baseUrl": f"http://127.0.0.1:{self.service.port}/v2.0",
            "organizationId": str(self.service.organization),
            "userId": str(self.service.member),
            "token": self.token,
        }
        await tab.do(f"void (globalThis.extra = {json.dumps(extra)})")
        await tab.do(START % json.dumps(told))
        return tab


@pytest.fixture(scope="session")
def phone_installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An installation without a sandbox. Devices may say that they are on this machine; nothing is pushed to them."""
    settings = {"CLARION_PUSH_TRUSTED_HOSTS": "localhost"}
    made = Installation(tmp_path_factory.mktemp("phone"), settings)
    made.migrate()
    return made


@pytest.fixture(scope="session")
def serving(phone_installation: Installation) -> Iterator[Installation]:
    """Its API, running."""
    with phone_installation.serve():
        yield phone_installation


@pytest.fixture
def service(serving: Installation) -> Iterator[Service]:
    """An organization of one test."""
    organization, member = uuid4(), uuid4()
    text, token = mint_token("us-east-1", token_bytes)

    def fill(connection: Connection) -> None:
        now = now_ms()
        organization_id = directory.add_organization(connection, organization, "Phones", "us-east-1", now)
        email = f"admin-{organization}@example.com"
        people = [
            directory.NewMember(uuid4(), email, "Administrator", Role.ADMIN),
            directory.NewMember(member, f"user-{organization}@example.com", "User"),
        ]
        directory.add_members(connection, organization_id, people, now)
        user_id = directory.find_user(connection, organization_id, email)
        assert user_id is not None
        tokens.add_token(connection, user_id, token, "test", now)

    serving.in_database(fill)
    address = f"http://127.0.0.1:{serving.port}/v2.0/tool/organizations/{organization}/"
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {text}"}, timeout=30) as http:
        yield Service(serving.port, organization, member, http)


@pytest.fixture
async def phone(tmp_path_factory: pytest.TempPathFactory, service: Service) -> AsyncIterator[Phone]:
    """A browser with an empty profile, on a desktop. The paths of sockets must not be long."""
    desk, profile = tmp_path_factory.mktemp("desk"), tmp_path_factory.mktemp("chromium")
    async with (
        outside() as way,
        desktop(desk) as screen,
        chromium(profile, screen.address, way.port, NO_PUSH) as browser,
    ):
        yield Phone(browser, service)
