"""The wire of member sessions: their bodies and answers."""

from typing import Annotated, TypedDict
from uuid import UUID

from pydantic import Field

from clarion.api.checking import Body
from clarion.model.moment import to_rfc3339
from clarion.service.sessions import Opened
from clarion.store.sessions import REFRESH_MS, SessionRow

DEFAULT_MINUTES = 60
MOST_MINUTES = 1_440


class SessionBody(Body):
    """A session to begin."""

    minutes: Annotated[int, Field(ge=1, le=MOST_MINUTES)] | None = Field(
        None, description=f"How long each of its tokens is good; {DEFAULT_MINUTES} when absent."
    )


class RefreshBody(Body):
    """A refresh token to exchange."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=500)]


class OpenedAnswer(TypedDict):
    """A session's tokens, which are shown once; `expiresAt` is the end of `token`."""

    sessionId: UUID
    token: str
    refreshToken: str
    expiresAt: str


class SessionAnswer(TypedDict):
    """A session as its member and those who may send see it."""

    sessionId: UUID
    createdAt: str
    lastUsedAt: str
    expiresAt: str


class SessionList(TypedDict):
    """All live sessions of a member."""

    count: int
    items: list[SessionAnswer]


def opened_answer(opened: Opened) -> OpenedAnswer:
    """Tell a session's new tokens."""
    return {
        "sessionId": opened.session,
        "token": opened.token,
        "refreshToken": opened.refresh_token,
        "expiresAt": to_rfc3339(opened.expires_at),
    }


def session_answer(row: SessionRow) -> SessionAnswer:
    """Tell a session without its secrets."""
    return {
        "sessionId": row.uuid,
        "createdAt": to_rfc3339(row.created_at),
        "lastUsedAt": to_rfc3339(row.last_used_at),
        "expiresAt": to_rfc3339(row.refreshed_at + REFRESH_MS),
    }
