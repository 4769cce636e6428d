"""Logs and figures: structured logs without addresses or tokens, and the metrics of one process.

`bootstrap.py` calls `configure_logging` first. Under `clarion serve` the API and its worker share their
figures through small files (prometheus-client's multi-process mode), so that `/metrics` of the API tells of
both.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TextIO, cast

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, values
from prometheus_client import multiprocess as shared
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from clarion.model.audience import Scope

SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"
"""Tells a worker that `clarion serve` started where their figures go together."""

RESERVED_OCTETS = 65_536
"""More than all figures of a process take."""

LATENCIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class _Lasting:
    """Standard error, which may be a full disk or a reader that has gone: no request fails for its log line."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def configure_logging(log_format: str, level: str) -> None:
    """Send structlog, and what libraries log, to standard error."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Lasting())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=max(threshold, logging.WARNING), format="%(message)s")


def inherited_folder() -> Path | None:
    """Where the service that started this process keeps its figures; None for a process that runs alone."""
    folder = os.environ.get(SHARED_METRICS)
    return None if folder is None else Path(folder)


class Metrics:
    """Every figure of Clarion. `shared_folder` is where the processes of one service put theirs together."""

    def __init__(self, shared_folder: Path | None = None) -> None:
        if shared_folder is not None:
            os.environ[SHARED_METRICS] = str(shared_folder)
            process = os.getpid()  # asked once: no process of ours forks
            values.ValueClass = values.MultiProcessValue(lambda: process)  # type: ignore[no-untyped-call]
        self._shared_folder = shared_folder
        self.registry = CollectorRegistry()
        self._accepted = Counter(
            "clarion_accepted", "Notifications accepted, by scope.", ["scope"], registry=self.registry
        )
        self._requests = Counter(
            "clarion_requests", "HTTP requests answered, by status.", ["status"], registry=self.registry
        )
        self._answers = Counter(
            "clarion_pushes",
            "Pushes offered, by provider and outcome.",
            ["provider", "outcome"],
            registry=self.registry,
        )
        self._hand_off = Histogram(
            "clarion_hand_off_seconds",
            "From a notification's release to the push service's answer for its first page.",
            registry=self.registry,
            buckets=LATENCIES,
        )
        self._accepted_in = cache(self._accepted.labels)
        self._answered_with = cache(lambda status: self._requests.labels(str(status)))
        for scope in Scope:
            self._accepted_in(scope)
        if shared_folder is not None and hasattr(os, "posix_fallocate"):
            _reserve(shared_folder)

    def accepted(self, scope: str) -> None:
        """A notification was accepted."""
        self._accepted_in(scope).inc()

    def request(self, status: int) -> None:
        """An HTTP request was answered."""
        self._answered_with(status).inc()

    def answered(self, provider: str, outcome: str, count: int) -> None:
        """So many tries ended in this outcome."""
        self._answers.labels(provider, outcome).inc(count)

    def handed_off(self, milliseconds: int) -> None:
        """So long after its release a notification's page was answered."""
        self._hand_off.observe(milliseconds / 1000)

    def render(self, of_store: "StoreFigures") -> bytes:
        """The Prometheus text format, with what only the store knows."""
        registry = self.registry
        if self._shared_folder is not None:
            registry = CollectorRegistry()
            shared.MultiProcessCollector(registry, path=str(self._shared_folder))  # type: ignore[no-untyped-call]
        looked_up = CollectorRegistry()
        looked_up.register(of_store)
        return generate_latest(registry) + generate_latest(looked_up)


def _reserve(folder: Path) -> None:
    """Give this process's files their octets on the disk now.

    They are written through memory, and a page that the disk has no room for ends the process (SIGBUS).
    """
    for path in folder.glob(f"*_{os.getpid()}.db"):
        with path.open("r+b") as file, suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, RESERVED_OCTETS)


@dataclass(frozen=True, slots=True)
class StoreFigures(Collector):
    """Figures that are looked up when they are asked for.

    `days_left` holds number and provider of each channel whose credential ends some day, and the days until then.
    """

    queue_age_seconds: float = 0
    channels_held: int = 0
    live_streams: int = 0
    days_left: tuple[tuple[int, str, float], ...] = ()

    def collect(self) -> Iterator[Metric]:
        """What Prometheus asks for."""
        age = "How long the push run that waits longest has been due."
        yield GaugeMetricFamily("clarion_queue_age_seconds", age, value=self.queue_age_seconds)
        held = "Channels that rest: their push service is away, or their credential was refused."
        yield GaugeMetricFamily("clarion_channels_held", held, value=self.channels_held)
        streams = "Live streams that this process keeps open."
        yield GaugeMetricFamily("clarion_live_streams", streams, value=self.live_streams)
        days = "How many days a channel's credential is still good for; below zero when it has ended."
        left = GaugeMetricFamily("clarion_credential_days_left", days, labels=["channel", "provider"])
        for channel, provider, value in self.days_left:
            left.add_metric([str(channel), provider], value)
        yield left
