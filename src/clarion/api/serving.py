"""uvicorn inside our process: the signals are ours, and a connection can be dropped.

Called by `bootstrap.py`.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import uvicorn
from litestar.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from clarion.api.live import ABORT


class Server(uvicorn.Server):
    """Serves until `should_exit`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


class _Protocol(HttpToolsProtocol):
    """One connection. A stream may drop it with all that waits to be written, for its reader does not read."""

    _extensions: dict[str, dict[object, object]]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._extensions = {ABORT: {"abort": transport.abort}}

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = self._extensions


def make_server(application: ASGIApp, grace_seconds: int) -> Server:
    """A server of an application, which gives requests so long to end when it shall exit."""
    settings: dict[str, Any] = {
        "http": _Protocol,
        "proxy_headers": False,
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_keep_alive": 60,
        "timeout_graceful_shutdown": grace_seconds,
    }
    return Server(uvicorn.Config(application, **settings))
