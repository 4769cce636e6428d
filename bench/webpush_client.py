"""What `webpush` measures, alone in its process on its core.

Run as `python -m bench.webpush_client WAY COUNT [PORT CA_FILE]`; prints messages per second. The ways:

    provider    the whole path: pages as a lane sends them, as many at a time, to the server at PORT
    openssl     one key pair and one ECDH per message, and nothing else
    ours        our encryption, from a browser's keys as octets to the body
    pywebpush   the library's, from the same
"""

import asyncio
import gc
import json
import os
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

import uvloop
from cryptography.hazmat.primitives.asymmetric.ec import ECDH, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pywebpush import WebPusher

from clarion.http2 import client_tls
from clarion.model.delivery import PushKind, pack_push_id
from clarion.model.notification import Content, Options
from clarion.model.outcome import ACCEPTED
from clarion.model.push import Parcel, Push
from clarion.providers import Surroundings, check_address, make_provider
from clarion.providers.webpush_encryption import CURVE, SALT_OCTETS, BrowserKeys, encrypt, point_of
from clarion.providers.webpush_payload import encode_payload
from clarion.providers.webpush_vapid import WebPushSettings
from clarion.service.lane import PAGES_IN_FLIGHT
from clarion.service.push import PAGE_DEVICES

SETTINGS: Final = {"subject": "mailto:push@example.com", "app_url": "https://app.example.com/"}
PATH: Final = "/send/"
ENDPOINT_ID: Final = "x" * 140
"""As long as Google's and Mozilla's, before the number that makes it one's own."""


def the_push() -> Push:
    """The notification that everybody gets."""
    content = Content("Reminder to log your time for the week", "Weekly timesheets", inputs={"week": 34})
    expires_at = (int(time.time()) + 3600) * 1000
    return Push(1, UUID(int=1), UUID(int=2), None, content, Options(), PushKind.ALERT, expires_at)


PUSH: Final = the_push()
PLAINTEXT: Final = encode_payload(PUSH, WebPushSettings.read(SETTINGS), 3993)

Subscription = dict[str, Any]


def subscribe(count: int, port: int = 443) -> list[Subscription]:
    """As many browsers, each with keys of its own."""
    return [
        {
            "endpoint": f"https://localhost:{port}{PATH}{ENDPOINT_ID}{number}",
            "keys": {
                "p256dh": urlsafe_b64encode(point_of(generate_private_key(CURVE))).decode(),
                "auth": urlsafe_b64encode(os.urandom(16)).decode(),
            },
        }
        for number in range(count)
    ]


def rate_of(act: Callable[[Any], object], things: Sequence[Any]) -> float:
    """Do it with each thing; returns how many a second."""
    gc.collect()
    gc.freeze()
    started = time.perf_counter()
    for thing in things:
        act(thing)
    return len(things) / (time.perf_counter() - started)


def openssl(count: int) -> float:
    """Measure OpenSSL's share: neither reads a key nor derives, encrypts or sends anything."""
    ecdh = ECDH()
    keys = [generate_private_key(CURVE).public_key() for _ in range(count)]
    return rate_of(lambda key: generate_private_key(CURVE).exchange(ecdh, key), keys)


def ours(count: int) -> float:
    """Measure our encryption."""

    def act(keys: tuple[bytes, bytes]) -> bytes:
        sender_key, salt = generate_private_key(CURVE), os.urandom(SALT_OCTETS)
        return encrypt(PLAINTEXT, BrowserKeys.read(*keys), sender_key=sender_key, salt=salt)

    octets = [WebPusher(subscription) for subscription in subscribe(count)]
    return rate_of(act, [(each.receiver_key, each.auth_key) for each in octets])


def pywebpush(count: int) -> float:
    """Measure the library's encryption; it has read the keys' base64 before, too."""
    return rate_of(lambda each: each.encode(PLAINTEXT), list(map(WebPusher, subscribe(count))))


async def provider(count: int, port: int, ca_file: str) -> float:
    """Measure the whole path; an answer other than 201 is an error."""
    secret = generate_private_key(CURVE).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    around = Surroundings(
        lambda: int(time.time() * 1000),
        client_tls(ca_file),
        ca_file,
        trusted_hosts=frozenset({"localhost"}),
    )
    sending = make_provider("webpush", SETTINGS, secret.decode(), around)
    parcels = [
        Parcel(pack_push_id(1, number, PushKind.ALERT), check_address("webpush", json.dumps(subscription)))
        for number, subscription in enumerate(subscribe(count, port))
    ]
    pages = [parcels[start : start + PAGE_DEVICES] for start in range(0, count, PAGE_DEVICES)]
    gc.collect()
    gc.freeze()
    started = time.perf_counter()
    waiting = iter(pages)

    async def send() -> None:
        for page in waiting:
            outcomes = await sending.send(PUSH, page)
            if wrong := [outcome for outcome in outcomes if outcome != ACCEPTED]:
                sys.exit(f"{len(wrong)} of {len(page)} were not accepted, such as: {wrong[0]}")

    await asyncio.gather(*(send() for _ in range(PAGES_IN_FLIGHT)))
    elapsed = time.perf_counter() - started
    await sending.close()
    return count / elapsed


if __name__ == "__main__":
    way, number, *where = sys.argv[1:]
    if way == "provider":
        print(uvloop.run(provider(int(number), int(where[0]), where[1])))
    else:
        print({"openssl": openssl, "ours": ours, "pywebpush": pywebpush}[way](int(number)))
