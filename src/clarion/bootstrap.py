"""Wiring: the only module that knows everything. Makes the door and the worker out of settings, and runs them.

Called by `cli/`. `serve` is the API with the worker as a child process: the child is started again when
it dies, and ends by itself when the pipe of hints closes.
"""

import asyncio
import contextlib
import gc
import os
import resource
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from random import random
from typing import Final, TypeVar
from uuid import uuid4

import structlog
from prometheus_client import start_http_server
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from clarion.api.app import create_app
from clarion.api.context import Door
from clarion.api.live_events import Events
from clarion.api.serving import make_server
from clarion.http2 import client_tls
from clarion.model.ids import time_ordered_uuid
from clarion.model.push import InvalidChannel, Provider
from clarion.providers import Surroundings, make_provider
from clarion.providers.registering import AddressCheck
from clarion.service.access import Gatekeeper
from clarion.service.allowance import Allowance
from clarion.service.device_access import DeviceGatekeeper
from clarion.service.issuer_fetch import Fetcher, Way
from clarion.service.issuer_keys import IssuerKeys
from clarion.service.keys import seal_clear_secrets
from clarion.service.lane import LaneContext
from clarion.service.live import Live
from clarion.service.oidc import IdTokens
from clarion.service.publish import publish, publishing_weight
from clarion.service.receipts import receipts_weight, receive
from clarion.settings import Settings
from clarion.store import channels
from clarion.store.channels import Channel
from clarion.store.database import Database, Together
from clarion.store.hints import HintListener, HintSender
from clarion.store.inbox import Horizon
from clarion.store.inbox_hints import InboxHints
from clarion.store.masterkeys import KeysError, MasterKeys, Opener
from clarion.store.migrate import SchemaError, check_schema, migrate
from clarion.store.receipts import SLOTS
from clarion.store.sealing import SealingError
from clarion.store.single import single_worker
from clarion.telemetry import Metrics, inherited_folder
from clarion.worker import Worker

R = TypeVar("R")

logger = structlog.get_logger()

OTHER_FILES: Final = 1_000
"""Open files that live streams leave for other requests, the store and the rest."""

GRACE_SECONDS: Final = 6
"""How long requests, and then the worker's open pages, may take at the end."""


class StartError(Exception):
    """The service cannot start; the message says why and what to do."""


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def check(settings: Settings) -> None:
    """Everything that `serve` and `worker` do before they listen or work; raises StartError."""
    in_store(settings, lambda engine: _check_keys(engine, master_keys(settings)))
    surroundings(settings)


def check_store(settings: Settings) -> None:
    """See that the database is there, at this version's schema; raises StartError."""
    _open_store(settings, check_schema)


def migrate_store(settings: Settings) -> int:
    """Bring the database to this version's schema, and seal what an earlier one left in clear; raises StartError.

    Returns how many secrets were sealed.
    """
    _open_store(settings, migrate)
    return in_store(
        settings, lambda engine: seal_clear_secrets(engine, master_keys(settings), secrets.token_bytes)
    )


def in_store(settings: Settings, function: Callable[[Engine], R]) -> R:
    """Do something with a database at this version's schema, outside of any loop; raises StartError."""
    check_store(settings)
    try:
        with contextlib.closing(Database(settings.database_url)) as database:
            return function(database.engine)
    except KeysError as error:
        raise StartError(str(error)) from None
    except DBAPIError as error:
        raise StartError(f"The database cannot do it: {error.orig}") from None


def _open_store(settings: Settings, function: Callable[[Engine], None]) -> None:
    try:
        with contextlib.closing(Database(settings.database_url)) as database:
            function(database.engine)
    except SchemaError as error:
        raise StartError(str(error)) from None
    except Exception as error:  # noqa: BLE001 - any driver's way of saying that the database cannot be reached
        named = "" if settings.store.url is None else " of store.url"
        raise StartError(f"The database{named} cannot be opened: {getattr(error, 'orig', error)}") from None


def _check_keys(engine: Engine, keys: MasterKeys) -> None:
    with engine.connect() as connection:
        if channels.count_secrets(connection):
            keys.require()


