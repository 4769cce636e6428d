"""What the figures send: a notification, the channel that carries it, and the same push as a peer sends it."""

from typing import Any, Final

CONTENT: Final = {
    "title": "Approved",
    "text": "Your overtime for this month has been approved",
    "screen": "jig",
}

HEADERS: Final = {
    "authorization": f"bearer {'0' * 200}",
    "apns-topic": "com.example.bench",
    "apns-push-type": "alert",
    "apns-priority": "10",
    "apns-expiration": "1700000000",
    "apns-collapse-id": "0" * 36,
    "apns-id": "0" * 36,
}
"""As large as those that Clarion sends to Apple."""

PAYLOAD: Final = {
    "aps": {"alert": {"title": CONTENT["title"], "body": CONTENT["text"]}, "sound": "default"},
    "clarion": {"notificationId": "0" * 36, "organizationId": "0" * 36, "screen": "jig", "inputs": {}},
}
"""As large as what Clarion sends for `CONTENT`."""


def channel_settings(port: int) -> dict[str, Any]:
    """An APNs channel whose push service is a stand-in on this machine."""
    return {
        "team_id": "BENCH0TEAM",
        "key_id": "BENCH00KEY",
        "topic": "com.example.bench",
        "host": "localhost",
        "port": port,
    }
