"""The whole API on one screen: its routes, its errors, its envelope.

`create_app` returns a value; nothing registers itself at import. `bootstrap.py` calls it.
"""

from importlib.metadata import version
from typing import Final

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.static_files import create_static_files_router

from clarion.api import (
    channels,
    devices,
    errors,
    health,
    inbox,
    live,
    notifications,
    openapi,
    phone,
    receipts,
    sessions,
    stats,
)
from clarion.api.body import MOST_OCTETS
from clarion.api.context import Door
from clarion.api.envelope import Envelope
from clarion.api.short_way import ShortWay
from clarion.model.errors import Refusal

BASE_PATH: Final = "/v2.0/tool"


def create_app(door: Door) -> Envelope:
    """The ASGI application."""
    tool = Router(
        path=BASE_PATH,
        route_handlers=[
            notifications.create_notification,
            notifications.list_organization_notifications,
            notifications.get_notification,
            notifications.delete_notification,
            inbox.list_member_notifications,
            inbox.read_member_notifications,
            inbox.get_inbox_summary,
            live.stream_member_notifications,
            inbox.get_member_notification,
            inbox.patch_member_notification,
            inbox.delete_member_notification,
            sessions.create_session,
            sessions.refresh_tokens,
            sessions.list_member_sessions,
            sessions.delete_session,
            sessions.delete_member_sessions,
            channels.list_member_channels,
            devices.register_device,
            devices.list_member_devices,
            devices.remove_member_device,
            devices.change_device_address,
            devices.delete_device,
            receipts.add_receipts,
            stats.get_stats,
            health.get_version,
        ],
    )
    operators = [health.get_health, health.get_readiness, health.get_metrics]
    swagger = create_static_files_router(
        openapi.SWAGGER_PATH, [openapi.SWAGGER_FILES], include_in_schema=False
    )
    application = Litestar(
        route_handlers=[tool, *operators, swagger, phone.create_router(phone.read_files())],
        exception_handlers={
            Refusal: errors.answer_refusal,
            HTTPException: errors.answer_http_error,
            Exception: errors.answer_fault,
        },
        openapi_config=openapi.openapi_config("/", version("clarion")),
        request_max_body_size=MOST_OCTETS,
        state=State({"door": door}),
        logging_config=None,
    )
    return Envelope(ShortWay(application, BASE_PATH), door.metrics)
