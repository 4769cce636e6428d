"""`/organizations/{o}/notifications`: create, list, get, delete."""

import hashlib
import re
from typing import Annotated, Final
from uuid import UUID

import structlog
from litestar import Response, delete, get, post
from litestar.params import FromPath, FromQuery, QueryParameter

from clarion.api.auth import authenticate_sender
from clarion.api.body import check_media_type, parse_object, read_body
from clarion.api.context import ApiRequest, door, header_values
from clarion.api.openapi import CREATE_ERRORS, ERRORS, CreateOperation
from clarion.api.query import read_page
from clarion.api.schemas import (
    CreatedAnswer,
    NotificationAnswer,
    NotificationList,
    created_answer,
    notification_answer,
    read_draft,
)
from clarion.model.cursor import encode_cursor
from clarion.model.errors import Fault, NotFound
from clarion.service.publish import PublishRequest
from clarion.service.recall import recall
from clarion.store.notifications import find_notification, list_notifications

logger = structlog.get_logger()

_LIST: Final = "notifications"
_KEY = re.compile(r"[ -~]{1,255}")


@post(
    "/organizations/{organization_id:uuid}/notifications",
    operation_id="createNotification",
    summary="Create a notification",
    operation_class=CreateOperation,
    responses=CREATE_ERRORS,
    tags=["notifications"],
)
async def create_notification(
    request: ApiRequest, organization_id: FromPath[UUID]
) -> Response[CreatedAnswer]:
    """Accept a notification. 201 means that it is durable; the push follows within a moment.

    Send an `Idempotency-Key` header to repeat a request safely: for 24 hours the same key and body answer as
    the first time, with `Idempotency-Replayed: true`.
    """
    tools = door(request)
    access = await authenticate_sender(request, organization_id)
    check_media_type(header_values(request, b"content-type"))
    faults = _parameter_faults(request)
    key = _idempotency_key(request, faults)
    raw = await read_body(request, tools.patience)
    value, oddities = parse_object(raw)
    draft, ignored = read_draft(value, [*faults, *oddities])
    published = await tools.publish(
        PublishRequest(
            access=access,
            draft=draft,
            uuid=tools.new_uuid(),
            now=tools.clock(),
            idempotency_key=key,
            body_hash=b"" if key is None else hashlib.sha256(raw).digest(),
        )
    )
    if not published.replayed:
        tools.hints.send()
        tools.metrics.accepted(published.notification.scope)
        logger.debug("notification_accepted", notification=str(published.notification.uuid))
    return Response(
        created_answer(published.notification, published.unmatched_emails, ignored),
        status_code=201,
        headers={"Idempotency-Replayed": "true"} if published.replayed else None,
    )


@get(
    "/organizations/{organization_id:uuid}/notifications",
    operation_id="listNotifications",
    summary="List an organization's notifications, newest first",
    responses=ERRORS,
    tags=["notifications"],
)
async def list_organization_notifications(
    request: ApiRequest,
    organization_id: FromPath[UUID],
    limit: FromQuery[str | None] = None,
    continuation_token: Annotated[str | None, QueryParameter(name="continuationToken")] = None,
    filter_mode: Annotated[  # noqa: ARG001 - published without its values, so every value is taken
        str | None, QueryParameter(name="filterMode", description="Accepted, without effect.")
    ] = None,
) -> NotificationList:
    """A page of notifications; `continuationToken` leads to the next."""
    access = await authenticate_sender(request, organization_id)
    size, before = read_page(_LIST, limit, continuation_token)
    page = await door(request).database.read(list_notifications, access.organization_id, size, before)
    items = [notification_answer(notification) for notification in page.items]
    answer: NotificationList = {"count": len(items), "items": items}
    if page.next_before is not None:
        answer["continuationToken"] = encode_cursor(_LIST, page.next_before)
    return answer


@get(
    "/organizations/{organization_id:uuid}/notifications/{notification_id:uuid}",
    operation_id="getNotification",
    summary="Get a notification",
    responses=ERRORS,
    tags=["notifications"],
)
async def get_notification(
    request: ApiRequest, organization_id: FromPath[UUID], notification_id: FromPath[UUID]
) -> NotificationAnswer:
    """One notification with its present state."""
    access = await authenticate_sender(request, organization_id)
    found = await door(request).database.read(find_notification, access.organization_id, notification_id)
    if found is None:
        raise NotFound("There is no such notification in this organization.")
    return notification_answer(found)


@delete(
    "/organizations/{organization_id:uuid}/notifications/{notification_id:uuid}",
    operation_id="deleteNotification",
    summary="Recall a notification",
    responses=ERRORS,
    tags=["notifications"],
)
async def delete_notification(
    request: ApiRequest, organization_id: FromPath[UUID], notification_id: FromPath[UUID]
) -> None:
    """Recall a notification: what is not yet sent is not sent, inbox copies vanish, banners are withdrawn.

    The notification stays in the list in the state CANCELLED.
    """
    tools = door(request)
    access = await authenticate_sender(request, organization_id)
    await tools.database.write(recall, access, notification_id, tools.clock())
    tools.hints.send()


def _parameter_faults(request: ApiRequest) -> list[Fault]:
    """A parameter without effect would be a promise: `validateOnly=true` must never send."""
    if not request.scope["query_string"]:
        return []
    return [Fault(f"?{name}", "is not a known parameter here") for name in request.query_params.dict()]


def _idempotency_key(request: ApiRequest, faults: list[Fault]) -> str | None:
    """The key, when there is one; a bad one is added to the faults."""
    values = header_values(request, b"idempotency-key")
    if not values:
        return None
    if len(values) > 1 or not _KEY.fullmatch(values[0]):
        faults.append(Fault("Idempotency-Key", "must be 1 to 255 printable ASCII characters, once"))
    return values[0]
