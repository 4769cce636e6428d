"""The inbox of one member, read by themselves or by those who may send.

Called by `api/inbox.py`. For anybody else a member's inbox does not exist.
"""

from uuid import UUID

from sqlalchemy import Connection

from clarion.model.access import Access
from clarion.model.errors import NotFound
from clarion.store import inbox
from clarion.store.inbox import InboxEntry, InboxPage


def list_inbox(
    connection: Connection, access: Access, user: UUID, limit: int, before: int | None
) -> InboxPage:
    """A page of a member's inbox. Raises NotFound for a stranger."""
    member = _readable_member(connection, access, user)
    return inbox.list_entries(connection, access.organization_id, member, limit, before)


def get_inbox_entry(connection: Connection, access: Access, user: UUID, notification: UUID) -> InboxEntry:
    """One entry of a member's inbox. Raises NotFound for a stranger, and for what is not in it."""
    member = _readable_member(connection, access, user)
    entry = inbox.find_entry(connection, access.organization_id, member, notification)
    if entry is None:
        raise NotFound("There is no such notification in this inbox.")
    return entry


def _readable_member(connection: Connection, access: Access, user: UUID) -> inbox.InboxMember:
    may_read = access.user == user or access.role.may_send
    member = inbox.find_inbox_member(connection, access.organization_id, user) if may_read else None
    if member is None:
        raise NotFound("There is no such member in this organization.")
    return member
