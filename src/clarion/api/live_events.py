"""The wire of a live stream: server-sent events, made so that many can share what is dear about them.

An event's items are encoded once, with a stand-in where the member's id belongs; for each member what is theirs alone
is put between the pieces: their id, their watermark, and how many entries are unread. Used by `service/live_teller.py`.
"""

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from litestar.serialization import encode_json

from clarion.api.schemas_inbox import change_answer
from clarion.service.live_streams import Rendering
from clarion.store.changes import Change

MOST_OCTETS: Final = 65_536
"""How long an event may be: it bounds what a reader who does not read has waiting."""


class Events:
    """Renders events. `new_uuid` makes stand-ins, which nobody can guess and write into a notification."""

    beat = b": \n\n"
    hint = b"event: hint\ndata: {}\n\n"

    def __init__(self, new_uuid: Callable[[], UUID]) -> None:
        self._new_uuid = new_uuid

    def changes(self, changes: Sequence[Change], organization: UUID) -> Rendering | None:
        """Render changes once, for many members; None when they are too long for an event."""
        stand_in = self._new_uuid()
        items = encode_json([change_answer(change, organization, stand_in) for change in changes])
        if len(items) > MOST_OCTETS:
            return None
        pieces = items.split(str(stand_in).encode())
        head = b'\nevent: changes\ndata: {"count":%d,"items":' % len(changes)

        def event(user: UUID, watermark: str, unread: int) -> bytes:
            own_items, mark = str(user).encode().join(pieces), watermark.encode()
            return b'id: %b%b%b,"watermark":"%b","unread":%d}\n\n' % (mark, head, own_items, mark, unread)

        return event

    def bye(self, reason: str) -> bytes:
        """The last event."""
        return b'event: bye\ndata: {"reason":"%b"}\n\n' % reason.encode()
