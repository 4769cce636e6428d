"""Our side of `latency-bound`: a pool that sends bursts, alone in its process.

Run as `python bench/pool_client.py PORT CA_FILE CONNECTIONS COUNT ROUNDS`. Prints one line of JSON: the requests
per second of each round, and how many connections were open at the end. A round with an answer other than 200
is an error.
"""

import json
import sys
import time
from typing import Final

import uvloop

from clarion.http2 import Answer, Hole, Pool, PoolLimits, Template, client_tls, literal

OK: Final = Answer(200, (), b"")
TEMPLATE: Final = Template(
    method="POST",
    authority="localhost",
    headers=[("content-type", "application/json"), ("authorization", f"bearer {'0' * 200}")],
    body=(b'{"aps":{"alert":"', b'"}}'),
)


async def measure(port: int, ca_file: str, connections: int, count: int, rounds: int) -> None:
    """Send the bursts one after the other."""
    limits = PoolLimits(most_connections=connections)
    pool = Pool("localhost", port, tls=client_tls(ca_file), pool_limits=limits)
    rates = [await _rate(pool, _holes(count)) for _ in range(rounds)]
    print(json.dumps({"rates": rates, "connections": pool.connections}))
    await pool.close()


def _holes(count: int) -> list[Hole]:
    return [(literal(b":path", b"/3/device/%064x" % number), b"x" * 180) for number in range(count)]


async def _rate(pool: Pool, holes: list[Hole]) -> float:
    started = time.perf_counter()
    results = await pool.burst(TEMPLATE, holes)
    elapsed = time.perf_counter() - started
    if wrong := [result for result in results if result != OK]:
        sys.exit(f"{len(wrong)} of {len(results)} were not answered with 200, such as: {wrong[0]}")
    return len(holes) / elapsed


if __name__ == "__main__":
    port, ca_file, *numbers = sys.argv[1:]
    uvloop.run(measure(int(port), ca_file, *map(int, numbers)))
