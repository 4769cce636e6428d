"""The wire: the only place that spells `SLN_GRP`, `jigId` or `startAt`.

Requests are pydantic models, which name every fault of a body at once; answers are typed dictionaries. The
OpenAPI description is generated from both.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NotRequired, TypedDict, cast
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field

from clarion.api.checking import Body, check, one_per_path
from clarion.model.audience import (
    MOST_EMAILS,
    MOST_GROUPS,
    Audience,
    Scope,
    split_names,
    without_repeats,
)
from clarion.model.errors import Fault, Invalid
from clarion.model.moment import parse_start_at, to_rfc3339
from clarion.model.notification import (
    DEFAULT_SCREEN,
    DEFAULT_TTL_SECONDS,
    NO_OPTIONS,
    Content,
    Draft,
    Interruption,
    Notification,
    Options,
    Priority,
)

SCOPES: Final = {
    "USR": Scope.USERS,
    "SLN": Scope.SOLUTION,
    "SLN_GRP": Scope.GROUPS,
    "ORG": Scope.ORGANIZATION,
}
_SCOPE_NAMES: Final = {scope: name for name, scope in SCOPES.items()}

NEEDED: Final = {"USR": ("emails",), "SLN": ("solutionId",), "SLN_GRP": ("groups", "solutionId"), "ORG": ()}
"""What a scope cannot do without."""

_ONLY_FOR: Final = {"emails": "USR", "groups": "SLN_GRP"}
"""Keys that have no effect with another scope."""


# ── Requests ─────────────────────────────────────────────────────────────────────────────────────────────


def _split_emails(value: object) -> object:
    return _split(value, fold=True)


def _split_groups(value: object) -> object:
    return _split(value, fold=False)


def _split(value: object, *, fold: bool) -> object:
    """Make one list out of every spelling; what is no list of strings is left for pydantic to refuse."""
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        return list(without_repeats(split_names(value), fold=fold))
    return value


def _check_email(email: str) -> str:
    local, _, domain = email.partition("@")
    if not local or not domain or "@" in domain or " " in email or not email.isprintable():
        raise ValueError("is not an e-mail address")
    return email


def read_moment(value: object) -> object:
    """Read a moment as a caller may write it, for pydantic."""
    return None if value is None else parse_start_at(value)


def read_uuid(value: object) -> object:
    """Read a UUID in a string, for pydantic, whose strict mode takes none."""
    if not isinstance(value, str):
        return value
    try:
        return UUID(value)
    except ValueError:
        raise ValueError("is not a UUID") from None


def _check_image_url(url: str) -> str:
    if re.fullmatch(IMAGE_URL, url) is None:
        raise ValueError("is not an https URL; other characters than those of a URL are written as %XX")
    return url


IMAGE_URL: Final = (
    r"https://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?#][A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*)?"
)

Email = Annotated[str, Field(max_length=100), AfterValidator(_check_email)]
Key = Annotated[str, Field(min_length=1, max_length=64)]


class ContentBody(Body):
    """What the notification says, and the screen that a tap opens."""

    text: Annotated[str, Field(max_length=200)]
    title: Annotated[str, Field(max_length=100)] | None = None
    screen: Annotated[str, Field(max_length=50)] | None = Field(
        None, description=f"The kind of screen; “{DEFAULT_SCREEN}” when absent."
    )
    jig_id: Annotated[str, Field(max_length=50)] | None = Field(
        None, description="The screen that a tap opens."
    )
    inputs: dict[str, Any] | None = Field(
        None, description="Input parameters for that screen; any JSON values."
    )


class OptionsBody(Body):
    """How it is pushed. The inbox does not depend on it."""

    ttl: Annotated[int, Field(ge=0, le=28 * 86_400)] | None = Field(
        None, description=f"Seconds that a push may wait for its device; {DEFAULT_TTL_SECONDS:,} when absent."
    )
    priority: Literal["normal", "high"] | None = Field(None, description="`normal` lets a device save power.")
    collapse_key: Key | None = Field(None, description="A newer push with the same key replaces the older.")
    badge: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    sound: Key | None = None
    category: Key | None = None
    thread_id: Key | None = None
    image_url: (
        Annotated[
            str,
            Field(max_length=1_000, json_schema_extra={"pattern": f"^{IMAGE_URL}$"}),
            AfterValidator(_check_image_url),
        ]
        | None
    ) = Field(None, description="A picture that the banner shows; the device fetches it.")
    channel_id: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        None, description="Android: the app's notification channel."
    )
    critical: bool | None = Field(
        None, description="iOS: sounds also when the device is silent, if Apple allowed the app to."
    )
    interruption_level: Literal["passive", "active", "time-sensitive"] | None = Field(
        None, description="iOS: how far the banner may intrude."
    )


class NotificationBody(Body):
    """A notification to send."""

    content: ContentBody
    scope: Literal["USR", "SLN", "SLN_GRP", "ORG"]
    emails: Annotated[
        Annotated[list[Email], Field(max_length=MOST_EMAILS)] | None,
        BeforeValidator(_split_emails, json_schema_input_type=list[Email] | str | None),
    ] = Field(None, description="For USR: an array, a string, or commas inside either.")
    groups: Annotated[
        Annotated[list[str], Field(max_length=MOST_GROUPS)] | None,
        BeforeValidator(_split_groups, json_schema_input_type=list[str] | str | None),
    ] = Field(None, description="For SLN_GRP: group names inside the solution, spelt like emails.")
    solution_id: Annotated[UUID | None, BeforeValidator(read_uuid, json_schema_input_type=UUID | None)] = (
        Field(None, description="For SLN and SLN_GRP; with the others it names the solution whose jig opens.")
    )
    description: Annotated[str, Field(max_length=100)] | None = Field(
        None, description="For your own records."
    )
    start_at: Annotated[
        int | None,
        BeforeValidator(read_moment, json_schema_input_type=str | Annotated[int, Field(ge=0)] | None),
    ] = Field(
        None, description="When to send: RFC 3339 with an offset, or seconds or milliseconds. Absent: now."
    )
    options: OptionsBody | None = None


def read_draft(value: dict[str, Any], faults: Sequence[Fault] = ()) -> tuple[Draft, list[str]]:
    """Check a request against every rule; returns the draft and the keys that have no effect.

    Raises Invalid with all faults at once, those already found among them.
    """
    body, found = check(NotificationBody, value, faults)
    found += _missing(value, {fault.path for fault in found})
    if body is None or found:
        raise Invalid.because(one_per_path(found))
    ignored = [key for key, scope in _ONLY_FOR.items() if value.get(key) is not None and body.scope != scope]
    return _draft(body), ignored


def _missing(value: dict[str, Any], faulty: set[str]) -> list[Fault]:
    """What the scope cannot do without; judged on the raw value, so that other faults do not hide it."""
    scope = value.get("scope")
    needed = NEEDED.get(scope, ()) if isinstance(scope, str) else ()
    return [
        Fault(key, f"is needed for scope {scope}")
        for key in needed
        if _is_absent(value.get(key)) and key not in faulty
    ]


def _is_absent(value: object) -> bool:
    """Null, or nothing left of a list of names."""
    if isinstance(value, str | list) and all(isinstance(item, str) for item in value):
        return not split_names(value)
    return value is None


def _draft(body: NotificationBody) -> Draft:
    scope = SCOPES[body.scope]
    content = body.content
    return Draft(
        content=Content(
            text=content.text,
            title=content.title,
            screen=content.screen if content.screen is not None else DEFAULT_SCREEN,
            jig=content.jig_id,
            inputs=content.inputs or {},
        ),
        audience=Audience(
            scope,
            emails=tuple(body.emails or ()) if scope is Scope.USERS else (),
            groups=tuple(body.groups or ()) if scope is Scope.GROUPS else (),
            solution=body.solution_id,
        ),
        description=body.description,
        start_at=body.start_at,
        options=_options(body.options) if body.options is not None else NO_OPTIONS,
    )


def _options(body: OptionsBody) -> Options:
    return Options(
        ttl_seconds=DEFAULT_TTL_SECONDS if body.ttl is None else body.ttl,
        priority=Priority(body.priority or Priority.HIGH),
        collapse_key=body.collapse_key,
        badge=body.badge,
        sound=body.sound,
        category=body.category,
        thread=body.thread_id,
        image_url=body.image_url,
        android_channel=body.channel_id,
        interruption=None if body.interruption_level is None else Interruption(body.interruption_level),
        is_critical=bool(body.critical),
    )


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────


class ContentAnswer(TypedDict):
    """Content as it was sent; `inputs` is always there."""

    text: str
    screen: str
    inputs: dict[str, Any]
    title: NotRequired[str]
    jigId: NotRequired[str]


class OptionsAnswer(TypedDict, total=False):
    """The options that were sent."""

    ttl: int
    priority: str
    collapseKey: str
    badge: int
    sound: str
    category: str
    threadId: str
    imageUrl: str
    channelId: str
    critical: bool
    interruptionLevel: str


class NotificationAnswer(TypedDict):
    """A notification as a sender sees it; optional keys appear when they were sent."""

    organizationId: UUID
    region: str
    notificationId: UUID
    scope: str
    state: str
    startAt: str
    content: ContentAnswer
    createdAt: str
    createdBy: UUID
    updatedAt: str
    updatedBy: UUID
    solutionId: NotRequired[UUID]
    emails: NotRequired[Sequence[str]]
    groups: NotRequired[Sequence[str]]
    description: NotRequired[str]
    options: NotRequired[OptionsAnswer]


class CreatedAnswer(NotificationAnswer):
    """A notification that was accepted, with what of the request had no effect."""

    unmatchedEmails: NotRequired[Sequence[str]]
    ignored: NotRequired[Sequence[str]]


class NotificationList(TypedDict):
    """A page of notifications; `count` is the size of this page."""

    count: int
    items: list[NotificationAnswer]
    continuationToken: NotRequired[str]


def notification_answer(notification: Notification) -> NotificationAnswer:
    """Tell a notification."""
    answer: NotificationAnswer = {
        "organizationId": notification.organization,
        "region": notification.region,
        "notificationId": notification.uuid,
        "scope": _SCOPE_NAMES[notification.scope],
        "state": notification.state.upper(),
        "startAt": to_rfc3339(notification.start_at),
        "content": content_answer(notification.content),
        "createdAt": to_rfc3339(notification.created_at),
        "createdBy": notification.created_by,
        "updatedAt": to_rfc3339(notification.updated_at),
        "updatedBy": notification.updated_by,
    }
    if notification.solution is not None:
        answer["solutionId"] = notification.solution
    if notification.emails is not None:
        answer["emails"] = notification.emails
    if notification.groups is not None:
        answer["groups"] = notification.groups
    if notification.description is not None:
        answer["description"] = notification.description
    if notification.options != NO_OPTIONS:
        answer["options"] = _options_answer(notification.options)
    return answer


def created_answer(
    notification: Notification, unmatched: Sequence[str], ignored: Sequence[str]
) -> CreatedAnswer:
    """Tell a notification that was accepted."""
    answer = cast("CreatedAnswer", notification_answer(notification))
    if unmatched:
        answer["unmatchedEmails"] = unmatched
    if ignored:
        answer["ignored"] = ignored
    return answer


def content_answer(content: Content) -> ContentAnswer:
    """Tell what a notification says."""
    answer: ContentAnswer = {"text": content.text, "screen": content.screen, "inputs": content.inputs}
    if content.title is not None:
        answer["title"] = content.title
    if content.jig is not None:
        answer["jigId"] = content.jig
    return answer


def _options_answer(options: Options) -> OptionsAnswer:
    optional = {
        "collapseKey": options.collapse_key,
        "badge": options.badge,
        "sound": options.sound,
        "category": options.category,
        "threadId": options.thread,
        "imageUrl": options.image_url,
        "channelId": options.android_channel,
        "critical": options.is_critical or None,
        "interruptionLevel": options.interruption,
    }
    answer = {"ttl": options.ttl_seconds, "priority": options.priority}
    return cast(
        "OptionsAnswer", answer | {key: value for key, value in optional.items() if value is not None}
    )
