"""Doors for operators and the curious: version, health, readiness, figures. No token is needed."""

from importlib.metadata import version
from typing import Any

from litestar import Response, get
from sqlalchemy import Connection, text

from clarion.api.context import ApiRequest, door
from clarion.service.expiry import days_left
from clarion.store.channels import count_held, list_expiries
from clarion.store.runs import oldest_due
from clarion.telemetry import StoreFigures


@get("/version", operation_id="getVersion", summary="Version of the service", tags=["service"], security=[{}])
async def get_version() -> dict[str, str]:
    """The name and version of this service."""
    return {"name": "clarion", "version": version("clarion")}


@get("/healthz", include_in_schema=False)
async def get_health() -> dict[str, str]:
    """The process is alive."""
    return {"status": "ok"}


@get("/readyz", include_in_schema=False)
async def get_readiness(request: ApiRequest) -> dict[str, str]:
    """The store answers; 503 when it does not."""
    await door(request).database.read(_ask)
    return {"status": "ready"}


@get("/metrics", include_in_schema=False)
async def get_metrics(request: ApiRequest) -> Response[bytes]:
    """Figures for Prometheus."""
    tools = door(request)
    now = tools.clock()
    figures = await tools.database.read(_look_up, now, tools.live.count)
    return Response(tools.metrics.render(figures), media_type="text/plain; version=0.0.4")


def _look_up(connection: Connection, now: int, live_streams: int) -> StoreFigures:
    due_at = oldest_due(connection, now)
    ends = list_expiries(connection)
    return StoreFigures(
        queue_age_seconds=0 if due_at is None else (now - due_at) / 1000,
        channels_held=count_held(connection, now),
        live_streams=live_streams,
        days_left=tuple((end.channel_id, end.provider, days_left(end.expires_at, now)) for end in ends),
    )


def _ask(connection: Connection) -> Any:
    return connection.scalar(text("SELECT 1"))