def master_keys(settings: Settings) -> MasterKeys:
    """Where this installation's master keys are."""
    return MasterKeys(settings.key_file, settings.given_keys)


def surroundings(settings: Settings) -> Surroundings:
    """The world of the providers; raises StartError."""
    ca_file = None if settings.push.ca_file is None else str(settings.push.ca_file)
    try:
        tls = client_tls(ca_file)
    except OSError as error:
        raise StartError(f"push.ca_file {ca_file} cannot be read: {error}") from None
    return Surroundings(now_ms, tls, ca_file, settings.proxy, frozenset(settings.push.trusted_hosts))


def issuer_fetcher(settings: Settings) -> Fetcher:
    """The way to OIDC issuers, the same as to push services; raises StartError."""
    ca_file = None if settings.push.ca_file is None else str(settings.push.ca_file)
    proxy = settings.proxy
    try:
        if proxy is None:
            return Fetcher(Way(ca_file))
        host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
        return Fetcher(Way(ca_file, f"http://{host}:{proxy.port}", proxy.authorization))
    except OSError as error:
        raise StartError(f"push.ca_file {ca_file} cannot be read: {error}") from None


def open_channel(channel: Channel, opener: Opener, around: Surroundings) -> Provider:
    """Open a channel's secret and make its provider; raises InvalidChannel."""
    try:
        secret = opener.open(channel)
    except (SealingError, KeysError) as error:
        raise InvalidChannel(str(error)) from None
    return make_provider(channel.provider, channel.settings, secret, around)


async def serve(settings: Settings, *, with_worker: bool) -> None:
    """Run the API, and the worker as a child, until a signal."""
    listening = _listen(settings)
    stop = _stop_event()
    reading, writing = os.pipe() if with_worker else (None, None)
    async with _door(settings, writing) as door:
        server = make_server(create_app(door), GRACE_SECONDS)
        serving = asyncio.create_task(server.serve([listening]))
        keeping = None if reading is None else asyncio.create_task(_keep_worker(reading, stop))
        _spare_collections()
        logger.info("serving", url=base_url(settings))
        ends = [serving, asyncio.create_task(stop.wait()), *filter(None, [keeping])]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        door.live.close()
        server.should_exit = True
        await serving
        if keeping is not None and writing is not None:
            os.close(writing)
            await keeping


async def work(settings: Settings, *, hint_pipe: int | None) -> None:
    """Run the worker until a signal, or until the service that started it is gone."""
    stop = _stop_event()
    database = Database(settings.database_url)
    metrics = Metrics(inherited_folder())
    _show_figures(settings, metrics)
    around, opener = surroundings(settings), Opener(master_keys(settings))
    with single_worker(settings.database_url), contextlib.closing(database):
        notifications_url = _notifications_url(settings, database)
        hints = HintSender(postgresql=notifications_url)
        worker = Worker(
            LaneContext(
                database,
                f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
                now_ms,
                random,
                metrics,
            ),
            HintListener(pipe=hint_pipe, postgresql=notifications_url),
            lambda channel: open_channel(channel, opener, around),
            settings.inbox.days,
            hints.send,
        )
        _spare_collections()
        working = asyncio.create_task(worker.run())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        await hints.close()


def base_url(settings: Settings) -> str:
    """Where the API is, as a client on this machine writes it."""
    host = f"[{settings.server.host}]" if ":" in settings.server.host else settings.server.host
    return f"http://{host}:{settings.server.port}/v2.0"


