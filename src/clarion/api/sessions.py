"""`/organizations/{o}/members/{u}/sessions` and `/organizations/{o}/sessions/refresh`: short-lived tokens for apps."""

import secrets
from uuid import UUID

from litestar import delete, get, post
from litestar.params import FromPath

from clarion.api.auth import authenticate_member, authenticate_sender
from clarion.api.checking import read_json
from clarion.api.context import ApiRequest, door
from clarion.api.openapi import BODY_ERRORS, ERRORS, operation_with
from clarion.api.schemas_sessions import (
    DEFAULT_MINUTES,
    OpenedAnswer,
    RefreshBody,
    SessionBody,
    SessionList,
    opened_answer,
    session_answer,
)
from clarion.model.errors import Unauthenticated
from clarion.service.sessions import (
    begin_session,
    end_session,
    end_sessions,
    list_sessions,
    refresh_session,
)


@post(
    "/organizations/{organization_id:uuid}/members/{user_id:uuid}/sessions",
    operation_id="createSession",
    operation_class=operation_with(SessionBody, is_optional=True),
    summary="Begin a session of a member's app",
    responses=BODY_ERRORS,
    tags=["sessions"],
)
async def create_session(
    request: ApiRequest, organization_id: FromPath[UUID], user_id: FromPath[UUID]
) -> OpenedAnswer:
    """Get a token for one member's app, with your own personal access token as OWNER or ADMIN.

    The token opens that member's inbox, channels and devices, and nothing else.
    """
    tools = door(request)
    access = await authenticate_sender(request, organization_id)
    minutes = (await read_json(request, SessionBody, is_optional=True)).minutes or DEFAULT_MINUTES
    opened = await tools.database.write(
        begin_session, access, user_id, minutes, tools.new_uuid(), secrets.token_bytes, tools.clock()
    )
    return opened_answer(opened)


@post(
    "/organizations/{organization_id:uuid}/sessions/refresh",
    operation_id="refreshSession",
    operation_class=operation_with(RefreshBody),
    summary="Exchange a refresh token for new tokens",
    responses=BODY_ERRORS,
    status_code=200,
    security=[{}],
    tags=["sessions"],
)
async def refresh_tokens(request: ApiRequest, organization_id: FromPath[UUID]) -> OpenedAnswer:
    """Renew a session: both of its tokens are new. Needs no Authorization header.

    A refresh token that is used a second time ends the session, because somebody else may have it.
    """
    tools = door(request)
    body = await read_json(request, RefreshBody)
    shown = tools.gatekeeper.refreshing(body.refresh_token)
    opened = await tools.database.write(
        refresh_session, shown, organization_id, secrets.token_bytes, tools.clock()
    )
    if opened is None:
        raise Unauthenticated
    return opened_answer(opened)


@get(
    "/organizations/{organization_id:uuid}/members/{user_id:uuid}/sessions",
    operation_id="listSessions",
    summary="List a member's sessions",
    responses=ERRORS,
    tags=["sessions"],
)
async def list_member_sessions(
    request: ApiRequest, organization_id: FromPath[UUID], user_id: FromPath[UUID]
) -> SessionList:
    """The live sessions of a member, the one used last first; without their tokens."""
    tools = door(request)
    access = await authenticate_member(request, organization_id, user_id)
    rows = await tools.database.read(list_sessions, access, user_id, tools.clock())
    return {"count": len(rows), "items": [session_answer(row) for row in rows]}


@delete(
    "/organizations/{organization_id:uuid}/members/{user_id:uuid}/sessions/{session_id:uuid}",
    operation_id="deleteSession",
    summary="End a session",
    responses=ERRORS,
    tags=["sessions"],
)
async def delete_session(
    request: ApiRequest,
    organization_id: FromPath[UUID],
    user_id: FromPath[UUID],
    session_id: FromPath[UUID],
) -> None:
    """End a session of a member; a session may end itself. Its tokens and streams end within a second."""
    tools = door(request)
    access = await authenticate_member(request, organization_id, user_id)
    await tools.database.write(end_session, access, user_id, session_id, tools.clock())


@delete(
    "/organizations/{organization_id:uuid}/members/{user_id:uuid}/sessions",
    operation_id="deleteSessions",
    summary="End all sessions of a member",
    responses=ERRORS,
    tags=["sessions"],
)
async def delete_member_sessions(
    request: ApiRequest, organization_id: FromPath[UUID], user_id: FromPath[UUID]
) -> None:
    """End all sessions of a member, such as those of a lost phone. Their tokens and streams end within a second."""
    tools = door(request)
    access = await authenticate_member(request, organization_id, user_id)
    await tools.database.write(end_sessions, access, user_id, tools.clock())
