"""`/organizations/{o}/notifications/{n}/stats`: a notification's figures."""

from typing import NotRequired, TypedDict
from uuid import UUID

from litestar import get
from litestar.params import FromPath

from clarion.api.auth import authenticate_sender
from clarion.api.context import ApiRequest, door
from clarion.api.openapi import ERRORS
from clarion.service.stats import Stats, figures


class FailureAnswer(TypedDict):
    """So many devices failed in one way."""

    provider: str
    state: str
    reason: str
    devices: int


class StatsAnswer(TypedDict):
    """A notification's figures; `recipientsAtLeast` when it has more recipients than are counted."""

    notificationId: UUID
    state: str
    recipients: int
    recipientsAtLeast: NotRequired[bool]
    devices: int
    accepted: int
    retrying: int
    failed: int
    failures: list[FailureAnswer]
    pruned: int
    retried: int
    possibleRepeats: int
    displayed: int
    opened: int
    read: int


@get(
    "/organizations/{organization_id:uuid}/notifications/{notification_id:uuid}/stats",
    operation_id="getNotificationStats",
    summary="Get a notification's figures",
    responses=ERRORS,
    tags=["notifications"],
)
async def get_stats(
    request: ApiRequest, organization_id: FromPath[UUID], notification_id: FromPath[UUID]
) -> StatsAnswer:
    """Whom it was for, which devices took it and why others did not, and what people did with it, as it is now."""
    access = await authenticate_sender(request, organization_id)
    return _answer(await figures(door(request).database, access.organization_id, notification_id))


def _answer(stats: Stats) -> StatsAnswer:
    pushes = stats.pushes
    failed = sum(pushes[name] for name in ("refused", "gone", "expired", "superseded"))
    answer: StatsAnswer = {
        "notificationId": stats.notification.uuid,
        "state": stats.notification.state.upper(),
        "recipients": stats.recipients,
        "devices": pushes["accepted"] + failed + pushes["open"],
        "accepted": pushes["accepted"],
        "retrying": pushes["open"],
        "failed": failed,
        "failures": [
            {
                "provider": failure.provider,
                "state": failure.state.upper(),
                "reason": failure.reason,
                "devices": failure.devices,
            }
            for failure in stats.failures
        ],
        "pruned": pushes["gone"],
        "retried": pushes["retried"],
        "possibleRepeats": pushes["repeats"],
        "displayed": stats.displayed,
        "opened": stats.opened,
        "read": stats.read,
    }
    if not stats.are_all:
        answer["recipientsAtLeast"] = True
    return answer
