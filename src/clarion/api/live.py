"""`/organizations/{o}/members/{u}/notifications/stream`: what happens in a member's inbox, as it happens.

The handler reads where the stream begins, so everything that can be wrong is answered as an error; then the answer goes
on for minutes. It costs the server's own task, which waits for the reader to go, and no other: what is told is written
by `service/live_teller.py`, which never waits.
"""

from collections.abc import Generator
from contextlib import suppress
from typing import Annotated, Any, Final
from uuid import UUID

from litestar import get
from litestar.params import FromPath, QueryParameter
from litestar.types import ASGIApp, HTTPResponseBodyEvent, Receive, Scope, Send

from clarion.api.auth import authenticate_member, bearer_token
from clarion.api.context import ApiRequest, door, header_values
from clarion.api.openapi import STREAM_ANSWERS
from clarion.api.query import unreadable
from clarion.model.access import TokenKind, parse_token
from clarion.model.errors import Fault
from clarion.model.watermark import Watermark, decode_watermark
from clarion.service.live import Begun, Live
from clarion.service.live_streams import Showing

ABORT: Final = "clarion.abort"
"""The ASGI extension by which `bootstrap.py` lets a connection be dropped with all that waits to be written."""

_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


@get(
    "/organizations/{organization_id:uuid}/members/{user_id:uuid}/notifications/stream",
    operation_id="streamInbox",
    summary="Follow a member's inbox: server-sent events",
    responses=STREAM_ANSWERS,
    tags=["inbox"],
)
async def stream_member_notifications(
    request: ApiRequest,
    organization_id: FromPath[UUID],
    user_id: FromPath[UUID],
    sync_token: Annotated[
        str | None,
        QueryParameter(
            name="syncToken", description="A `watermark`: begin there. `Last-Event-ID` wins over it."
        ),
    ] = None,
) -> ASGIApp:
    """What happens in the inbox, as it happens, for its owner and for those who may send.

    The first event, `changes`, comes at once: everything since `Last-Event-ID` or `syncToken`, or nothing yet. Later
    ones carry what changed since the event before. `hint` says that it was too much for an event: pull. `bye` is the
    last one.
    """
    access = await authenticate_member(request, organization_id, user_id)
    path, since = _since(request, sync_token)
    token = parse_token(bearer_token(request))
    personal = token.key if token is not None and token.kind is TokenKind.PERSONAL else None
    live = door(request).live
    return _Answer(live, await live.begin(Showing(access, personal), user_id, since, path))


def _since(request: ApiRequest, sync_token: str | None) -> tuple[str, Watermark | None]:
    """Where to begin, and what said so; raises Invalid."""
    headers = [value for value in header_values(request, b"last-event-id") if value]
    path, text = ("Last-Event-ID", headers[0]) if headers else ("syncToken", sync_token)
    if text is None:
        return path, None
    try:
        return path, decode_watermark(text)
    except ValueError as error:
        raise unreadable([Fault(path, str(error))]) from None


class _Answer:
    """An open stream, as an ASGI application."""

    def __init__(self, live: Live, begun: Begun) -> None:
        self._live = live
        self._begun = begun

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        outlet = _Outlet(send, scope)
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send(_body(self._begun.first, is_last=False))
        stream = self._live.join(self._begun, outlet)
        if stream is None:
            await send(_body(b"", is_last=True))
            return
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._live.leave(stream)


class _Outlet:
    """Writes to one reader."""

    def __init__(self, send: Send, scope: Scope) -> None:
        self._send = send
        self._connection = (scope.get("extensions") or {}).get(ABORT, {})

    def write(self, octets: bytes, *, is_last: bool = False) -> bool:
        """Write without waiting; False when that cannot be done now, and then nothing was written.

        A server that can take octets does so before it first waits, so one step of sending is all of it.
        """
        sending: Generator[Any, None, None] = self._send(_body(octets, is_last=is_last)).__await__()
        try:
            next(sending)
        except (StopIteration, OSError):  # written, or the reader is gone, which the server tells as well
            return True
        sending.close()
        return False

    async def drain(self) -> None:
        """Wait until writing does not wait any more, or the reader is gone."""
        with suppress(OSError):
            await self._send(_body(b": \n\n", is_last=False))

    def abort(self) -> None:
        """Let go of a reader who does not read."""
        abort = self._connection.get("abort")
        if callable(abort):
            abort()


def _body(octets: bytes, *, is_last: bool) -> HTTPResponseBodyEvent:
    return {"type": "http.response.body", "body": octets, "more_body": not is_last}
