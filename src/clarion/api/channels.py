"""`/organizations/{o}/members/{u}/channels`: what a member's app may register with."""

from uuid import UUID

from litestar import get
from litestar.params import FromPath

from clarion.api.auth import authenticate_member
from clarion.api.context import ApiRequest, door
from clarion.api.openapi import ERRORS
from clarion.api.schemas_devices import ChannelList, channel_answer
from clarion.service.devices import list_channels


@get(
    "/organizations/{organization_id:uuid}/members/{user_id:uuid}/channels",
    operation_id="listChannels",
    summary="List the channels on which a member's app may register",
    responses=ERRORS,
    tags=["devices"],
)
async def list_member_channels(
    request: ApiRequest, organization_id: FromPath[UUID], user_id: FromPath[UUID]
) -> ChannelList:
    """The channels of everybody and of the member's solutions; a browser's have the key to subscribe with."""
    access = await authenticate_member(request, organization_id, user_id)
    found = await door(request).database.read(list_channels, access, user_id)
    return {"count": len(found), "items": [channel_answer(channel) for channel in found]}
