"""A browser subscribes: what it would hand to a site, and what it keeps to itself.

Called by whoever prepares a scene (demonstrations, tests, benchmarks); the stand-in learns of it by the registry.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from clarion.sandbox.jose import text_of
from clarion.sandbox.registry import Phone, Subscription
from clarion.sandbox.webpush_decryption import point_of, private_key_of
from clarion.sandbox.webpush_rules import PATH

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""How many points P-256 has; a private key is smaller."""


def subscribe(
    service: str,
    site: str,
    application_server_key: str,
    *,
    prefix: str = "",
    wish: str = "",
    octets: Callable[[int], bytes] = secrets.token_bytes,
) -> tuple[dict[str, Any], Phone]:
    """Return a new subscription as a browser's JSON, and the phone for the registry, still without a name.

    `service` is the origin of the stand-in, `site` that of the page that asks, the key what it passes as
    applicationServerKey (base64url). The prefix `wns-` makes it one of Windows' service, a wish from the table of
    outcomes ends the endpoint. The same octets make the same subscription.
    """
    subscription_id = prefix + text_of(octets(24)) + (f"-{wish}" if wish else "")
    number = int.from_bytes(octets(32)) % (ORDER - 1) + 1
    private_key, auth = number.to_bytes(32), text_of(octets(16))
    point = point_of(private_key_of(private_key).public_key())
    content = {
        "endpoint": f"{service}{PATH}{subscription_id}",
        "expirationTime": None,
        "keys": {"p256dh": text_of(point), "auth": auth},
    }
    kept = Subscription(text_of(private_key), auth, application_server_key)
    return content, Phone(subscription_id, site, provider="webpush", subscription=kept)
