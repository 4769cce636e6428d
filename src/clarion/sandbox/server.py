"""Starts and stops the sandbox: the stand-ins, the page, and the upkeep of the state file.

Called by the command line (`run`) and by tests (`serving`). A further stand-in is one more listener here.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from clarion.sandbox import http1, wire
from clarion.sandbox.apns import Apns
from clarion.sandbox.certificates import Certificates, ensure_certificates
from clarion.sandbox.conversation import Conversation
from clarion.sandbox.fates import Fates
from clarion.sandbox.faults import Fault
from clarion.sandbox.fcm import Fcm
from clarion.sandbox.fcm_auth import AccessTokens
from clarion.sandbox.stage import Stage
from clarion.sandbox.web import make_app
from clarion.sandbox.webpush import WebPush

UPKEEP_SECONDS = 1.0

log = logging.getLogger(__name__)


class SandboxError(Exception):
    """The sandbox cannot start; the message says why and what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """Where the sandbox keeps its files and where it listens; port 0 takes any that is free."""

    folder: Path
    host: str = "127.0.0.1"
    apns_port: int = 0
    fcm_port: int = 0
    webpush_port: int = 0
    webpush_http1_port: int = 0
    page_port: int = 0


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """A sandbox that is up."""

    apns_port: int
    fcm_port: int
    webpush_port: int
    webpush_http1_port: int
    page_port: int
    certificates: Certificates
    stage: Stage
    access_tokens: AccessTokens


async def run(config: SandboxConfig, *, ready: Callable[[], None] | None = None) -> None:
    """Serve until SIGINT, SIGTERM or cancellation; the state is on disk when this returns.

    Raises SandboxError when it cannot listen.
    """
    stop = asyncio.Event()
    with _signals(stop):
        async with serving(config):
            if ready:
                ready()
            await stop.wait()


@asynccontextmanager
async def serving(config: SandboxConfig, *, clock: Callable[[], float] = time.time) -> AsyncIterator[Sandbox]:
    """Serve while the block lasts."""
    config.folder.mkdir(parents=True, exist_ok=True)
    certificates = ensure_certificates(config.folder)
    stage = Stage(config.folder, clock)
    apns, webpush = Apns(stage, clock), WebPush(stage, clock)
    fcm = Fcm(stage, clock)
    doors = _Doors(config, certificates, stage)
    async with (
        doors.open_http2("apns_port", apns.converse, apns.fates) as apns_port,
        doors.open_http2("fcm_port", fcm.converse, fcm.fates) as fcm_port,
        doors.open_http2("webpush_port", webpush.converse, webpush.fates) as webpush_port,
        doors.open_http1("webpush_http1_port", webpush.converse) as webpush_http1_port,
        _page(config, stage, fcm.access_tokens) as page_port,
        _upkeep(stage),
    ):
        yield Sandbox(
            apns_port=apns_port,
            fcm_port=fcm_port,
            webpush_port=webpush_port,
            webpush_http1_port=webpush_http1_port,
            page_port=page_port,
            certificates=certificates,
            stage=stage,
            access_tokens=fcm.access_tokens,
        )


@dataclass(frozen=True)
class _Doors:
    """Opens the stand-ins' doors, all behind the same certificate."""

    config: SandboxConfig
    certificates: Certificates
    stage: Stage

    @asynccontextmanager
    async def open_http2(
        self, setting: str, converse: Callable[[], Conversation], fates: Fates
    ) -> AsyncIterator[int]:
        """Serve HTTP/2, and let a fault reach the connections that are open; yields the port."""
        listener = wire.Listener(converse)

        def follow(fault: Fault) -> None:
            listener.announce_streams(fates.streams())
            listener.stall(fault.stall_seconds)

        self.stage.fault_set.append(follow)
        try:
            async with self._open(setting, listener, "h2") as port:
                yield port
        finally:
            self.stage.fault_set.remove(follow)

    @asynccontextmanager
    async def open_http1(self, setting: str, converse: Callable[[], Conversation]) -> AsyncIterator[int]:
        """Serve HTTP/1.1 and nothing newer; yields the port."""
        async with self._open(setting, http1.Listener(converse), "http/1.1") as port:
            yield port

    @asynccontextmanager
    async def _open(
        self, setting: str, listener: wire.Listener | http1.Listener, protocol: str
    ) -> AsyncIterator[int]:
        listening = _listen(self.config.host, getattr(self.config, setting), setting)
        port = int(listening.getsockname()[1])
        tls = _tls(self.certificates, protocol)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(listener, sock=listening, ssl=tls, backlog=512)
        try:
            yield port
        finally:
            server.close()
            listener.close()
            await server.wait_closed()


@asynccontextmanager
async def _page(config: SandboxConfig, stage: Stage, access_tokens: AccessTokens) -> AsyncIterator[int]:
    app = make_app(stage, access_tokens)
    settings = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2)
    server = _PageServer(settings)
    with _listen(config.host, config.page_port, "page_port") as listening:
        serving_page = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield int(listening.getsockname()[1])
        finally:
            stage.watchers.close()
            server.should_exit = True
            await serving_page


@asynccontextmanager
async def _upkeep(stage: Stage) -> AsyncIterator[None]:
    task = asyncio.create_task(_keep_up(stage))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if state := stage.take_unsaved():
            stage.save(state)


async def _keep_up(stage: Stage) -> None:
    while True:
        stage.refresh()
        if state := stage.take_unsaved():
            try:
                await asyncio.to_thread(stage.save, state)
            except OSError as error:
                log.warning("could not save the screens: %s", error)
        await asyncio.sleep(UPKEEP_SECONDS)


class _PageServer(uvicorn.Server):
    """uvicorn without its signal handlers: `run` has its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int, setting: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = (
                f"port {port} is taken by another program: stop that one, or set {setting} to a free port"
            )
            raise SandboxError("port_taken", message) from error
        message = f"cannot listen on {host} port {port} ({setting}): {error.strerror or error}"
        raise SandboxError("cannot_listen", message) from error


def _tls(certificates: Certificates, protocol: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificates.server, certificates.key)
    context.set_alpn_protocols([protocol])
    return context


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    wanted = (signal.SIGINT, signal.SIGTERM)
    for number in wanted:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in wanted:
            loop.remove_signal_handler(number)
