"""Our side of `apns-100k`: one lane that drains what waits for a channel, alone in its process.

Run as `python -m bench.lane_client DATABASE_URL CHANNEL_ID PORT CA_FILE`. Prints one line of JSON: the seconds
from the first claim until nothing was due any more, and the most memory that it had, in MB.
"""

import gc
import json
import os
import sys
import time
from random import random
from typing import Final

import uvloop
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import Connection, text

from bench.processes import peak_megabytes
from bench.pushes import channel_settings
from clarion.http2 import client_tls
from clarion.providers import Surroundings, make_provider
from clarion.service.lane import Lane, LaneContext
from clarion.store.database import Database
from clarion.telemetry import Metrics

OWNER: Final = "benchmark"


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


async def drain(url: str, channel_id: int, port: int, ca_file: str) -> float:
    """Push what is due; returns how many seconds it took. The connection is there when the clock starts."""
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    around = Surroundings(now_ms, client_tls(ca_file), ca_file)
    provider = make_provider("apns", channel_settings(port), secret, around)
    database = Database(url)
    lane = Lane(channel_id, "apns", provider, LaneContext(database, OWNER, now_ms, random, Metrics()))
    await database.read(_fill_cache)
    if obstacle := await provider.connect():
        sys.exit(obstacle.reason)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)  # as the worker does
    started = time.perf_counter()
    await lane.drain()
    elapsed = time.perf_counter() - started
    await lane.close()
    database.close()
    return elapsed


def _fill_cache(connection: Connection) -> None:
    """Read more than SQLite's page cache holds."""
    connection.execute(text("SELECT sum(length(address)) FROM devices")).all()


if __name__ == "__main__":
    url, channel_id, port, ca_file = sys.argv[1:]
    seconds = uvloop.run(drain(url, int(channel_id), int(port), ca_file))
    print(json.dumps({"seconds": seconds, "megabytes": peak_megabytes(os.getpid())}))
