"""aioapns, a peer of `wire`: many callers over one connection, alone in their process.

Run as `python -m bench.wire_aioapns PORT CA_FILE COUNT`. Prints the requests per second. It finds a request by
the `apns-id` of the answer, so the server has to repeat that.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Iterator
from typing import Final
from uuid import UUID

import uvloop
from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsTLSClientProtocol
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from clarion.http2 import client_tls

CALLERS: Final = 100
"""As fast as it gets: with more than the server's 128 streams it polls for a free one."""

MESSAGE: Final = {"aps": {"alert": "x" * 181}}
"""200 octets, as aioapns writes it."""


async def measure(port: int, ca_file: str, count: int) -> float:
    """Send; returns requests per second."""
    logging.getLogger("aioapns").setLevel(logging.CRITICAL)  # it warns of every stream that nginx resets
    client = _client(port, ca_file)
    await client.send_notification(_request(count))
    numbers = iter(range(count))
    started = time.perf_counter()
    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(_call(client, numbers))
    return count / (time.perf_counter() - started)


async def _call(client: APNs, numbers: Iterator[int]) -> None:
    for number in numbers:
        answer = await client.send_notification(_request(number))
        if not answer.is_successful:
            sys.exit(f"not answered with 200: {answer.status} {answer.description}")


def _request(number: int) -> NotificationRequest:
    return NotificationRequest(
        device_token=f"{number:064x}",
        message=MESSAGE,
        notification_id=str(UUID(int=number)),
        priority=10,
        collapse_key="0" * 36,
        push_type=PushType.ALERT,
        time_to_live=3600,
    )


def _client(port: int, ca_file: str) -> APNs:
    class Protocol(APNsTLSClientProtocol):
        APNS_SERVER = "localhost"
        APNS_PORT = port

    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    client = APNs(
        key=secret, key_id="BENCH00KEY", team_id="BENCH0TEAM", topic="com.example.bench", max_connections=1,
        ssl_context=client_tls(ca_file),
    )  # fmt: skip
    client.pool.protocol_class = Protocol
    return client


if __name__ == "__main__":
    port, ca_file, count = sys.argv[1:]
    print(uvloop.run(measure(int(port), ca_file, int(count))))
