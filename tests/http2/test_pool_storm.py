"""A pool in a storm: a server that answers, refuses, falls silent, leaves and breaks off as it pleases.

What a server surely did not process it sees again, what it may have processed it never sees twice, and every
request has one result that agrees with what the server knows.
"""

import asyncio
import random
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from clarion.http2 import Answer, Limits, NotProcessed, Pool, PoolLimits, Result, Unknown
from clarion.http2 import frames as f
from clarion.http2.frames import Code

from .peer import Certificate, Peer, Request, serving
from .wire import KEEPING, STATUS_400, STATUS_410, answer, answer_with, holes

COUNT = 300
BURSTS = 3
LIMITS = Limits(deadline_seconds=0.4, silence_seconds=0.15, ping_seconds=0.1, close_seconds=0.1)
POOL_LIMITS = PoolLimits(
    most_connections=6,
    patience_seconds=0.005,
    idle_seconds=0.05,
    oldest_seconds=0.3,
    first_pause_seconds=0.02,
    longest_pause_seconds=0.1,
)


class Storm:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.processed: Counter[bytes] = Counter()
        """What it took, whether or not it said so."""
        self.answered: set[bytes] = set()

    async def __call__(self, peer: Peer) -> None:
        await peer.greet({f.MAX_CONCURRENT_STREAMS: self.chance.randint(1, 30)})
        last = 0
        while True:
            request = await peer.request()
            weather = self.chance.random()
            if weather < 0.01:
                peer.send(f.goaway(last, Code.NO_ERROR))
                return
            if weather < 0.015:
                peer.writer.transport.abort()
                return
            if weather < 0.1:
                peer.send(f.rst_stream(request.stream_id, Code.REFUSED_STREAM))
                continue
            if weather < 0.12:
                peer.send(f.settings({f.MAX_CONCURRENT_STREAMS: self.chance.randint(0, 30)}))
            last = request.stream_id
            self.processed[request.path] += 1
            if weather < 0.125:
                continue
            if weather < 0.13:
                peer.send(f.rst_stream(request.stream_id, Code.INTERNAL_ERROR))
                continue
            self._answer(peer, request)

    def _answer(self, peer: Peer, request: Request) -> None:
        self.answered.add(request.path)
        status = self.chance.choice([b"\x88", STATUS_400, STATUS_410])
        octets = self.chance.choice(
            [answer(request.stream_id, status), answer_with(request.stream_id, status, b"body")]
        )
        if self.chance.random() < 0.5:
            peer.send(octets)
        else:
            later = self.chance.random() / 100
            asyncio.get_running_loop().call_later(later, peer.writer.write, octets)

    def check(self, path: bytes, result: Result) -> None:
        assert self.processed[path] <= 1, "nothing that may have been processed is sent again"
        match result:
            case Answer():
                assert path in self.answered
            case NotProcessed():
                assert not self.processed[path]
            case Unknown():
                pass


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("seed", range(6))
def test_every_result_agrees_with_what_the_server_knows(
    seed: int, loop: Callable[[], Any], certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async def scene() -> None:
        storm = Storm(seed)
        async with serving(certificate, storm) as port:
            pool = Pool("localhost", port, tls=tls, limits=LIMITS, pool_limits=POOL_LIMITS)
            numbered = holes(COUNT * BURSTS)
            async with asyncio.timeout(30):
                results = await asyncio.gather(
                    *(pool.burst(KEEPING, numbered[start::BURSTS]) for start in range(BURSTS))
                )
            await pool.close()
        for start, found in enumerate(results):
            assert len(found) == COUNT
            for place, result in enumerate(found):
                storm.check(b"/%d" % (start + BURSTS * place), result)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scene())
