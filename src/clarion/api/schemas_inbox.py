"""The wire of a member's inbox: its entries, its changes, and what a member does to them."""

from typing import Annotated, Final, Literal, NotRequired, TypedDict
from uuid import UUID

from pydantic import BeforeValidator, Field

from clarion.api.checking import Body
from clarion.api.schemas import ContentAnswer, content_answer
from clarion.model.moment import to_rfc3339
from clarion.model.watermark import Filter, Watermark, decode_watermark, encode_watermark
from clarion.service.inbox import Summary
from clarion.store.changes import Change, Tombstone
from clarion.store.inbox import CopyState, InboxEntry

FILTERS: Final = {"unread": Filter.UNREAD, "all": Filter.ALL}
"""The values of `filterMode`; without it the dismissed entries are left out."""

STATES: Final = {"READ": CopyState.READ, "DISMISSED": CopyState.DISMISSED, "SENT": CopyState.SENT}
"""The states that a member sets; the others are the service's."""


class StateBody(Body):
    """A state for one entry."""

    state: Literal["READ", "DISMISSED", "SENT", "QUEUED", "RETRY", "FAILED"] = Field(
        description="`SENT` is unread again; `QUEUED`, `RETRY` and `FAILED` are not the member's to set."
    )


def _read_watermark(value: object) -> Watermark:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return decode_watermark(value)


class ReadAllBody(Body):
    """“Mark all read”."""

    state: Literal["READ"]
    up_to: Annotated[Watermark, BeforeValidator(_read_watermark, json_schema_input_type=str)] = Field(
        description="A watermark of this inbox: everything that was released by then is meant."
    )


class InboxEntryAnswer(TypedDict):
    """A notification as its member sees it; from `expiresAt` on it is in the inbox no more."""

    organizationId: UUID
    notificationId: UUID
    userId: UUID
    state: str
    startAt: str
    content: ContentAnswer
    createdAt: str
    createdBy: UUID
    updatedAt: str
    updatedBy: UUID
    expiresAt: str


class NoContent(TypedDict):
    """What is left of the content of an entry that is gone."""

    text: str


class TombstoneAnswer(TypedDict):
    """An entry that is there no more; `state` is its last one."""

    organizationId: UUID
    notificationId: UUID
    userId: UUID
    state: str
    content: NoContent
    deleted: bool


class InboxList(TypedDict):
    """A page of an inbox, or of its changes; `count` is the size of this page."""

    count: int
    items: list[InboxEntryAnswer | TombstoneAnswer]
    watermark: str
    continuationToken: NotRequired[str]


class SummaryAnswer(TypedDict):
    """How many entries are unread."""

    unread: int
    watermark: str


def change_answer(change: Change, organization: UUID, user: UUID) -> InboxEntryAnswer | TombstoneAnswer:
    """Tell an entry as it is now, or that it is gone."""
    if isinstance(change, Tombstone):
        return _tombstone_answer(change, organization, user)
    return entry_answer(change, organization, user)


def entry_answer(entry: InboxEntry, organization: UUID, user: UUID) -> InboxEntryAnswer:
    """Tell an entry of a member's inbox."""
    return {
        "organizationId": organization,
        "notificationId": entry.notification,
        "userId": user,
        "state": entry.state.upper(),
        "startAt": to_rfc3339(entry.start_at),
        "content": content_answer(entry.content),
        "createdAt": to_rfc3339(entry.created_at),
        "createdBy": entry.created_by,
        "updatedAt": to_rfc3339(entry.updated_at),
        "updatedBy": entry.created_by if entry.state is CopyState.SENT else user,
        "expiresAt": to_rfc3339(entry.expires_at),
    }


def _tombstone_answer(stone: Tombstone, organization: UUID, user: UUID) -> TombstoneAnswer:
    """A deleted entry is told as dismissed: no published state says that it was deleted."""
    state = CopyState.DISMISSED if stone.state is CopyState.DELETED else stone.state
    return {
        "organizationId": organization,
        "notificationId": stone.notification,
        "userId": user,
        "state": state.upper(),
        "content": {"text": ""},
        "deleted": True,
    }


def summary_answer(summary: Summary) -> SummaryAnswer:
    """Tell how many entries are unread."""
    return {"unread": summary.unread, "watermark": encode_watermark(summary.watermark)}
