"""The short way to the one hot route, `POST …/notifications`, past the framework's router.

Litestar's routing, argument model, exit stack and response classes cost 30 µs per request, a sixth of what an
accepted notification costs in all. The short way calls the very handler that Litestar has and describes; a
request that does not look exactly like this route takes the long way and is answered alike.
"""

import re
from typing import Final
from uuid import UUID

from litestar import Litestar, Request
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.serialization import encode_json
from litestar.types import HTTPScope, Receive, Scope, Send

from clarion.api.errors import answer_error
from clarion.api.notifications import create_notification

_HEX: Final = "[0-9a-f]"
_UUID: Final = f"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}"


class ShortWay:
    """Wraps the application; `base_path` is where its routes begin."""

    def __init__(self, application: Litestar, base_path: str) -> None:
        self._application = application
        self._route = re.compile(f"{re.escape(base_path)}/organizations/({_UUID})/notifications").fullmatch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the short way where there is one."""
        if (
            scope["type"] == ScopeType.HTTP
            and scope["method"] == "POST"
            and (found := self._route(scope["path"]))
        ):
            await self._create(scope, receive, send, UUID(found[1]))
        else:
            await self._application(scope, receive, send)

    async def _create(self, scope: HTTPScope, receive: Receive, send: Send, organization: UUID) -> None:
        scope["litestar_app"] = self._application
        request: Request[None, None, State] = Request(scope, receive, send)
        try:
            response = await create_notification.fn(request, organization)
        except Exception as error:  # noqa: BLE001 - as the framework does: every error is answered
            response = answer_error(request, error)
        body = encode_json(response.content)
        headers = {"content-type": "application/json", "content-length": str(len(body)), **response.headers}
        await send(
            {
                "type": "http.response.start",
                "status": response.status_code,
                "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            }
        )
        await send({"type": "http.response.body", "body": body, "more_body": False})
