"""Our side of `wire`: one burst over one connection, alone in its process.

Run as `python -m bench.wire_client PORT CA_FILE PATH COUNT`. Every path is PATH and a number of its own. Prints
the requests per second; an answer other than 200 is an error.
"""

import gc
import sys
import time
from typing import Final

import uvloop

from bench.pushes import HEADERS
from clarion.http2 import Answer, Hole, Pool, PoolLimits, Template, client_tls, literal

OK: Final = Answer(200, (), b"")
BODY: Final = b"x" * 200
CONSTANT: Final = [(name, value) for name, value in HEADERS.items() if name != "apns-id"]


async def measure(port: int, ca_file: str, path: str, count: int) -> float:
    """Send; returns requests per second. What a caller has ready, the requests' own octets, is made before."""
    pool = Pool("localhost", port, tls=client_tls(ca_file), pool_limits=PoolLimits(most_connections=1))
    template = Template(method="POST", authority=f"localhost:{port}", headers=CONSTANT, body=(BODY, b""))
    holes = [_hole(path, number) for number in range(count)]
    await pool.connect()
    gc.collect()
    gc.freeze()
    started = time.perf_counter()
    results = await pool.burst(template, holes)
    elapsed = time.perf_counter() - started
    await pool.close()
    if wrong := [result for result in results if result != OK]:
        sys.exit(f"{len(wrong)} of {count} were not answered with 200, such as: {wrong[0]}")
    return count / elapsed


def _hole(path: str, number: int) -> Hole:
    own_id = b"%08x-0000-8000-8000-%012x" % (number, number)
    return literal(b":path", f"{path}{number:064x}".encode()) + literal(b"apns-id", own_id), b""


if __name__ == "__main__":
    port, ca_file, path, count = sys.argv[1:]
    print(uvloop.run(measure(int(port), ca_file, path, int(count))))
