"""`/organizations/{o}/members/{u}/notifications`: a member's inbox, list and get."""

from typing import Annotated, Final
from uuid import UUID

from litestar import get
from litestar.params import FromPath, FromQuery, QueryParameter

from clarion.api.auth import authenticate_member
from clarion.api.context import ApiRequest, door
from clarion.api.openapi import ERRORS
from clarion.api.query import read_page
from clarion.api.schemas import InboxEntryAnswer, InboxList, inbox_entry_answer
from clarion.model.cursor import encode_cursor
from clarion.service.inbox import get_inbox_entry, list_inbox

_LIST: Final = "inbox"


@get(
    "/organizations/{organization_id:uuid}/members/{user_id:uuid}/notifications",
    operation_id="listInbox",
    summary="List a member's inbox, newest first",
    responses=ERRORS,
    tags=["inbox"],
)
async def list_member_notifications(
    request: ApiRequest,
    organization_id: FromPath[UUID],
    user_id: FromPath[UUID],
    limit: FromQuery[str | None] = None,
    continuation_token: Annotated[str | None, QueryParameter(name="continuationToken")] = None,
) -> InboxList:
    """A page of the inbox, for its owner and for those who may send."""
    access = await authenticate_member(request, organization_id)
    size, before = read_page(_LIST, limit, continuation_token)
    page = await door(request).database.read(list_inbox, access, user_id, size, before)
    items = [inbox_entry_answer(entry, access.organization, user_id) for entry in page.entries]
    answer: InboxList = {"count": len(items), "items": items}
    if page.next_before is not None:
        answer["continuationToken"] = encode_cursor(_LIST, page.next_before)
    return answer


@get(
    "/organizations/{organization_id:uuid}/members/{user_id:uuid}/notifications/{notification_id:uuid}",
    operation_id="getInboxEntry",
    summary="Get an entry of a member's inbox",
    responses=ERRORS,
    tags=["inbox"],
)
async def get_member_notification(
    request: ApiRequest,
    organization_id: FromPath[UUID],
    user_id: FromPath[UUID],
    notification_id: FromPath[UUID],
) -> InboxEntryAnswer:
    """One entry, for the inbox's owner and for those who may send."""
    access = await authenticate_member(request, organization_id)
    entry = await door(request).database.read(get_inbox_entry, access, user_id, notification_id)
    return inbox_entry_answer(entry, access.organization, user_id)
