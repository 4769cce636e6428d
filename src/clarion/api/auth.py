"""The Authorization header, read strictly: one scheme word in any case, one token.

Called first by every handler that needs a caller. There are two doors, and a member's app comes through the second
alone: `authenticate_sender` is for what belongs to an organization, `authenticate_member` for what belongs to the
one member that the path names.
"""

from uuid import UUID

from clarion.api.context import ApiRequest, door, header_values
from clarion.model.access import Access
from clarion.model.errors import Unauthenticated


async def authenticate_sender(request: ApiRequest, organization: UUID) -> Access:
    """The caller, who may send for this organization; never a member's app."""
    return await door(request).gatekeeper.sender(bearer_token(request), organization)


async def authenticate_member(request: ApiRequest, organization: UUID, user: UUID) -> Access:
    """The caller, for whom this member's own things are there: the member, their app, or who may send.

    Raises NotFound for everybody else. What is the member's alone must look at `Access.user` besides.
    """
    return await door(request).gatekeeper.member(bearer_token(request), organization, user)


def bearer_token(request: ApiRequest) -> str:
    """The token that the request shows; raises Unauthenticated."""
    headers = header_values(request, b"authorization")
    words = headers[0].split(" ") if len(headers) == 1 else []
    if len(words) != 2 or words[0].lower() != "bearer":
        raise Unauthenticated
    return words[1]