@contextlib.asynccontextmanager
async def _door(settings: Settings, hint_pipe: int | None) -> AsyncIterator[Door]:
    issuer_keys = IssuerKeys(issuer_fetcher(settings), now_ms)
    database = Database(settings.database_url)
    notifications_url = _notifications_url(settings, database)
    inbox_hints = InboxHints(database, postgresql=notifications_url)
    hints = HintSender(pipe=hint_pipe, postgresql=notifications_url, inboxes=inbox_hints)
    shared = settings.store.folder / "metrics"
    shutil.rmtree(shared, ignore_errors=True)
    shared.mkdir()
    region = settings.server.region
    base_urls = {region: base_url(settings)} | settings.server.base_urls
    allowance = Allowance(settings.server.requests_per_second, now_ms)
    id_tokens = IdTokens(database, issuer_keys, now_ms)
    gatekeeper = Gatekeeper(database, region, base_urls, allowance, now_ms, id_tokens)
    live = Live(
        database,
        gatekeeper,
        inbox_hints,
        Events(uuid4),
        lambda: Horizon(now_ms(), settings.inbox.days),
        _most_streams(settings),
    )
    telling = asyncio.create_task(live.run())
    try:
        yield Door(
            database=database,
            publish=Together(database, publish, publishing_weight),
            gatekeeper=gatekeeper,
            hints=hints,
            live=live,
            metrics=Metrics(shared),
            clock=now_ms,
            new_uuid=lambda: time_ordered_uuid(now_ms(), secrets.token_bytes),
            devices=DeviceGatekeeper(database, region, base_urls, allowance),
            receive=Together(database, partial(receive, slot=secrets.randbelow(SLOTS)), receipts_weight),
            check_address=AddressCheck(settings.push.trusted_hosts),
            inbox_days=settings.inbox.days,
        )
    finally:
        telling.cancel()
        await asyncio.wait([telling])
        await inbox_hints.close()
        await hints.close()
        await issuer_keys.close()
        database.close()


async def _keep_worker(hint_pipe: int, stop: asyncio.Event) -> None:
    """Start the worker, and again whenever it dies, until the service stops; then wait for its last one."""
    pause_seconds = 0.1
    status: int | str | None
    while not stop.is_set():
        started = time.monotonic()
        try:
            status = await _run_worker(hint_pipe, stop)
        except OSError as error:  # no process to be had: too many, no memory, or the interpreter was replaced
            status = str(error)
        if stop.is_set():
            break
        pause_seconds = 0.1 if time.monotonic() - started > 10 else min(pause_seconds * 2, 10)
        logger.error("worker_died", status=status, restarts_in_seconds=pause_seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_seconds):
                await stop.wait()
    os.close(hint_pipe)


async def _run_worker(hint_pipe: int, stop: asyncio.Event) -> int | None:
    """Run one worker until it dies or the service stops; returns its status."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "clarion", "worker", "--hint-pipe", str(hint_pipe)),
        pass_fds=(hint_pipe,),
        start_new_session=True,
    )
    waiting, stopping = asyncio.create_task(child.wait()), asyncio.create_task(stop.wait())
    await asyncio.wait([waiting, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if stop.is_set():
        await _farewell(child)
    return child.returncode


async def _farewell(child: asyncio.subprocess.Process) -> None:
    """The pipe was closed or is about to be, so the worker ends by itself; one that does not is killed."""
    try:
        async with asyncio.timeout(2 * GRACE_SECONDS):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()


def _show_figures(settings: Settings, metrics: Metrics) -> None:
    """Open the door for /metrics of a worker that runs alone, where one is set."""
    host, port = settings.server.host, settings.worker.metrics_port
    if port is None:
        return
    try:
        start_http_server(port, host, metrics.registry)
    except OSError as error:
        raise StartError(
            f"Cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}. "
            "Choose another with worker.metrics_port in the settings file or CLARION_WORKER_METRICS_PORT."
        ) from None


def _spare_collections() -> None:
    """Keep what was imported out of every garbage collection: it stays, and looking at it took 80 ms at a time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.server.host, settings.server.port
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise StartError(
            f"Cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}. "
            "Choose another with server.port in the settings file or CLARION_SERVER_PORT."
        ) from None


def _stop_event() -> asyncio.Event:
    """Set at SIGINT and SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def _most_streams(settings: Settings) -> int:
    """How many live streams there may be: each is an open file, and some are needed for everything else."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = settings.server.live_streams
    return most if hard == resource.RLIM_INFINITY else max(0, min(most, hard - OTHER_FILES))


def _notifications_url(settings: Settings, database: Database) -> str | None:
    return None if database.is_sqlite else settings.database_url
