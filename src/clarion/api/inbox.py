"""`/organizations/{o}/members/{u}/notifications`: a member's inbox, its changes, and what the member does to it."""

from typing import Annotated
from uuid import UUID

from litestar import delete, get, patch
from litestar.params import FromPath, FromQuery, QueryParameter

from clarion.api.auth import authenticate_member
from clarion.api.checking import read_json
from clarion.api.context import ApiRequest, Door, door
from clarion.api.openapi import BODY_ERRORS, CHANGE_ERRORS, ERRORS, SYNC_ERRORS, operation_with
from clarion.api.query import read_inbox_page, unreadable
from clarion.api.schemas_inbox import (
    STATES,
    InboxEntryAnswer,
    InboxList,
    ReadAllBody,
    StateBody,
    SummaryAnswer,
    change_answer,
    entry_answer,
    summary_answer,
)
from clarion.model.access import Access
from clarion.model.errors import Conflict, Invalid
from clarion.model.watermark import Filter, Walk, Watermark, encode_continuation, encode_watermark
from clarion.service import inbox
from clarion.store.inbox import Horizon


@get(
    "/organizations/{organization_id:uuid}/members/{user_id:uuid}/notifications",
    operation_id="listInbox",
    summary="List a member's inbox, newest first, or what changed in it",
    responses=SYNC_ERRORS,
    tags=["inbox"],
)
async def list_member_notifications(
    request: ApiRequest,
    organization_id: FromPath[UUID],
    user_id: FromPath[UUID],
    limit: FromQuery[str | None] = None,
    continuation_token: Annotated[str | None, QueryParameter(name="continuationToken")] = None,
    filter_mode: Annotated[
        str | None,
        QueryParameter(
            name="filterMode",
            description="`unread`, or `all`: with the dismissed entries, which are left out otherwise.",
        ),
    ] = None,
    sync_token: Annotated[
        str | None,
        QueryParameter(name="syncToken", description="A `watermark`: only what changed since then."),
    ] = None,
) -> InboxList:
    """A page of the inbox, for its owner and for those who may send.

    Hand the `watermark` back as `syncToken` to learn only what changed since. An entry that is there no more comes
    with `deleted`. `continuationToken` leads to the next page of either.
    """
    access = await authenticate_member(request, organization_id, user_id)
    size, start = read_inbox_page(limit, continuation_token, sync_token, filter_mode)
    if isinstance(start, Watermark):
        return await _changes(door(request), access, user_id, start, size)
    return await _list(door(request), access, user_id, start, size)


async def _list(tools: Door, access: Access, user: UUID, start: Filter | Walk, size: int) -> InboxList:
    listing = await tools.database.read(inbox.list_inbox, access, user, start, size, _horizon(tools))
    answer: InboxList = {
        "count": len(listing.entries),
        "items": [entry_answer(entry, access.organization, user) for entry in listing.entries],
        "watermark": encode_watermark(listing.watermark),
    }
    if listing.rest is not None:
        answer["continuationToken"] = encode_continuation(listing.rest)
    return answer


async def _changes(tools: Door, access: Access, user: UUID, since: Watermark, size: int) -> InboxList:
    if await inbox.has_seen_all(tools.database, access, user, since, tools.clock()):
        return {"count": 0, "items": [], "watermark": encode_watermark(since.at(tools.clock()))}
    page = await tools.database.read(inbox.list_changes, access, user, since, size, _horizon(tools))
    answer: InboxList = {
        "count": len(page.items),
        "items": [change_answer(change, access.organization, user) for change in page.items],
        "watermark": encode_watermark(page.watermark),
    }
    if page.more:
        answer["continuationToken"] = encode_continuation(page.watermark)
    return answer


