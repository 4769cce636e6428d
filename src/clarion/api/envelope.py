"""What every request and every answer gets: an id, CORS headers, a line in the log, a count.

The outermost layer of the application, plain ASGI.
"""

import re
from random import randbytes
from time import perf_counter
from typing import Final

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from clarion.telemetry import Metrics

logger = structlog.get_logger()

CORS: Final = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"X-Request-Id, Retry-After, Idempotency-Replayed"),
]
PREFLIGHT: Final = [
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-Id",
    ),
    (b"access-control-max-age", b"86400"),
]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")


class Envelope:
    """Wraps an ASGI application."""

    def __init__(self, application: ASGIApp, metrics: Metrics) -> None:
        self._application = application
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; a caller's own X-Request-Id is kept when it is a harmless word."""
        if scope["type"] != ScopeType.HTTP:
            await self._application(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given if _REQUEST_ID.fullmatch(given) else randbytes(8).hex().encode()  # noqa: S311 - no secret
        extra = [(b"x-request-id", request_id), *CORS]
        if scope["method"] == "OPTIONS":
            extra += PREFLIGHT
        started = perf_counter()
        status: int | None = None

        async def send_enveloped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._metrics.request(status)  # a stream lasts for minutes
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=request_id.decode())  # a request has its own task
        try:
            await self._application(scope, receive, send_enveloped)
        finally:
            if status is None:
                self._metrics.request(500)
            logger.debug(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round((perf_counter() - started) * 1000, 1),
            )
