"""The app under test, as a person uses it in a tab. Another app on clarion.js is another class of these verbs."""

import json
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from tests.browsers.awaiting import until
from tests.browsers.browser import Browser, Page
from tests.browsers.remote import RemoteError

Json = dict[str, Any]


class App(ABC):
    """An app at an address, which is its channel's `app_url`."""

    def __init__(self, address: str) -> None:
        self.address = address

    @abstractmethod
    async def sign_in(self, page: Page, account: Json) -> None:
        """Open it in a tab and sign in; from then on the browser is signed in."""

    @abstractmethod
    async def switch_on(self, page: Page) -> None:
        """Switch pushes on."""

    @abstractmethod
    async def _opened(self, page: Page) -> Json | None:
        """What the app shows after a tap: `jigId` and `inputs`; None as long as there is nothing."""

    async def opened(self, browser: Browser) -> Json:
        """Wait until a tab of the app shows what a tap opened."""

        async def look() -> Json | None:
            for url, page in (await browser.pages()).items():
                with suppress(RemoteError):  # it is loading
                    if self.is_at(url) and (told := await self._opened(page)):
                        return told
            return None

        told = await until(look, "the app opens what was tapped")
        assert told is not None
        return told

    def is_at(self, url: str) -> bool:
        """Whether an address is the app's."""
        return url.startswith(self.address)


class OwnApp(App):
    """`site/app.html`."""

    async def sign_in(self, page: Page, account: Json) -> None:
        await page.go(self.address)
        await page.evaluate(f"signIn({json.dumps(account)})")

    async def switch_on(self, page: Page) -> None:
        told = await page.evaluate("clarion.registerPush({ name: 'Test' })")
        assert told["ok"], told

    async def _opened(self, page: Page) -> Json | None:
        told: Json | None = await page.evaluate("window.opening")
        return told


class PhoneApp(App):
    """The reference app, `/phone/`: what it shows is what it was told."""

    async def sign_in(self, page: Page, account: Json) -> None:
        names = {"organization": "organizationId", "user": "userId", "session": "token"}
        fragment = urlencode({name: account[key] for name, key in names.items()})
        await page.go(f"{self.address}#{fragment}")
        await self._until(page, "!document.querySelector('#app').hidden", "the person is signed in")

    async def switch_on(self, page: Page) -> None:
        await page.evaluate("location.hash = '#/settings'")
        switch = "document.querySelector('#push-toggle')"
        await self._until(page, f"{switch}?.getAttribute('aria-checked') === 'false'", "it is off")
        await page.evaluate(f"{switch}.click()")
        await self._until(page, f"{switch}?.getAttribute('aria-checked') === 'true'", "it is on")

    async def _until(self, page: Page, expression: str, what: str) -> None:
        await until(lambda: page.evaluate(expression), what)

    async def _opened(self, page: Page) -> Json | None:
        told: Json | None = await page.evaluate(SHOWN)
        return told


SHOWN = """(() => {
  const shown = document.querySelector("#notification");
  if (!shown) return null;
  const inputs = [...shown.querySelectorAll("[data-field]")].map((field) => {
    const value = field.querySelector("[data-type]") ?? field;
    const isNumber = value.dataset.type === "number";
    return [field.dataset.field, isNumber ? Number(value.textContent) : value.textContent];
  });
  return { jigId: shown.dataset.jig, inputs: Object.fromEntries(inputs) };
})()"""
"""The jig and its fields, as they were drawn; a field says of which type its input is."""