@get(
    "/organizations/{organization_id:uuid}/members/{user_id:uuid}/notifications/summary",
    operation_id="getInboxSummary",
    summary="Count the unread entries of an inbox",
    responses=ERRORS,
    tags=["inbox"],
)
async def get_inbox_summary(
    request: ApiRequest, organization_id: FromPath[UUID], user_id: FromPath[UUID]
) -> SummaryAnswer:
    """How many entries are SENT, counted to a thousand, and the watermark of this moment."""
    tools = door(request)
    access = await authenticate_member(request, organization_id, user_id)
    return summary_answer(await tools.database.read(inbox.summarize, access, user_id, _horizon(tools)))


@patch(
    "/organizations/{organization_id:uuid}/members/{user_id:uuid}/notifications",
    operation_id="readInbox",
    operation_class=operation_with(ReadAllBody),
    summary="Mark all read, up to a watermark",
    responses=BODY_ERRORS | SYNC_ERRORS,
    tags=["inbox"],
)
async def read_member_notifications(
    request: ApiRequest, organization_id: FromPath[UUID], user_id: FromPath[UUID]
) -> SummaryAnswer:
    """Make READ what is SENT and was released up to `upTo`; what came later stays unread. For the member alone.

    The answer's `watermark` is yours again: as a `syncToken` it leads to all that changed, this included.
    """
    tools = door(request)
    access = await authenticate_member(request, organization_id, user_id)
    try:
        body = await read_json(request, ReadAllBody)
    except Invalid as refusal:
        raise unreadable(refusal.faults) from None
    summary = await tools.database.write(inbox.mark_all_read, access, user_id, body.up_to, _horizon(tools))
    tools.hints.send()  # banners are withdrawn elsewhere
    tools.hints.send_inbox(access.organization_id, access.member_id)
    return summary_answer(summary)


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
    tools = door(request)
    access = await authenticate_member(request, organization_id, user_id)
    entry = await tools.database.read(
        inbox.get_inbox_entry, access, user_id, notification_id, _horizon(tools)
    )
    return entry_answer(entry, access.organization, user_id)


@patch(
    "/organizations/{organization_id:uuid}/members/{user_id:uuid}/notifications/{notification_id:uuid}",
    operation_id="changeInboxEntry",
    operation_class=operation_with(StateBody),
    summary="Mark an entry read, dismissed or unread",
    responses=CHANGE_ERRORS,
    tags=["inbox"],
)
async def patch_member_notification(
    request: ApiRequest,
    organization_id: FromPath[UUID],
    user_id: FromPath[UUID],
    notification_id: FromPath[UUID],
) -> InboxEntryAnswer:
    """Change the state of an entry; the member's other devices learn of it. For the member alone."""
    tools = door(request)
    access = await authenticate_member(request, organization_id, user_id)
    wanted = (await read_json(request, StateBody)).state
    if wanted not in STATES:
        raise Conflict(f"{wanted} is set by the service, not by a member.", code="state_not_yours")
    entry = await tools.database.write(
        inbox.change_state, access, user_id, notification_id, STATES[wanted], _horizon(tools)
    )
    tools.hints.send()  # banners are withdrawn elsewhere
    tools.hints.send_inbox(access.organization_id, access.member_id)
    return entry_answer(entry, access.organization, user_id)


@delete(
    "/organizations/{organization_id:uuid}/members/{user_id:uuid}/notifications/{notification_id:uuid}",
    operation_id="deleteInboxEntry",
    summary="Delete an entry from a member's inbox",
    responses=ERRORS,
    tags=["inbox"],
)
async def delete_member_notification(
    request: ApiRequest,
    organization_id: FromPath[UUID],
    user_id: FromPath[UUID],
    notification_id: FromPath[UUID],
) -> None:
    """Hide an entry from this member for good; others keep theirs. For the member alone."""
    tools = door(request)
    access = await authenticate_member(request, organization_id, user_id)
    await tools.database.write(inbox.delete_entry, access, user_id, notification_id, _horizon(tools))
    tools.hints.send()  # banners are withdrawn elsewhere
    tools.hints.send_inbox(access.organization_id, access.member_id)


def _horizon(tools: Door) -> Horizon:
    return Horizon(tools.clock(), tools.inbox_days)
