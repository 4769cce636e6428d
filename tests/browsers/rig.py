"""A browser on a machine of its own: its push service, its desktop, its profile, and no way out."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import time

from tests.browsers.browser import Browser
from tests.browsers.chromium import chromium
from tests.browsers.desktop import Desktop, desktop
from tests.browsers.firefox import firefox
from tests.browsers.google import google
from tests.browsers.mozilla import mozilla
from tests.browsers.outside import outside
from tests.browsers.push_service import PushService
from tests.http2.peer import Certificate

BROWSERS = ("firefox", "chromium")


@dataclass(frozen=True)
class Rig:
    """What is around a browser. `browser()` starts it, with the same profile every time."""

    service: PushService
    desktop: Desktop
    browser: Callable[[], AbstractAsyncContextManager[Browser]]


@asynccontextmanager
async def rig(name: str, folder: Path, certificate: Certificate) -> AsyncIterator[Rig]:
    """Make it; fails at the end if the browser asked for anything outside."""
    profile, desk = folder / "profile", folder / "desktop"
    profile.mkdir()
    desk.mkdir()
    async with AsyncExitStack() as stack:
        way_out = await stack.enter_async_context(outside())
        screen = await stack.enter_async_context(desktop(desk))
        if name == "firefox":
            mozillas, address = await stack.enter_async_context(mozilla(certificate, time))
            start = lambda: firefox(profile, screen.address, way_out.port, address)  # noqa: E731
            yield Rig(mozillas, screen, start)
        else:
            googles, doors = await stack.enter_async_context(google(certificate, time))
            yield Rig(googles, screen, lambda: chromium(profile, screen.address, way_out.port, doors))
        assert not way_out.asked
