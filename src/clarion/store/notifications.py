"""Notifications as rows: written in batches, read one by one or as a page.

Called by the services. The order of numbers is the order of commits: both counters of an organization are
raised by one UPDATE whose row lock lasts until the transaction ends, so "everything after my watermark"
never skips a row. A database sequence or a timestamp does skip rows.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from itertools import chain
from typing import Any, Final
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    update,
)

from clarion.model.audience import Scope
from clarion.model.notification import (
    Content,
    Interruption,
    Notification,
    NotificationState,
    Options,
    Priority,
)
from clarion.store.schema import notifications, organizations, solutions, users
from clarion.store.slices import count_fitting

_creators = users.alias("creators")
_updaters = users.alias("updaters")


@dataclass(frozen=True, slots=True)
class StateChange:
    """A move of a notification's state, and the states from which it is allowed."""

    target: NotificationState
    sources: tuple[NotificationState, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A scheduled notification whose moment has come."""

    organization_id: int
    id: int
    scope: Scope
    solution_id: int | None
    streams: tuple[int, ...]
    options: Options


def take_numbers(connection: Connection, organization_id: int, count: int, releases: int) -> tuple[int, int]:
    """Take `count` notification ids and `releases` release numbers; returns the last of each before these.

    Locks the organization's counters until the transaction ends.
    """
    taken = {"organization": organization_id, "count": count, "releases": releases}
    last_notification, last_seq = connection.execute(_TAKE_NUMBERS, taken).one()
    return last_notification - count, last_seq - releases


_TAKE_NUMBERS: Final = (
    update(organizations)
    .where(organizations.c.id == bindparam("organization"))
    .values(
        last_notification=organizations.c.last_notification + bindparam("count"),
        last_seq=organizations.c.last_seq + bindparam("releases"),
    )
    .returning(organizations.c.last_notification, organizations.c.last_seq)
)


def add_notifications(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows made with `to_row`."""
    connection.execute(_ADD_NOTIFICATIONS, rows)


_ADD_NOTIFICATIONS: Final = insert(notifications)


def to_row(
    notification: Notification,
    organization_id: int,
    user_id: int,
    solution_id: int | None,
    streams: Sequence[int],
) -> dict[str, Any]:
    """The row of a notification that is not released yet; its release sets `expires_at` anew."""
    return {
        "organization_id": organization_id,
        "id": notification.id,
        "uuid": notification.uuid,
        "scope": notification.scope,
        "solution_id": solution_id,
        "emails": None if notification.emails is None else _to_json(notification.emails),
        "groups": None if notification.groups is None else _to_json(notification.groups),
        "audience": _to_json(streams),
        "content": content_to_json(notification.content),
        "options": options_to_json(notification.options),
        "description": notification.description,
        "state": notification.state,
        "collapse_key": notification.options.collapse_key,
        "start_at": notification.start_at,
        "expires_at": notification.start_at + notification.options.ttl_seconds * 1000,
        "seq": None,
        "released_at": None,
        "last_device_id": None,
        "created_at": notification.created_at,
        "created_by": user_id,
        "updated_at": notification.updated_at,
        "updated_by": user_id,
    }


def find_notification(connection: Connection, organization_id: int, uuid: UUID) -> Notification | None:
    """One notification of an organization."""
    row = connection.execute(_select(organization_id).where(notifications.c.uuid == uuid)).one_or_none()
    return None if row is None else _from_row(row)


def find_notification_by_id(connection: Connection, organization_id: int, number: int) -> Notification:
    """One notification by its number in the organization, which must exist."""
    return _from_row(connection.execute(_select(organization_id).where(notifications.c.id == number)).one())


@dataclass(frozen=True, slots=True)
class NotificationPage:
    """One page, newest first; `next_before` is where the next one starts, None at the end."""

    items: list[Notification]
    next_before: int | None


def list_notifications(
    connection: Connection, organization_id: int, limit: int, before: int | None
) -> NotificationPage:
    """At most `limit` notifications, fewer when they are long; `before` is where the last page ended."""
    sizes = (
        select(notifications.c.id, SIZE)
        .where(notifications.c.organization_id == organization_id)
        .order_by(notifications.c.id.desc())
        .limit(limit + 1)
    )
    if before is not None:
        sizes = sizes.where(notifications.c.id < before)
    found = connection.execute(sizes).all()
    numbers = [row.id for row in found][: count_fitting([row.size for row in found], limit)]
    page = _select(organization_id).where(notifications.c.id.in_(numbers)).order_by(notifications.c.id.desc())
    items = [_from_row(row) for row in connection.execute(page)] if numbers else []
    return NotificationPage(items, numbers[-1] if len(numbers) < len(found) else None)


SIZE: Final = (
    func.length(notifications.c.content)
    + func.coalesce(func.length(notifications.c.emails), 0)
    + func.coalesce(func.length(notifications.c.groups), 0)
).label("size")
"""How long a notification's texts are, in characters, found without reading them into the process."""


def has_waiting(connection: Connection, now: int) -> bool:
    """Whether a scheduled notification's moment has come."""
    return bool(connection.scalar(select(select(notifications.c.id).where(_is_waiting(now)).exists())))


def find_waiting(connection: Connection, now: int, limit: int) -> list[Waiting]:
    """Scheduled notifications whose moment has come; locked, so that one worker releases each."""
    query = (
        select(
            notifications.c.organization_id,
            notifications.c.id,
            notifications.c.scope,
            notifications.c.solution_id,
            notifications.c.audience,
            notifications.c.options,
        )
        .where(_is_waiting(now))
        .order_by(notifications.c.organization_id, notifications.c.start_at, notifications.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [
        Waiting(
            organization_id=row.organization_id,
            id=row.id,
            scope=Scope(row.scope),
            solution_id=row.solution_id,
            streams=tuple(json.loads(row.audience)),
            options=options_from_json(row.options),
        )
        for row in connection.execute(query)
    ]


def mark_released(connection: Connection, organization_id: int, number: int, columns: dict[str, Any]) -> None:
    """Give a scheduled notification its place in the release order."""
    connection.execute(
        update(notifications)
        .where(notifications.c.organization_id == organization_id, notifications.c.id == number)
        .values(**columns)
    )


def change_state(
    connection: Connection, organization_id: int, numbers: Sequence[int], change: StateChange, now: int
) -> int:
    """Move notifications on, guarded by the states that they may come from; returns how many moved.

    Locks those that move, in the order of their numbers.
    """
    movable = (
        select(notifications.c.id)
        .where(
            notifications.c.organization_id == organization_id,
            notifications.c.id.in_(numbers),
            notifications.c.state.in_(change.sources),
        )
        .order_by(notifications.c.id)
        .with_for_update()
    )
    moving = connection.scalars(movable).all()
    if moving:
        connection.execute(
            update(notifications)
            .where(notifications.c.organization_id == organization_id, notifications.c.id.in_(moving))
            .values(state=change.target, updated_at=now)
        )
    return len(moving)


def cancel(connection: Connection, organization_id: int, number: int, user_id: int, now: int) -> bool:
    """Cancel a notification, whatever its state; False when it already was."""
    cancelled = connection.execute(
        update(notifications)
        .where(
            notifications.c.organization_id == organization_id,
            notifications.c.id == number,
            notifications.c.state != NotificationState.CANCELLED,
        )
        .values(state=NotificationState.CANCELLED, updated_at=now, updated_by=user_id)
    )
    return cancelled.rowcount > 0


@dataclass(frozen=True, slots=True)
class Sending:
    """A released notification as the worker sends it."""

    id: int
    uuid: UUID
    organization: UUID
    solution: UUID | None
    content: Content
    options: Options
    expires_at: int
    released_at: int
    updated_at: int


def find_sendings(
    connection: Connection, keys: Collection[tuple[int, int]]
) -> dict[tuple[int, int], Sending]:
    """Released notifications by (organization id, number)."""
    rows = chain.from_iterable(connection.execute(_SENDINGS, among) for among in _by_organization(keys))
    return {
        (row.organization_id, row.id): Sending(
            id=row.id,
            uuid=row.uuid,
            organization=row.organization,
            solution=row.solution,
            content=content_from_json(row.content),
            options=options_from_json(row.options),
            expires_at=row.expires_at,
            released_at=row.released_at,
            updated_at=row.updated_at,
        )
        for row in rows
    }


def find_cancelled(connection: Connection, keys: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
    """Which of these (organization id, number) were cancelled."""
    rows = chain.from_iterable(connection.execute(_CANCELLED, among) for among in _by_organization(keys))
    return {(organization_id, number) for organization_id, number in rows}


def _by_organization(keys: Collection[tuple[int, int]]) -> Iterable[dict[str, Any]]:
    """What to ask for these keys: one question per organization, nearly always one in all."""
    numbers: dict[int, list[int]] = {}
    for organization_id, number in keys:
        numbers.setdefault(organization_id, []).append(number)
    return ({"organization": organization_id, "numbers": some} for organization_id, some in numbers.items())


_AMONG_KEYS: Final = and_(
    notifications.c.organization_id == bindparam("organization"),
    notifications.c.id.in_(bindparam("numbers", expanding=True)),
)

_CANCELLED: Final = select(notifications.c.organization_id, notifications.c.id).where(
    _AMONG_KEYS, notifications.c.state == NotificationState.CANCELLED
)

_SENDINGS: Final = (
    select(
        notifications.c.organization_id,
        notifications.c.id,
        notifications.c.uuid,
        organizations.c.uuid.label("organization"),
        solutions.c.uuid.label("solution"),
        notifications.c.content,
        notifications.c.options,
        notifications.c.expires_at,
        notifications.c.released_at,
        notifications.c.updated_at,
    )
    .join(organizations, organizations.c.id == notifications.c.organization_id)
    .outerjoin(solutions, solutions.c.id == notifications.c.solution_id)
    .where(_AMONG_KEYS)
)


def lock(connection: Connection, organization_id: int, numbers: Sequence[int]) -> None:
    """Lock notifications until the transaction ends, so that of two workers one sees the other's last run."""
    connection.execute(
        select(notifications.c.id)
        .where(notifications.c.organization_id == organization_id, notifications.c.id.in_(numbers))
        .order_by(notifications.c.id)
        .with_for_update()
    ).all()


@lru_cache(maxsize=256)
def options_to_json(options: Options) -> str:
    """Write options; nearly all notifications share a few sets of them."""
    return _to_json(asdict(options))


def options_from_json(text: str) -> Options:
    """Read options as `to_row` wrote them."""
    values = _known(json.loads(text), _OPTIONS_FIELDS)
    interruption = values.get("interruption")
    return Options(
        **{
            **values,
            "priority": Priority(values["priority"]),
            "interruption": None if interruption is None else Interruption(interruption),
        }
    )


def content_to_json(content: Content) -> str:
    """Write content; not with `asdict`, which would first copy the inputs to their depth."""
    return _to_json({name: getattr(content, name) for name in _CONTENT_FIELDS})


_CONTENT_FIELDS: Final = tuple(field.name for field in fields(Content))
_OPTIONS_FIELDS: Final = tuple(field.name for field in fields(Options))


def content_from_json(text: str) -> Content:
    """Read content as `to_row` wrote it."""
    return Content(**_known(json.loads(text), _CONTENT_FIELDS))


def _known(values: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """What this version knows of a value; a newer one, during an upgrade, may have written more."""
    return {name: value for name, value in values.items() if name in names}


def _to_json(value: object) -> str:
    """Pydantic's writer takes a third of the time of `json.dumps`, and a row has several texts."""
    return to_json(value).decode()


def _is_waiting(now: int) -> ColumnElement[bool]:
    """Spelt as the partial index has it, so that it serves."""
    return and_(
        notifications.c.seq.is_(None),
        notifications.c.state == literal_column("'queued'"),
        notifications.c.start_at <= now,
    )


def _select(organization_id: int) -> Select[Any]:
    return (
        select(
            notifications,
            organizations.c.uuid.label("organization_uuid"),
            organizations.c.region,
            solutions.c.uuid.label("solution_uuid"),
            _creators.c.uuid.label("creator"),
            _updaters.c.uuid.label("updater"),
        )
        .join(organizations, organizations.c.id == notifications.c.organization_id)
        .outerjoin(solutions, solutions.c.id == notifications.c.solution_id)
        .join(_creators, _creators.c.id == notifications.c.created_by)
        .join(_updaters, _updaters.c.id == notifications.c.updated_by)
        .where(notifications.c.organization_id == organization_id)
    )


def _from_row(row: Any) -> Notification:
    return Notification(
        organization=row.organization_uuid,
        region=row.region,
        uuid=row.uuid,
        id=row.id,
        scope=Scope(row.scope),
        content=content_from_json(row.content),
        state=NotificationState(row.state),
        start_at=row.start_at,
        created_at=row.created_at,
        created_by=row.creator,
        updated_at=row.updated_at,
        updated_by=row.updater,
        emails=None if row.emails is None else tuple(json.loads(row.emails)),
        groups=None if row.groups is None else tuple(json.loads(row.groups)),
        solution=row.solution_uuid,
        description=row.description,
        options=options_from_json(row.options),
    )
