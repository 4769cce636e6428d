"""The Authorization header, read strictly: one scheme word in any case, one token.

Called first by every handler that needs a caller.
"""

from uuid import UUID

from clarion.api.context import ApiRequest, door, header_values
from clarion.model.access import Access
from clarion.model.errors import Unauthenticated


async def authenticate_sender(request: ApiRequest, organization: UUID) -> Access:
    """The caller, who may send for this organization."""
    return await door(request).gatekeeper.sender(_token(request), organization)


async def authenticate_member(request: ApiRequest, organization: UUID) -> Access:
    """The caller, a member of this organization."""
    return await door(request).gatekeeper.access(_token(request), organization)


def _token(request: ApiRequest) -> str:
    headers = header_values(request, b"authorization")
    words = headers[0].split(" ") if len(headers) == 1 else []
    if len(words) != 2 or words[0].lower() != "bearer":
        raise Unauthenticated
    return words[1]
