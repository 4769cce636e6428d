"""What tests ask of a browser, whichever it is. `firefox.py` and `chromium.py` drive the real ones."""

import json
from abc import ABC, abstractmethod
from typing import Any


class Page(ABC):
    """A tab."""

    @abstractmethod
    async def go(self, url: str) -> None:
        """Open an address, and wait until it is loaded."""

    @abstractmethod
    async def _evaluate(self, source: str) -> str:
        """The text that a promise in the page comes to; raises RemoteError when it is rejected."""

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression, of a promise when it is one, as JSON tells it."""
        return json.loads(
            await self._evaluate(f"(async () => JSON.stringify((await ({expression})) ?? null))()")
        )


class Browser(ABC):
    """A running browser with a profile of its own."""

    @abstractmethod
    async def pages(self) -> dict[str, Page]:
        """Its tabs by their addresses."""

    @abstractmethod
    async def new_page(self) -> Page:
        """Open an empty tab."""
