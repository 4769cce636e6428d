"""The short way past the framework's router to three routes: the hot `POST …/notifications`, the sync of an inbox, and
the live stream.

Litestar's routing, argument model, exit stack and response classes cost 30 µs per request, a sixth of what an
accepted notification costs in all; and what they keep as long as a request lasts, ten thousand streams would keep for
minutes. The short way calls the very handlers that Litestar has and describes; a request that does not look exactly
like one of these routes takes the long way and is answered alike.
"""

import re
from typing import Any, Final
from uuid import UUID

from litestar import Litestar, Request, Response
from litestar.enums import ScopeType
from litestar.serialization import encode_json
from litestar.types import HTTPResponseStartEvent, HTTPScope, Receive, Scope, Send

from clarion.api.context import ApiRequest
from clarion.api.errors import answer_error
from clarion.api.inbox import list_member_notifications
from clarion.api.live import stream_member_notifications
from clarion.api.notifications import create_notification

_HEX: Final = "[0-9a-f]"
_SYNC_ALONE: Final = re.compile(rb"syncToken=([A-Za-z0-9_-]+)").fullmatch
_UUID: Final = f"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}"


class ShortWay:
    """Wraps the application; `base_path` is where its routes begin."""

    def __init__(self, application: Litestar, base_path: str) -> None:
        self._application = application
        organization = f"{re.escape(base_path)}/organizations/({_UUID})"
        self._notifications = re.compile(f"{organization}/notifications").fullmatch
        self._inbox = re.compile(f"{organization}/members/({_UUID})/notifications").fullmatch
        self._stream = re.compile(f"{organization}/members/({_UUID})/notifications/stream").fullmatch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the short way where there is one."""
        if scope["type"] == ScopeType.HTTP:
            method, path = scope["method"], scope["path"]
            if method == "POST" and (found := self._notifications(path)):
                await self._create(scope, receive, send, UUID(found[1]))
                return
            if method == "GET" and not scope["query_string"] and (found := self._stream(path)):
                await self._follow(scope, receive, send, UUID(found[1]), UUID(found[2]))
                return
            if (
                method == "GET"
                and (token := _SYNC_ALONE(scope["query_string"]))
                and (found := self._inbox(path))
            ):
                place = UUID(found[1]), UUID(found[2])
                await self._sync(scope, receive, send, place, token[1].decode())
                return
        await self._application(scope, receive, send)

    async def _create(self, scope: HTTPScope, receive: Receive, send: Send, organization: UUID) -> None:
        request = self._request(scope, receive, send)
        try:
            response = await create_notification.fn(request, organization)
        except Exception as error:  # noqa: BLE001 - as the framework does: every error is answered
            response = answer_error(request, error)
        await _send(response, send)

    async def _sync(
        self, scope: HTTPScope, receive: Receive, send: Send, place: tuple[UUID, UUID], sync_token: str
    ) -> None:
        request = self._request(scope, receive, send)
        try:
            response = Response[Any](
                await list_member_notifications.fn(request, *place, sync_token=sync_token)
            )
        except Exception as error:  # noqa: BLE001 - as above
            response = answer_error(request, error)
        await _send(response, send)

    async def _follow(
        self, scope: HTTPScope, receive: Receive, send: Send, organization: UUID, user: UUID
    ) -> None:
        request = self._request(scope, receive, send)
        try:
            stream = await stream_member_notifications.fn(request, organization, user)
        except Exception as error:  # noqa: BLE001 - as above
            await _send(answer_error(request, error), send)
        else:
            del request  # it would be kept for as long as the stream lasts
            await stream(scope, receive, send)

    def _request(self, scope: HTTPScope, receive: Receive, send: Send) -> ApiRequest:
        scope["litestar_app"] = self._application
        return Request(scope, receive, send)


async def _send(response: Response[Any], send: Send) -> None:
    """Send an answer as the framework does."""
    body = encode_json(response.content)
    headers = {"content-type": "application/json", "content-length": str(len(body)), **response.headers}
    start: HTTPResponseStartEvent = {
        "type": "http.response.start",
        "status": response.status_code or 200,
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body, "more_body": False})
