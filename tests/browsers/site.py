"""Pages of the tests' own: one that subscribes by itself, and an app on clarion.js."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

import clarion.phone
from tests.browsers.push_service import listening

FOLDER = Path(__file__).parent / "site"
CLIENT = Path(clarion.phone.__file__).parent / "client"


@asynccontextmanager
async def site(port: int) -> AsyncIterator[str]:
    """Serve them; yields the address of the folder that they are in."""
    app = web.Application()
    app.router.add_get("/service-worker.js", _service_worker)
    app.router.add_static("/client", CLIENT)
    app.router.add_static("/", FOLDER)
    async with listening(app, port=port):
        yield site_at(port)


def site_at(port: int) -> str:
    """Where they are."""
    return f"http://localhost:{port}/"


async def _service_worker(_: web.Request) -> web.FileResponse:
    """Copied to the root, as an app does it."""
    return web.FileResponse(CLIENT / "service-worker.js")
